"""Blending: one network of several with a common ancestor (Pinkney & Adler 2020, "Resolution Dependent GAN
Interpolation for Controllable Image Synthesis Between Domains"), and the mean of snapshots.

Every tensor of the result is a weighted sum of those of the networks. Weights may differ from layer to layer: `swap`
takes coarse layers from one network and fine ones from another.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from stylegan_torch.errors import StyleGANError
from stylegan_torch.files.checkpoint import Checkpoint, StoredNetwork
from stylegan_torch.files.tensors import nonfinite
from stylegan_torch.networks import stylegan3
from stylegan_torch.networks.registry import Config, build, config_to_json, shapes
from stylegan_torch.types import Json, JsonObject

MAPPING = "mapping"
"""The part of a network, a discriminator's too, that belongs to no level."""
UNRELATED = 0.9
"""Networks that are farther apart have no ancestor in common."""
SOFT = 4
"""Levels over which a soft swap goes from one network to the other."""
_LEVEL = re.compile(r"(?:synthesis\.)?b(\d+)\.")
_SIDES = re.compile(r"(\d+)(?:-(\d+))?")
_AVERAGES = ("w_avg", "magnitude_ema")
"""Buffers that are measured, and blended as parameters are; others are drawn, and taken from one network."""
_HABITS = {"truncation_psi", "truncation_cutoff", "official_noise", "num_fp16_res", "mbstd_group_size"}
_HABITS |= {"w_avg_beta", "magnitude_ema_beta"}
"""Settings that may differ: no picture drawn from a w depends on them."""
_ENOUGH = 64
"""Fewer numbers than these are near each other by chance."""


class BlendingError(StyleGANError):
    """Networks cannot be blended."""


@dataclass(frozen=True)
class Rule:
    """Weights, one a network, of some layers.

    where: "mapping"; a level by its side, such as "32", or several, "4-16"; or how tensors' names begin, such as
        "synthesis.b32.conv0". A level's side is that in its name ("b32"); in StyleGAN3, a layer's sampling rate.
    """

    where: str
    weights: tuple[float, ...]

    def holds_for(self, name: str, level: str) -> bool:
        """Return whether it is about a tensor, by its name and `level_of`."""
        sides = _SIDES.fullmatch(self.where)
        if not sides:
            return self.where in (level, name) or name.startswith(f"{self.where}.")
        low, high = int(sides[1]), int(sides[2] or sides[1])
        return level != MAPPING and low <= int(level) <= high


@dataclass(frozen=True)
class Blend:
    """What became of several networks.

    checkpoint: the result.
    distances: how far the farthest was from the first, by role and level, as of `distance`; NaN = nothing to compare.
    weights: by role and level; None where they are not the same for all of it.
    settings: what the networks set otherwise, in words; the first one's holds.
    missing: roles that not all networks have.
    """

    checkpoint: Checkpoint
    distances: dict[str, dict[str, float]]
    weights: dict[str, dict[str, tuple[float, ...] | None]]
    settings: tuple[str, ...]
    missing: tuple[str, ...]


def level_of(config: Config) -> Callable[[str], str]:
    """Return a function that tells of a tensor's name to which level it belongs: a side, or `MAPPING`."""
    if isinstance(config, stylegan3.GeneratorConfig):
        specs = stylegan3.layer_specs(config)
        rates = {spec.name: spec.after.rate for spec in specs} | {"input": specs[0].before.rate}
        return lambda name: MAPPING if name.startswith("mapping.") else str(rates[name.split(".")[1]])

    def level(name: str) -> str:
        found = _LEVEL.match(name)
        # What all levels share, as lucidrains' noise, goes with the first.
        return found[1] if found else MAPPING if name.startswith("mapping.") else "4"

    return level


def levels(config: Config) -> list[str]:
    """Return the levels of a network, `MAPPING` first if there is one, then the coarsest."""
    found = set(map(level_of(config), shapes(config)))
    return sorted(found, key=lambda level: 0 if level == MAPPING else int(level))


