"""Where a file comes from: a path, a name in the catalogue, a download."""
