"""The explorer: a page in the browser to look for pictures with."""

__all__ = [
    "blends",
    "controls",
    "expressions",
    "fields",
    "filming",
    "jobs",
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
