"""Films through latents."""

__all__ = ["encoding", "frames", "keys", "trajectories"]
