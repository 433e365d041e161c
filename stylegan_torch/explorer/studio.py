"""What the explorer knows, without its page: the networks, what visitors brought, and how pictures become files."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shlex
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stylegan_torch import __version__
from stylegan_torch.drawing.draw import noise_sizes
from stylegan_torch.drawing.images import ENCODERS, Picture, encode, to_pil
from stylegan_torch.editing import latents as travelling
from stylegan_torch.editing.composition import METHODS
from stylegan_torch.editing.latents import LatentsError
from stylegan_torch.explorer.blends import Blends, sides
from stylegan_torch.explorer.controls import Channel
from stylegan_torch.explorer.fields import choice
from stylegan_torch.explorer.renderer import Renderer
from stylegan_torch.explorer.shelf import Shelf, digest_of
from stylegan_torch.explorer.states import (
    NOISES,
    PSI,
    STRENGTH,
    Base,
    Blend,
    Place,
    Request,
    complete,
    read_blend,
    read_picture,
)
from stylegan_torch.explorer.unpacking import unpacked
from stylegan_torch.files.npz_record import file_errors
from stylegan_torch.networks import stylegan3
from stylegan_torch.networks.interface import Generator

MOST_LATENTS = 1000
"""In a file that a visitor brings."""
_BROUGHT_BYTES = 50_000_000
"""To which such a file may unpack."""
_STEM, _SUFFIX = 100, 10
"""Characters of the name of what a visitor brings."""
_HEX = 6
"""Digits that tell apart the names of a seed's pictures."""


@dataclass(frozen=True)
class NetworkChoice:
    """A network that visitors may choose: how to open it, and how a command line does.

    options: those that every command has; drawing: more, of commands that draw.
    drawer: gives the form to draw with of another generator, as `open` does of its own.
    """

    open: Callable[[], tuple[Generator, Generator, Mapping[str, object]]]
    options: tuple[str, ...] = ()
    drawing: tuple[str, ...] = ()
    drawer: Callable[[Generator], Generator] = lambda G: G


@dataclass(frozen=True)
class File:
    """A file to take away."""

    name: str
    content: bytes


