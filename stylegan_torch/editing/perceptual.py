"""How unlike two pictures look: a distance that needs no weights, and a learnt one if it is there (LPIPS section 3)."""

from __future__ import annotations

import hashlib
import importlib
import io
import warnings
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan_torch.editing.distances import DistanceError, require_trust

LARGEST = 256
"""Larger pictures are reduced to about this side first, as the official projector does (docs/spec/TF.md 5.1)."""
_SMALLEST = 4
_EPSILON = 1e-6
"""Added under the roots, which have no derivative at 0."""


class Distance(Protocol):
    """Maps two batches of pictures [N, C, H, W] in [-1, 1] to distances [N] that have gradients.

    Distances are at least 0, and 0 for equal pictures. A state of a projection keeps the name.
    """

    @property
    def name(self) -> str:
        """Return what distinguishes this distance from others."""

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """Return how far each image is from its target."""


def open_distance(name: str, device: str | torch.device = "cpu", trust: bool = False) -> Distance:
    """Return a distance: "pyramid" (needs no weights), "lpips" (the installed package), or a TorchScript file's.

    Raises:
        DistanceError: if it cannot be had, or is a file and `trust` is off.
    """
    if name == "pyramid":
        return PyramidDistance()
    if name == "lpips":
        return LpipsDistance(device)
    require_trust(name, trust)
    return ScriptDistance(Path(name), device)


def reduced(images: Tensor) -> Tensor:
    """Return images [N, C, H, W], averaged over squares of pixels if their larger side is twice 256 or more."""
    factor = max(images.shape[2:]) // LARGEST
    return F.avg_pool2d(images, factor) if factor > 1 else images


class PyramidDistance:
    """Root mean squares of what differs, at every level of a pyramid that is halved down to a side of 4.

    Three at each level: of the pixels' difference, of its gradient (neighbours' differences), and of its Laplacian; the
    distance is the mean of them all. Coarse levels lead while pictures are far apart, gradients and Laplacians keep
    edges and texture. Any number of channels is compared, alpha as it is.
    """

    name = "pyramid"

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """Return the distances [N] of images and targets [N, C, H, W] in [-1, 1], H and W at least 3."""
        x = reduced(images - targets)
        terms = _terms(x)
        while min(x.shape[2:]) >= 2 * _SMALLEST:
            x = F.avg_pool2d(x, 2)
            terms += _terms(x)
        return torch.stack(terms).mean(dim=0)


def _terms(x: Tensor) -> list[Tensor]:
    right, down = x.diff(dim=3), x.diff(dim=2)
    laplacian = right[:, :, 1:-1].diff(dim=3) + down[..., 1:-1].diff(dim=2)
    return [_size(x), _size(right) + _size(down), _size(laplacian)]


def _size(x: Tensor) -> Tensor:
    """Return the root mean square [N] of x [N, ...], smooth at 0."""
    return (x.square().flatten(1).mean(dim=1) + _EPSILON).sqrt() - _EPSILON**0.5


class ScriptDistance:
    """The squared distance of the features that a TorchScript network makes of pictures in [0, 255].

    The `vgg16.pt` of the official releases is such a file: asked for `return_lpips`, its features' squared distance is
    LPIPS. Loading and using the file runs its program.
    """

    def __init__(self, path: Path, device: str | torch.device = "cpu") -> None:
        """Load a file that is trusted.

        Raises:
            DistanceError: if it cannot be read, or is not TorchScript.
        """
        try:
            data = path.read_bytes()
            jit: Any = torch.jit
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "`torch.jit")  # is deprecated, but the files people have are of it
                self.network: Any = jit.load(io.BytesIO(data), map_location=device).eval()
        except OSError as error:
            raise DistanceError(f"cannot read {path}: {error.strerror or error}") from error
        except Exception as error:  # what torch raises for a damaged file is anything
            raise DistanceError(f"{path} is damaged, or not TorchScript") from error
        known = {argument.name for argument in self.network.forward.schema.arguments}
        self.options = {key: key == "return_lpips" for key in ("resize_images", "return_lpips") if key in known}
        self.name = f"script {hashlib.sha256(data).hexdigest()[:16]}"
        self._seen: list[tuple[Tensor, Tensor]] = []

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """Return the distances [N] of images and targets [N, C, H, W] in [-1, 1].

        Raises:
            DistanceError: for pictures that are neither grey nor RGB.
        """
        # A projection compares with the same targets at every step, tuning with others in between; the network is all
        # that it costs.
        found = next((each for each in self._seen if each[0] is targets), None)
        if found is None:
            with torch.no_grad():
                found = targets, self._features(targets)
        self._seen = [*(each for each in self._seen if each is not found), found][-2:]
        return (self._features(images) - found[1]).square().flatten(1).sum(dim=1)

    def _features(self, images: Tensor) -> Tensor:
        return self.network((_rgb(reduced(images)) + 1) * 127.5, **self.options)


class LpipsDistance:
    """LPIPS by the package `lpips`, on VGG16, if the user has both the package and the weights."""

    name = "lpips"

    def __init__(self, device: str | torch.device = "cpu") -> None:
        """Load the weights that are there; nothing is downloaded.

        Raises:
            DistanceError: if package or weights are missing.
        """
        try:
            lpips: Any = importlib.import_module("lpips")
        except ImportError as error:
            raise DistanceError("--distance lpips needs one more package: pip install lpips") from error
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        if not any(folder.glob("vgg16-*.pth")):
            raise DistanceError(f"--distance lpips needs torchvision's VGG16 weights, vgg16-397923af.pth, in {folder}")
        self.network = lpips.LPIPS(net="vgg", verbose=False).to(device).eval().requires_grad_(False)

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """Return the distances [N] of images and targets [N, C, H, W] in [-1, 1].

        Raises:
            DistanceError: for pictures that are neither grey nor RGB.
        """
        return self.network(_rgb(reduced(images)), _rgb(reduced(targets))).flatten()


def _rgb(images: Tensor) -> Tensor:
    channels = images.shape[1]
    if channels not in (1, 3):
        raise DistanceError(f"LPIPS compares grey and RGB pictures, not {channels} channels; --distance pyramid does")
    return images.expand(-1, 3, -1, -1)
