"""Holding our networks against what the original program computed (DESIGN: parity)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from stylegan_torch.drawing.draw import DrawSettings, resolve
from stylegan_torch.drawing.images import on_rounding_edge, to_uint8
from stylegan_torch.errors import StyleGANError
from stylegan_torch.networks import progan
from stylegan_torch.networks.interface import Discriminator, Generator
from stylegan_torch.proof.reference import Layer, Reference
from stylegan_torch.text import columns

__all__ = ["Comparison", "Verdict", "compare", "verify"]

TOLERANCE = 1e-4
"""Of images in [-1, 1]; of other arrays times the largest value of the reference, if that is over 1."""
IDENTICAL = 0.999
"""Share of 8-bit values that must be identical, unless rounding decides all others; none may be off by more than 1."""
_MAIN_PATH = ("conv", "fc", "out")
"""Layers that depend on all such before them in their network."""
HEAD = ("array", "shape", "max |Δ|", "mean |Δ|", "allowed", "identical", "PSNR", "")
"""Of the table that `Comparison.cells` fills."""


@dataclass(frozen=True)
class Comparison:
    """One array of ours against the reference's.

    max_difference, mean_difference: absolute.
    tolerance: for the largest difference.
    identical: share of values that are the same, of 8-bit pictures.
    rounding: whether all others lie where rounding decides (`images.on_rounding_edge`).
    psnr: in dB, of pictures; infinite if they are the same.
    """

    name: str
    shape: tuple[int, ...]
    max_difference: float
    mean_difference: float
    tolerance: float
    identical: float | None = None
    psnr: float | None = None
    rounding: bool = False

    @property
    def passed(self) -> bool:
        """Whether it is the same by the tolerances."""
        enough = self.identical is None or self.identical >= IDENTICAL or self.rounding
        return enough and self.max_difference <= self.tolerance

    def cells(self) -> tuple[str, ...]:
        """Return the comparison as text: name, shape, largest and mean difference, tolerance, share, PSNR, verdict."""
        return (
            self.name,
            "x".join(map(str, self.shape)),
            f"{self.max_difference:.2e}",
            f"{self.mean_difference:.2e}",
            f"{self.tolerance:.1e}",
            "" if self.identical is None else f"{self.identical:.4%}",
            "" if self.psnr is None else "identical" if self.psnr == math.inf else f"{self.psnr:.1f} dB",
            "pass" if self.passed else "FAIL",
        )


@dataclass(frozen=True)
class Verdict:
    """The outcome.

    comparisons: of the arrays; they decide.
    layers: of each recorded layer that has its like in our network, in the order of computation.
    images: ours, [N, C, H, W].
    half_precision: networks that compute in half precision by themselves; here both sides did in float32.
    """

    comparisons: list[Comparison]
    layers: list[tuple[Layer, Comparison]]
    images: Tensor
    half_precision: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all arrays are the same by the tolerances."""
        return all(comparison.passed for comparison in self.comparisons)

    @property
    def first_departure(self) -> Layer | None:
        """The first layer that is not the same, if an array is not either.

        What differs before a layer that depends on it and agrees only ends elsewhere in the original. No layer depends
        on those that make pictures, so they come last.
        """
        if self.passed:
            return None
        departed: list[Layer] = []
        pictures: list[Layer] = []
        for layer, comparison in self.layers:
            leaf = layer.module.rpartition(".")[2]
            if not comparison.passed:
                (pictures if leaf == "torgb" else departed).append(layer)
            elif leaf.startswith(_MAIN_PATH):
                departed = [before for before in departed if before.network != layer.network]
        return next(iter([*departed, *pictures]), None)

    def table(self) -> list[str]:
        """Return the lines of a table, one an array."""
        return columns([HEAD, *(comparison.cells() for comparison in self.comparisons)])

    def summary(self) -> list[str]:
        """Return what the layers say, if any were recorded, and the outcome."""
        lines = []
        if self.layers:
            agreeing = sum(comparison.passed for _, comparison in self.layers)
            lines.append(f"layers {agreeing} of {len(self.layers)} agree")
        first = self.first_departure
        if first:
            lines.append(f"first layer that departs: {first.module} of {first.network}, in the original {first.scope}")
        return [*lines, self.outcome]

    @property
    def outcome(self) -> str:
        """Whether it is the same, in words, and of what."""
        outcome = "the same as the original" if self.passed else "NOT the same as the original"
        return f"{outcome} in float32: {in_float32(self.half_precision)}" if self.half_precision else outcome


