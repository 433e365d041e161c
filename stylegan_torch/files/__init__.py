"""Our files, and how any file is written."""
