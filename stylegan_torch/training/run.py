"""A training run in a folder: snapshots, logs and sample grids, and going on after any interruption.

log.csv                    a row every thousand pictures or so
reals.png                  some of the data set
fakes-000200000.png        the average generator's pictures after 200 000 pictures shown
network-000200000.pt       G_ema, G and D, one of our files
network-000200000.state    what else it takes to go on: optimisers and counters
training.lock              while a process trains here; training.pid has its number

With measures there is more: see `training.metrics`.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from stylegan_torch.drawing.images import save_png, to_pil, to_uint8
from stylegan_torch.drawing.seeds import latents_from_seeds
from stylegan_torch.drawing.sheets import Sheet
from stylegan_torch.errors import StyleGANError
from stylegan_torch.files import checkpoint
from stylegan_torch.files.atomic import new_file, new_folder, opened_by_name
from stylegan_torch.files.tensors import load_plain
from stylegan_torch.training.metrics import Metrics, report_file
from stylegan_torch.training.trainer import Trainer
from stylegan_torch.types import Json

_STATES_KEPT = 2
"""States are large; only the newest snapshots can be gone on from exactly."""
_COLUMNS = ["kimg", "loss_G", "loss_D", "real_score", "fake_score", "real_sign", "r1", "slope_penalty", "path_length"]
_COLUMNS += ["path_penalty", "augment_p", "lod", "seconds_per_kimg"]
_LOCK, _NUMBER = "training.lock", "training.pid"
"""The number has a file of its own, as some versions of filelock empty what they fail to lock."""


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a folder until the block ends, or the process, in whatever way.

    The processes that train together count as one: the first of them does this.

    Raises:
        StyleGANError: if there is another, or the folder cannot be written to.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(new_folder(folder))
            stack.enter_context(FileLock(folder / _LOCK, timeout=0))
        except Timeout as error:
            raise StyleGANError(f"{folder}: another process trains here{_whose(folder / _NUMBER)}") from error
        except OSError as error:
            raise StyleGANError(f"cannot write to the folder {folder}: {error.strerror or error}") from error
        for name in (_LOCK, _NUMBER):
            stack.callback(_remove, folder / name)
        with suppress(OSError):
            (folder / _NUMBER).write_text(f"{os.getpid()}\n")
        yield


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _whose(path: Path) -> str:
    try:
        number = path.read_text()[:20].strip()
    except (OSError, ValueError):
        return ""
    return f", number {number}" if number.isdecimal() else ""


@dataclass
class Run:
    """Where a run writes, and how often; intervals are in thousands of pictures shown.

    about: JSON data that every snapshot says of itself. tensorboard: also write event files, in the same folder.
    metrics: what is measured, and how often; a snapshot is written before, which a run that is killed goes on from.
    """

    folder: Path
    snapshot_kimg: float = 100.0
    log_kimg: float = 1.0
    grid: int = 64
    tensorboard: bool = False
    about: Mapping[str, Json] = field(default_factory=dict)
    metrics: Metrics | None = None

    def snapshots(self) -> list[Path]:
        """Return the snapshots that can be gone on from, oldest first."""
        return sorted(path for path in self.folder.glob("network-*.pt") if path.with_suffix(".state").exists())

    def train(self, trainer: Trainer) -> Iterator[int]:
        """Train for as long as the settings say; yields after each step how many pictures were shown.

        A snapshot is written at the end, and when the process is asked to stop (SIGINT, that is Ctrl-C, or SIGTERM).

        Raises:
            StyleGANError: if a file cannot be written, or training diverges.
            KeyboardInterrupt: if asked to stop, after the step it was in.
        """
        main, end = trainer.accelerator.is_main_process, trainer.settings.kimg * 1000
        with ExitStack() as stack:
            columns = self.metrics.columns if self.metrics else []
            log = stack.enter_context(_Log(self.folder, trainer.shown, columns, self.tensorboard)) if main else None
            if main and not (self.folder / "reals.png").exists():
                self._save_reals(trainer)
            stop = stack.enter_context(_asked_to_stop())
            if log and self._lacks_measures(trainer):
                self._measure(trainer, log, stop)
            while trainer.shown < end:
                before = trainer.shown
                values = trainer.step()
                if log:
                    log.add(values)
                stopped = trainer.any_process(stop.is_set())
                last = trainer.shown >= end or stopped
                measured = not stopped and self._is_measured(trainer)
                snapshot = last or measured or _passed(before, trainer.shown, self.snapshot_kimg)
                if log and (snapshot or _passed(before, trainer.shown, self.log_kimg)):
                    log.write(trainer)
                if snapshot:
                    self.save(trainer)
                if log and measured:
                    self._measure(trainer, log, stop)
                yield trainer.shown
                if stopped:
                    raise KeyboardInterrupt

    def _is_measured(self, trainer: Trainer) -> bool:
        """Return whether the networks are measured after the step that was made."""
        if self.metrics is None:
            return False
        before = trainer.shown - trainer.batch
        return trainer.shown >= trainer.settings.kimg * 1000 or _passed(before, trainer.shown, self.metrics.kimg)

    def _lacks_measures(self, trainer: Trainer) -> bool:
        """Return whether the run ended before the networks that it goes on with were measured."""
        lacking = trainer.shown and self._is_measured(trainer)
        return bool(lacking) and not report_file(self.folder, trainer).exists()

    def _measure(self, trainer: Trainer, log: _Log, stop: Event) -> None:
        """Measure the networks, unless the process is asked to stop meanwhile; then the next run does."""
        assert self.metrics is not None
        with log.paused():
            report = self.metrics.take(trainer, stop)
            if report:
                log.amend(trainer.shown, self.metrics.numbers(report))
                self.metrics.keep(self.folder, report, trainer, self._content(trainer))

    def save(self, trainer: Trainer) -> None:
        """Write a snapshot; it counts once its network file is there, which comes last."""
        if not trainer.accelerator.is_main_process:
            return
        name = f"{trainer.shown:09d}"
        path = self.folder / f"network-{name}.pt"
        self._save_fakes(trainer, self.folder / f"fakes-{name}.png")
        with new_file(path.with_suffix(".state"), force=True) as file:
            torch.save(trainer.state(), file)
        checkpoint.write(path, self._content(trainer), force=True)
        for old in sorted(self.folder.glob("network-*.state"))[:-_STATES_KEPT]:
            old.unlink()

    def _content(self, trainer: Trainer) -> checkpoint.Checkpoint:
        """Return the networks as a file has them."""
        networks = {"G_ema": trainer.G_ema, "G": trainer.G, "D": trainer.D}
        about = {
            **self.about,
            "kimg": trainer.shown / 1000,
            "settings": json.loads(json.dumps(asdict(trainer.settings))),
        }
        content = checkpoint.of_modules(networks, {"training": about})
        for network in content.networks.values():
            for key, value in network.state_dict.items():
                network.state_dict[key] = value.cpu().contiguous()
        return content

    def load(self) -> tuple[checkpoint.Checkpoint, dict[str, Any]]:
        """Return the networks and the trainer's state of the last whole snapshot.

        Raises:
            StyleGANError: if there is none.
        """
        snapshots = self.snapshots()
        if not snapshots:
            raise StyleGANError(f"{self.folder} has no snapshot to resume from")
        try:
            with opened_by_name(snapshots[-1].with_suffix(".state")) as name:
                state = load_plain(name)
        except Exception as error:  # what torch raises for a damaged file is anything
            raise StyleGANError(
                f"{snapshots[-1].with_suffix('.state')} is damaged; remove it to go on from an earlier one"
            ) from error
        return checkpoint.read(snapshots[-1]), state

    def _save_reals(self, trainer: Trainer) -> None:
        count = min(self.grid, len(trainer.data))
        _save_sheet(trainer.data.images(np.arange(count)), self.folder / "reals.png")

    @torch.no_grad()
    def _save_fakes(self, trainer: Trainer, path: Path) -> None:
        G = trainer.G_ema
        images = []
        for seed in range(self.grid):
            z = latents_from_seeds([seed], G.z_dim).to(trainer.device)
            c = _label(trainer, seed).to(z) if G.c_dim else None
            images.append(G(z, c).cpu())
        _save_sheet(torch.cat(images), path)


def _label(trainer: Trainer, seed: int) -> Tensor:
    """Return a label [1, c_dim] of a sheet: one class after the other, or vectors of the data set."""
    G, data = trainer.G_ema, trainer.data
    if data.vectors is not None:
        return data.labels(np.array([seed % len(data)]), G.c_dim)
    return torch.nn.functional.one_hot(torch.tensor([seed % G.c_dim]), G.c_dim)


@contextmanager
def _asked_to_stop() -> Iterator[Event]:
    """Give an event that is set, rather than a step broken off, when the process is asked to stop."""
    asked = Event()
    if current_thread() is not main_thread():  # only there can signals be handled
        yield asked
        return
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _save_sheet(images: Tensor, path: Path) -> None:
    sheet = Sheet(len(images))
    for picture in to_uint8(images).numpy():
        sheet.add(picture)
    save_png(path, to_pil(sheet.picture), {}, force=True)


def _passed(before: int, now: int, kimg: float) -> bool:
    """Return whether a multiple of an interval lies between two counts of pictures."""
    return int(before / (kimg * 1000)) < int(now / (kimg * 1000))


class _Log:
    """`log.csv`, rows being averages since the row before; and TensorBoard's event files, if wanted.

    more: columns beside the usual ones, for measures; those that are there from before stay.
    """

    def __init__(self, folder: Path, shown: int, more: Sequence[str], tensorboard: bool) -> None:
        self.path = folder / "log.csv"
        self.columns = [*_COLUMNS, *more]
        self.sums: dict[str, list[float]] = {}
        self._keep_until(shown / 1000)
        self.events = _tensorboard(folder, shown) if tensorboard else None
        self.since, self.shown = time.monotonic(), shown

    def _keep_until(self, kimg: float) -> None:
        """Drop the rows of steps that will be made again."""
        rows, columns = self._rows()
        self.columns += [name for name in columns if name not in self.columns]
        self._replace([row for row in rows if _kimg(row) <= kimg])

    def _rows(self) -> tuple[list[dict[str, str]], Sequence[str]]:
        """Return what is there, and its columns."""
        if not self.path.exists():
            return [], ()
        with self.path.open(newline="") as file:
            reader = csv.DictReader(file)
            return list(reader), reader.fieldnames or ()

    def _replace(self, rows: Sequence[Mapping[str, str]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        with new_file(self.path, force=True) as file:
            file.write(text.getvalue().encode())

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *_: object) -> None:
        if self.events:
            self.events.close()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Don't count the time of what is done in the block."""
        began = time.monotonic()
        yield
        self.since += time.monotonic() - began

    def add(self, values: Mapping[str, float]) -> None:
        """Take in what a step reported."""
        for name, value in values.items():
            self.sums.setdefault(name, []).append(value)

    def amend(self, shown: int, values: Mapping[str, float]) -> None:
        """Add values to the row that was written last."""
        rows, _ = self._rows()
        self._replace([*rows[:-1], rows[-1] | {name: f"{value:.5g}" for name, value in values.items()}])
        self._tell(shown, values)

    def _tell(self, shown: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            if self.events:
                self.events.add_scalar(name, value, shown)

    def write(self, trainer: Trainer) -> None:
        """Add a row."""
        now = time.monotonic()
        row = {name: sum(values) / len(values) for name, values in self.sums.items()}
        row["lod"] = trainer.lod
        row["seconds_per_kimg"] = (now - self.since) / (trainer.shown - self.shown) * 1000
        self.sums, self.since, self.shown = {}, now, trainer.shown
        text = {name: f"{value:.5g}" for name, value in row.items()} | {"kimg": f"{trainer.shown / 1000:.3f}"}
        try:
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, self.columns, extrasaction="ignore", lineterminator="\n").writerow(text)
        except OSError as error:
            raise StyleGANError(f"cannot write {self.path}: {error.strerror}") from error
        self._tell(trainer.shown, row)


def _kimg(row: Mapping[str, str]) -> float:
    """Return the count of a row of the log; infinity if the row is not whole."""
    try:
        return float(row["kimg"]) if row["seconds_per_kimg"] else math.inf
    except (TypeError, ValueError):
        return math.inf


def _tensorboard(folder: Path, shown: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise StyleGANError("--tensorboard needs one more package: pip install tensorboard") from error
    return SummaryWriter(str(folder / "tensorboard"), purge_step=shown)
