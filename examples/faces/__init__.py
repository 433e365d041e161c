"""The faces that the bundled network was trained on, and how well a network draws such."""
