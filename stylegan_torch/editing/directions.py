"""Directions in W along which pictures change in one respect: of the network alone, or of labelled latents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from torch import Tensor

from stylegan_torch.editing.latents import SAMPLES, require_w, sample_w
from stylegan_torch.errors import StyleGANError
from stylegan_torch.files.atomic import new_file, opened_by_name
from stylegan_torch.files.npz_record import Array, file_errors, read_npz, record_of, write_npz
from stylegan_torch.networks import lucidrains, stylegan1, stylegan2, stylegan3
from stylegan_torch.networks.interface import Generator
from stylegan_torch.networks.layers import Linear
from stylegan_torch.networks.registry import network_hash

_TENSORS = ("vectors", "scales", "importances")


class DirectionsError(StyleGANError):
    """Directions are damaged, not for this network, or cannot be found."""


@dataclass(frozen=True)
class Directions:
    """K directions of W.

    vectors: [K, w_dim], of length 1.
    scales: [K], the standard deviation of w along each: a strength of 1 moves w by so much.
    importances: [K], largest first: a share of variance (PCA), an eigenvalue (SeFa), an accuracy (boundary).
    layers: rows of ws they are meant for; empty = all.
    method: "sefa", "pca" or "boundary".
    network: `network_hash` of the generator they are of.
    """

    vectors: Tensor
    scales: Tensor
    importances: Tensor
    layers: tuple[int, ...]
    method: str
    network: str

    def __len__(self) -> int:
        return len(self.vectors)

    def apply(self, ws: Tensor, index: int, strength: float, *, layers: Sequence[int] = ()) -> Tensor:
        """Return ws [N, num_ws, w_dim] moved along a direction.

        Args:
            ws: where from.
            index: which direction.
            strength: in standard deviations of w.
            layers: rows to move; empty = those the direction is meant for.
        """
        rows = list(layers or self.layers or range(ws.shape[1]))
        moved = ws.clone()
        moved[:, rows] += (strength * self.scales[index] * self.vectors[index]).to(ws)
        return moved


def style_weights(G: Generator, layers: Sequence[int] = ()) -> Tensor:
    """Return the matrices that turn w into styles, stacked: [styles, w_dim], of the convolutions that read some rows.

    Args:
        G: a generator with W, in its plain form.
        layers: rows of ws; empty = all.

    Raises:
        DirectionsError: if no convolution reads these rows.
    """
    chosen = [layer.weight * layer.weight_gain for i, layer in _affine_layers(G) if not layers or i in layers]
    if not chosen:
        raise DirectionsError("the chosen layers have no styles: the last one makes colours only")
    return torch.cat(chosen)


_CONVOLUTIONS = (
    stylegan1.SynthesisLayer,
    stylegan2.SynthesisLayer,
    lucidrains.SynthesisLayer,
    stylegan3.SynthesisInput,
    stylegan3.SynthesisLayer,
)


def _affine_layers(G: Generator) -> list[tuple[int, Linear]]:
    """Return the affine layers of a generator's convolutions with the rows of ws that they read."""
    convolutions = [layer for layer in G.synthesis.modules() if isinstance(layer, _CONVOLUTIONS)]
    affines = [getattr(layer, "affine", None) for layer in convolutions]
    each = 2 if isinstance(G, lucidrains.Generator) else 1  # convolutions that read a row
    return [(i // each, affine) for i, affine in enumerate(affines) if isinstance(affine, Linear)]


def sefa(G: Generator, count: int = 10, *, layers: Sequence[int] = ()) -> Directions:
    """Find directions by closed-form factorisation (Shen and Zhou 2021, "SeFa", equation 6).

    They are the right singular vectors of the stacked style weights: what changes the styles most.

    Args:
        G: a generator with W, in its plain form.
        count: how many, at most w_dim.
        layers: rows of ws whose weights take part, and that the directions are meant for; empty = all.
    """
    require_w(G)
    weights = style_weights(G, layers).detach().cpu().double()
    _, values, vectors = torch.linalg.svd(weights, full_matrices=False)
    return _directions(G, vectors[:count].float(), values[:count].square().float(), layers, "sefa")


def pca(G: Generator, count: int = 10, *, layers: Sequence[int] = (), samples: int = SAMPLES) -> Directions:
    """Find the principal components of W (Härkönen et al. 2020, "GANSpace", section 2).

    Args:
        G: a generator with W.
        count: how many, at most w_dim.
        layers: rows of ws that they are meant for; empty = all.
        samples: w that take part.
    """
    sampled = sample_w(G, samples)
    w = sampled.double()
    _, values, vectors = torch.linalg.svd(w - w.mean(dim=0), full_matrices=False)
    shares = values.square() / values.square().sum()
    known = sampled if samples == SAMPLES else None
    return _directions(G, vectors[:count].float(), shares[:count].float(), layers, "pca", known)


def boundary(G: Generator, ws: Tensor, labels: Tensor, *, layers: Sequence[int] = (), share: float = 0.5) -> Directions:
    """Find the normal of the plane that separates labelled latents best (Shen et al. 2020, "InterFaceGAN", section 2).

    Args:
        G: a generator with W.
        ws: [N, num_ws, w_dim] or [N, w_dim]; the mean of the rows counts.
        labels: [N]. Two different values are two classes; of more, the highest and the lowest make the classes.
        layers: rows of ws it is meant for; empty = all.
        share: of the latents, those with the highest and lowest labels together, that take part.

    Raises:
        DirectionsError: if there are not two classes, or scikit-learn is not installed.
    """
    try:
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise DirectionsError("boundaries need one more package: pip install 'stylegan-torch[edit]'") from error
    w = (ws.mean(dim=1) if ws.ndim == 3 else ws).cpu()
    chosen, classes = _two_classes(labels.cpu(), share)
    w, spread = w[chosen], w.std()
    machine = LinearSVC(dual="auto", max_iter=10_000, random_state=0).fit((w / spread).numpy(), classes.numpy())
    vector = torch.from_numpy(machine.coef_).float()
    accuracy = torch.tensor([machine.score((w / spread).numpy(), classes.numpy())])
    return _directions(G, vector / vector.norm(), accuracy, layers, "boundary")


def _two_classes(labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Return which latents take part, and whether each is of the higher class."""
    values = torch.unique(labels)
    if len(values) < 2:
        raise DirectionsError("all labels are the same: a boundary needs two kinds of pictures")
    if len(values) == 2:
        return torch.arange(len(labels)), labels == values[1]
    count = max(int(len(labels) * share / 2), 1)
    order = labels.argsort(stable=True)
    return torch.cat([order[:count], order[-count:]]), torch.arange(2 * count) >= count


def _directions(
    G: Generator,
    vectors: Tensor,
    importances: Tensor,
    layers: Sequence[int],
    method: str,
    sampled: Tensor | None = None,
) -> Directions:
    # A singular vector's sign is arbitrary; the largest entry is made positive so that every machine finds the same.
    if method != "boundary":
        signs = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True)).sign()
        vectors = vectors * signs
    w = sample_w(G) if sampled is None else sampled
    scales = ((w - w.mean(dim=0)) @ vectors.t()).std(dim=0)
    return Directions(vectors, scales, importances, tuple(layers), method, network_hash(G))


def without(vector: Tensor, others: Tensor) -> Tensor:
    """Return a direction [w_dim] less its part along others [K, w_dim], of length 1: it moves none of them.

    This is InterFaceGAN's conditional manipulation (section 2.3).

    Raises:
        DirectionsError: if nothing is left.
    """
    basis = torch.linalg.qr(others.t().double()).Q
    rest = vector.double() - basis @ (basis.t() @ vector.double())
    if rest.norm() < 1e-6 * vector.norm():
        raise DirectionsError("nothing of the direction is left without the others")
    return (rest / rest.norm()).to(vector)


def save(path: Path, directions: Directions, force: bool = False) -> None:
    """Write directions as `.npz` or `.safetensors`.

    Raises:
        StyleGANError: for another suffix, or if the file exists and `force` is off, or cannot be written.
    """
    arrays = {name: getattr(directions, name).cpu().contiguous().numpy() for name in _TENSORS}
    about = {"layers": list(directions.layers), "method": directions.method, "network": directions.network}
    if path.suffix not in (".npz", ".safetensors"):
        raise DirectionsError(f"{path}: the name must end in .npz or .safetensors")
    with new_file(path, force) as file:
        if path.suffix == ".npz":
            write_npz(file, arrays, about=about)
        else:
            file.write(safetensors.numpy.save(arrays, metadata={"about": json.dumps(about)}))


def load(path: Path, G: Generator) -> Directions:
    """Read directions of a generator.

    Raises:
        DirectionsError: if the file holds none, or they don't fit the generator.
    """
    with file_errors(path, "directions", DirectionsError):
        arrays = (_read_safetensors if path.suffix == ".safetensors" else read_npz)(path)
        about = record_of(arrays, "about")
        vectors, scales, importances = (torch.from_numpy(arrays[name].astype(np.float32)) for name in _TENSORS)
        layers = tuple(about["layers"])
        directions = Directions(vectors, scales, importances, layers, about["method"], about["network"])
    if directions.vectors.shape[1:] != (G.w_dim,) or any(layer >= G.num_ws for layer in directions.layers):
        raise DirectionsError(
            f"{path}: these directions are of another network, with w of {directions.vectors.shape[1]}"
        )
    return directions


def _read_safetensors(path: Path) -> dict[str, Array]:
    with opened_by_name(path) as name, safetensors.safe_open(name, framework="numpy") as content:
        return {name: content.get_tensor(name) for name in _TENSORS} | {
            "about": np.array((content.metadata() or {})["about"])
        }
