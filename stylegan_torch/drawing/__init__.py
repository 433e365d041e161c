"""From seeds to pictures."""

__all__ = ["devices", "draw", "images", "marks", "random_streams", "seeds", "sheets", "truncation"]
