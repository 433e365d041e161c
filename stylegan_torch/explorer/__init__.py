"""The explorer: a page in the browser to look for pictures with."""

__all__ = [
    "blends",
    "controls",
    "dragging",
    "expressions",
    "fields",
    "filming",
    "jobs",
    "looking",
    "osc",
    "preview",
    "projecting",
    "renderer",
    "states",
    "stream",
    "studio",
    "unpacking",
    "web",
]
