"""Films through latents."""

__all__ = ["encoding", "frames", "trajectories"]
