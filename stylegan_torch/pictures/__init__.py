"""Picture files: decoded, aligned, collected with their labels, and made into an official data set."""

__all__ = ["alignment", "archive", "collections", "decode", "faces", "labels"]
