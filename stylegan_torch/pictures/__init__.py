"""Picture files: decoded, collected with their labels, and made into an official data set."""
