"""Running the original program that a file carries, shut in."""
