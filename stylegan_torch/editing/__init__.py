"""Editing: what one does with the latents of a trained generator."""

__all__ = [
    "bending",
    "blending",
    "canvas",
    "composer",
    "composition",
    "directions",
    "distances",
    "drag",
    "films",
    "inspect",
    "latents",
    "measures",
    "mixing",
    "perceptual",
    "projection",
    "spectra",
    "surgery",
    "targets",
    "truncation",
    "tuning",
]
