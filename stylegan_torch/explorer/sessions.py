"""What the explorer knows, without its page: the networks, and what each visitor has before them."""

from __future__ import annotations

import itertools
import secrets
import shlex
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from stylegan_torch import __version__
from stylegan_torch.drawing.images import save_png, to_pil
from stylegan_torch.editing import latents as travelling
from stylegan_torch.editing.composition import Composition, Move
from stylegan_torch.editing.latents import Latents
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.kept import size_of, trim
from stylegan_torch.explorer.renderer import OvertakenError, Renderer
from stylegan_torch.explorer.studio import NetworkChoice

KEPT = 24
"""Pictures in a visitor's history."""
VISITOR_BYTES = 300_000_000
"""Of a visitor's files; the oldest pictures of the history are forgotten when there is more."""
ALL_BYTES = 3_000_000_000
"""Of all visitors' files; those who did nothing for longest are forgotten when there is more."""
UPLOADS_BYTES, UPLOADS_SECONDS = 500_000_000, 3600.0
"""How much of what was uploaded is kept as it came, and for how long."""
VISITORS = 100
"""When more come, those who did nothing for longest are forgotten."""
MOST_LATENTS = 1000
"""In a file that a visitor brings."""
AS_FOUND = "as found"
"""Moves the layers that directions are for."""
_THUMBNAIL = (128, 128)
_DRAFTS = 8
"""Pictures that a visitor was shown while they changed something; the browser may still ask for the last ones."""
_BASES = 4
"""Files of latents that were brought last, kept even if no picture begins with them."""
_FOLDERS = "visitors"


Moves = dict[str, tuple[str, list[float]]]
"""By the kind of directions, the layers and strengths that are set."""


def moves_of(moves: Moves) -> tuple[Move, ...]:
    """Return moves as a composition takes them."""
    return tuple(
        Move(kind, index, strength, "" if layers == AS_FOUND else layers)
        for kind, (layers, strengths) in moves.items()
        for index, strength in enumerate(strengths)
        if strength
    )


def as_set(moves: tuple[Move, ...], count: int) -> Moves:
    """Return the moves of a composition as they were set, on the first `count` directions of each kind."""
    result: Moves = {}
    for move in moves:
        _, strengths = result.setdefault(move.directions, (move.layers or AS_FOUND, [0.0] * count))
        strengths[move.index] = move.strength
    return result


@dataclass(frozen=True)
class Request:
    """The picture that a visitor wants; each is its own, also if two are alike."""

    network: str
    picture: Composition


@dataclass(frozen=True)
class Base:
    """A file of latents that a visitor brought or had found: its name on a command line, and what makes it."""

    network: str
    name: str
    rows: int
    story: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """A finished picture, as files."""

    request: Request
    png: Path
    npz: Path
    thumbnail: Path
    commands: str


