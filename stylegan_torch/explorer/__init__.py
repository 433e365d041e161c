"""The explorer: a page in the browser to look for pictures with."""