def in_float32(roles: Sequence[str]) -> str:
    """Say that networks were not run as precisely as their programs run them, but more so."""
    several = len(roles) > 1
    return (
        f"network{'s' if several else ''} {' and '.join(roles)}, which compute{'' if several else 's'} in half "
        f"precision by {'themselves' if several else 'itself'}, {'were' if several else 'was'} run in float32"
    )


@torch.inference_mode()
def verify(networks: Mapping[str, nn.Module], reference: Reference) -> Verdict:
    """Run networks on the recorded inputs, on the CPU in float32, and compare.

    Args:
        networks: a generator under "G_ema", and maybe a discriminator under "D".
        reference: what the original computed.

    Raises:
        StyleGANError: if the reference is of another network.
    """
    G = cast(Generator, networks["G_ema"])
    D = cast(Discriminator | None, networks.get("D")) if "d_scores" in reference.arrays else None
    _check_fit(G, reference)
    arrays, layers = reference.arrays, list[tuple[Layer, Comparison]]()
    computed = _draw(G, reference)
    with _watched(G, "G_ema", reference, layers):
        _draw_one(G, reference, 0)
    if D is not None:
        watched = copy.deepcopy(D)
        with _watched(watched, "D", reference, layers):
            _score(watched, reference, 0)
        computed |= _scores(D, reference)
    images = arrays["images"]
    comparisons = [compare(name, computed[name], arrays[name], images=images) for name in arrays if name in computed]
    half = [role for role in networks if role in reference.record.get("half_precision", [])]
    return Verdict(comparisons, layers, computed["images"], tuple(half))


def compare(name: str, ours: Tensor, reference: Tensor, *, images: Tensor | None = None) -> Comparison:
    """Compare two arrays of one shape by the tolerances.

    Args:
        name: tells pictures from other arrays.
        ours: one array.
        reference: the other.
        images: [N, C, H, W] what the reference's 8-bit pictures [N, H, W, C] were before rounding.

    Raises:
        StyleGANError: if the shapes differ.
    """
    if ours.shape != reference.shape:
        raise StyleGANError(f"array {name} is {list(reference.shape)} in the reference, {list(ours.shape)} here")
    difference = (ours.double() - reference.double()).abs()
    largest = float(difference.max()) if difference.numel() else 0.0
    mean = float(difference.mean()) if difference.numel() else 0.0
    shape = tuple(ours.shape)
    if name == "images_uint8":
        same = ours == reference
        rounding = images is not None and bool((same | on_rounding_edge(images)).all())
        return Comparison(
            name, shape, largest, mean, 1.0, float(same.double().mean()), _psnr(difference, 255.0), rounding
        )
    if name == "images":
        return Comparison(name, shape, largest, mean, TOLERANCE, psnr=_psnr(difference, 2.0))
    scale = float(reference.abs().max()) if reference.numel() else 0.0
    return Comparison(name, shape, largest, mean, TOLERANCE * (max(1.0, scale) if math.isfinite(scale) else 1.0))


def _psnr(difference: Tensor, peak: float) -> float:
    error = float(difference.square().mean())
    if error == 0:
        return math.inf
    return 10 * math.log10(peak**2 / error) if math.isfinite(error) else -math.inf


