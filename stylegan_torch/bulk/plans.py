"""The plan of a set: all that its bytes follow from. As `manifest.json` it lies with the set, and repeats it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from stylegan_torch import __version__
from stylegan_torch.bulk.filters import Filter, calibrated, check
from stylegan_torch.bulk.painter import Network, Painter
from stylegan_torch.bulk.samples import LAST_SEED, BulkError, Classes, Recipe, Sample, sample
from stylegan_torch.drawing.devices import best_device, drawing_threads, hardware
from stylegan_torch.errors import NoClassError, StyleGANError
from stylegan_torch.networks.registry import decode
from stylegan_torch.text import without_secrets
from stylegan_torch.types import JsonObject

Layout = Literal["webdataset", "zip", "huggingface", "folder"]
Kind = Literal["png", "webp", "jpeg", "npy"]
VERSION = 1
"""Of manifests."""
MOST = 1 << 32
"""Pictures: as many as there are seeds."""
_HOW = ("dtype", "tf32", "allow_nonfinite")
CALIBRATION = 256
"""Pictures whose scores say what the best share of pictures is."""


@dataclass(frozen=True)
class NetworkEntry:
    """A network of a set. path: where it was; name, sha256: of the file it came from; weights: `network_hash`."""

    path: str
    name: str
    sha256: str
    weights: str


@dataclass(frozen=True)
class Encoding:
    """How pictures are written.

    quality: of JPEG. columns: also measure "sharpness", "phash", "score" (the discriminator's) for the table, or keep
    "w" (float16). marked: say in XMP that they are synthetic.
    """

    kind: Kind = "png"
    quality: int = 95
    columns: tuple[str, ...] = ("sharpness", "phash")
    marked: bool = True


@dataclass(frozen=True)
class Plan:
    """All that a set's bytes follow from, on like hardware.

    count, shard_size: pictures in all, and in one shard. batch: drawn at once; never across shards.
    threads: of one worker's drawing, on a CPU. tf32: let cards round in float32, as `optimize` has it.
    device: "cpu", "cuda" …; hardware: what kind of it the set was begun on.
    allow_nonfinite: draw even if there are NaN or infinite numbers in a network.
    """

    networks: tuple[NetworkEntry, ...]
    count: int
    shard_size: int = 1000
    recipe: Recipe = field(default_factory=Recipe)
    filters: tuple[Filter, ...] = ()
    layout: Layout = "webdataset"
    encoding: Encoding = field(default_factory=Encoding)
    batch: int = 8
    threads: int = 1
    dtype: str = "float32"
    tf32: bool = False
    device: str = "cpu"
    allow_nonfinite: bool = False
    hardware: str = ""
    version: str = __version__

    @property
    def how(self) -> JsonObject:
        """Return how a `Painter` of it is made."""
        return {"device": self.device, **{name: getattr(self, name) for name in _HOW}}

    @property
    def shards(self) -> int:
        """Return how many there are."""
        return -(-self.count // self.shard_size)

    def places(self, shard: int) -> range:
        """Return the numbers of the pictures of a shard."""
        return range(shard * self.shard_size, min((shard + 1) * self.shard_size, self.count))

    def sample(self, index: int, attempt: int = 0) -> Sample:
        """Return what a picture is, as `samples.sample` does."""
        return sample(self.recipe, self.count, len(self.networks), index, attempt)

    @cached_property
    def name(self) -> str:
        """Return a hash of what the pictures follow from: not where networks lie, nor what kind of machine it was."""
        record = self.to_json()
        del record["hardware"]
        record["networks"] = [each.weights for each in self.networks]
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> JsonObject:
        """Return it as plain JSON, which `of_json` reads."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def of_json(cls, record: JsonObject) -> Plan:
        """Read what `to_json` returned.

        Raises:
            BulkError: if it is something else.
        """
        try:
            found = decode(cls, record)
            _check(found)
        except StyleGANError as error:
            raise BulkError(f"its plan: {error}") from error
        return found


_COLUMNS = ("sharpness", "phash", "score", "w")


def _check(plan: Plan) -> None:
    """Raise BulkError, naming it, for a number that makes no set."""
    recipe = plan.recipe
    least = {"count": plan.count, "shard_size": plan.shard_size, "batch": plan.batch, "threads": plan.threads}
    for name, value in {**least, "variations": recipe.variations}.items():
        if value < 1:
            raise BulkError(f"{name} is {value}; it must be at least 1")
    if plan.count > MOST or not 0 <= recipe.first_seed < MOST or not 0 <= recipe.choices < MOST:
        raise BulkError(f"there are seeds from 0 to {MOST - 1} only")
    if not plan.networks:
        raise BulkError("it has no network")
    if recipe.truncation and len(recipe.truncation) != 2:
        raise BulkError("truncation is not a range of two numbers")
    if recipe.variations > 1 and not recipe.moves:
        raise BulkError("variations of one seed need directions to move along")
    if recipe.latents and (recipe.truncation or recipe.layer_psis or recipe.centres):
        raise BulkError("latents of a file are drawn as they are: no truncation with them")
    if recipe.latents and (recipe.mixing or plan.filters):
        raise BulkError("rows of a file of latents cannot be replaced by others: no filters and no mixing with them")
    for name in plan.encoding.columns:
        if name not in _COLUMNS:
            raise BulkError(f"there is no column {name}; there are {', '.join(_COLUMNS)}")
    if plan.layout == "huggingface" and plan.encoding.kind == "npy":
        raise BulkError("a Hugging Face data set holds pictures: choose png, webp or jpeg")
    if plan.layout == "zip" and plan.encoding.kind in ("webp", "jpeg"):
        raise BulkError("NVIDIA's tools take png and npy only")


def plan(
    networks: Sequence[str | Path],
    count: int,
    *,
    recipe: Recipe | None = None,
    classes: Classes | Literal["balanced"] | None = None,
    filters: Sequence[Filter] = (),
    device: str | None = None,
    calibrate: int = CALIBRATION,
    **settings: Any,
) -> Plan:
    """Look at the networks of a set, and return its plan.

    Args:
        networks: files, of which each draws its share; anything that `stylegan_torch.load` takes.
        count: pictures in all.
        recipe: what they are.
        classes: which; "balanced" = every class in turn. Of the recipe, if None.
        filters: which pictures are taken.
        device: where to draw; None = the best there is.
        calibrate: pictures from which the threshold of "best" is found.
        settings: other fields of `Plan`.

    Raises:
        StyleGANError: if a network cannot be read, or does not have what is asked for.
    """
    device = device or best_device()
    paths = [_from_anywhere(str(path)) for path in networks]
    how = {name: settings[name] for name in _HOW if name in settings}
    painter = Painter(paths, device=device, **how)
    recipe = recipe or Recipe()
    if classes is not None:
        recipe = dataclasses.replace(recipe, classes=_classes(classes, painter))
    entries = tuple(_entry(path, each) for path, each in zip(paths, painter.networks, strict=True))
    made = Plan(
        entries, count, recipe=recipe, filters=tuple(filters), device=device, hardware=hardware(device), **settings
    )
    if any(each.kind == "distinct" for each in filters) and "phash" not in made.encoding.columns:
        columns = (*made.encoding.columns, "phash")
        made = dataclasses.replace(made, encoding=dataclasses.replace(made.encoding, columns=columns))
    _check(made)
    with drawing_threads(made.threads if device == "cpu" else None):
        [first] = painter.draw([made.sample(0)])  # says what the networks do not have before a set is begun
        for each in filters:
            if each.kind in ("side", "balance"):
                check(each, painter).score(first)
        made = dataclasses.replace(made, filters=tuple(_calibrated(made, each, painter, calibrate) for each in filters))
    return Plan.of_json(made.to_json())  # as it will be read: 1 and 1.0 are the same


def _from_anywhere(network: str) -> str:
    """Return the absolute path of a file, as others that draw may stand in another folder; a URL or name as it is."""
    with suppress(OSError):  # a URL may be longer than names can be
        return str(Path(network).absolute()) if Path(network).exists() else network
    return network


def _classes(classes: Classes | Literal["balanced"], painter: Painter) -> Classes:
    numbers = {each.G.c_dim for each in painter.networks}
    if classes == "balanced":
        if len(numbers) > 1 or not min(numbers):
            raise BulkError("classes are balanced only where all networks have classes, and as many")
        return Classes(tuple(range(min(numbers))))
    for index in classes.indices:
        if index >= min(numbers):
            raise NoClassError(index, min(numbers))
    return classes


def _entry(path: str, network: Network) -> NetworkEntry:
    origin = network.origin
    name = origin.get("name", Path(without_secrets(path)).name)
    return NetworkEntry(path, str(name), str(origin.get("sha256", "")), network.hash)


def _calibrated(made: Plan, about: Filter, painter: Painter, most: int) -> Filter:
    """Find the score that "best" asks for, with seeds beyond those of the set."""
    check(about, painter)

    def scores() -> list[float]:
        beyond = dataclasses.replace(made, recipe=dataclasses.replace(made.recipe, choices=made.recipe.choices ^ 1))
        first = min(made.count, LAST_SEED - most)
        numbers = [beyond.sample(first + i) for i in range(most)]
        parts = [numbers[i : i + made.batch] for i in range(0, most, made.batch)]
        return [painter.score(each) for part in parts for each in painter.draw(part)]

    return calibrated(about, scores)
