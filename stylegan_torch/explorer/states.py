"""What is on a page, as JSON, and the picture that this asks for: read field by field, told by the field's name.

    {"network": "bundled", "seed": 7, "psi": 0.7, "psis": [{"layers": "0-3", "psi": 0.5}], "class": null,
     "mixes": [{"seed": 8, "layers": "4-7"}],
     "moves": [{"directions": "pca", "index": 0, "strength": 1.5, "layers": ""}],
     "noise": "official", "noise_seed": 0}

Latents that a visitor brought take the seed's place: {"latents": NAME, "row": 0}. What is left out is as in `DEFAULTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from stylegan_torch.editing.composition import Composition, LayerPsi, Mix, Move, Noise
from stylegan_torch.editing.mixing import layers_of
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.fields import FieldError, choice, items, number, text, whole
from stylegan_torch.networks.interface import Generator

NOISES: tuple[Noise, ...] = get_args(Noise)
LAST_SEED = 2**32 - 1
PSI = (-1.0, 1.5)
STRENGTH = (-6.0, 6.0)
MOST_MIXES, MOST_MOVES = 16, 64
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
    "noise": "official",
    "noise_seed": 0,
}


@dataclass(frozen=True)
class Request:
    """The picture that a visitor wants."""

    network: str
    picture: Composition


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
