"""Picture files: decoded, collected with their labels, and made into an official data set."""

__all__ = ["archive", "collections", "decode", "labels"]
