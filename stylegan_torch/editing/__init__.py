"""Editing: what one does with the latents of a trained generator."""

__all__ = [
    "canvas",
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
    "spectra",
    "targets",
    "truncation",
]
