"""Filters: which pictures a set takes. Every score is recorded, and a rejected picture is replaced in its place."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from PIL import Image

from stylegan_torch.bulk.painter import Drawn, Painter
from stylegan_torch.bulk.samples import BulkError

HASH_BITS = 64


@dataclass(frozen=True)
class Filter:
    """One condition on a picture.

    kind: and what the rest means:
        "best": the discriminator's score is among the best share `value`, 0 to 1, of pictures like these; `threshold`
            is the score that they reach, found once from other seeds.
        "side": along the direction `argument`, such as smile.npz:0, its w lies further than `value` standard
            deviations from the mean w.
        "balance": every second picture does, the others do not.
        "distinct": its perceptual hash differs in more than `value` bits, of 64, from all those before.
        "program": a function of the user's, `argument` as module:function, called with the picture [H, W, C] uint8
            and a dict of what it is, returns a number that is at least `value`.
    """

    kind: Literal["best", "side", "balance", "distinct", "program"]
    value: float = 0.0
    argument: str = ""
    threshold: float | None = None

    def __str__(self) -> str:
        return f"{self.kind}({self.argument})" if self.argument else self.kind


class Check(Protocol):
    """A filter at work in one shard."""

    def score(self, drawn: Drawn) -> float:
        """Return the number that decides."""

    def takes(self, drawn: Drawn, score: float) -> bool:
        """Return whether a picture of that score is taken."""


def perceptual_hash(image: Image.Image) -> int:
    """Return imagehash's 64-bit DCT hash of a picture (extra `bulk`).

    Raises:
        BulkError: if imagehash is missing.
    """
    try:
        import imagehash
    except ImportError as error:
        raise BulkError("perceptual hashes need imagehash: pip install 'stylegan-torch[bulk]'") from error
    return int.from_bytes(np.packbits(imagehash.phash(image).hash).tobytes())


def sharpness(image: Image.Image) -> float:
    """Return the variance of the Laplacian of a picture's brightness, 0 to 255 (Pech-Pacheco et al. 2000)."""
    x = np.asarray(image.convert("L"), np.int16)
    inner = x[1:-1, 1:-1]
    if not inner.size:
        return 0.0
    # Whole numbers, whose sums float64 holds exactly: the same on every machine.
    laplacian = (x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * inner).astype(np.float64).ravel()
    return max(0.0, float(laplacian @ laplacian) / inner.size - (float(laplacian.sum()) / inner.size) ** 2)


class _Best:
    def __init__(self, about: Filter, painter: Painter) -> None:
        self._painter, self._threshold = painter, about.threshold

    def score(self, drawn: Drawn) -> float:
        return self._painter.score(drawn)

    def takes(self, drawn: Drawn, score: float) -> bool:
        return self._threshold is None or score >= self._threshold


class _Side:
    """How far along a direction w lies, in standard deviations from its mean."""

    def __init__(self, about: Filter, painter: Painter) -> None:
        name, colon, index = about.argument.rpartition(":")
        if not colon or not index.isdecimal():
            raise BulkError(f"{about.argument!r} is not a direction such as smile.npz:0")
        self._painter, self._name, self._index, self._about = painter, name, int(index), about

    def score(self, drawn: Drawn) -> float:
        known = self._painter.directions(drawn, self._name)
        if drawn.ws is None or self._index >= len(known):
            raise BulkError(f"{self._about.argument}: there is no such direction for this network")
        w = drawn.ws[list(known.layers) or slice(None)].mean(0) - self._painter.mean(drawn)
        return float((w @ known.vectors[self._index]) / known.scales[self._index])

    def takes(self, drawn: Drawn, score: float) -> bool:
        if self._about.kind == "balance" and drawn.sample.index % 2:
            return score <= self._about.value
        return score > self._about.value


class _Distinct:
    def __init__(self, about: Filter, painter: Painter) -> None:
        self._bits, self._seen = about.value, list[int]()

    def score(self, drawn: Drawn) -> float:
        mine = perceptual_hash(drawn.image)
        return min(((mine ^ other).bit_count() for other in self._seen), default=HASH_BITS)

    def takes(self, drawn: Drawn, score: float) -> bool:
        if score <= self._bits:
            return False
        self._seen.append(perceptual_hash(drawn.image))
        return True


class _Program:
    def __init__(self, about: Filter, painter: Painter) -> None:
        self._call, self._least = _function(about.argument), about.value

    def score(self, drawn: Drawn) -> float:
        made = drawn.sample
        what = {"index": made.index, "seed": made.seed, "class": made.composition.class_index}
        return float(self._call(drawn.picture, what))

    def takes(self, drawn: Drawn, score: float) -> bool:
        return score >= self._least


_CHECKS: dict[str, Callable[[Filter, Painter], Check]] = {
    "best": _Best,
    "side": _Side,
    "balance": _Side,
    "distinct": _Distinct,
    "program": _Program,
}


def check(about: Filter, painter: Painter) -> Check:
    """Return a filter ready for the pictures of one shard.

    Raises:
        BulkError: if what it names is not there.
    """
    return _CHECKS[about.kind](about, painter)


def _function(name: str) -> Callable[..., float]:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise BulkError(f"there is no function {name}: name it as module:function, importable from here") from error


def calibrated(about: Filter, scores: Callable[[], list[float]]) -> Filter:
    """Return a filter with its threshold, that of "best" found from the scores of pictures like the set's."""
    if about.kind != "best" or about.threshold is not None:
        return about
    return replace(about, threshold=float(np.quantile(scores(), 1 - about.value)))