@dataclass
class Session:
    """What one visitor has before them.

    network, kind: the network and the kind of directions that the page shows.
    turn: what the visitor did last; see `begin`.
    request: what is drawn, or was; None while it is not known, or something else is shown.
    last: the request before, when it is None.
    complaint: what is wrong with the page's fields.
    shown: the request whose finished picture the page was sent last, and that.
    moves: by the kind of directions, the layers and strengths that are set.
    bases: files of latents in `folder`; base: the one in use.
    projects: whether a photograph is being projected, until it is done or no longer wanted.
    bytes: of the files in `folder`, when they were last counted.
    """

    folder: Path
    network: str
    kind: str = "pca"
    turn: object = None
    request: Request | None = None
    last: Request | None = None
    complaint: str = ""
    shown: tuple[Request, Result] | None = None
    moves: Moves = field(default_factory=dict)
    bases: dict[Path, Base] = field(default_factory=dict)
    base: Path | None = None
    history: list[Result] = field(default_factory=list)
    projects: bool = False
    left: bool = False
    bytes: int = 0
    finishing: threading.Lock = field(default_factory=threading.Lock)
    _changing: threading.Lock = field(default_factory=threading.Lock)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _names: Counter[str] = field(default_factory=Counter)
    _drafts: list[Path] = field(default_factory=list)
    _targets: list[Path] = field(default_factory=list)

    def begin(self) -> object:
        """Take in something that the visitor does; what was being drawn is given up. Returns its turn."""
        with self._changing:
            self.turn, self.request = object(), None
            return self.turn

    def ask(self, turn: object, request: Request | None) -> bool:
        """Ask for a picture, or None for the one before; returns False if the visitor did more since that turn."""
        with self._changing:
            if self.turn is not turn:
                return False
            self.request = self.last = request or self.last
            return True

    def new_file(self, name: str) -> Path:
        """Return where to write a file of this name."""
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        return folder / name

    def draft(self, picture: Image.Image) -> Path:
        """Write a picture that is shown for a moment; those before the last few go.

        Raises:
            StyleGANError: if it cannot be written.
        """
        return self._show(picture, f"draft-{next(self._numbers)}.jpg", self._drafts, _DRAFTS)

    def target(self, picture: Image.Image) -> Path:
        """Write what a projection aims at; the one before goes.

        Raises:
            StyleGANError: if it cannot be written.
        """
        return self._show(picture, f"target-{next(self._numbers)}.png", self._targets, 1)

    def _show(self, picture: Image.Image, name: str, shown: list[Path], most: int) -> Path:
        path = self.folder / name
        try:
            picture.save(path)
        except OSError as error:
            raise StyleGANError(f"cannot write {name}: {error.strerror or error}") from error
        with self._changing:
            shown.append(path)
            old, shown[:] = shown[:-most], shown[-most:]
        for each in old:
            each.unlink(missing_ok=True)
        return path

    def new_name(self, name: str) -> str:
        """Return a name for a picture, with a number if there was one of that name."""
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}-{self._names[name]}"

    def keep(self, result: Result) -> None:
        """Put a picture at the end of the history, whose oldest ones are forgotten."""
        self.history.append(result)
        while len(self.history) > KEPT:
            self._forget_oldest()

    def tidy(self) -> None:
        """Forget latents that no picture begins with, and the oldest pictures while there are too many bytes."""
        self._forget_bases()
        self.bytes = size_of(self.folder)
        while self.bytes > VISITOR_BYTES and len(self.history) > 1:
            self._forget_oldest()
            self._forget_bases()
            self.bytes = size_of(self.folder)

    def _forget_oldest(self) -> None:
        shutil.rmtree(self.history.pop(0).png.parent, ignore_errors=True)

    def _forget_bases(self) -> None:
        wanted = [*(each.request for each in self.history), self.request, self.last]
        used = {self.base, *(each.picture.base for each in wanted if each)}
        for path in list(self.bases)[:-_BASES]:
            if path not in used:
                del self.bases[path]
                shutil.rmtree(path.parent, ignore_errors=True)


