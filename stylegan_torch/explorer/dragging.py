"""Dragging in the page: one visitor's drag at a time. It can be ended where it is, and gone on with from there."""

from __future__ import annotations

import base64
import copy
import hashlib
import secrets
import shlex
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from stylegan_torch.editing import latents as travelling
from stylegan_torch.editing.composition import Composition
from stylegan_torch.editing.drag import Drag, DragSettings, Moment, mask_from
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.fields import FieldError, items, number, whole
from stylegan_torch.explorer.jobs import SECONDS, Line, Tell, framed
from stylegan_torch.explorer.shelf import digest_of
from stylegan_torch.explorer.states import Base, Request
from stylegan_torch.explorer.studio import Studio
from stylegan_torch.pictures.decode import DataError

MOST_STEPS = 2000
MOST_POINTS = 20
_FIELDS: Mapping[str, object] = {
    "state": {},
    "points": [],
    "mask": None,
    "steps": 300,
    "learning_rate": DragSettings.learning_rate,
}
_KEPT = 4
"""Drags that can be gone on with."""
_SHOWN = 0.04
"""Seconds between the pictures of a drag."""
_LAST = 1e5
"""No picture has so many pixels."""
_HEX = 6

_Pair = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Job:
    """What to drag.

    moves: points and their targets. mask: a picture file of what may move. steps: at most so many more.
    rate: the learning rate.
    ended: set to end it where it is. stopped: set when nobody waits for it any more.
    """

    request: Request
    moves: tuple[_Pair, ...]
    mask: bytes | None
    steps: int
    rate: float
    ended: threading.Event
    stopped: threading.Event


@dataclass(frozen=True)
class Kept:
    """A drag of a request, to go on with.

    before: the command lines before its own, whose words these are, without the steps.
    """

    drag: Drag
    request: Request
    mask: bytes | None
    rate: float
    before: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def moves(self) -> tuple[_Pair, ...]:
        """Where the points are, and their targets."""
        return tuple(zip(_pairs(self.drag.now.points), _pairs(self.drag.targets), strict=True))

    def command(self) -> str:
        """Return the command line that makes it again, as far as it is."""
        return shlex.join([*self.words, "--steps", str(self.drag.now.taken)])


class Dragger:
    """Drags pictures of a studio's networks."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._line = Line()
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._running: dict[str, Job] = {}

    def read(self, asked: object) -> Job:
        """Return what to do.

        Args:
            asked: {"state": of the page, "points": [[x, y, to x, to y], …], "mask": a picture file in base64 or null,
                "steps": how many at most, "learning_rate": of a step}.

        Raises:
            StyleGANError: if something else is asked for than can be, or too many wait already.
        """
        self._line.check()
        if not isinstance(asked, dict) or not set(asked) <= set(_FIELDS):
            raise FieldError("drag", asked, f"an object of {', '.join(_FIELDS)}")
        fields = {**_FIELDS, **asked}
        moves = tuple(_move(each) for each in items("Points", fields["points"], MOST_POINTS))
        if not moves:
            raise FieldError("Points", None, "at least one, and where it shall be")
        mask = None if fields["mask"] is None else _read_mask(fields["mask"])
        steps = whole("Steps", fields["steps"], low=1, high=MOST_STEPS)
        rate = number("Pull", fields["learning_rate"], low=1e-5, high=1)
        request = self._studio.read(fields["state"])
        picture = request.picture
        if picture.bends or picture.translate is not None or picture.rotate is not None:
            raise StyleGANError("Points: what is bent, or moved as a whole, is not dragged: put that back first")
        return Job(request, moves, mask, steps, rate, threading.Event(), threading.Event())

    async def frames(self, job: Job) -> AsyncGenerator[bytes, None]:
        """Give the frames of a drag, each after its length in four bytes.

        The first is {"kind": "begun", "job": its name for `end`}; then come {"kind": "progress", "points": where they
        are, …} with pictures; the last is {"kind": "found", "latents": …} or {"kind": "error", …}.
        """
        name = secrets.token_hex(16)
        self._running[name] = job
        try:
            begun = framed("begun", {"job": name})
            async for message in self._line.frames(partial(self._work, job), job.stopped, [begun]):
                yield message
        finally:
            job.stopped.set()
            del self._running[name]

    def end(self, name: object) -> None:
        """End a drag where it is, if it is under way."""
        job = self._running.get(name) if isinstance(name, str) else None
        if job:
            job.ended.set()

    def _work(self, job: Job, tell: Tell) -> bytes | None:
        renderer, kept = self._studio.renderer_of(job.request), self._begun(job)
        drag = kept.drag
        if drag.arrived:
            raise StyleGANError("Points: they are where they shall be")
        for moment in _in_time(drag, job):
            tell(framed("progress", _about(moment), renderer.glimpse(drag.latents())))
        if job.stopped.is_set():
            return None
        return framed("found", {**_about(drag.now), **self._take(job, kept)})

    def _begun(self, job: Job) -> Kept:
        """Return a drag to go on with, or a new one."""
        base = job.request.picture.base
        kept = None if isinstance(base, int) else self._kept.get(base.parent.name)
        if kept and _same(kept, job):
            return replace(kept, drag=copy.copy(kept.drag))
        renderer = self._studio.renderer_of(job.request)
        points, targets = ([move[end] for move in job.moves] for end in (0, 1))
        mask = None if job.mask is None else mask_from(job.mask)
        settings = DragSettings(steps=MOST_STEPS, learning_rate=job.rate)
        latents = renderer.compose(job.request.picture)
        drag = Drag(renderer.G, latents, points, targets=targets, mask=mask, settings=settings)
        return Kept(drag, job.request, job.mask, job.rate, *self._commands(job))

    def _take(self, job: Job, kept: Kept) -> dict[str, object]:
        """Keep latents for pictures to begin with, and the drag to go on with."""
        path = self._studio.shelf.new_folder() / "base.npz"
        travelling.save(path, kept.drag.latents())
        digest = digest_of(path)
        stem = f"drag-{digest[:_HEX]}"
        written = shlex.join(["--out", f"{stem}.png", "--save-latents", f"{stem}.npz"])
        story = (*kept.before, f"{kept.command()} {written}")
        base = Base(path, job.request.network, f"{stem}.npz", 1, digest, story)
        key = self._studio.shelf.put(base)
        self._kept[key] = replace(kept, drag=copy.copy(kept.drag))
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return {"latents": key, "name": base.name, "rows": 1, "mask": job.mask and _mask_name(job.mask)}

    def _commands(self, job: Job) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the command lines before that of a drag, and its own words: what is mixed or moved is drawn before."""
        studio, picture = self._studio, job.request.picture
        before: tuple[str, ...] = ()
        if job.request.blend or picture != _alone(picture):
            before, base = (
                tuple(studio.commands(job.request).splitlines()),
                ["--latents", f"{studio.stem(job.request)}.npz"],
            )
        elif isinstance(picture.base, int):
            base = ["--seed", str(picture.base), *picture.options()]
        else:
            brought = studio.shelf.of(picture.base)
            before, base = (
                brought.story,
                ["--latents", brought.name, *Composition(picture.base, row=picture.row).options()],
            )
        words = ["stylegan", "drag", *studio.options(job.request), *base]
        for (x, y), (to_x, to_y) in job.moves:
            words += ["--points", f"{x:g},{y:g}:{to_x:g},{to_y:g}"]
        words += ["--mask", _mask_name(job.mask)] if job.mask else []
        words += [] if job.rate == DragSettings.learning_rate else ["--learning-rate", str(job.rate)]
        return before, tuple(words)


