"""The networks of the papers: one file a family, and what they share."""
