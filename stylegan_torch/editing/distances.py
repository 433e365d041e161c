"""The names of distances between pictures; `perceptual` has the distances themselves."""

from __future__ import annotations

from stylegan_torch.errors import StyleGANError

NAMES = ("pyramid", "lpips")
"""Whatever else is given names a file of TorchScript."""


class DistanceError(StyleGANError):
    """A distance cannot be had, or not for these pictures."""


def require_trust(name: str, trust: bool) -> None:
    """Raise DistanceError if a name is of a file, and `trust` is off."""
    if name not in NAMES and not trust:
        raise DistanceError(
            f"{name} is TorchScript, a program that runs when it is loaded and used; "
            "--trust-distance says that you trust whoever made it"
        )
