"""A picture as what it is made of: a seed or latents, styles of others mixed in, moves along directions, noise."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stylegan_torch.errors import StyleGANError

Noise = Literal["official", "const", "random", "none"]
METHODS = ("pca", "sefa")
"""Directions that a network has of its own, so that no file is needed."""
_PSI = re.compile(r"(?P<psi>[^@]+)(@(?P<layers>[a-z0-9,\- ]+))?")
_MIX = re.compile(r"(?P<source>.+)@(?P<layers>[a-z0-9,\- ]+)")
_BEND = re.compile(r"(?P<layer>[A-Za-z0-9_.]+)(@(?P<channels>[0-9,\- ]+))?(?P<changes>(:[a-z]+=[^:=]+)+)")
MOST_CHANNELS = 8192
"""Named at once; no layer has so many."""
FLOAT32_MAX = 3.4028234663852886e38
"""The largest number that networks can be given."""
_MOVE = re.compile(r"(?P<directions>.+):(?P<index>\d+)=(?P<strength>[^@=]+)(@(?P<layers>[a-z0-9,\- ]+))?")


class CompositionError(StyleGANError):
    """A picture asks for what is not there."""


@dataclass(frozen=True)
class Mix:
    """Styles of some layers, from a seed or from the first row of a file of latents; layers as `layers_of` reads."""

    source: int | Path
    layers: str

    def __str__(self) -> str:
        return f"{self.source}@{self.layers}"


@dataclass(frozen=True)
class Move:
    """A step along a direction, in standard deviations of w.

    directions: "pca" or "sefa", found in the network, or a file that `directions.load` reads.
    layers: as `layers_of` reads; "" = those that the directions are for.
    """

    directions: str
    index: int
    strength: float
    layers: str = ""

    def __str__(self) -> str:
        layers = f"@{self.layers}" if self.layers else ""
        return f"{self.directions}:{self.index}={self.strength!r}{layers}"


@dataclass(frozen=True)
class LayerPsi:
    """Truncation psi of some layers, as `layers_of` reads them."""

    psi: float
    layers: str

    def __str__(self) -> str:
        return f"{self.psi!r}@{self.layers}"


@dataclass(frozen=True)
class Bend:
    """What is done to the features of a layer, about their middle: turned and enlarged, then moved; and multiplied.

    layer: a name in `G.synthesis(ws, return_features=True)`. channels: such as "0-63,70"; "" = all.
    move: to the right and down, in heights of the layer's maps. turn: counter-clockwise, in degrees.
    zoom, gain: factors.
    """

    layer: str
    channels: str = ""
    move: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    zoom: float = 1.0
    gain: float = 1.0

    def __str__(self) -> str:
        changes = {"turn": self.turn, "zoom": self.zoom, "gain": self.gain}
        words = [f"move={self.move[0]!r},{self.move[1]!r}"] if any(self.move) else []
        words += [f"{name}={value!r}" for name, value in changes.items() if value != getattr(Bend, name)]
        channels = f"@{self.channels}" if self.channels else ""
        return ":".join([self.layer + channels, *(words or ["gain=1.0"])])


def parse_bend(text: str) -> Bend:
    """Read "b16.conv1:turn=30" or "b16.conv1@0-63:move=0.1,0:zoom=1.5:gain=2": a layer, channels, and what is done.

    Raises:
        ValueError: for another text.
    """
    found = _BEND.fullmatch(text)
    pairs = [change.split("=") for change in found["changes"][1:].split(":")] if found else []
    given = {name: [_number(each) for each in value.split(",")] for name, value in pairs}
    sizes = {"move": 2, "turn": 1, "zoom": 1, "gain": 1}
    numbers = {name: [each for each in values if each is not None] for name, values in given.items()}
    fits = all(len(given[name]) == len(numbers[name]) == sizes.get(name) for name in given)
    if not found or not fits or len(given) < len(pairs) or numbers.get("zoom", [1.0])[0] <= 0:
        raise ValueError(
            f"{text!r} is not a layer and what is done to it, such as b16.conv1:turn=30 or "
            "b16.conv1@0-63:move=0.1,0:zoom=1.5:gain=2"
        )
    channels = (found["channels"] or "").replace(" ", "")
    if channels:
        channel_numbers(channels)
    x, y = numbers.pop("move", [0.0, 0.0])
    return Bend(found["layer"], channels, (x, y), **{name: value for name, [value] in numbers.items()})


def channel_numbers(text: str) -> list[int]:
    """Return the channels in a text of numbers and ranges, such as "0-63,70": each once, in order.

    Raises:
        ValueError: for another text, or more than `MOST_CHANNELS`.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        digits = (first + last).isdecimal() and first and bool(dash) == bool(last) and len(part) <= 12
        if not digits or int(first) > int(last or first):
            raise ValueError(f"{part!r} is not a channel, or a range like 0-63")
        some = range(int(first), int(last or first) + 1)
        if len(found) + len(some) > MOST_CHANNELS:
            raise ValueError(f"{text[:40]!r} are more than {MOST_CHANNELS} channels")
        found += some
    return sorted(set(found))