def _check_fit(G: Generator, reference: Reference) -> None:
    arrays = reference.arrays
    found = (arrays["z"].shape[1], arrays["labels"].shape[1], *arrays["images"].shape[1:])
    ours = (G.z_dim, G.c_dim, G.img_channels, *G.img_size)
    for name, theirs, here in zip(("z_dim", "c_dim", "channels", "height", "width"), found, ours, strict=True):
        if theirs != here:
            raise StyleGANError(f"the reference is of another network: its {name} is {theirs}, here it is {here}")
    buffers = G.synthesis.noise_buffers() if G.has_w else []
    recorded = [tuple(maps.shape[2:]) for maps in reference.noise or []]
    if reference.record.get("noise") != "none" and recorded != [tuple(buffer.shape) for buffer in buffers]:
        raise StyleGANError(f"the reference is of another network: its {len(recorded)} noise maps do not fit this one")
    if ("w" in arrays) != G.has_w:
        raise StyleGANError("the reference is of another network: only one of the two has a w")


def _draw(G: Generator, reference: Reference) -> dict[str, Tensor]:
    # One by one: the memory of one picture, and no rounding that depends on the batch.
    parts = [_draw_one(G, reference, i) for i in range(len(reference.arrays["z"]))]
    computed = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    return {**computed, "images_uint8": to_uint8(computed["images"], G.rounding)}


def _draw_one(G: Generator, reference: Reference, i: int) -> dict[str, Tensor]:
    z, c = reference.arrays["z"][i : i + 1], reference.arrays["labels"][i : i + 1]
    if not G.has_w:
        return {"images": G(z, c)}
    settings = resolve(G, DrawSettings(truncation_psi=reference.record["truncation_psi"]))
    w = G.mapping(z, c)
    ws = G.mapping(z, c, settings["truncation_psi"], settings["truncation_cutoff"])
    noise = reference.noise and [maps if len(maps) == 1 else maps[i : i + 1] for maps in reference.noise]
    return {"w": w, "images": G.synthesis(ws, noise_mode="none", noise=noise)}


def _scores(D: Discriminator, reference: Reference) -> dict[str, Tensor]:
    batch, count = reference.record["d_batch"], len(reference.arrays["images"])
    # Spectral normalisation advances at every call; older references did not put it back between the batches.
    put_back = reference.record.get("put_back")
    parts = [_score(copy.deepcopy(D) if put_back else D, reference, start) for start in range(0, count, batch)]
    names = ("d_scores", "d_labels")
    return {name: torch.cat(column) for name, column in zip(names, zip(*parts, strict=True), strict=False)}


def _score(D: Discriminator, reference: Reference, start: int) -> tuple[Tensor, ...]:
    rows = slice(start, start + reference.record["d_batch"])
    img, c = reference.arrays["images"][rows], reference.arrays["labels"][rows]
    if isinstance(D, progan.Discriminator):
        return D(img, c, return_labels=True)
    return (D(img, c),)


@contextmanager
def _watched(
    network: nn.Module, role: str, reference: Reference, found: list[tuple[Layer, Comparison]]
) -> Iterator[None]:
    """Compare the results of layers while a network runs; those of another shape are cut otherwise, and passed over."""
    modules = dict(network.named_modules())
    wanted = {layer.module: layer for layer in reference.layers if layer.network == role and layer.module in modules}
    order = {module: i for i, module in enumerate(wanted)}
    results: dict[str, Comparison] = {}

    def watch(module: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_: nn.Module, inputs: object, output: Tensor) -> None:
            layer = wanted[module]
            if tuple(output.shape) == layer.shape:
                values = output.reshape(-1)[:: layer.step]
                results[module] = compare(module, values, layer.values)

        return hook

    handles = [modules[module].register_forward_hook(watch(module)) for module in wanted]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        found += [(wanted[module], results[module]) for module in sorted(results, key=order.__getitem__)]
