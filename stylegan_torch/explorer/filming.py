"""Films of visitors, that loop through key frames: a moment of one, and the whole as a file.

    {"keys": [{"state": STATE, "seconds": 2}, …], "easing": "linear"}

`seconds` go from a key frame to the next, and from the last to the first. The way goes through W as that of `stylegan
film` through files of latents does.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec

from stylegan_torch import __version__
from stylegan_torch.drawing.images import Picture
from stylegan_torch.editing.films.encoding import SUFFIXES, encoding_for, write_film
from stylegan_torch.editing.films.keys import EASINGS
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.fields import FieldError, choice, number, whole
from stylegan_torch.explorer.jobs import SECONDS, SHOWN, Line, Tell, framed
from stylegan_torch.explorer.renderer import Renderer, Way
from stylegan_torch.explorer.states import Request
from stylegan_torch.explorer.studio import File, Studio

FORMATS = SUFFIXES if find_spec("av") else (".gif",)
"""What can be written here."""
MOST_KEYS = 64
MOST_FRAMES = 3000
MOST_PIXELS = 100_000_000
"""Of all frames of a GIF, which are in memory together."""
LEAST_SECONDS, MOST_SECONDS = 0.1, 600.0
"""From a key frame to the next."""
FRAMES = (1, 60)
"""A second."""


@dataclass(frozen=True)
class Film:
    """A film that a visitor wants: the pictures that it goes through, and its way.

    seconds: once around.
    """

    keys: tuple[Request, ...]
    way: Way
    seconds: float

    @property
    def starts(self) -> list[float]:
        """Return when it is at each key frame, in seconds."""
        return [start * self.seconds for start in self.way.starts]


@dataclass(frozen=True)
class Job:
    """A film to make into a file; `stopped` says that nobody waits for it any more."""

    film: Film
    suffix: str
    fps: int
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def frames(self) -> int:
        """Return how many it has."""
        return max(1, round(self.film.seconds * self.fps))


def read_film(studio: Studio, value: object) -> Film:
    """Return the film that a page asks for.

    Raises:
        StyleGANError: if a field holds what it cannot hold.
    """
    if not isinstance(value, dict) or not {"keys"} <= set(value) <= {"keys", "easing"}:
        raise FieldError("Film", value, "an object of keys and easing")
    given = value["keys"]
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_KEYS:
        raise FieldError("Key frames", given, f"a list of 1 to {MOST_KEYS}")
    easing = choice("Easing", value.get("easing", EASINGS[0]), EASINGS)
    lengths = [_seconds(f"Key frame {i}", each) for i, each in enumerate(given, start=1)]
    keys = tuple(studio.read(each["state"]) for each in given)
    if len({(key.network, key.blend) for key in keys}) > 1:
        raise FieldError("Key frames", [key.network for key in keys], "all of one network")
    if any(replace(key.picture, bends=(), translate=None, rotate=None) != key.picture for key in keys):
        raise StyleGANError("Key frames: what is bent, or moved as a whole, is not filmed: put that back first")
    starts = [round(sum(lengths[:i]), 3) for i in range(len(lengths) + 1)]
    total = starts.pop()
    way = Way(tuple(key.picture for key in keys), tuple(start / total for start in starts), easing)
    return Film(keys, way, total)


def _seconds(name: str, key: object) -> float:
    if not isinstance(key, dict) or set(key) != {"state", "seconds"}:
        raise FieldError(name, key, "an object of state and seconds")
    return round(number(f"{name} seconds", key["seconds"], low=LEAST_SECONDS, high=MOST_SECONDS), 3)


def commands(studio: Studio, job: Job, out: str) -> str:
    """Return the command lines that make a film again."""
    film = job.film
    lines = dict.fromkeys(line for key in film.keys for line in studio.commands(key).splitlines())
    words = ["stylegan", "film", *studio.options(film.keys[0])]
    for start, key in zip(film.starts, film.keys, strict=True):
        words += ["--key", f"{start:.10g},{studio.stem(key)}.npz"]
    words += ["--seconds", f"{film.seconds:.10g}", "--fps", str(job.fps)]
    words += [] if film.way.easing == EASINGS[0] else ["--easing", film.way.easing]
    return "\n".join([*lines, shlex.join([*words, "--out", out])])


class Filmer:
    """Makes films of a studio into files."""

    def __init__(self, studio: Studio, line: Line | None = None) -> None:
        """Take networks, and the line in which films wait, by default one of their own."""
        self._studio, self._line = studio, line or Line()

    def read(self, asked: object) -> Job:
        """Return what to make: {"film": FILM, "format": ".mp4", "fps": 30}.

        Raises:
            StyleGANError: if it cannot be made here, or too many wait already.
        """
        self._line.check()
        if not isinstance(asked, dict) or set(asked) != {"film", "format", "fps"}:
            raise FieldError("film", asked, "an object of film, format and fps")
        suffix = choice("Format", asked["format"], FORMATS)
        fps = whole("Frames a second", asked["fps"], low=FRAMES[0], high=FRAMES[1])
        try:
            encoding_for(self._studio.shelf.folder / f"film{suffix}", fps)
        except ValueError as error:
            raise FieldError("Frames a second", fps, "what a GIF can have: 50 at most") from error
        job = Job(read_film(self._studio, asked["film"]), suffix, fps)
        keys = len(job.film.keys)
        if keys > job.frames:
            raise StyleGANError(f"Film: {keys} pictures to go through are more than {job.frames} frames can show")
        G = self._renderer(job).G
        most = MOST_PIXELS // G.img_resolution**2 if suffix == ".gif" else MOST_FRAMES
        if job.frames > min(most, MOST_FRAMES):
            raise StyleGANError(
                f"Film: {job.frames:,} frames are too many, {min(most, MOST_FRAMES):,} at most here: choose fewer "
                "seconds or frames a second, or take the command lines of a short one"
            )
        return job

    def frames(self, job: Job) -> AsyncGenerator[bytes, None]:
        """Give the frames of a job until its film is there, each after its length in four bytes.

        The last is {"kind": "film", "name": NAME, "commands": LINES} with the file, or {"kind": "error", …}.
        """
        return self._line.frames(partial(self._work, job), job.stopped)

    def _work(self, job: Job, tell: Tell) -> bytes | None:
        file = self.file(job, tell)
        if file is None:
            return None
        about = {"name": file.name, "commands": commands(self._studio, job, file.name)}
        return framed("film", about, file.content)

    def file(self, job: Job, tell: Tell = lambda message: None) -> File | None:
        """Return a film, telling how far it is; None if it was stopped.

        Raises:
            StyleGANError: if it cannot be made.
        """
        digest = hashlib.sha256(commands(self._studio, job, job.suffix).encode()).hexdigest()[:6]
        name = f"film-{digest}{job.suffix}"
        folder = self._studio.shelf.new_folder()
        try:
            path = folder / name
            about = {"commands": commands(self._studio, job, name), "version": __version__}
            pictures = self._renderer(job).film(job.film.way, job.frames)
            write_film(path, _told(pictures, job, tell), encoding_for(path, job.fps), about=about)
            return File(name, path.read_bytes())
        except _StoppedError:
            return None
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _renderer(self, job: Job) -> Renderer:
        return self._studio.renderer_of(job.film.keys[0])


class _StoppedError(Exception):
    """Nobody waits for it any more."""


def _told(pictures: Iterator[Picture], job: Job, tell: Tell) -> Iterator[Picture]:
    """Yield pictures, and tell every now and then how many there were.

    Raises:
        _StoppedError: if nobody listens.
        StyleGANError: if it takes too long.
    """
    start = shown = time.monotonic()
    for count, picture in enumerate(pictures, start=1):
        if job.stopped.is_set():
            raise _StoppedError
        now = time.monotonic()
        if now - start > SECONDS:
            raise StyleGANError(f"this takes over {SECONDS / 60:.0f} minutes: choose fewer frames, or `stylegan film`")
        if now - shown >= SHOWN or count == job.frames:
            about: Mapping[str, object] = {"line": f"Frame {count} of {job.frames}", "share": count / job.frames}
            tell(framed("progress", about, picture))
            shown = now
        yield picture
