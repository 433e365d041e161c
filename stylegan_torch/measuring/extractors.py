"""Extractors: networks that make features of pictures, on which measures of whole sets are taken.

Those of the papers are torch-fidelity's; their weights are downloaded when that is asked for, or given as a file. Two
of ours need neither weights nor a package. Their numbers compare with themselves only: a Fréchet distance of theirs is
no FID.

    random-convolutions    480 numbers: mean and spread of the maps of fixed random convolutions
    pixels                 3072 numbers: the picture, averaged to 32×32
"""

from __future__ import annotations

import hashlib
import io
import math
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan_torch.drawing.devices import exact_float32
from stylegan_torch.files.tensors import load_plain
from stylegan_torch.measuring.fidelity import MeasureError, library
from stylegan_torch.types import JsonObject

_WIDTHS = (16, 32, 64, 128)
_LEAST = 2 ** len(_WIDTHS)
_SIDE = 32


class RandomFeatures(nn.Module):
    """Random convolutions, the same at every run, whose feature maps are summed up by mean and spread.

    Random features tell apart what differs in colour, edges and arrangement (Ustyuzhaninov et al. 2016). Each level
    halves the size. The kernels are N(0, 1 / (9 · channels)) by torch.Generator's seed 0.
    """

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        widths = (3, *_WIDTHS)
        self.kernels = nn.ParameterList(
            nn.Parameter(torch.randn(out, width, 3, 3, generator=generator) / math.sqrt(9 * width), requires_grad=False)
            for width, out in zip(widths, _WIDTHS, strict=False)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Map pictures [N, 3, H, W] of 0 to 255 to features [N, 480].

        Raises:
            MeasureError: if H or W is less than 16.
        """
        if min(pictures.shape[2:]) < _LEAST:
            raise MeasureError(f"random-convolutions takes pictures of at least {_LEAST}×{_LEAST}; pixels takes any")
        x, features = pictures.float() / 127.5 - 1, []
        for kernel in self.kernels:
            x = F.leaky_relu(F.conv2d(x, kernel, padding=1), 0.2) * math.sqrt(2)
            features += [x.mean(dim=(2, 3)), x.std(dim=(2, 3))]
            x = F.avg_pool2d(x, 2)
        return torch.cat(features, dim=1)


class Pixels(nn.Module):
    """The picture itself, of 0 to 1, averaged to 32×32."""

    def forward(self, pictures: Tensor) -> Tensor:
        """Map pictures [N, 3, H, W] of 0 to 255 to features [N, 3072]."""
        return F.adaptive_avg_pool2d(pictures.float() / 255, _SIDE).flatten(1)


OWN: Mapping[str, type[nn.Module]] = {"random-convolutions": RandomFeatures, "pixels": Pixels}
_LAYER = "features"


@dataclass(frozen=True)
class _Theirs:
    """An extractor of torch-fidelity: its layers by measure, and what it would download into PyTorch's hub folder."""

    layers: Mapping[str, str]
    files: tuple[str, ...]
    takes_file: bool = True


_ALL = ("fid", "kid", "pr", "fd-dinov2")
THEIRS: Mapping[str, _Theirs] = {
    "inception-v3-compat": _Theirs(
        dict.fromkeys(_ALL, "2048") | {"is": "logits_unbiased"},
        ("checkpoints/weights-inception-2015-12-05-6726825d.pth",),
    ),
    "vgg16": _Theirs(dict.fromkeys(_ALL, "fc2_relu"), ("checkpoints/vgg16-397923af.pth",)),
    "dinov2-vit-l-14": _Theirs(
        dict.fromkeys(_ALL, "dinov2"),
        ("checkpoints/dinov2_vitl14_pretrain.pth", "facebookresearch_dinov2_main/hubconf.py"),
        takes_file=False,
    ),
}
NAMES = (*THEIRS, *OWN)


@dataclass(frozen=True)
class Extractor:
    """Makes features of pictures.

    name: one of `NAMES`. network: maps pictures [N, 3, H, W] of 0 to 255 to features [N, D] by layer.
    layers: which layer a measure is of. weights: sha256 of the file that was given; None without one.
    floats: whether pictures need not be of 8 bits. device: where it works.
    """

    name: str
    network: Any = field(repr=False)
    layers: Mapping[str, str]
    weights: str | None = None
    floats: bool = False
    device: str | torch.device = "cpu"

    @property
    def about(self) -> JsonObject:
        """Return what distinguishes it from others."""
        return {"name": self.name, "weights": self.weights, "ours": self.name in OWN}

    def layer(self, measure: str) -> str:
        """Return the layer that a measure is of.

        Raises:
            MeasureError: if it has none for it.
        """
        if measure not in self.layers:
            raise MeasureError(
                f"{self.name} has no classes, which the measure {measure!r} needs: take another --extractor"
            )
        return self.layers[measure]

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return the features [N, D] float32 of pictures [N, 3, H, W], uint8 or floats of 0 to 255, by layer.

        Raises:
            MeasureError: if it takes no floats, or they are too small for it.
        """
        if pictures.is_floating_point() and not self.floats:
            raise MeasureError(f"{self.name} takes pictures of 8 bits, not floats")
        with exact_float32():
            return {name: features.float().cpu() for name, features in self.network(pictures.to(self.device)).items()}


def open_extractor(
    name: str, device: str | torch.device = "cpu", *, weights: Path | None = None, download: bool = False
) -> Extractor:
    """Return an extractor by its name.

    Args:
        name: one of `NAMES`.
        device: where it works.
        weights: the file that torch-fidelity would download: a state dict (.pth). It is read as data, never run.
        download: let torch-fidelity download what is not in PyTorch's hub folder; with DINOv2 that is a program too.

    Raises:
        MeasureError: if it cannot be had.
    """
    if name in OWN:
        if weights:
            raise MeasureError(f"{name} has no weights to read from {weights}")
        module = OWN[name]().to(device).eval()
        return Extractor(name, lambda x: {_LAYER: module(x)}, dict.fromkeys(_ALL, _LAYER), floats=True, device=device)
    if name not in THEIRS:
        raise MeasureError(f"there is no extractor {name!r}; there are {', '.join(NAMES)}")
    theirs = THEIRS[name]
    if weights is None and not download:
        _require_cached(name, theirs)
    if weights and not theirs.takes_file:
        raise MeasureError(f"{name} is not read from a file: --download fetches it, program and weights")
    with ExitStack() as stack:
        copy, digest = _plain_copy(weights, stack) if weights else (None, None)
        network = _created(name, theirs, copy, weights).to(device)
    return Extractor(
        name, lambda x: network.convert_features_tuple_to_dict(network(x)), theirs.layers, digest, device=device
    )


def _require_cached(name: str, theirs: _Theirs) -> None:
    library()
    missing = [file for file in theirs.files if not (Path(torch.hub.get_dir()) / file).exists()]
    if missing:
        file = "--features FILE gives its weights, " if theirs.takes_file else ""
        raise MeasureError(
            f"the weights of {name} are not here ({Path(missing[0]).name} in {torch.hub.get_dir()}): {file}"
            "--download fetches them, and --extractor random-convolutions needs none"
        )


def _plain_copy(path: Path, stack: ExitStack) -> tuple[str, str]:
    """Return the name of a file with only the tensors of another, which torch-fidelity would run, and its sha256."""
    try:
        data = path.read_bytes()
        state = load_plain(io.BytesIO(data))
        if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
            raise ValueError
    except OSError as error:
        raise MeasureError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # what torch raises for a damaged file is anything
        raise MeasureError(f"{path} is damaged, or not a state dict of tensors") from error
    copy = Path(stack.enter_context(tempfile.TemporaryDirectory()), "weights.pth")
    torch.save(state, copy)
    return str(copy), hashlib.sha256(data).hexdigest()


def _created(name: str, theirs: _Theirs, copy: str | None, weights: Path | None) -> Any:
    library()
    from torch_fidelity.utils import create_feature_extractor

    layers = sorted(set(theirs.layers.values()))
    try:
        with warnings.catch_warnings(action="ignore"):
            return create_feature_extractor(
                name, layers, cuda=False, feature_extractor_weights_path=copy, verbose=False
            )
    except OSError as error:
        raise MeasureError(f"the weights of {name} cannot be downloaded: {error}") from error
    except RuntimeError as error:
        if weights is None:
            raise MeasureError(f"the weights of {name} cannot be had: {error}") from error
        raise MeasureError(f"{weights} does not have the weights of {name}") from error


def register() -> None:
    """Make our extractors known to torch-fidelity, by their names; its `calculate_metrics` then takes them.

    Raises:
        MeasureError: if it is not installed.
    """
    base = library().FeatureExtractorBase
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY, register_feature_extractor

    for name, network in OWN.items():
        if name not in FEATURE_EXTRACTORS_REGISTRY:
            register_feature_extractor(name, _registered(base, network))


def _registered(base: Any, network: type[nn.Module]) -> Any:
    class Registered(base):  # type: ignore[misc]
        def __init__(self, name: str, features_list: list[str], **_: object) -> None:
            super().__init__(name, features_list)
            self.network = network()

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return (_LAYER,)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return _LAYER

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        def forward(self, pictures: Tensor) -> tuple[Tensor]:
            return (self.network(pictures),)

    return Registered
