"""Photographs of visitors, made into latents: one at a time, as it takes all cores, while the others wait."""

from __future__ import annotations

import functools
import shlex
import shutil
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from stylegan_torch.editing import latents as travelling
from stylegan_torch.editing.latents import Latents
from stylegan_torch.editing.projection import Projection, ProjectionSettings
from stylegan_torch.editing.targets import Target, psnr, read_target
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.fields import FieldError, choice, whole
from stylegan_torch.explorer.jobs import SECONDS, SHOWN, Line, Tell, framed
from stylegan_torch.explorer.shelf import digest_of
from stylegan_torch.explorer.states import Base, read_class
from stylegan_torch.explorer.studio import Studio, file_name
from stylegan_torch.pictures.alignment import Alignment
from stylegan_torch.pictures.faces import FaceFinder, can_find

MOST_STEPS = 2000
SPACES: list[Literal["w", "w+"]] = ["w+", "w"]
FITS: list[Literal["crop", "pad", "align"]] = ["crop", "pad", "align"] if can_find() else ["crop", "pad"]
_finder = functools.cache(FaceFinder)


@dataclass(frozen=True)
class Job:
    """A photograph to project; its name is the visitor's, and `stopped` says that nobody waits for it any more."""

    network: str
    name: str
    target: Target
    settings: ProjectionSettings
    fit: str
    label: int | None
    stopped: threading.Event


class Projector:
    """Projects photographs with the networks of a studio."""

    def __init__(self, studio: Studio, line: Line | None = None) -> None:
        """Take networks, and the line in which projections wait, by default one of their own."""
        self._studio, self._line = studio, line or Line()

    def read(self, content: bytes, asked: Mapping[str, str]) -> Job:
        """Return what to do with a photograph.

        Args:
            content: of its file.
            asked: "name" of the file, and "network", "space", "fit", "steps" and "class" if they are not the usual.

        Raises:
            StyleGANError: if it is none, something else is asked for than can be, or too many wait already.
        """
        self._line.check()
        network = self._studio.network_name(asked.get("network"))
        G = self._studio.renderer(network).G
        space, fit = choice("Space", asked.get("space", "w+"), SPACES), choice("Fit", asked.get("fit", "crop"), FITS)
        steps = whole("Steps", _number("Steps", asked.get("steps", "300")), low=1, high=MOST_STEPS)
        label = read_class(_number("Class", asked["class"]) if "class" in asked else None, G)
        folder = self._studio.shelf.new_folder()
        try:
            path = folder / "the photograph"
            path.write_bytes(content)
            alignment = Alignment(_finder(), "largest") if fit == "align" else None
            target = read_target(path, G, "pad" if fit == "pad" else "crop", alignment=alignment)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        name = file_name(asked.get("name", ""), "photograph.png")
        settings = ProjectionSettings(space=space, steps=steps)
        return Job(network, name, target, settings, fit, label, threading.Event())

    def frames(self, job: Job) -> AsyncGenerator[bytes, None]:
        """Give the frames of a projection until its latents are found, each after its length in four bytes.

        The first shows what is aimed at; the last is {"kind": "found", "latents": …} or {"kind": "error", …}.
        """
        aim = framed("target", {"line": job.target.story}, job.target.picture)
        return self._line.frames(partial(self._work, job), job.stopped, [aim])

    def _work(self, job: Job, tell: Tell) -> bytes | None:
        latents = self._found(job, tell)
        return None if latents is None else framed("found", self._take(job, latents))

    def _found(self, job: Job, tell: Tell) -> Latents | None:
        """Project, showing how far it is; returns None if it was stopped."""
        renderer = self._studio.renderer(job.network)
        projection = Projection(renderer.G, job.target.image(), job.settings, class_index=job.label)
        for taken in _in_time(projection):
            if job.stopped.is_set():
                return None
            line, share = f"Step {taken} of {job.settings.steps}", taken / job.settings.steps
            tell(framed("progress", {"line": line, "share": share}, renderer.glimpse(projection.latents())))
        return projection.latents()

    def _take(self, job: Job, latents: Latents) -> dict[str, object]:
        """Keep latents for pictures to begin with."""
        path = self._studio.shelf.new_folder() / "base.npz"
        travelling.save(path, latents)
        name = f"out/{Path(job.name).stem}.npz"
        base = Base(path, job.network, name, len(latents), digest_of(path), (self._command(job),))
        likeness = psnr(self._studio.renderer(job.network).draw(latents), job.target.picture)
        line = f"{job.target.story}; projected at a PSNR of {likeness:.1f} dB"
        return {"latents": self._studio.shelf.put(base), "name": name, "rows": base.rows, "line": line}

    def _command(self, job: Job) -> str:
        """Return the command line that projects it again."""
        words = ["stylegan", "project", f"./{job.name}" if job.name.startswith("-") else job.name]
        words += [*self._studio.networks[job.network].options, "--space", job.settings.space]
        words += ["--align", "--face", "largest"] if job.fit == "align" else ["--fit", job.fit]
        words += ["--steps", str(job.settings.steps)]
        words += [] if job.label is None else ["--class", str(job.label)]
        return shlex.join([*words, "--outdir", "out"])


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise FieldError(name, text, "a whole number")
    return int(text)


def _in_time(projection: Projection) -> Iterator[int]:
    """Make the steps of a projection; yields how many there were, every now and then and at the end.

    Raises:
        StyleGANError: if it takes too long.
    """
    start = shown = time.monotonic()
    while not projection.done:
        projection.step()
        now = time.monotonic()
        if now - start > SECONDS:
            raise StyleGANError(
                f"this takes over {SECONDS / 60:.0f} minutes: choose fewer steps, or `stylegan project`"
            )
        if projection.done or now - shown >= SHOWN:
            yield projection.taken
            shown = now
