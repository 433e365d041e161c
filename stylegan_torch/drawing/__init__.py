"""From seeds to pictures."""

__all__ = ["devices", "draw", "images", "random_streams", "seeds", "sheets"]
