"""A recipe: pictures of a network over HTTP."""
