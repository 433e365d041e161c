"""The data of the bundled network: the network itself, its recipe, and the log of its training."""
