"""Films through latents."""
