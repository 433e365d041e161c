"""The unit of work: one shard, drawn, written and recorded, the same whoever does it and however often."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from stylegan_torch.bulk.filters import Check, check, perceptual_hash, sharpness
from stylegan_torch.bulk.layouts import WRITERS, Place, Writer
from stylegan_torch.bulk.painter import Drawn, Painter, open_painter
from stylegan_torch.bulk.plans import Plan
from stylegan_torch.bulk.samples import BulkError, Sample
from stylegan_torch.bulk.stores import Store, digest, open_store
from stylegan_torch.bulk.table import Row
from stylegan_torch.drawing.devices import drawing_threads
from stylegan_torch.drawing.images import ENCODERS, encode
from stylegan_torch.drawing.marks import Marking, Signer
from stylegan_torch.editing.composition import Composition

MANIFEST = "manifest.json"
EXCLUDED = "excluded.json"
MOST_ATTEMPTS = 1000
"""For one place, before a filter is thought to take nothing."""
SMALL = 64
"""Side up to which two threads of one interpreter wait for each other longer than writing takes."""
Excluded = Mapping[int, Sequence[int]]
"""Attempts at places that are not taken, whatever the filters say, as pictures of other shards are too like them."""


@dataclass(frozen=True)
class Job:
    """What a worker needs to know.

    plan: of the set. place: where it lies, a path or a URL. networks: the files to draw with.
    excluded: as `EXCLUDED` has it. trust: take shards for whole by the sizes of their files, not by their hashes.
    """

    plan: Plan
    place: str
    networks: tuple[str, ...]
    excluded: Excluded = field(default_factory=dict)
    signer: Signer | None = None
    trust: bool = False


@dataclass(frozen=True)
class Done:
    """What came of a shard: drawn now, or found whole; how many pictures it has, and how many were rejected."""

    shard: int
    pictures: int
    rejected: int
    drawn: bool


class Worker:
    """Draws shards; keeps the networks, which it opens for the first that must be drawn."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.store = open_store(job.place)
        self._painter: Painter | None = None

    def __call__(self, shard: int) -> Done:
        """See to it that a shard is there and whole.

        Raises:
            StyleGANError: if it cannot be drawn or written.
        """
        plan = self.job.plan
        record = read_record(self.store, plan, shard)
        drawn = record is None or not self._is_whole(record, shard)
        if drawn:
            record = self._draw(shard)
        assert record is not None
        return Done(shard, len(plan.places(shard)), len(record["rejected"]), drawn)

    def _is_whole(self, record: Mapping[str, Any], shard: int) -> bool:
        if record["excluded"] != _excluded(self.job, shard):
            return False
        return not faults(self.store, record, by_size=self.job.trust)

    def _draw(self, shard: int) -> dict[str, Any]:
        plan = self.job.plan
        self.store.remove(record_name(plan, shard))  # until it is whole again
        rejected = list[Rejected]()
        with self.store.workplace() as folder, closing(WRITERS[plan.layout](Place(folder, plan, shard))) as writer:
            with drawing_threads(plan.threads if plan.device == "cpu" else None), self._beside() as then:
                for batch in taken(plan, shard, self.painter, self.job.excluded, rejected):
                    then(self._add, writer, [(*each, self._score(*each)) for each in batch])
            files = writer.finish()
            about = {name: _about(path) for name, path in files.items()}
            for name, path in files.items():
                self.store.put(name, path)
        record = {
            "plan": plan.name,
            "shard": shard,
            "files": about,
            "rejected": [vars(each) for each in rejected],
            "excluded": _excluded(self.job, shard),
        }
        self.store.write(record_name(plan, shard), json.dumps(record).encode())
        return record

    def _beside(self) -> AbstractContextManager[Callable[..., None]]:
        """Return what writes pictures while others are drawn; small ones at once, which takes less than the waiting."""
        largest = max(each.G.img_resolution for each in self.painter.networks)
        return _in_order() if largest > SMALL else nullcontext(_at_once)

    @property
    def painter(self) -> Painter:
        """Return what draws, with the networks opened."""
        if self._painter is None:
            plan = self.job.plan
            hashes = [each.weights for each in plan.networks]
            self._painter = open_painter(self.job.networks, hashes, **plan.how)
        return self._painter

    def _score(self, drawn: Drawn, scores: Mapping[str, float]) -> float | None:
        """Return the discriminator's score, if it is to be in the table."""
        if "score" not in self.job.plan.encoding.columns:
            return None
        return scores["best"] if "best" in scores else self.painter.score(drawn)

    def _add(self, writer: Writer, batch: Iterable[tuple[Drawn, Mapping[str, float], float | None]]) -> None:
        for drawn, scores, score in batch:
            row = self._row(drawn, scores, score)
            picture = self._encoded(drawn, row)
            row["sha256"] = hashlib.sha256(picture).hexdigest()
            writer.add(row, picture)

    def _row(self, drawn: Drawn, scores: Mapping[str, float], score: float | None) -> Row:
        made, plan = drawn.sample, self.job.plan
        wanted = plan.encoding.columns
        row: Row = {
            "key": made.key,
            **identity(plan, made),
            "truncation_psi": drawn.truncation_psi,
            "scores": json.dumps(scores) if scores else None,
        }
        if "sharpness" in wanted:
            row["sharpness"] = sharpness(drawn.image)
        if "phash" in wanted:
            row["phash"] = f"{perceptual_hash(drawn.image):016x}"
        if score is not None:
            row["score"] = score
        if "w" in wanted and drawn.ws is not None:
            row["w"] = list(drawn.ws.half().flatten().numpy())  # older pyarrow takes no others
        return row

    def _encoded(self, drawn: Drawn, row: Row) -> bytes:
        encoding = self.job.plan.encoding
        about = {name: value for name, value in row.items() if value is not None and name != "w"}
        about |= {"noise_mode": drawn.sample.composition.noise, "version": self.job.plan.version}
        about |= _truncated(drawn.sample.composition)
        marking = Marking(encoding.marked, self.job.signer)
        encoder = ENCODERS[encoding.kind]
        return encode(drawn.image, encoder, about, quality=encoding.quality, marking=marking)


