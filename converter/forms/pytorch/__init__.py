"""Files of the official PyTorch releases."""
