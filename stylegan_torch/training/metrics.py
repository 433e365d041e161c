"""Measures of a network while it is trained: against what it is trained on, and the best one kept.

metrics-000200000.json     the measures after 200 000 pictures shown, and how they were taken
best.pt, best.json         the network by which the first of the measures was best, and its measures
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np

from stylegan_torch.files import checkpoint
from stylegan_torch.files.atomic import new_file
from stylegan_torch.measuring import MEASURES, Extractor, Generated, Prepared, measure, open_extractor
from stylegan_torch.measuring.sets import Batch
from stylegan_torch.training.trainer import Trainer
from stylegan_torch.types import JsonObject

_LABELS = 50_000
"""Labels of so many of the reals, at random, are drawn from."""


@dataclass(frozen=True)
class Metrics:
    """What is measured during training, and how often.

    names: of `measuring.MEASURES`; the first says which network is the best. extractors: by name, opened.
    extractor: the one that all are taken with; None = each measure's own. kimg: in thousands of pictures shown.
    samples: how many pictures are drawn, from seed 0 on, without truncation; with the labels of reals, if any.
    cache: where features of the reals are kept; None = the user's cache folder.
    """

    names: tuple[str, ...]
    extractors: Mapping[str, Extractor] = field(repr=False)
    extractor: str | None = None
    kimg: float = 100.0
    samples: int = 50_000
    batch: int = 16
    cache: Path | None = None

    @property
    def columns(self) -> list[str]:
        """Return what a log has for them."""
        return [name for each in self.names for name in self._named(each, {"precision": 0.0, "recall": 0.0})]

    def _named(self, name: str, values: Mapping[str, float]) -> dict[str, float]:
        kind = MEASURES[name]
        return kind.columns(name, self.extractor or kind.extractor, {kind.main: 0.0, **values})

    def take(self, trainer: Trainer, stop: Event) -> JsonObject | None:
        """Return the measures of the average generator, as `measuring.measure` does; None as soon as `stop` is set.

        Raises:
            StyleGANError: if one cannot be taken.
        """
        G, data = trainer.G_ema, trainer.data
        flip = trainer.settings.flip  # as StyleGAN2-ADA's reals are mirrored then, too
        chosen = np.random.default_rng(0).permutation(len(data))[:_LABELS]
        labels = data.labels(chosen, G.c_dim) if G.c_dim else None
        drawn = Generated(G, self.samples, classes="none" if labels is None else "reals", real_labels=labels)
        reals = Prepared(data.pictures, "what is trained on", key=data.key or None, rows=data.rows, mirror=flip)
        with suppress(_StoppedError):
            return measure(
                self.names,
                drawn,
                reals,
                open_extractor=self.extractors.__getitem__,
                extractor=self.extractor,
                cache=self.cache,
                batch=self.batch,
                watch=partial(_until, stop),
            )
        return None

    def numbers(self, report: JsonObject) -> dict[str, float]:
        """Return the numbers of a report by the names of columns."""
        return {
            name: value
            for row in report["measures"]
            for name, value in self._named(row["measure"], row["values"]).items()
        }

    def keep(self, folder: Path, report: JsonObject, trainer: Trainer, content: checkpoint.Checkpoint) -> None:
        """Write a report, after the networks if they are the best so far."""
        report = {"kimg": trainer.shown / 1000, **report}
        if self._is_better(report, folder / "best.json"):
            checkpoint.write(folder / "best.pt", content, force=True)
            _write(folder / "best.json", report)
        _write(report_file(folder, trainer), report)

    def _is_better(self, report: JsonObject, best: Path) -> bool:
        first = MEASURES[self.names[0]]
        try:
            before = next(
                row["values"][first.main]
                for row in json.loads(best.read_text())["measures"]
                if (row["title"] == report["measures"][0]["title"])
            )
        except (OSError, ValueError, KeyError, StopIteration):  # there is none yet, or one by another measure
            return True
        now = report["measures"][0]["values"][first.main]
        return bool(now < before if first.better == "less" else now > before)


def open_metrics(
    names: tuple[str, ...],
    device: str,
    *,
    extractor: str | None = None,
    weights: Path | None = None,
    download: bool = False,
    kimg: float = 100.0,
    samples: int = 50_000,
    cache: Path | None = None,
) -> Metrics:
    """Return measures to take while training, their extractors opened on a device.

    Args:
        names, extractor, kimg, samples, cache: as `Metrics` has them.
        device: where extractors work.
        weights, download: as `open_extractor` takes them.

    Raises:
        MeasureError: if an extractor cannot be had, or has no layer for a measure.
    """
    opened = {
        name: open_extractor(name, device, weights=weights, download=download)
        for name in {extractor or MEASURES[each].extractor for each in names}
    }
    for each in names:
        opened[extractor or MEASURES[each].extractor].layer(each)
    return Metrics(names, opened, extractor, kimg, samples, cache=cache)


def report_file(folder: Path, trainer: Trainer) -> Path:
    """Return where the measures are of what a trainer has now; it is written last."""
    return folder / f"metrics-{trainer.shown:09d}.json"


class _StoppedError(Exception):
    """The process is asked to stop."""


def _until(stop: Event, batches: Iterable[Batch], _what: str, _left: int) -> Iterator[Batch]:
    for each in batches:
        if stop.is_set():
            raise _StoppedError
        yield each


def _write(path: Path, report: JsonObject) -> None:
    with new_file(path, force=True) as file:
        file.write((json.dumps(report, indent=2) + "\n").encode())