def _at_once(function: Callable[..., None], *args: object) -> None:
    function(*args)


@contextmanager
def _in_order() -> Iterator[Callable[..., None]]:
    """Give what has functions called one after the other in a second thread, no more than one of them late.

    An error of one is raised by a later call, or at the end.
    """
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as thread:

        def call(function: Callable[..., None], *args: object) -> None:
            waiting.append(thread.submit(function, *args))
            while len(waiting) > 1:
                waiting.popleft().result()

        yield call
        for each in waiting:
            each.result()


@dataclass(frozen=True)
class Rejected:
    """A picture that was not taken: by which filter, and its score there; None = by the pass over the whole set."""

    index: int
    attempt: int
    seed: int
    filter: str
    score: float | None


def taken(
    plan: Plan, shard: int, painter: Painter, excluded: Excluded, rejected: list[Rejected]
) -> Iterator[list[tuple[Drawn, dict[str, float]]]]:
    """Yield the pictures of a shard in order, batch after batch, each with the scores of the filters that took it.

    Batches are of neighbours in the shard, and again of those of them that were rejected, so that they follow from the
    plan alone.

    Raises:
        BulkError: if nothing is taken for a place.
    """
    checks = [(about, check(about, painter)) for about in plan.filters]
    places = plan.places(shard)
    for start in range(0, len(places), plan.batch):
        batch = places[start : start + plan.batch]
        found: dict[int, tuple[Drawn, dict[str, float]]] = {}
        attempts = dict.fromkeys(batch, 0)
        while waiting := [plan.sample(index, attempts[index]) for index in batch if index not in found]:
            for drawn in painter.draw(waiting):
                made = drawn.sample
                if made.attempt in excluded.get(made.index, ()):
                    scores = None
                    rejected.append(Rejected(made.index, made.attempt, made.seed, "distinct", None))
                else:
                    scores = _scores(checks, drawn, rejected)
                if scores is not None:
                    found[made.index] = drawn, scores
                attempts[made.index] += 1
                if attempts[made.index] > MOST_ATTEMPTS:
                    raise BulkError(f"picture {made.index}: {MOST_ATTEMPTS} were rejected for its place; reject less")
        yield [found[index] for index in batch]


def _scores(checks: Sequence[tuple[Any, Check]], drawn: Drawn, rejected: list[Rejected]) -> dict[str, float] | None:
    """Return the scores of a picture that all filters take; else note who rejected it."""
    scores: dict[str, float] = {}
    for about, each in checks:
        score = each.score(drawn)
        if not each.takes(drawn, score):
            made = drawn.sample
            rejected.append(Rejected(made.index, made.attempt, made.seed, str(about), score))
            return None
        scores[str(about)] = score
    return scores


def identity(plan: Plan, made: Sample) -> Row:
    """Return the part of a row that follows from the plan, without drawing."""
    picture = made.composition
    return {
        "index": made.index,
        "attempt": made.attempt,
        "seed": made.seed,
        "identity": made.identity,
        "variation": made.variation,
        "class": picture.class_index,
        "network": plan.networks[made.network].weights,
        "mixes": [str(each) for each in picture.mixes],
        "moves": [str(each) for each in picture.moves],
    }


def _truncated(picture: Composition) -> dict[str, object]:
    """Return what a picture's truncation is besides psi."""
    about: dict[str, object] = {}
    if picture.layer_psis:
        about["truncation_layers"] = [str(each) for each in picture.layer_psis]
    if picture.centres:
        about["truncation_centres"] = picture.centres.name
    return about


def record_name(plan: Plan, shard: int) -> str:
    """Return the name of a shard's record, which is written last."""
    return f"records/{shard:0{max(5, len(str(plan.shards - 1)))}d}.json"


def read_record(store: Store, plan: Plan, shard: int) -> dict[str, Any] | None:
    """Return the record of a shard; None if there is none, or it is none of this plan."""
    content = store.read(record_name(plan, shard))
    try:
        record = json.loads(content or b"null")
    except (ValueError, RecursionError):
        return None
    right = isinstance(record, dict) and record.get("plan") == plan.name and record.get("shard") == shard
    typed = right and all(isinstance(record.get(name), kind) for name, kind in _FIELDS.items())
    return record if typed and all(_is_about(each) for each in record["files"].values()) else None


_FIELDS = {"files": dict, "rejected": list, "excluded": dict}


def _is_about(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {"sha256", "bytes"}


def faults(store: Store, record: Mapping[str, Any], by_size: bool = False) -> list[str]:
    """Return what is wrong with a shard's files, a line each; by their sizes alone if asked."""
    found = []
    for name, about in record["files"].items():
        file = store.open(name)
        if file is None:
            found.append(f"{name} is missing")
            continue
        with file:
            size = file.seek(0, 2)
            file.seek(0)
            if size != about["bytes"] or (not by_size and digest(file) != about["sha256"]):
                found.append(f"{name} is not what was written")
    return found


def _about(path: Any) -> dict[str, object]:
    with path.open("rb") as file:
        return {"sha256": digest(file), "bytes": path.stat().st_size}


def _excluded(job: Job, shard: int) -> dict[str, list[int]]:
    return {str(index): list(job.excluded[index]) for index in job.plan.places(shard) if index in job.excluded}
