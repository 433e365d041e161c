"""From seeds to pictures."""
