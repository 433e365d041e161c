"""Where the bundled network comes from: the pictures it was trained on (`faces`), and the recipe."""
