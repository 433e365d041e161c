"""Truncation by layers, and towards the nearest of several centres (Mokady et al. 2022, "Self-Distilled StyleGAN").

A mean w is a poor centre where pictures are of several kinds. Clusters of W have centres that are better ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from stylegan_torch.drawing.draw import synthesize, truncation_of
from stylegan_torch.drawing.truncation import Truncation
from stylegan_torch.editing.composition import LayerPsi
from stylegan_torch.editing.latents import require_w, sample_w
from stylegan_torch.editing.mixing import layers_of
from stylegan_torch.editing.perceptual import open_distance, reduced
from stylegan_torch.errors import StyleGANError
from stylegan_torch.files.atomic import new_file
from stylegan_torch.files.npz_record import file_errors, read_npz, record_of, write_npz
from stylegan_torch.networks.interface import Generator
from stylegan_torch.networks.registry import network_hash

Near = Literal["w", "pyramid", "lpips"]
SAMPLES = 60_000
"""So many w are clustered in the paper."""


class CentresError(StyleGANError):
    """Centres are damaged, not for this network, or cannot be found."""


@dataclass(frozen=True)
class CentreSet:
    """K centres of W.

    points: [K, w_dim]. shares: [K], of all w, largest first.
    near: by what the nearest is chosen: "w", the distance in W, or the distance of pictures "pyramid" or "lpips".
    network: `network_hash` of the generator they are of.
    """

    points: Tensor
    shares: Tensor
    near: Near
    network: str


def find(
    G: Generator, count: int = 64, *, near: Near = "w", samples: int = SAMPLES, c: Tensor | None = None, seed: int = 0
) -> CentreSet:
    """Find centres by k-means of random w (section 4 of the paper).

    Args:
        G: a generator with W.
        count: how many.
        near: by what the nearest will be chosen; the paper's is a distance of pictures.
        samples: w that take part.
        c: their label [1, c_dim]; None = zeros.
        seed: of the w, and of where k-means begins.

    Raises:
        CentresError: if there are fewer w than centres, or scikit-learn is not installed.
    """
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise CentresError("centres need one more package: pip install 'stylegan-torch[edit]'") from error
    if count > samples:
        raise CentresError(f"{samples} w cannot have {count} centres")
    w = sample_w(G, samples, seed=seed, c=c).numpy()
    found = KMeans(count, n_init=1, random_state=seed).fit(w)
    shares = np.bincount(found.labels_, minlength=count) / samples
    order = np.argsort(-shares, kind="stable")
    points = torch.from_numpy(found.cluster_centers_[order].astype(np.float32))
    return CentreSet(points, torch.from_numpy(shares[order].astype(np.float32)), near, network_hash(G))


def save(path: Path, centres: CentreSet, force: bool = False) -> None:
    """Write centres as `.npz`: `points`, `shares`, and `about`, a record of the rest.

    Raises:
        StyleGANError: if the file exists and `force` is off, or cannot be written.
    """
    arrays = {"points": centres.points.numpy(), "shares": centres.shares.numpy()}
    with new_file(path, force) as file:
        write_npz(file, arrays, about={"near": centres.near, "network": centres.network})


def load(path: Path, G: Generator) -> CentreSet:
    """Read centres of a generator.

    Raises:
        CentresError: if the file holds none, or they don't fit the generator.
    """
    require_w(G)
    with file_errors(path, "centres (.npz)", CentresError):
        arrays = read_npz(path)
        about = record_of(arrays, "about")
        points, shares = (torch.from_numpy(arrays[name].astype(np.float32)) for name in ("points", "shares"))
        centres = CentreSet(points, shares, about["near"], about["network"])
        if (
            points.ndim != 2
            or shares.shape != points.shape[:1]
            or not len(points)
            or not (points.isfinite().all() and shares.isfinite().all())
            or centres.near not in get_args(Near)
        ):
            raise ValueError(points.shape)
    if points.shape[1] != G.w_dim:
        raise CentresError(f"{path}: these centres are of another network, with w of {points.shape[1]}")
    return centres


class NearestCentre:
    """Centres of a generator that know which of them is the nearest; what a `Truncation` takes."""

    def __init__(self, G: Generator, centres: CentreSet, name: str = "") -> None:
        """Take a generator, in its plain or fast form, its centres, and what pictures say of them.

        Raises:
            DistanceError: if the distance by which they are chosen cannot be had.
        """
        self.G, self.points, self.name = G, centres.points, name
        self._distance = None if centres.near == "w" else open_distance(centres.near, G.device)

    @torch.inference_mode()
    def nearest(self, w: Tensor) -> Tensor:
        """Return the centre [N, w_dim] that is nearest to each w [N, w_dim]."""
        w = w.float().cpu()
        if self._distance is None:
            distances = torch.cdist(w, self.points, compute_mode="donot_use_mm_for_euclid_dist")
        else:
            distances = torch.stack([self._distances(each) for each in w])
        return self.points[distances.argmin(dim=1)]

    def _distances(self, w: Tensor) -> Tensor:
        """Return how far the picture of w [w_dim] is from that of every centre [K]."""
        assert self._distance is not None
        return torch.cat([self._distance(self._picture(w), each) for each in self._pictures]).cpu()

    @cached_property
    def _pictures(self) -> list[Tensor]:
        return [self._picture(each) for each in self.points]

    def _picture(self, w: Tensor) -> Tensor:
        return reduced(self.G.signed(synthesize(self.G, w.expand(1, self.G.num_ws, -1))))


def truncation(
    G: Generator,
    psi: float | None = None,
    parts: Sequence[LayerPsi] = (),
    *,
    centres: Path | None = None,
    cutoff: int | None = None,
    all_layers: bool = False,
) -> Truncation | None:
    """Return how to truncate by layers and towards the centres of a file; None if one psi says it all.

    Args:
        G: a generator with W.
        psi: of layers that no part is about; None = the network's own.
        parts: what others have instead, the last one counts.
        centres: the file; None = the mean w alone.
        cutoff: how many layers psi is for; None = the network's own.
        all_layers: psi is for all of them.

    Raises:
        ValueError: if the network does not have the layers.
        StyleGANError: if it has no W, or the centres are not its.
    """
    if not parts and centres is None:
        return None
    require_w(G)
    psi, cutoff = truncation_of(G, psi, cutoff)
    psis = [psi if all_layers or cutoff is None or i < cutoff else 1.0 for i in range(G.num_ws)]
    for part in parts:
        for layer in layers_of(G, part.layers):
            psis[layer] = part.psi
    return Truncation(tuple(psis), NearestCentre(G, load(centres, G), centres.name) if centres else None)