class Studio:
    """The networks that visitors may choose, opened when first used, and what visitors brought."""

    def __init__(self, networks: Mapping[str, NetworkChoice], directions: tuple[str, ...] = ()) -> None:
        """Take networks by the name that visitors see, and files of directions."""
        self.networks = networks
        self.directions = (*METHODS, *directions)
        self.shelf = Shelf()
        self.live = Channel()
        self._blends = Blends()
        self._renderers: dict[str, tuple[Renderer, Mapping[str, object]]] = {}
        self._opening = {name: threading.Lock() for name in networks}

    def close(self) -> None:
        """Remove all files."""
        self.shelf.close()

    def renderer(self, name: str) -> Renderer:
        """Return the renderer of a network.

        Raises:
            StyleGANError: if it cannot be opened, or has no W.
        """
        return self._opened(name)[0]

    def renderer_of(self, request: Request) -> Renderer:
        """Return what draws a request.

        Raises:
            StyleGANError: if its networks cannot be opened, or blended.
        """
        if request.blend is None:
            return self.renderer(request.network)
        drawer = self.networks[request.network].drawer
        return self._blends.get(request.network, request.blend, lambda name: self.renderer(name).G, drawer)

    def _opened(self, name: str) -> tuple[Renderer, Mapping[str, object]]:
        with self._opening[name]:
            if name not in self._renderers:
                G, drawer, origin = self.networks[name].open()
                self._renderers[name] = Renderer(G, drawer), origin
            return self._renderers[name]

    def about(self, name: object) -> dict[str, object]:
        """Return what a page must know of a network.

        Raises:
            FieldError: if there is none of this name.
        """
        network = self.network_name(name)
        renderer, origin = self._opened(network)
        G = renderer.G
        return {
            "network": network,
            "networks": list(self.networks),
            "key": renderer.composer.network,
            "origin": dict(origin),
            "resolution": G.img_resolution,
            "size": G.img_size,
            "layers": layer_names(G),
            "classes": G.c_dim,
            "directions": [self._kind(renderer, kind) for kind in self.directions],
            "ranges": {"psi": PSI, "strength": STRENGTH},
            "movable": isinstance(G.config, stylegan3.GeneratorConfig),
            "blends": {"networks": [each for each in self.networks if each != network], "sides": sides(G)},
            "osc": self.live.address,
            "noises": NOISES if noise_sizes(G) else NOISES[:1],
        }

    def _kind(self, renderer: Renderer, kind: str) -> dict[str, object]:
        own = kind in METHODS  # and they are for all layers
        layers = [] if own else list(renderer.directions(kind).layers)
        return {"name": kind, "count": renderer.count(kind), "layers": layers}

    def network_name(self, name: object) -> str:
        """Return the name of a network, of none the first's.

        Raises:
            FieldError: if there is none of this name.
        """
        return choice("Network", next(iter(self.networks)) if name is None else name, self.networks)

    def read(self, state: object) -> Request:
        """Return the picture that a page's state asks for.

        Raises:
            StyleGANError: if a field holds what it cannot hold.
        """
        fields = complete(state)
        name = self.network_name(fields["network"])
        place = Place(name, self.renderer(name).G, self.directions, self.shelf.get)
        blend = read_blend(fields["blend"], [each for each in self.networks if each != name])
        return Request(name, read_picture(fields, place), blend)

    def stem(self, request: Request) -> str:
        """Return a name for a picture's files: another picture's is another."""
        picture = request.picture
        made = self._line(request, "")
        if isinstance(picture.base, int):
            start = f"seed{picture.base:04d}"
        else:
            base = self.shelf.of(picture.base)
            made, start = made + base.digest, Path(base.name).stem
        digest = hashlib.sha256(made.encode()).hexdigest()[:_HEX]
        return _plain(f"{start}-{digest}")

    def picture_file(self, request: Request, state: object, picture: Picture | None = None) -> File:
        """Return a request's picture as PNG; it says how to make it again, and the page's state."""
        origin = self._opened(request.network)[1]
        renderer = self.renderer_of(request)
        drawn = picture
        if drawn is None:
            drawn = renderer.draw(renderer.compose(request.picture), picture=request.picture)
        about = {"network": dict(origin), "commands": self.commands(request), "version": __version__, "state": state}
        return File(f"{self.stem(request)}.png", encode(to_pil(drawn), ENCODERS["png"], about))

    def latents_file(self, request: Request) -> File:
        """Return a request's latents as `.npz`."""
        folder = self.shelf.new_folder()
        try:
            path = folder / f"{self.stem(request)}.npz"
            travelling.save(path, self.renderer_of(request).compose(request.picture))
            return File(path.name, path.read_bytes())
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def commands(self, request: Request) -> str:
        """Return the command lines that draw a request again."""
        stem = self.stem(request)
        story = self.shelf.of(request.picture.base).story if isinstance(request.picture.base, Path) else ()
        blended = [self._blending(request.network, request.blend)[0]] if request.blend else []
        return "\n".join(dict.fromkeys([*story, *blended, self._line(request, stem)]))

    def options(self, request: Request) -> list[str]:
        """Return the options with which a command draws with a request's network, or with the file of two."""
        network = self.networks[request.network]
        words = [*network.options, *network.drawing]
        if request.blend:
            words[words.index("--network") + 1] = self._blending(request.network, request.blend)[1]
        return words

    def _blending(self, name: str, blend: Blend) -> tuple[str, str]:
        """Return the command line that blends two networks, and the file that it writes."""
        words = ["stylegan", "blend", self._file(name), self._file(blend.network), "--at", str(blend.at)]
        words += ["--soft"] if blend.soft else []
        digest = hashlib.sha256(shlex.join(words).encode()).hexdigest()[:_HEX]
        file = _plain(f"{Path(name).stem}-{Path(blend.network).stem}-{blend.at}-{digest}.pt")
        return shlex.join([*words, "--out", file]), file

    def _file(self, name: str) -> str:
        options = self.networks[name].options
        return options[options.index("--network") + 1]

    def _line(self, request: Request, stem: str) -> str:
        picture = request.picture
        if isinstance(picture.base, Path):
            picture = replace(picture, base=Path(self.shelf.of(picture.base).name))
        written = ["--out", f"{stem}.png", "--save-latents", f"{stem}.npz"]
        return shlex.join(["stylegan", "draw", *self.options(request), *picture.arguments(), *written])

    def bring(self, network: object, name: str, content: bytes) -> dict[str, object]:
        """Take up a file of latents for pictures to begin with; returns its name and rows.

        Raises:
            StyleGANError: if it holds none for this network.
        """
        chosen, folder = self.network_name(network), self.shelf.new_folder()
        G, path = self.renderer(chosen).G, folder / "base.npz"
        try:
            brought = folder / "the file"
            brought.write_bytes(content)
            with file_errors(brought, "latents (.npz)", LatentsError):
                if unpacked(brought) > _BROUGHT_BYTES:
                    raise LatentsError(f"Latents: they unpack to more than {_BROUGHT_BYTES // 1_000_000} MB")
            latents = travelling.load(brought, G, MOST_LATENTS)
            brought.unlink()
            travelling.save(path, latents)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        base = Base(path, chosen, file_name(name, "latents.npz"), len(latents), digest_of(path))
        return {"latents": self.shelf.put(base), "name": base.name, "rows": base.rows}


def _plain(name: str) -> str:
    """Return a name without what some file systems or command lines do not take."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def layer_names(G: Generator) -> list[str]:
    """Return what each row of ws is for: the side at which it works, where levels have as many rows each."""
    sides = getattr(G.synthesis, "block_resolutions", None)
    if sides is None:
        return [f"layer {i}" for i in range(G.num_ws)]
    return [f"{sides[i * len(sides) // G.num_ws]}²" for i in range(G.num_ws)]


def file_name(name: str, otherwise: str) -> str:
    """Return the name of a visitor's file: without folders, no longer than a disk takes; `otherwise` if it has none."""
    path = Path(re.sub(r"[\x00-\x1f\x7f]", "", name))
    return path.stem[:_STEM] + path.suffix[:_SUFFIX] if path.name.strip(".") else otherwise


def jpeg(picture: Picture, side: int | None = None) -> bytes:
    """Return a picture as a browser shows it for a moment, of at most `side` pixels."""
    image = to_pil(picture).convert("RGB")
    if side:
        image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, subsampling=0)
    return file.getvalue()


def frame(header: Mapping[str, object], picture: Picture | None = None) -> bytes:
    """Return what pages are told: four bytes with the length of a header, the header as JSON, and a JPEG."""
    return joined(header, b"" if picture is None else jpeg(picture))


def joined(header: Mapping[str, object], image: bytes) -> bytes:
    """Return a frame with an image file as it is."""
    start = json.dumps(header, allow_nan=False).encode()  # browsers read no NaN
    return len(start).to_bytes(4, "big") + start + image
