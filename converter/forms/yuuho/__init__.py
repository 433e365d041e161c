"""Files of yuuho's stylegans-pytorch."""
