"""Files of rosinality's programs."""
