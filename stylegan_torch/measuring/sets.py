"""The sets of pictures that are measured: what a network draws, and collections; each says exactly what it is.

All give RGB pictures: grey is repeated, what is transparent becomes white.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylegan_torch.drawing.draw import check_class, official_noise, set_transform, synthesize, truncation_of
from stylegan_torch.drawing.images import to_uint8
from stylegan_torch.drawing.seeds import latents_from_seeds
from stylegan_torch.errors import NoAverageError
from stylegan_torch.measuring.fidelity import MeasureError
from stylegan_torch.networks.interface import Generator
from stylegan_torch.networks.registry import network_hash
from stylegan_torch.pictures.collections import fingerprint, pictures
from stylegan_torch.pictures.decode import MODES, DataError, PictureSize, decode_image
from stylegan_torch.pictures.labels import numbered
from stylegan_torch.types import JsonObject

PART = 500
"""Pictures whose features are kept as one file; no batch reaches over its end, so that a part is always the same."""
Values = Literal["8bit", "float"]


@dataclass(frozen=True)
class Batch:
    """Some pictures of a set: their numbers in it, and [n, 3, H, W], uint8 or floats of 0 to 255.

    skipped: what was left out, and why.
    """

    indices: list[int]
    pictures: Tensor
    skipped: tuple[str, ...] = ()


class PictureSet(Protocol):
    """Pictures by number, always the same."""

    @property
    def about(self) -> JsonObject:
        """What it is, as a report says it; the same for the same pictures."""

    @property
    def key(self) -> JsonObject:
        """What its features are cached by: another as soon as a picture is."""

    def __len__(self) -> int:
        """Return how many pictures there are, those that turn out to be bad included."""

    def name(self, index: int) -> str:
        """Return what to call a picture."""

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        """Give the pictures from a number on, in batches of a size; none reaches over a multiple of `PART`."""

    def some(self, indices: Sequence[int]) -> dict[int, Tensor]:
        """Return a few pictures [3, H, W], as `batches` gives them, by their numbers."""


def spans(start: int, stop: int, size: int) -> Iterator[range]:
    """Give the numbers from start to stop, in ranges of a size that end at multiples of `PART`."""
    while start < stop:
        end = min(start + size, stop, (start // PART + 1) * PART)
        yield range(start, end)
        start = end


def as_rgb(images: Tensor) -> Tensor:
    """Return pictures [N, C, H, W] of 0 to 255, uint8 or float, as [N, 3, H, W].

    Raises:
        MeasureError: if they are neither grey nor RGB nor RGBA.
    """
    channels = images.shape[1]
    if channels == 1:
        return images.expand(-1, 3, -1, -1)
    if channels == 4:
        colors, alpha = images[:, :3].float(), images[:, 3:].float() / 255
        return (colors * alpha + 255 * (1 - alpha)).round().to(images.dtype)
    if channels != 3:
        raise MeasureError(f"pictures of {channels} channels are not measured")
    return images


class Generated:
    """What a network draws: picture i is that of the seed `seed + i`, the same that stylegan-generate draws.

    Its label follows from the same seed. The network is moved to no other device, and draws upright (StyleGAN3).

    Args:
        G: a generator, in its plain form; what `network_hash` names.
        count: how many pictures.
        seed: of the first.
        truncation_psi: 1 = none, as the papers measure; None = the network's own.
        truncation_cutoff: None = the network's own.
        classes: "none" = an all-zero label, "uniform" = a class at random, "reals" = the label of a real picture at
            random, or the number of a class.
        real_labels: labels [M, c_dim] of the reals, for "reals".
        noise: "official", "const" or "none".
        values: "8bit" = rounded as its release's script does, or "float" = unrounded, clipped to 0 to 255.
        drawer: a form of it to draw with, by default G itself.

    Raises:
        StyleGANError: if the network cannot be drawn with in this way.
    """

    def __init__(
        self,
        G: Generator,
        count: int,
        *,
        seed: int = 0,
        truncation_psi: float | None = 1.0,
        truncation_cutoff: int | None = None,
        classes: str | int = "none",
        real_labels: Tensor | None = None,
        noise: str = "official",
        values: Values = "8bit",
        drawer: Generator | None = None,
        origin: JsonObject | None = None,
    ) -> None:
        self.G, self.drawer, self.count, self.seed, self.values = G, drawer or G, count, seed, values
        self.classes, self.real_labels, self.noise, self.origin = classes, real_labels, noise, origin or {}
        self.psi, self.cutoff = self._truncation(truncation_psi, truncation_cutoff)
        if isinstance(classes, int):
            check_class(G, classes)
        elif classes != "none" and not G.c_dim:
            raise MeasureError("this network has no classes to draw from")
        if classes == "reals" and (real_labels is None or real_labels.shape[1] != G.c_dim):
            raise MeasureError(f"the reals have no labels for this network, which takes {G.c_dim} numbers")
        set_transform(self.drawer)
        self._hash = network_hash(G)

    def _truncation(self, psi: float | None, cutoff: int | None) -> tuple[float, int | None]:
        if not self.G.has_w:
            if psi not in (None, 1.0) or cutoff is not None:
                raise MeasureError("ProGAN has no truncation")
            return 1.0, None
        psi, cutoff = truncation_of(self.G, psi, cutoff)
        if psi != 1 and self.G.mapping.w_avg is None:
            raise NoAverageError
        return psi, cutoff

    @property
    def about(self) -> JsonObject:
        """What it is."""
        return {
            "network": {**self.origin, "weights": self._hash},
            "count": self.count,
            "seeds": f"{self.seed}-{self.seed + self.count - 1}",
            "truncation_psi": self.psi,
            "truncation_cutoff": self.cutoff,
            "classes": self.classes,
            "noise": self.noise if self.G.has_w and self.G.synthesis.noise_buffers() else "none in this network",
            "values": self.values,
            "rounding": self.G.rounding if self.values == "8bit" else None,
            "size": list(self.G.img_size),
            "form": "plain" if self.drawer is self.G else "fast",
        }

    @property
    def key(self) -> JsonObject:
        """What its features are cached by."""
        labels = self.real_labels
        digest = None if labels is None else hashlib.sha256(labels.numpy().tobytes()).hexdigest()
        return {**self.about, "network": self._hash, "real_labels": digest}

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """Return the seed."""
        return f"seed {self.seed + index}"

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        """Give the pictures from a number on."""
        for span in spans(start, self.count, size):
            yield Batch(list(span), self._drawn([self.seed + i for i in span]))

    def some(self, indices: Sequence[int]) -> dict[int, Tensor]:
        """Return a few pictures."""
        return {i: self._drawn([self.seed + i])[0] for i in indices}

    @torch.inference_mode()
    def _drawn(self, seeds: Sequence[int]) -> Tensor:
        G = self.drawer
        z = latents_from_seeds(seeds, G.z_dim).to(G.device)
        c = self._labels(seeds).to(z)
        latents = G.mapping(z, c, self.psi, self.cutoff) if G.has_w else z
        noise = official_noise(G, seeds) if self.noise == "official" else []
        mode = "const" if self.noise == "official" else self.noise
        images = synthesize(G, latents, c=c, noise=noise, noise_mode=mode)
        if self.values == "float":
            return as_rgb(((G.signed(images) + 1) * 127.5).clamp(0, 255)).cpu()
        return as_rgb(to_uint8(images, G.rounding).permute(0, 3, 1, 2))

    def _labels(self, seeds: Sequence[int]) -> Tensor:
        labels = torch.zeros(len(seeds), self.G.c_dim)
        for label, seed in zip(labels, seeds, strict=True):
            draws = np.random.default_rng([seed, self.G.c_dim])
            if self.classes == "reals" and self.real_labels is not None:
                label.copy_(self.real_labels[draws.integers(len(self.real_labels))])
            elif self.classes != "none":
                label[draws.integers(self.G.c_dim) if self.classes == "uniform" else int(self.classes)] = 1
        return labels


class Collection:
    """The pictures of a folder, a .zip or a WebDataset, read as the trainer reads them: cut to the middle, resized.

    A picture that has the size already stays as it is.

    Args:
        path: what `pictures.collections` reads.
        size: height and width; None = those of its first picture that is not bad.
        channels: of the network that they are compared with: 1 = they are made gray, 4 = resized with their alpha.
        count: take so many, chosen by the seed; None = all.
        seed: of that choice.
        mirror: take each picture a second time, mirrored; these come after all others.
        skip_bad: leave bad pictures out rather than refuse them.

    Raises:
        DataError: if it cannot be read, or has no pictures, or fewer than are to be taken.
        MeasureError: for other channels.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int] | None = None,
        *,
        channels: int = 3,
        count: int | None = None,
        seed: int = 0,
        mirror: bool = False,
        skip_bad: bool = False,
    ) -> None:
        self.path, self.mirror, self.skip_bad, self.seed = path, mirror, skip_bad, seed
        if channels not in MODES:
            raise MeasureError(f"pictures of {channels} channels are not measured")
        self.names = [picture.name for picture in pictures(path, "none")]
        if not self.names:
            raise DataError(f"{path} has no pictures")
        if count is not None and count > len(self.names):
            raise DataError(f"{path} has {len(self.names):,} pictures, not {count:,}")
        self.total = len(self.names)
        self.chosen: NDArray[np.int64] = np.arange(self.total)
        if count is not None:
            self.chosen = np.sort(np.random.default_rng(seed).permutation(self.total)[:count])
        self.size = PictureSize(*(size or self._first_size()), channels)

    def _first_size(self) -> tuple[int, int]:
        for picture in pictures(self.path, "none"):
            try:
                image = decode_image(picture.content())
                return image.height, image.width
            except DataError as error:
                if not self.skip_bad:
                    raise DataError(f"{self.path}: {picture.name} {error}; --bad skip leaves such out") from error
        raise DataError(f"{self.path} has no usable pictures")

    def numbers(self, c_dim: int) -> Tensor | None:
        """Return the labels [N, c_dim] of the pictures taken, or None if they have none that a network takes.

        Raises:
            DataError: if they are not as they should be.
        """
        labels = numbered([picture.label for picture in pictures(self.path)])
        if labels.vectors is not None:
            return torch.from_numpy(labels.vectors[self.chosen]) if labels.vectors.shape[1] == c_dim else None
        classes = labels.classes[self.chosen]
        if not len(classes) or classes.min() < 0 or classes.max() >= c_dim:
            return None
        return torch.eye(c_dim)[torch.from_numpy(classes)]

    @property
    def about(self) -> JsonObject:
        """What it is."""
        return {
            "name": self.path.name,
            "pictures": self.total,
            "count": len(self),
            "chosen_by_seed": None if len(self.chosen) == self.total else self.seed,
            "mirrored": self.mirror,
            "size": [self.size.height, self.size.width],
            "channels": self.size.channels,
            "resized": "cut to the middle, Lanczos (Pillow), where it has another size",
            "bad": "skip" if self.skip_bad else "refuse",
        }

    @property
    def key(self) -> JsonObject:
        """What its features are cached by."""
        return {**self.about, "files": fingerprint(self.path)}

    def __len__(self) -> int:
        return len(self.chosen) * (1 + self.mirror)

    def name(self, index: int) -> str:
        """Return the name of its file."""
        mirrored = " (mirrored)" if index >= len(self.chosen) else ""
        return self.names[self.chosen[index % len(self.chosen)]] + mirrored

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        """Give the pictures from a number on.

        Raises:
            DataError: for a bad one that is not to be skipped.
        """
        numbers = iter(self._read(range(start, len(self))))
        for span in spans(start, len(self), size):
            found = list(itertools.islice(numbers, len(span)))
            good = [(index, picture) for index, picture in found if isinstance(picture, Tensor)]
            skipped = tuple(picture for _, picture in found if isinstance(picture, str))
            blank = torch.zeros(0, 3, self.size.height, self.size.width, dtype=torch.uint8)
            yield Batch(
                [index for index, _ in good], torch.stack([each for _, each in good]) if good else blank, skipped
            )

    def some(self, indices: Sequence[int]) -> dict[int, Tensor]:
        """Return a few pictures; bad ones are left out."""
        return {i: each for i, each in self._read(sorted(set(indices))) if isinstance(each, Tensor)}

    def _read(self, indices: Sequence[int]) -> Iterator[tuple[int, Tensor | str]]:
        """Give pictures by their numbers, which go up, or why one is skipped."""
        for mirrored in (False, True)[: 1 + self.mirror]:
            offset = len(self.chosen) * mirrored
            wanted = {int(self.chosen[i - offset]): i for i in indices if 0 <= i - offset < len(self.chosen)}
            if not wanted:
                continue
            for position, picture in enumerate(pictures(self.path, "none")):
                if position in wanted:
                    try:
                        pixels = as_rgb(torch.from_numpy(picture.decoded(self.size).copy())[None])[0]
                        yield wanted[position], pixels.flip(2) if mirrored else pixels
                    except DataError as error:
                        if not self.skip_bad:
                            raise DataError(
                                f"{self.path}: {picture.name} {error}; --bad skip leaves such pictures out"
                            ) from error
                        yield wanted[position], f"{picture.name} {error}"


