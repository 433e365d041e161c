"""Editing: what one does with the latents of a trained generator."""

__all__ = [
    "blending",
    "composer",
    "composition",
    "directions",
    "distances",
    "films",
    "inspect",
    "latents",
    "measures",
    "mixing",
    "perceptual",
    "projection",
    "surgery",
    "targets",
    "tuning",
]
