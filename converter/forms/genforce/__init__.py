"""Files of genforce."""
