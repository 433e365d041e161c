"""Editing: what one does with the latents of a trained generator."""
