"""What the explorer knows, without its page: the networks, and what each visitor has before them."""

from __future__ import annotations

import itertools
import shlex
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from stylegan_torch import __version__
from stylegan_torch.editing import latents as travelling
from stylegan_torch.editing.composition import Composition, Move
from stylegan_torch.editing.latents import Latents
from stylegan_torch.explorer.canvas import Canvas
from stylegan_torch.images import save_png, to_pil

KEPT = 24
"""Pictures in a visitor's history."""
_THUMBNAIL = (128, 128)


@dataclass(frozen=True)
class Source:
    """A network that visitors may choose: how to open it, and the options that name it on a command line."""

    open: Callable[[], tuple[Any, Any, Mapping[str, Any]]]
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wish:
    """The picture that a visitor wants; each is its own, also if two are alike."""

    network: str
    picture: Composition


@dataclass(frozen=True)
class Base:
    """A file of latents that a visitor brought or had found: its name on a command line, and what makes it."""

    name: str
    rows: int
    story: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """A finished picture, as files."""

    wish: Wish
    png: Path
    npz: Path
    thumbnail: Path
    commands: str


@dataclass
class Sitting:
    """What one visitor has before them.

    moves: by the name of directions, the layers and strengths that are set.
    bases: files of latents in `folder`; base: the one in use.
    """

    folder: Path
    wish: Wish | None = None
    moves: dict[str, tuple[str, list[float]]] = field(default_factory=dict)
    bases: dict[Path, Base] = field(default_factory=dict)
    base: Path | None = None
    history: list[Result] = field(default_factory=list)
    left: bool = False
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def all_moves(self) -> tuple[Move, ...]:
        """Return the moves that are set, as a composition takes them."""
        return tuple(
            Move(name, index, strength, "" if layers == "all" else layers)
            for name, (layers, strengths) in self.moves.items()
            for index, strength in enumerate(strengths)
            if strength
        )

    def set_moves(self, moves: tuple[Move, ...], count: int) -> None:
        """Take the moves of a composition, whose directions are the first `count` of each kind."""
        self.moves = {}
        for move in moves:
            _, strengths = self.moves.setdefault(move.directions, (move.layers or "all", [0.0] * count))
            strengths[move.index] = move.strength

    def new_file(self, name: str) -> Path:
        """Return where to write a file of this name."""
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        return folder / name

    def keep(self, result: Result) -> None:
        """Put a picture into the history, unless it is the last one there."""
        if not self.history or self.history[-1].wish != result.wish:
            self.history = [*self.history, result][-KEPT:]


class Studio:
    """The networks that visitors may choose, opened when first used, and the visitors' sittings."""

    def __init__(self, sources: Mapping[str, Source], directions: tuple[str, ...] = ()) -> None:
        """Take networks by the name that visitors see, and files of directions."""
        self.sources = sources
        self.directions = ("pca", "sefa", *directions)
        self._canvases: dict[str, tuple[Canvas, Mapping[str, Any]]] = {}
        self._sittings: dict[str, Sitting] = {}
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="stylegan-explore-")

    @property
    def folder(self) -> Path:
        """Return where all files are, until `close`."""
        return Path(self._folder.name)

    def close(self) -> None:
        """Remove all files."""
        self._folder.cleanup()

    def canvas(self, name: str) -> Canvas:
        """Return the canvas of a network.

        Raises:
            StyleGANError: if it cannot be opened, or has no W.
        """
        return self._opened(name)[0]

    def _opened(self, name: str) -> tuple[Canvas, Mapping[str, Any]]:
        with self._lock:
            if name not in self._canvases:
                G, drawer, origin = self.sources[name].open()
                self._canvases[name] = Canvas(G, drawer), origin
            return self._canvases[name]

    def sitting(self, visitor: str) -> Sitting:
        """Return what a visitor has before them, new ones nothing yet."""
        with self._lock:
            if visitor not in self._sittings:
                self._sittings[visitor] = Sitting(Path(tempfile.mkdtemp(dir=self.folder)))
            return self._sittings[visitor]

    def leave(self, visitor: str) -> None:
        """Forget a visitor and their files."""
        with self._lock:
            sitting = self._sittings.pop(visitor, None)
        if sitting:
            sitting.left, sitting.wish = True, None
            shutil.rmtree(sitting.folder, ignore_errors=True)

    def finish(self, sitting: Sitting, wish: Wish) -> Result:
        """Draw a wish whole, write its files, and put it into the history.

        Raises:
            OvertakenError: if the visitor wants something else by now.
            StyleGANError: if it cannot be drawn.
        """
        canvas, origin = self._opened(wish.network)
        latents = canvas.compose(wish.picture)
        picture = to_pil(canvas.draw(latents, lambda: sitting.wish is not wish))
        name = self._file_name(sitting, wish.picture)
        png, commands = sitting.new_file(f"{name}.png"), self.commands(sitting, wish)
        save_png(png, picture, {"network": dict(origin), "commands": commands, "version": __version__})
        npz, thumbnail = png.with_suffix(".npz"), png.with_name("thumbnail.png")
        travelling.save(npz, latents)
        picture.thumbnail(_THUMBNAIL, Image.Resampling.LANCZOS)
        picture.save(thumbnail)
        result = Result(wish, png, npz, thumbnail, commands)
        sitting.keep(result)
        return result

    def commands(self, sitting: Sitting, wish: Wish) -> str:
        """Return the command lines that draw a wish again."""
        name, picture, lines = self._file_name(sitting, wish.picture), wish.picture, list[str]()
        if isinstance(picture.base, Path):
            base = sitting.bases[picture.base]
            picture, lines = replace(picture, base=Path(base.name)), [*base.story]
        written = ["--out", f"{name}.png", "--save-latents", f"{name}.npz"]
        options = self.sources[wish.network].options
        lines.append(shlex.join(["stylegan", "draw", *options, *picture.arguments(), *written]))
        return "\n".join(lines)

    def bring(self, sitting: Sitting, network: str, path: Path) -> Base:
        """Take up a file of latents for compositions to begin with.

        Raises:
            LatentsError: if it holds none for this network.
        """
        return self._begin_with(sitting, travelling.load(path, self.canvas(network).G), path.name)

    def take_projection(self, sitting: Sitting, latents: Latents, photo: str, options: Sequence[str]) -> Base:
        """Take up the latents of a photograph for compositions to begin with; options of `stylegan project`."""
        line = shlex.join(["stylegan", "project", photo, *options, "--outdir", "out"])
        return self._begin_with(sitting, latents, f"out/{Path(photo).stem}.npz", (line,))

    def _begin_with(self, sitting: Sitting, latents: Latents, name: str, story: tuple[str, ...] = ()) -> Base:
        sitting.base = sitting.new_file("base.npz")
        travelling.save(sitting.base, latents)
        base = sitting.bases[sitting.base] = Base(name, len(latents), story)
        return base

    def _file_name(self, sitting: Sitting, picture: Composition) -> str:
        if isinstance(picture.base, int):
            return f"seed{picture.base:04d}"
        stem = Path(sitting.bases[picture.base].name).stem
        return f"{stem}-edited" if picture.row is None else f"{stem}-{picture.row}"