class Sessions:
    """The networks that visitors may choose, opened when first used, and the visitors' sessions."""

    def __init__(
        self, networks: Mapping[str, NetworkChoice], directions: tuple[str, ...] = (), visitors: int = VISITORS
    ) -> None:
        """Take networks by the name that visitors see, files of directions, and how many visitors are remembered."""
        self.networks = networks
        self.directions = ("pca", "sefa", *directions)
        self._visitors = visitors
        self._renderers: dict[str, tuple[Renderer, Mapping[str, object]]] = {}
        self._opening = {name: threading.Lock() for name in networks}
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="stylegan-explore-")
        self._visits = self.folder / _FOLDERS
        self._visits.mkdir()

    @property
    def folder(self) -> Path:
        """Return where all files are, until `close`: uploads as they come, and a folder with those of visitors."""
        return Path(self._folder.name)

    def uploaded(self, path: object) -> Path:
        """Return an upload by its path, which whoever asks may have made up.

        Raises:
            StyleGANError: if it is none.
        """
        folder, upload = self.folder.resolve(), Path(path if isinstance(path, str) else "").resolve()
        if not upload.is_relative_to(folder) or upload.is_relative_to(folder / _FOLDERS) or not upload.is_file():
            raise StyleGANError("this is no upload")
        return upload

    def trim_uploads(self) -> None:
        """Let old uploads go, and the oldest while they have too many bytes."""
        trim(self._uploads(), UPLOADS_BYTES, UPLOADS_SECONDS)

    def _uploads(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path != self._visits]

    def _make_room(self, session: Session) -> None:
        """Forget those who did nothing for longest while all have too much, but not this one."""
        session.tidy()
        with self._lock:
            before, total = list(self._sessions.items()), sum(each.bytes for each in self._sessions.values())
        for visitor, each in before:
            if total <= ALL_BYTES:
                return
            if each is not session and each.bytes:
                total -= each.bytes
                self.leave(visitor)

    def close(self) -> None:
        """Remove all files."""
        self._folder.cleanup()

    def renderer(self, name: str) -> Renderer:
        """Return the renderer of a network.

        Raises:
            StyleGANError: if it cannot be opened, or has no W.
        """
        return self._opened(name)[0]

    def _opened(self, name: str) -> tuple[Renderer, Mapping[str, object]]:
        with self._opening[name]:
            if name not in self._renderers:
                G, drawer, origin = self.networks[name].open()
                self._renderers[name] = Renderer(G, drawer), origin
            return self._renderers[name]

    def of(self, visitor: str) -> Session:
        """Return what a visitor has before them, new ones nothing yet."""
        with self._lock:
            session = self._sessions.pop(visitor, None)
            if session is None:
                folder = self._visits / secrets.token_hex(16)  # that nobody guesses
                folder.mkdir()
                session = Session(folder, next(iter(self.networks)))
            self._sessions[visitor] = session  # now the last one
            idle = next(iter(self._sessions)) if len(self._sessions) > self._visitors else None
        if idle is not None:
            self.leave(idle)
        return session

    def leave(self, visitor: str) -> None:
        """Forget a visitor and their files."""
        with self._lock:
            session = self._sessions.pop(visitor, None)
        if session:
            session.left, session.projects = True, False
            session.begin()
            shutil.rmtree(session.folder, ignore_errors=True)
            trim(self._uploads(), UPLOADS_BYTES if self._sessions else 0, UPLOADS_SECONDS)

    def finish(self, session: Session, request: Request) -> Result:
        """Draw a request whole, write its files, and put it into the history, unless it is there already.

        Raises:
            OvertakenError: if the visitor wants something else by now.
            StyleGANError: if it cannot be drawn, or its files not be written.
        """
        with session.finishing:
            earlier = next((each for each in session.history if each.request == request), None)
            return earlier or self._finish(session, request)

    def _finish(self, session: Session, request: Request) -> Result:
        renderer, origin = self._opened(request.network)
        latents = renderer.compose(request.picture)
        picture = to_pil(renderer.draw(latents, lambda: session.request is not request))
        name = session.new_name(_stem(session, request.picture))
        commands = self.commands(session, request, name)
        try:
            png = session.new_file(f"{name}.png")
            save_png(png, picture, {"network": dict(origin), "commands": commands, "version": __version__})
            npz, thumbnail = png.with_suffix(".npz"), png.with_name(f"thumbnail-{png.parent.name}.png")
            travelling.save(npz, latents)
            picture.thumbnail(_THUMBNAIL, Image.Resampling.LANCZOS)
            picture.save(thumbnail)
        except (OSError, StyleGANError) as error:
            if session.left:  # and the folder with them
                raise OvertakenError from error
            if isinstance(error, OSError):
                raise StyleGANError(f"cannot write {name}: {error.strerror or error}") from error
            raise
        result = Result(request, png, npz, thumbnail, commands)
        session.keep(result)
        self._make_room(session)
        return result

    def commands(self, session: Session, request: Request, name: str) -> str:
        """Return the command lines that draw a request again, to files of a name."""
        picture, lines = request.picture, list[str]()
        if isinstance(picture.base, Path):
            base = session.bases[picture.base]
            picture, lines = replace(picture, base=Path(base.name)), [*base.story]
        written = ["--out", f"{name}.png", "--save-latents", f"{name}.npz"]
        network = self.networks[request.network]
        lines.append(
            shlex.join(["stylegan", "draw", *network.options, *network.drawing, *picture.arguments(), *written])
        )
        return "\n".join(lines)

    def bring(self, session: Session, network: str, path: Path) -> Base:
        """Take up a file of latents for compositions to begin with.

        Raises:
            LatentsError: if it holds none for this network.
        """
        latents = travelling.load(path, self.renderer(network).G, MOST_LATENTS)
        return self._begin_with(session, latents, Base(network, _as_argument(path.name), len(latents)))

    def take_projection(
        self, session: Session, network: str, latents: Latents, *, photo: str, options: Sequence[str]
    ) -> Base:
        """Take up the latents of a photograph for compositions to begin with; options of `stylegan project`."""
        words = ["stylegan", "project", _as_argument(photo), *self.networks[network].options, *options]
        story = (shlex.join([*words, "--outdir", "out"]),)
        return self._begin_with(session, latents, Base(network, f"out/{Path(photo).stem}.npz", len(latents), story))

    def _begin_with(self, session: Session, latents: Latents, base: Base) -> Base:
        session.base = session.new_file("base.npz")
        travelling.save(session.base, latents)
        session.bases[session.base] = base
        self._make_room(session)
        return base


def _as_argument(name: str) -> str:
    return f"./{name}" if name.startswith("-") else name


def _stem(session: Session, picture: Composition) -> str:
    if isinstance(picture.base, int):
        return f"seed{picture.base:04d}"
    stem = Path(session.bases[picture.base].name).stem
    return f"{stem}-drawn" if picture.row is None else f"{stem}-{picture.row}"
