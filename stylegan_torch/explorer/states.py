"""What is on a page, as JSON, and the picture that this asks for: read field by field, told by the field's name.

    {"network": "bundled", "seed": 7, "psi": 0.7, "psis": [{"layers": "0-3", "psi": 0.5}], "class": null,
     "mixes": [{"seed": 8, "layers": "4-7"}],
     "moves": [{"directions": "pca", "index": 0, "strength": 1.5, "layers": ""}],
     "bends": [{"layer": "b16.conv1", "channels": "0-63", "move": [0.1, 0], "turn": 20, "zoom": 1, "gain": 1}],
     "translate": [0, 0], "rotate": 0, "noise": "official", "noise_seed": 0,
     "blend": {"network": "toons.pt", "at": 32, "soft": false}}

Latents that a visitor brought take the seed's place: {"latents": NAME, "row": 0}. What is left out is as in `DEFAULTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from stylegan_torch.editing.composition import Bend, Composition, LayerPsi, Mix, Move, Noise, channel_numbers
from stylegan_torch.editing.mixing import layers_of
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.fields import FieldError, choice, items, number, text, whole
from stylegan_torch.networks.interface import Generator
from stylegan_torch.networks.layers import feature_layers

NOISES: tuple[Noise, ...] = get_args(Noise)
LAST_SEED = 2**32 - 1
PSI = (-1.0, 1.5)
STRENGTH = (-6.0, 6.0)
MOST_MIXES, MOST_MOVES, MOST_BENDS = 16, 64, 32
DEFAULTS: Mapping[str, object] = {
    "network": None,
    "seed": 0,
    "latents": None,
    "row": 0,
    "psi": 0.7,
    "psis": [],
    "class": None,
    "mixes": [],
    "moves": [],
    "bends": [],
    "translate": [0, 0],
    "rotate": 0,
    "noise": "official",
    "noise_seed": 0,
    "blend": None,
}


@dataclass(frozen=True)
class Blend:
    """Another network, of which layers from a side on are taken; soft = over several, as `blending.swap` does."""

    network: str
    at: int
    soft: bool = False


@dataclass(frozen=True)
class Request:
    """The picture that a visitor wants, of a network or of one blended with another."""

    network: str
    picture: Composition
    blend: Blend | None = None


@dataclass(frozen=True)
class Base:
    """A file of latents that a visitor brought or had found.

    path: where it is. network: whose it is. name: on a command line. digest: of what it holds. story: the command lines
    that make it.
    """

    path: Path
    network: str
    name: str
    rows: int
    digest: str
    story: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """What a state may name: the network and its name, its kinds of directions, and the latents that are here."""

    name: str
    G: Generator
    directions: Collection[str]
    latents: Callable[[object], Base]


def complete(state: object) -> dict[str, object]:
    """Return a state with all its fields.

    Raises:
        FieldError: if it is no object, or has others.
    """
    if not isinstance(state, dict):
        raise FieldError("state", state, "an object of fields")
    for name in state:
        if name not in DEFAULTS:
            raise FieldError("state", name, f"one of the fields {', '.join(DEFAULTS)}")
    return {**DEFAULTS, **state}


def read_picture(state: Mapping[str, object], place: Place) -> Composition:
    """Return the picture that a complete state asks for.

    Raises:
        FieldError: if a field holds what it cannot hold.
    """
    base, row = _base(state, place)
    noise = choice("Noise", state["noise"], NOISES)
    return Composition(
        base,
        number("Truncation", state["psi"], low=PSI[0], high=PSI[1]),
        read_class(state["class"], place.G),
        tuple(_mix(f"Mix {i + 1}", each, place.G) for i, each in enumerate(items("Mixes", state["mixes"], MOST_MIXES))),
        tuple(_move(each, place) for each in items("Directions", state["moves"], MOST_MOVES)),
        noise,
        whole("Noise seed", state["noise_seed"], low=0, high=LAST_SEED) if noise == "random" else 0,
        row,
        tuple(_layer_psi(each, place.G) for each in items("Truncation by layer", state["psis"], place.G.num_ws)),
        bends=tuple(_bend(each, place.G) for each in items("Bends", state["bends"], MOST_BENDS)),
        translate=_pair("Place", state["translate"]),
        rotate=number("Turn", state["rotate"], low=-360, high=360) or None,
    )


def _base(state: Mapping[str, object], place: Place) -> tuple[int | Path, int | None]:
    """Return what a picture begins with: a seed, or a file of latents and which row of it if it has several."""
    if state["latents"] is None:
        return whole("Seed", state["seed"], low=0, high=LAST_SEED), None
    base = place.latents(state["latents"])
    if base.network != place.name:
        raise StyleGANError(f"Latents: {base.name} is of the network {base.network}, not of {place.name}")
    return base.path, whole("Row", state["row"], low=0, high=base.rows - 1) if base.rows > 1 else None


def read_class(value: object, G: Generator) -> int | None:
    """Return a class of a network, or None.

    Raises:
        FieldError: if it has no such class.
    """
    if value is None:
        return None
    if not G.c_dim:
        raise FieldError("Class", value, "empty: the network has none")
    return whole("Class", value, low=0, high=G.c_dim - 1)


def read_blend(value: object, others: Collection[str]) -> Blend | None:
    """Return what to blend a network with, or None.

    Raises:
        FieldError: if it is none of the others.
    """
    if value is None:
        return None
    fields = _fields("Blend", value, {"network": None, "at": None, "soft": False})
    if not isinstance(fields["soft"], bool):
        raise FieldError("Blend soft", fields["soft"], "true or false")
    at = whole("Blend resolution", fields["at"], low=1, high=1 << 16)
    return Blend(choice("Blend", fields["network"], others), at, fields["soft"])


def _mix(name: str, value: object, G: Generator) -> Mix:
    fields = _fields(name, value, {"seed": 0, "layers": "all"})
    return Mix(whole(f"{name} seed", fields["seed"], low=0, high=LAST_SEED), _layers(name, fields["layers"], G))


def _move(value: object, place: Place) -> Move:
    fields = _fields("Direction", value, {"directions": "pca", "index": 0, "strength": 0, "layers": ""})
    kind = choice("Directions", fields["directions"], place.directions)
    index = whole("Direction", fields["index"], low=0, high=10_000)
    name = f"Direction {kind} {index}"
    strength = number(name, fields["strength"], low=STRENGTH[0], high=STRENGTH[1])
    return Move(kind, index, strength, _layers(name, fields["layers"], place.G) if fields["layers"] else "")


def _bend(value: object, G: Generator) -> Bend:
    fields = _fields("Bend", value, {"layer": None, "channels": "", "move": [0, 0], "turn": 0, "zoom": 1, "gain": 1})
    layer = choice("Layer", fields["layer"], feature_layers(G.synthesis))
    channels = text(f"{layer} channels", fields["channels"])
    try:
        channel_numbers(channels or "0")
    except ValueError as error:
        raise FieldError(f"{layer} channels", channels, "channels such as 0-63,70") from error
    move = _pair(f"{layer} move", fields["move"]) or (0.0, 0.0)
    turn = number(f"{layer} turn", fields["turn"], low=-360, high=360)
    zoom, gain = number(f"{layer} zoom", fields["zoom"], low=0.1, high=10), fields["gain"]
    return Bend(layer, channels, move, turn, zoom, number(f"{layer} gain", gain, low=-10, high=10))


def _pair(name: str, value: object) -> tuple[float, float] | None:
    """Return two numbers; None if both are 0."""
    values = items(name, value, 2)
    if len(values) < 2:
        raise FieldError(name, value, "two numbers")
    x, y = (number(name, each, low=-2, high=2) for each in values)
    return (x, y) if x or y else None


def _layer_psi(value: object, G: Generator) -> LayerPsi:
    name = "Truncation by layer"
    fields = _fields(name, value, {"psi": 1, "layers": "all"})
    return LayerPsi(number(name, fields["psi"], low=PSI[0], high=PSI[1]), _layers(name, fields["layers"], G))


def _layers(name: str, value: object, G: Generator) -> str:
    layers = text(f"{name} layers", value)
    try:
        layers_of(G, layers)
    except ValueError as error:
        raise FieldError(f"{name} layers", layers, f"a choice of layers 0 to {G.num_ws - 1}, such as 0-3") from error
    return layers


def _fields(name: str, value: object, defaults: Mapping[str, object]) -> dict[str, object]:
    if not isinstance(value, dict) or not set(value) <= set(defaults):
        raise FieldError(name, value, f"an object of {', '.join(defaults)}")
    return {**defaults, **value}
