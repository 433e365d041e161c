"""The explorer: a page in the browser to look for pictures with."""

__all__ = [
    "dragging",
    "fields",
    "jobs",
    "looking",
    "preview",
    "projecting",
    "renderer",
    "states",
    "stream",
    "studio",
    "unpacking",
    "web",
]
