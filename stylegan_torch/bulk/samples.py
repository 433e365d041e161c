"""What each picture of a set is: worked out from its number alone, so that any machine can draw any part."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from stylegan_torch.editing.composition import Composition, LayerPsi, Mix, Move, Noise, parse_move, parse_psi
from stylegan_torch.errors import StyleGANError

LAST_SEED = (1 << 32) - 1
_RANGE = re.compile(r"(?P<move>.+=)(?P<low>[^@=]+?),(?P<high>[^@=,]+)(?P<layers>@.+)?")


class BulkError(StyleGANError):
    """A set cannot be drawn as asked for, or is not what its manifest says."""


@dataclass(frozen=True)
class RandomMove:
    """A step along a direction whose strength is drawn evenly from a range: "smile.npz:0=-2,2@4-8"."""

    move: Move
    low: float
    high: float

    def __str__(self) -> str:
        layers = f"@{self.move.layers}" if self.move.layers else ""
        return f"{self.move.directions}:{self.move.index}={self.low!r},{self.high!r}{layers}"


def parse_random_move(text: str) -> RandomMove:
    """Read "pca:0=-2,2": directions, which of them, the range of strengths, and layers.

    Raises:
        ValueError: for another text.
    """
    found = _RANGE.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not directions:number=low,high, such as pca:0=-2,2 or smile.npz:0=0,3@4-8")
    first, last = (parse_move(f"{found['move']}{found[end]}{found['layers'] or ''}") for end in ("low", "high"))
    if first.strength > last.strength:
        raise ValueError(f"{text!r} runs backwards")
    return RandomMove(first, first.strength, last.strength)


@dataclass(frozen=True)
class Classes:
    """Which classes: each in turn, or drawn with weights.

    indices: the classes; empty = no class. weights: one a class; empty = in turn, so that the set is balanced.
    """

    indices: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()

    def choose(self, number: int, draw: float) -> int | None:
        """Return the class of the sample of a number, and of a draw in [0, 1) where weights decide."""
        if not self.indices:
            return None
        if not self.weights:
            return self.indices[number % len(self.indices)]
        bounds = np.cumsum(self.weights) / np.sum(self.weights)
        return self.indices[min(int(np.searchsorted(bounds, draw, side="right")), len(bounds) - 1)]


@dataclass(frozen=True)
class Recipe:
    """What is drawn.

    first_seed: of the first picture. variations: pictures of each seed, which differ in their moves.
    truncation: psi is drawn evenly from this range; None = the network's own.
    layer_psis: what some layers have instead. centres: a file of them, towards the nearest of which w is truncated.
    classes: of a conditional network.
    mixing: layers that get their styles from another seed, as `layers_of` reads; "" = none.
    moves: steps along directions; the first variation of several makes none, unless it was rejected without.
    latents: a file of latents, row by row instead of seeds.
    noise: as of `Composition`; "random" is that of the sample's own seed.
    choices: of what is drawn at random: change it to get other strengths, psis and partners for the same seeds.
    """

    first_seed: int = 0
    variations: int = 1
    truncation: tuple[float, float] | None = None
    layer_psis: tuple[LayerPsi, ...] = ()
    centres: str = ""
    classes: Classes = Classes()
    mixing: str = ""
    moves: tuple[RandomMove, ...] = ()
    latents: str = ""
    noise: Noise = "official"
    choices: int = 0


@dataclass(frozen=True)
class Sample:
    """One picture of a set, to be drawn.

    index: its place in the set. attempt: how many others were rejected for this place.
    seed: of its z, or the row of a file of latents. identity: the same for all variations of a seed.
    network: which of the networks. composition: what it is made of.
    """

    index: int
    attempt: int
    seed: int
    identity: int
    variation: int
    network: int
    composition: Composition

    @property
    def key(self) -> str:
        """Return the name of its files, without a suffix."""
        return f"{self.index:09d}"


def sample(recipe: Recipe, count: int, networks: int, index: int, attempt: int = 0) -> Sample:
    """Return what picture `index` of a set of `count` is, after so many rejected for its place.

    Every place has seeds of its own, `count` apart, so a rejected picture is replaced without looking at others. Of
    several variations of a seed the seed stays, and the moves are drawn anew.

    Raises:
        BulkError: if there are no seeds left for it.
    """
    identity, variation = divmod(index, recipe.variations)
    identities = -(-count // recipe.variations)
    renewed = attempt if recipe.variations == 1 else 0
    seed = recipe.first_seed + identity + renewed * identities
    if seed > LAST_SEED:
        raise BulkError(f"picture {index}: there are no seeds left after {attempt} rejected; reject less")
    chosen = np.random.Generator(np.random.Philox(key=[recipe.choices, seed]))
    of_class, of_psi, partner = chosen.random(), chosen.random(), int(chosen.integers(LAST_SEED))
    strengths = np.random.Generator(np.random.Philox(key=[recipe.choices + (variation << 32), seed + (attempt << 32)]))
    psi = recipe.truncation and recipe.truncation[0] + of_psi * (recipe.truncation[1] - recipe.truncation[0])
    still = recipe.variations > 1 and variation == attempt == 0
    composition = Composition(
        base=Path(recipe.latents) if recipe.latents else seed,
        row=seed if recipe.latents else None,
        truncation_psi=psi,
        layer_psis=recipe.layer_psis,
        centres=Path(recipe.centres) if recipe.centres else None,
        class_index=recipe.classes.choose(identity, of_class),
        mixes=(Mix(partner, recipe.mixing),) if recipe.mixing else (),
        moves=() if still else tuple(_drawn(each, strengths) for each in recipe.moves),
        noise=recipe.noise,
        noise_seed=seed if recipe.noise == "random" else 0,
    )
    return Sample(index, attempt, seed, identity, variation, identity % networks, composition)


def _drawn(each: RandomMove, strengths: np.random.Generator) -> Move:
    strength = each.low + strengths.random() * (each.high - each.low)
    return Move(each.move.directions, each.move.index, strength, each.move.layers)


def parse_truncations(texts: Sequence[str]) -> tuple[tuple[float, float] | None, tuple[LayerPsi, ...]]:
    """Read texts such as "0.5-1", of all layers, and "1@fine", what some have instead.

    Raises:
        ValueError: for other texts, or two for all layers.
    """
    ranges = [parse_range(text) for text in texts if "@" not in text]
    if len(ranges) > 1:
        raise ValueError("one number or range is for all layers; others say for which, as 1@fine")
    parts = [parse_psi(text) for text in texts if "@" in text]
    return ranges[0] if ranges else None, tuple(each for each in parts if isinstance(each, LayerPsi))


def parse_range(text: str) -> tuple[float, float]:
    """Read "0.7", or "0.5-1" for a range.

    Raises:
        ValueError: for another text.
    """
    low, _, high = text.partition("-") if not text.startswith("-") else (text, "", "")
    try:
        ends = float(low), float(high or low)
    except ValueError:
        ends = 1.0, 0.0
    if not 0 <= ends[0] <= ends[1] < float("inf"):
        raise ValueError(f"{text!r} is not a number such as 0.7, or a range such as 0.5-1")
    return ends


def parse_classes(text: str) -> Classes | Literal["balanced"]:
    """Read "balanced" (every class in turn), "1,5,7" (these in turn) or "0:3,1:1" (drawn with weights).

    Raises:
        ValueError: for another text.
    """
    if text == "balanced":
        return "balanced"
    names, weights = [], []
    for part in text.replace(" ", "").split(","):
        name, colon, weight = part.partition(":")
        try:
            names.append(int(name))
            weights += [float(weight)] if colon else []
        except ValueError:
            names.append(-1)
        if names[-1] < 0 or not all(0 < each < float("inf") for each in weights):
            raise ValueError(f"{part!r} is not a class such as 3, or one with a weight such as 3:0.5")
    if weights and len(weights) != len(names):
        raise ValueError(f"{text!r} has weights for some classes only")
    return Classes(tuple(names), tuple(weights))