class Prepared:
    """Pictures in memory or mapped from a file, uint8 [N, C, H, W], such as those that are trained on.

    Args:
        pictures: as they are.
        name: of the set. key: what distinguishes `pictures` from others; None = a hash of all of them.
        rows: [N], which of them there are; None = all.
        mirror: take each picture a second time, mirrored.
    """

    def __init__(
        self,
        pictures: NDArray[np.uint8],
        name: str,
        *,
        key: str | None = None,
        rows: NDArray[np.int64] | None = None,
        mirror: bool = False,
    ) -> None:
        self.pictures, self.title, self.mirror = pictures, name, mirror
        self.rows = np.arange(len(pictures)) if rows is None else rows
        self._key = key or hashlib.sha256(np.ascontiguousarray(pictures).tobytes()).hexdigest()

    @property
    def about(self) -> JsonObject:
        """What it is."""
        return {
            "name": self.title,
            "pictures": len(self.pictures),
            "count": len(self),
            "mirrored": self.mirror,
            "size": list(self.pictures.shape[2:]),
        }

    @property
    def key(self) -> JsonObject:
        """What its features are cached by."""
        return {**self.about, "content": self._key, "rows": hashlib.sha256(self.rows.tobytes()).hexdigest()}

    def __len__(self) -> int:
        return len(self.rows) * (1 + self.mirror)

    def name(self, index: int) -> str:
        """Return the number."""
        return f"number {self.rows[index % len(self.rows)]}{' (mirrored)' * (index >= len(self.rows))}"

    def batches(self, start: int, size: int) -> Iterator[Batch]:
        """Give the pictures from a number on."""
        for span in spans(start, len(self), size):
            yield Batch(list(span), torch.stack([self._one(i) for i in span]))

    def some(self, indices: Sequence[int]) -> dict[int, Tensor]:
        """Return a few pictures."""
        return {i: self._one(i) for i in indices}

    def _one(self, index: int) -> Tensor:
        pixels = as_rgb(torch.from_numpy(self.pictures[self.rows[index % len(self.rows)]].copy())[None])[0]
        return pixels.flip(2) if index >= len(self.rows) else pixels
