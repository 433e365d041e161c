"""Is a set complete, whole, and what its networks draw?"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stylegan_torch.bulk.finishing import JOINED, is_joined, rows
from stylegan_torch.bulk.layouts import READERS, Find
from stylegan_torch.bulk.painter import Painter, open_painter
from stylegan_torch.bulk.plans import Plan
from stylegan_torch.bulk.running import read_plan
from stylegan_torch.bulk.samples import BulkError
from stylegan_torch.bulk.shards import faults, identity, read_record
from stylegan_torch.bulk.stores import Store, open_store
from stylegan_torch.bulk.table import Row
from stylegan_torch.drawing.images import ENCODERS, Picture, encode
from stylegan_torch.editing.targets import psnr

SAME = 40.0
"""dB between a picture and what is drawn again, of the same file form: one step of 8 bits everywhere is 48."""


@dataclass(frozen=True)
class Findings:
    """What is wrong with a set, a line each; how many pictures were looked at, and how many of them drawn again."""

    faults: tuple[str, ...]
    pictures: int
    redrawn: int


def verify(
    place: str | Path,
    *,
    redraw: float = 0.0,
    networks: Sequence[str | Path] = (),
    on_shard: Callable[[int, int], None] = lambda shard, shards: None,
) -> Findings:
    """Check a set: every shard there, every file what was written, every picture in its place, of its own seed.

    Args:
        place: a path or a URL.
        redraw: a share of the pictures, 0 to 1, drawn again one by one, and compared.
        networks: to draw with, if they are not where the manifest says.
        on_shard: is told the number of each shard looked at, and of how many.

    Raises:
        StyleGANError: if there is no set, or a network cannot be read.
    """
    plan, store = read_plan(place), open_store(str(place))
    painter = None
    if redraw:
        paths = [str(path) for path in networks] or [each.path for each in plan.networks]
        painter = open_painter(paths, [each.weights for each in plan.networks], **plan.how)
    found, pictures, redrawn = list[str](), 0, 0
    joined = plan.layout == "zip" and store.read(JOINED) is not None
    if joined and not is_joined(store):
        found.append(f"{JOINED} is not what was written")
    for shard in range(plan.shards):
        looked = _Shard(store, plan, shard, joined)
        found += looked.faults()
        pictures += len(looked.whole)
        if painter and (again := [row for row in looked.whole if _chance(row["index"]) < redraw]):
            redrawn += len(again)
            found += looked.foreign(painter, again)
        on_shard(shard, plan.shards)
    return Findings(tuple(found), pictures, redrawn)


def _chance(index: int) -> float:
    return random.Random(index).random()


class _Shard:
    """One shard, looked at."""

    def __init__(self, store: Store, plan: Plan, shard: int, joined: bool) -> None:
        self.store, self.plan, self.number, self.joined = store, plan, shard, joined
        self.whole: list[Row] = []
        """Rows whose pictures are those that were written."""

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with it."""
        record = read_record(self.store, self.plan, self.number)
        if record is None:
            yield f"shard {self.number} is missing"
            return
        files = {name: each for name, each in record["files"].items() if not (self.joined and name.endswith(".zip"))}
        yield from faults(self.store, {"files": files})
        try:
            written = rows(self.store, self.plan, self.number)
            yield from self._wrong_rows(written, record)
            yield from self._wrong_pictures(written)
        except BulkError as error:
            yield f"shard {self.number}: {error}"

    def _wrong_rows(self, written: Sequence[Row], record: Mapping[str, Any]) -> Iterator[str]:
        """Yield rows that do not follow from the plan."""
        places = self.plan.places(self.number)
        if [row["index"] for row in written] != list(places):
            yield f"shard {self.number} has not the pictures {places.start} to {places.stop - 1}, one after the other"
            return
        rejected = {(each["index"], each["attempt"]) for each in record["rejected"]}
        for row in written:
            wanted = identity(self.plan, self.plan.sample(row["index"], row["attempt"]))
            for name, value in wanted.items():
                if row[name] != value:
                    yield f"picture {row['index']}: its {name} is {row[name]}, not {value}"
            if any((row["index"], attempt) not in rejected for attempt in range(row["attempt"])):
                yield f"picture {row['index']}: it is said to replace others that nothing rejected"

    def _wrong_pictures(self, written: Sequence[Row]) -> Iterator[str]:
        with self._pictures() as found:
            for row in written:
                content = found(row)
                if content is None:
                    yield f"picture {row['index']} is missing"
                elif hashlib.sha256(content).hexdigest() != row["sha256"]:
                    yield f"picture {row['index']} is another"
                else:
                    self.whole.append(row)

    def foreign(self, painter: Painter, again: Sequence[Row]) -> Iterator[str]:
        """Yield pictures that the network does not draw."""
        encoding = self.plan.encoding
        encoder = ENCODERS[encoding.kind]
        with self._pictures() as found:
            for row in again:
                content = found(row)
                (drawn,) = painter.draw([self.plan.sample(row["index"], row["attempt"])])
                written = encode(drawn.image, encoder, {}, quality=encoding.quality)
                if content is None or not _same(content, written):
                    yield f"picture {row['index']} is not what the network draws for it"

    def _pictures(self) -> AbstractContextManager[Find]:
        record = read_record(self.store, self.plan, self.number)
        names = [JOINED] if self.joined else list(record["files"] if record else ())
        return READERS[self.plan.layout](self.store, names, ENCODERS[self.plan.encoding.kind].suffix)


def _same(content: bytes, written: bytes) -> bool:
    one, other = _pixels(content), _pixels(written)
    return one.shape == other.shape and psnr(one, other) >= SAME


def _pixels(content: bytes) -> Picture:
    """Return what a picture file shows; nothing if it is none."""
    try:
        if content.startswith(b"\x93NUMPY"):
            return np.load(io.BytesIO(content), allow_pickle=False)
        return np.asarray(Image.open(io.BytesIO(content)))
    except (OSError, ValueError):
        return np.zeros(0, np.uint8)