def parse_psi(text: str) -> float | LayerPsi:
    """Read "0.7", or "0.7@coarse" for some layers.

    Raises:
        ValueError: for another text.
    """
    found = _PSI.fullmatch(text)
    psi = _number(found["psi"]) if found else None
    if not found or psi is None:
        raise ValueError(f"{text!r} is not a finite number, or one for some layers, such as 0.7@coarse")
    return LayerPsi(psi, well_formed_layers(found["layers"])) if found["layers"] else psi


def _number(text: str) -> float | None:
    """Return a finite number of float32's range; None for another text."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= FLOAT32_MAX else None


def parse_mix(text: str) -> Mix:
    """Read "8@0-3": a seed, or a file of latents (.npz, .npy), and layers.

    Raises:
        ValueError: for another text.
    """
    found = _MIX.fullmatch(text)
    source = found and found["source"]
    if not found or not source or not (source.isdecimal() or is_file_of_latents(source)):
        raise ValueError(f"{text!r} is not a seed or a file of latents and layers, such as 8@0-3 or me.npz@coarse")
    return Mix(int(source) if source.isdecimal() else Path(source), well_formed_layers(found["layers"]))


def parse_move(text: str) -> Move:
    """Read "pca:0=2.5" or "smile.npz:0=-1@4-8": directions, which of them, how far, and layers.

    Raises:
        ValueError: for another text.
    """
    found = _MOVE.fullmatch(text)
    strength = _number(found["strength"]) if found else None
    if not found or strength is None:
        raise ValueError(f"{text!r} is not directions:number=strength, such as pca:0=2.5 or smile.npz:0=-1@4-8")
    layers = well_formed_layers(found["layers"]) if found["layers"] else ""
    return Move(found["directions"], int(found["index"]), strength, layers)


def well_formed_layers(text: str) -> str:
    """Return a choice of layers as it is: "0-6", "1,3,5-7", "coarse", "middle", "fine", "all", or several.

    Raises:
        ValueError: for another text. Whether a network has these layers, only `layers_of` knows.
    """
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        numbers = first.isdecimal() and (first + last).isascii() and (last.isdecimal() or not dash)
        if not numbers and part not in ("coarse", "middle", "fine", "all"):
            raise ValueError(f"{part!r} is not a layer, a range like 0-6, coarse, middle, fine or all")
    return text


def check_directions(name: str) -> None:
    """Raise CompositionError unless a text is in `METHODS` or names a file."""
    if name not in METHODS and not Path(name).is_file():
        raise CompositionError(f"{name} is neither {' nor '.join(METHODS)}, nor a file of directions")


def is_file_of_latents(text: str) -> bool:
    """Return whether a text names a file of latents, by its suffix."""
    return text.lower().endswith((".npz", ".npy"))


@dataclass(frozen=True)
class Composition:
    """What a picture is made of, in the order in which it is applied.

    base: a seed, or a file of latents. row: which of the file; None = all.
    truncation_psi, class_index: of seeds; psi None = the network's own.
    bends: what is done to features. translate, rotate: of StyleGAN3's images, as `image_transform` has it; None = the
        network's own.
    layer_psis: psi of some layers instead. centres: a file of them, the nearest of which takes the mean w's place.
    mixes: styles of others, in their layers' place. moves: then added.
    noise: "official" is what `stylegan-generate` does for the seed, or that of the file; "const" is the network's;
        "random", of `noise_seed`; or "none".
    """

    base: int | Path
    truncation_psi: float | None = None
    class_index: int | None = None
    mixes: tuple[Mix, ...] = ()
    moves: tuple[Move, ...] = ()
    noise: Noise = "official"
    noise_seed: int = 0
    row: int | None = None
    layer_psis: tuple[LayerPsi, ...] = ()
    centres: Path | None = None
    bends: tuple[Bend, ...] = ()
    translate: tuple[float, float] | None = None
    rotate: float | None = None

    def arguments(self) -> list[str]:
        """Return the arguments with which `stylegan draw` makes this picture."""
        base = ["--latents", str(self.base)] if isinstance(self.base, Path) else ["--seeds", str(self.base)]
        return base + self.options()

    def options(self) -> list[str]:
        """Return all arguments but the base."""
        words = [] if self.row is None else ["--row", str(self.row)]
        if self.truncation_psi is not None:
            words += ["--truncation", repr(self.truncation_psi)]
        for part in self.layer_psis:
            words += ["--truncation", str(part)]
        if self.centres is not None:
            words += ["--truncation-centres", str(self.centres)]
        if self.class_index is not None:
            words += ["--class", str(self.class_index)]
        for each in self.mixes:
            words += ["--mix", str(each)]
        for move in self.moves:
            words += ["--move", str(move)]
        for bend in self.bends:
            words += ["--bend", str(bend)]
        if self.translate is not None:
            words += ["--translate", f"{self.translate[0]!r},{self.translate[1]!r}"]
        if self.rotate is not None:
            words += ["--rotate", repr(self.rotate)]
        if self.noise != "official":
            words += ["--noise", self.noise]
        return words + (["--noise-seed", str(self.noise_seed)] if self.noise == "random" else [])
