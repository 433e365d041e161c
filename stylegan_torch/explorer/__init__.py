"""The explorer: a page in the browser to look for pictures with."""

__all__ = ["fields", "page", "preview", "renderer", "roof", "sessions"]
