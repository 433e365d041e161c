"""Features of whole sets, computed in parts that are kept: what was interrupted goes on, nothing is done twice."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from stylegan_torch.files.atomic import cache_folder, make_folder, new_file
from stylegan_torch.files.npz_record import Array, read_npz
from stylegan_torch.measuring.extractors import Extractor
from stylegan_torch.measuring.fidelity import MeasureError
from stylegan_torch.measuring.sets import PART, Batch, PictureSet
from stylegan_torch.types import JsonObject

_VERSION = 1
"""Of the cache; to be changed with what a set or an extractor makes of the same settings."""
_KEPT = "kept"
Watch = Callable[[Iterable[Batch], str, int], Iterable[Batch]]
"""May show progress: gets batches, what is done with them, and how many pictures are left."""


@dataclass(frozen=True)
class Features:
    """The features of a set.

    layers: [N, D] float32 by layer, N without the pictures that were skipped. indices: [N], their numbers in the set.
    digests: [N, 32], the sha256 of each picture's values. skipped: what was left out, and why.
    """

    layers: dict[str, Tensor]
    indices: NDArray[np.int64]
    digests: NDArray[np.uint8]
    skipped: tuple[str, ...]

    @property
    def content(self) -> str:
        """Return the sha256 of the sha256s of all pictures in order: a name for exactly these pictures."""
        return hashlib.sha256(self.digests.tobytes()).hexdigest()


def features_folder(pictures: PictureSet, extractor: Extractor, cache: Path | None = None) -> Path:
    """Return where the features of a set are kept: below `cache`, by default the user's cache folder."""
    key = json.dumps([_VERSION, PART, pictures.key, extractor.about], sort_keys=True)
    return (cache or cache_folder() / "features") / hashlib.sha256(key.encode()).hexdigest()[:24]


def features_of(
    pictures: PictureSet,
    extractor: Extractor,
    *,
    folder: Path | None = None,
    batch: int = 16,
    watch: Watch = lambda batches, what, left: batches,
    what: str = "Looking at pictures",
) -> Features:
    """Return the features of a set of pictures.

    They are computed in parts of 500 pictures, each written to the folder as it is done. A part that is there is read;
    so a computation that was killed goes on, with the same numbers in the end.

    Args:
        pictures: the set.
        extractor: makes the features.
        folder: where parts are kept, as `features_folder` names it; None = nowhere.
        batch: pictures at once.
        watch: may show progress.
        what: is done, to show.

    Raises:
        StyleGANError: if a picture is bad and not to be skipped, or none is left.
    """
    parts: list[dict[str, Array]] = []
    if folder is None:
        _compute(pictures, extractor, parts, None, batch, watch, what)
    else:
        make_folder(folder)
        with FileLock(folder / "lock"):
            parts += _read_parts(folder, pictures)
            _compute(pictures, extractor, parts, folder, batch, watch, what)
    merged = _joined(parts)
    if not len(merged["indices"]):
        raise MeasureError("there is no usable picture to measure")
    layers = {
        name.removeprefix("layer "): torch.from_numpy(values)
        for name, values in merged.items()
        if name.startswith("layer ")
    }
    return Features(layers, merged["indices"], merged["digests"], tuple(map(str, merged["skipped"])))


def keep(folder: Path) -> None:
    """Let the features in a folder of the cache stay, whatever else is measured."""
    (folder / _KEPT).touch()


def forget(folder: Path) -> None:
    """Remove the features in a folder of the cache, unless they are to stay."""
    if not (folder / _KEPT).exists():
        shutil.rmtree(folder, ignore_errors=True)


def _compute(
    pictures: PictureSet,
    extractor: Extractor,
    parts: list[dict[str, Array]],
    folder: Path | None,
    batch: int,
    watch: Watch,
    what: str,
) -> None:
    """Add the parts that are missing to those that are there."""
    start = len(parts) * PART
    if start >= len(pictures):
        return
    waiting: list[dict[str, Array]] = []
    left = len(pictures) - start
    for some in watch(pictures.batches(start, batch), what, left):
        waiting.append(_row(some, extractor))
        done = sum(len(each["indices"]) + len(each["skipped"]) for each in waiting)
        if done == min(PART, len(pictures) - len(parts) * PART):
            part = _joined(waiting)
            if folder:
                with new_file(_part(folder, len(parts)), force=True) as file:
                    np.savez(file, **part)  # type: ignore[arg-type]
            parts.append(part)
            waiting = []


def _row(some: Batch, extractor: Extractor) -> dict[str, Array]:
    values = some.pictures.cpu().contiguous().numpy()
    digests = [np.frombuffer(hashlib.sha256(value.tobytes()).digest(), np.uint8) for value in values]
    layers = extractor(some.pictures) if some.indices else {}
    return {
        **{f"layer {name}": features.numpy() for name, features in layers.items()},
        "indices": np.array(some.indices, np.int64),
        "digests": np.stack(digests) if digests else np.zeros((0, 32), np.uint8),
        "skipped": np.array(some.skipped, np.str_),
    }


def _joined(rows: list[dict[str, Array]]) -> dict[str, Array]:
    names = sorted({name for row in rows for name in row})
    return {name: np.concatenate([row[name] for row in rows if name in row]) for name in names}


def _part(folder: Path, number: int) -> Path:
    return folder / f"part-{number:06d}.npz"


def _read_parts(folder: Path, pictures: PictureSet) -> list[dict[str, Array]]:
    """Return the parts that are there and whole, from the first on."""
    parts: list[dict[str, Array]] = []
    while _part(folder, len(parts)).exists():
        try:
            part = read_npz(_part(folder, len(parts)))
            rows = {len(part[name]) for name in part if name != "skipped"}
            whole = len(part["indices"]) + len(part["skipped"]) == min(PART, len(pictures) - len(parts) * PART)
        except Exception:  # what numpy and zipfile raise for a damaged file is anything
            break
        if len(rows) != 1 or not whole:
            break
        parts.append(part)
    return parts


def about(pictures: PictureSet, features: Features) -> JsonObject:
    """Return what a set is, as a report says it, with what its pictures turned out to be."""
    return {
        **pictures.about,
        "measured": len(features.indices),
        "skipped": list(features.skipped),
        "sha256_of_pictures": features.content,
    }