def swap(configs: Iterable[Config], at: int, *, soft: bool = False, mapping: int = 0) -> list[Rule]:
    """Return rules for two networks: levels below a side are of the first, others of the second.

    Args:
        configs: of the networks in one of them.
        at: the side.
        soft: go over on `SOFT` levels, linearly, rather than at once.
        mapping: the network, 0 or 1, whose mapping it is.

    Raises:
        BlendingError: if there is no such level.
    """
    found = set(itertools.chain.from_iterable(map(levels, configs)))
    sides = sorted(map(int, found - {MAPPING}))
    if at not in sides:
        raise BlendingError(f"there is no level of {at}: these networks have {', '.join(map(str, sides))}")

    def share(side: int) -> float:
        steps = math.log2(side / at) + 0.5  # from halfway between the last level of the one and the first of the other
        return min(max(0.5 + steps / SOFT, 0.0), 1.0) if soft else float(steps > 0)

    swapped = [Rule(str(side), (1 - share(side), share(side))) for side in sides]
    return [*[Rule(MAPPING, (1.0 - mapping, float(mapping)))] * (MAPPING in found), *swapped]


def distance(tensors: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Return how far two networks' weights are apart: 0 = the same, about 1 = independent of each other.

    It is the median over pairs of tensors of ‖a - b‖ / √(‖a‖² + ‖b‖²); NaN if there are none.
    """
    ratios = [float((a - b).norm() / (a.square().sum() + b.square().sum()).sqrt()) for a, b in tensors]
    known = sorted(ratio for ratio in ratios if math.isfinite(ratio))
    return known[len(known) // 2] if known else math.nan


def blend(
    checkpoints: Mapping[str, Checkpoint],
    rules: Sequence[Rule] = (),
    *,
    weights: Sequence[float] | None = None,
    allow_unrelated: bool = False,
    allow_settings: bool = False,
) -> Blend:
    """Return one checkpoint of several, with the networks that all of them have.

    Args:
        checkpoints: two or more, by name.
        rules: weights of some layers; the last that holds for a tensor counts.
        weights: those of all others, one a checkpoint; None = the mean. The sum of weights is 1; some may be negative.
        allow_unrelated: blend networks without a common ancestor too.
        allow_settings: take the first one's settings where they differ, if all shapes are the same.

    Raises:
        BlendingError: naming what differs, is missing, or not finite.
    """
    names, content = list(checkpoints), list(checkpoints.values())
    if len(names) < 2:
        raise BlendingError("it takes two networks at least to blend")
    usual = Rule("", tuple(weights or [1 / len(names)] * len(names)))
    for rule in (usual, *rules):
        _check_weights(rule, len(names))
    present = [role for role in content[0].networks if all(role in each.networks for each in content)]
    if not present:
        raise BlendingError(f"{' and '.join(names)} have no network in common, such as G_ema")
    missing = sorted({role for each in content for role in each.networks} - set(present))
    found: dict[str, StoredNetwork] = {}
    distances: dict[str, dict[str, float]] = {}
    shares: dict[str, dict[str, tuple[float, ...] | None]] = {}
    settings: dict[str, None] = {}
    for role in present:
        given = {name: each.networks[role] for name, each in checkpoints.items()}
        settings |= dict.fromkeys(_differing(role, given, allow_settings))
        distances[role] = _distances(given)
        _check_related(role, names, distances[role].pop(""), allow_unrelated)
        found[role], shares[role] = _blended(given, usual, rules)
    _check_used(rules, found)
    record = {
        "files": [_origin(name, each) for name, each in checkpoints.items()],
        "weights": list(usual.weights),
        "rules": [asdict(rule) for rule in rules],
    }
    result = Checkpoint(found, {"blend": record})
    return Blend(result, distances, shares, tuple(settings), tuple(missing))


def _check_weights(rule: Rule, count: int) -> None:
    what = f"weights of {rule.where}" if rule.where else "weights"
    if len(rule.weights) != count:
        raise BlendingError(f"there are {len(rule.weights)} {what} for {count} networks")
    if not math.isclose(sum(rule.weights), 1, abs_tol=1e-6):
        raise BlendingError(f"the {what} add up to {sum(rule.weights):g}; they must add up to 1")


def _check_used(rules: Sequence[Rule], found: Mapping[str, StoredNetwork]) -> None:
    levels_of = [(each.state_dict, level_of(each.config)) for each in found.values()]
    places = [(name, level(name)) for state, level in levels_of for name in state]
    for rule in rules:
        if not any(rule.holds_for(*place) for place in places):
            known = ", ".join(dict.fromkeys(level for each in found.values() for level in levels(each.config)))
            raise BlendingError(f"there is no layer {rule.where}; there are {known}, and what tensors are called")


def _origin(name: str, checkpoint: Checkpoint) -> JsonObject:
    origin = checkpoint.provenance.get("origin", {})
    return {"name": name, "sha256": origin.get("sha256")}


def _differing(role: str, given: Mapping[str, StoredNetwork], allowed: bool) -> list[str]:
    """Return what networks set otherwise than the first, in words.

    Raises:
        BlendingError: if their tensors are not of the same shapes, or settings differ that may not.
    """
    (first, one), *others = given.items()
    own, sizes = _flat(config_to_json(one.config)), shapes(one.config)
    differing = []
    for name, other in others:
        theirs = _flat(config_to_json(other.config))
        words = [
            f"{role}: {key} is {own.get(key)} in {first}, {theirs.get(key)} in {name}"
            for key in dict.fromkeys([*own, *theirs])
            if own.get(key) != theirs.get(key) and key.rpartition(".")[2] not in _HABITS
        ]
        if shapes(other.config) != sizes:
            raise BlendingError(f"these networks have other layers: {words[0]}")
        if words and not allowed:
            raise BlendingError(f"{words[0]}; --force-settings (in Python, allow_settings=True) takes those of {first}")
        differing += words
    for name, network in given.items():
        if what := nonfinite(network.state_dict):
            raise BlendingError(f"{name}: network {role}: {what}")
    return differing


def _flat(data: JsonObject, start: str = "") -> dict[str, Json]:
    result: dict[str, Json] = {}
    for key, value in data.items():
        result |= _flat(value, f"{start}{key}.") if isinstance(value, dict) else {f"{start}{key}": value}
    return result


def _distances(given: Mapping[str, StoredNetwork]) -> dict[str, float]:
    """Return how far the farthest network is from the first, by level; "" is all levels."""
    first, *others = given.values()
    with torch.device("meta"):
        names = [name for name, value in build(first.config).named_parameters() if value.ndim > 1]
    level = level_of(first.config)
    places: dict[str, list[str]] = {each: [] for each in ["", *levels(first.config)]}
    for name in names:
        if first.state_dict[name].numel() >= _ENOUGH:
            places[level(name)].append(name)
            places[""].append(name)

    def apart(names: list[str]) -> float:
        pairs = [[(first.state_dict[name], other.state_dict[name]) for name in names] for other in others]
        return max(map(distance, pairs), key=lambda value: (not math.isnan(value), value))

    return {each: apart(names) for each, names in places.items()}


def _check_related(role: str, names: Sequence[str], apart: float, allowed: bool) -> None:
    if apart > UNRELATED and not allowed:
        raise BlendingError(
            f"{' and '.join(names)} have no ancestor in common: weights of {role} are {apart:.2f} apart, where 0 is "
            "the same and 1 independent, so what is blended of them draws nothing; --force-unrelated "
            "(in Python, allow_unrelated=True) does it all the same"
        )


def _blended(
    given: Mapping[str, StoredNetwork], usual: Rule, rules: Sequence[Rule]
) -> tuple[StoredNetwork, dict[str, tuple[float, ...] | None]]:
    config = next(iter(given.values())).config
    with torch.device("meta"):
        drawn = [name for name, _ in build(config).named_buffers() if name.rpartition(".")[2] not in _AVERAGES]
    level = level_of(config)
    state: dict[str, Tensor] = {}
    weights: dict[str, set[tuple[float, ...]]] = {each: set() for each in levels(config)}
    for name in shapes(config):
        rule = next((rule for rule in reversed(rules) if rule.holds_for(name, level(name))), usual)
        tensors = [network.state_dict[name] for network in given.values()]
        heaviest = tensors[max(range(len(tensors)), key=lambda i: rule.weights[i])]
        state[name] = heaviest.clone() if name in drawn else _sum(tensors, rule.weights)
        weights[level(name)].add(rule.weights)
    shares = {each: next(iter(found)) if len(found) == 1 else None for each, found in weights.items()}
    return StoredNetwork(config, state), shares


def _sum(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return a weighted sum; of equal tensors it is they, bit for bit."""
    used = [(tensor, weight) for tensor, weight in zip(tensors, weights, strict=True) if weight]
    if all(torch.equal(a[0], b[0]) for a, b in itertools.pairwise(used)):
        return used[0][0].clone()
    return sum((tensor.double() * weight for tensor, weight in used), torch.zeros(())).to(tensors[0].dtype)