def _alone(picture: Composition) -> Composition:
    """Return a picture without what `stylegan drag` cannot be told."""
    return replace(picture, mixes=(), moves=(), noise="official", noise_seed=0)


def _same(kept: Kept, job: Job) -> bool:
    """Return whether a job goes on with what was kept."""
    same_picture = job.request == replace(kept.request, picture=_alone(job.request.picture))
    return same_picture and (kept.moves, kept.mask, kept.rate) == (job.moves, job.mask, job.rate)


def _in_time(drag: Drag, job: Job) -> Iterator[Moment]:
    """Make one or more steps until the job, or its time, is at an end; yields every now and then where it is."""
    start = shown = time.monotonic()
    first = drag.now.taken
    while True:
        moment, now = drag.step(), time.monotonic()
        if now - shown >= _SHOWN:
            yield moment
            shown = now
        over = drag.arrived or moment.taken - first >= job.steps or now - start > SECONDS
        if over or job.ended.is_set() or job.stopped.is_set():
            return


def _about(moment: Moment) -> dict[str, object]:
    line = f"Step {moment.taken}: {moment.distance:.1f} pixels left"
    return {"points": _pairs(moment.points), "distance": moment.distance, "taken": moment.taken, "line": line}


def _pairs(points: Tensor) -> list[tuple[float, float]]:
    """Return points [K, 2], as a command line has them."""
    return [(round(x, 1), round(y, 1)) for x, y in points.tolist()]


def _move(value: object) -> _Pair:
    x, y, to_x, to_y = (round(number("Points", each, low=0, high=_LAST), 1) for each in _four(value))
    return (x, y), (to_x, to_y)


def _four(value: object) -> list[object]:
    if not isinstance(value, list) or len(value) != 4:
        raise FieldError("Points", value, "x and y of a point, and of where it shall be")
    return value


def _read_mask(value: object) -> bytes:
    """Return the content of a picture file.

    Raises:
        StyleGANError: if it is none.
    """
    if not isinstance(value, str):
        raise FieldError("Mask", value, "a picture file in base64")
    try:
        content = base64.b64decode(value, validate=True)
    except ValueError as error:
        raise FieldError("Mask", value, "a picture file in base64") from error
    try:
        mask_from(content)
    except DataError as error:
        raise StyleGANError(f"Mask: it {error}") from error
    return content


def _mask_name(mask: bytes) -> str:
    return f"mask-{hashlib.sha256(mask).hexdigest()[:_HEX]}.png"
