"""Drawing the samples of a set, in the batches that its plan fixes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stylegan_torch.bulk.samples import BulkError, Sample
from stylegan_torch.drawing.devices import DTYPES, has_fast_form
from stylegan_torch.drawing.draw import draw_latents, labels_of, set_transform, truncation_of
from stylegan_torch.drawing.images import Picture, to_pil
from stylegan_torch.drawing.seeds import latents_from_seeds
from stylegan_torch.editing.composer import Composer
from stylegan_torch.editing.directions import Directions
from stylegan_torch.editing.measures import scores
from stylegan_torch.errors import StyleGANError
from stylegan_torch.fast import optimize
from stylegan_torch.fast.choices import HALF
from stylegan_torch.files.checkpoint import load, read_any
from stylegan_torch.networks.interface import Discriminator, Generator
from stylegan_torch.networks.registry import network_hash


@dataclass(frozen=True)
class Drawn:
    """A picture of a sample, the psi it was drawn with, and its ws [num_ws, w_dim] if the network has W."""

    sample: Sample
    picture: Picture
    truncation_psi: float | None
    ws: Tensor | None

    @cached_property
    def image(self) -> Image.Image:
        """Return the picture as `to_pil` gives it."""
        return to_pil(self.picture)


class Painter:
    """The networks of a set, ready to draw."""

    def __init__(
        self,
        paths: Sequence[str],
        *,
        device: str = "cpu",
        dtype: str = "float32",
        tf32: bool = False,
        allow_nonfinite: bool = False,
    ) -> None:
        """Open the networks; `allow_nonfinite` as in `stylegan_torch.load`, `tf32` as in `optimize`.

        Raises:
            StyleGANError: if one cannot be read.
        """
        self.paths = paths
        self.device = device
        self.allow_nonfinite = allow_nonfinite
        self.networks = [Network(path, DTYPES[dtype], device, tf32, allow_nonfinite) for path in paths]
        self._judges: dict[int, Discriminator] = {}

    @property
    def hashes(self) -> list[str]:
        """Return the `network_hash` of each network."""
        return [each.hash for each in self.networks]

    @torch.inference_mode()
    def draw(self, samples: Sequence[Sample]) -> list[Drawn]:
        """Return the pictures of samples, in their order; those of one network are drawn at once."""
        drawn: dict[int, Drawn] = {}
        for number, network in enumerate(self.networks):
            mine = [each for each in samples if each.network == number]
            if mine:
                drawn |= zip((each.index for each in mine), network.draw(mine), strict=True)
        return [drawn[each.index] for each in samples]

    def score(self, drawn: Drawn) -> float:
        """Return what the discriminator of its network says of a picture as it is written, by itself.

        Raises:
            StyleGANError: if its file has none.
        """
        number = drawn.sample.network
        if number not in self._judges:
            self._judges[number] = load(
                self.paths[number], "D", device=self.device, allow_nonfinite=self.allow_nonfinite
            )
        image = torch.from_numpy(drawn.picture.astype(np.float32).transpose(2, 0, 1) / 127.5 - 1)
        return float(scores(self._judges[number], [image[None]], drawn.sample.composition.class_index)[0])

    def directions(self, drawn: Drawn, name: str) -> Directions:
        """Return directions for the network of a picture, as `Composer.directions` does."""
        return self.networks[drawn.sample.network].composer.directions(name)

    def mean(self, drawn: Drawn) -> Tensor:
        """Return the mean w [w_dim] of the network of a picture, on the CPU; zeros if its file has none."""
        G = self.networks[drawn.sample.network].G
        mean: Tensor | None = G.mapping.w_avg
        return torch.zeros(G.w_dim) if mean is None else mean.float().cpu()


class Network:
    """One network: its plain form, which makes ws, and the form that draws."""

    def __init__(self, path: str, dtype: torch.dtype, device: str, tf32: bool, allow_nonfinite: bool) -> None:
        checkpoint = read_any(path, "G_ema")
        self.origin = checkpoint.provenance.get("origin", {})
        G: Generator = checkpoint.network("G_ema", allow_nonfinite=allow_nonfinite)
        self.hash = network_hash(G)
        set_transform(G)
        self.half = dtype in HALF
        self.fast = has_fast_form(device) and dtype != torch.float64
        self.G = G.to(device) if self.half else G.to(device, dtype)
        self.drawer = optimize(self.G, dtype, tf32=tf32) if self.fast else self.G
        self.drawn_in, self.dtype = dtype, torch.float32 if self.half else dtype
        self._composer: Composer | None = None

    @property
    def composer(self) -> Composer:
        """Return what makes its latents; LatentsError if it has no W."""
        if self._composer is None:
            self._composer = Composer(self.G)
        return self._composer

    def draw(self, samples: Sequence[Sample]) -> list[Drawn]:
        """Return the pictures of its samples, drawn at once."""
        if not self.G.has_w:
            return self._draw_z(samples)
        latents = self.composer.compose_all([each.composition for each in samples])
        with self._precision():
            pictures = list(draw_latents(self.drawer, latents.ws, noise=latents.noise, batch=len(samples)))
        psis = [truncation_of(self.G, each.composition.truncation_psi)[0] for each in samples]
        return [Drawn(*each) for each in zip(samples, pictures, psis, latents.ws, strict=True)]

    def _draw_z(self, samples: Sequence[Sample]) -> list[Drawn]:
        for each in samples:
            made = each.composition
            of_w = made.mixes or made.moves or made.layer_psis or made.centres
            if not isinstance(made.base, int) or of_w or made.truncation_psi not in (None, 1.0):
                raise BulkError("ProGAN has no W: no truncation, mixing, moves or latents of a file")
        z = latents_from_seeds([each.seed for each in samples], self.G.z_dim).to(self.dtype)
        c = torch.cat([labels_of(self.G, each.composition.class_index, 1) for each in samples]).to(z)
        with self._precision():
            pictures = draw_latents(self.drawer, z, c=c, batch=len(samples))
            return [Drawn(each, picture, None, None) for each, picture in zip(samples, pictures, strict=True)]

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self.G.device.type, self.drawn_in) if self.half and not self.fast else nullcontext()


def open_painter(paths: Sequence[str], hashes: Sequence[str], **how: Any) -> Painter:
    """Open the networks of a set, as `Painter` does, and see that they are those it was begun with.

    Raises:
        StyleGANError: if one cannot be read, or is another.
    """
    painter = Painter(paths, **how)
    for path, wanted, found in zip(paths, hashes, painter.hashes, strict=True):
        if wanted != found:
            raise StyleGANError(f"{path} holds other weights than the network this set was begun with")
    return painter
