"""The forms of files that other programs write: how each is read and written."""
