"""The networks of all families by name, and their configs as JSON."""

from __future__ import annotations

import copy
import dataclasses
import functools
import hashlib
import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from stylegan_torch.errors import CheckpointError
from stylegan_torch.networks import lucidrains, progan, stylegan1, stylegan2, stylegan3
from stylegan_torch.networks.interface import AnyNetwork
from stylegan_torch.text import did_you_mean
from stylegan_torch.types import Json, JsonObject

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FAMILIES = {
    module.__name__.rpartition(".")[2]: module for module in (progan, stylegan1, stylegan2, lucidrains, stylegan3)
}
"""The families by name, oldest first."""

MAX_LAYERS = 1024
"""A mapping network with more layers is damage, or an attempt to use up the machine."""

Config = (
    progan.GeneratorConfig
    | progan.DiscriminatorConfig
    | stylegan1.GeneratorConfig
    | stylegan1.DiscriminatorConfig
    | stylegan2.GeneratorConfig
    | stylegan2.DiscriminatorConfig
    | lucidrains.GeneratorConfig
    | stylegan3.GeneratorConfig
)
"""The config of any network; the network is rebuilt from it alone."""

_NETWORKS: dict[type, tuple[str, str, Callable[[Config], AnyNetwork]]] = {
    getattr(module, f"{kind}Config"): (family, kind, getattr(module, kind))
    for family, module in FAMILIES.items()
    for kind in ("Generator", "Discriminator")
    if hasattr(module, kind)
}


def kind_of(config: Config) -> tuple[str, str]:
    """Return the family of a config, such as "stylegan2", and its kind, "Generator" or "Discriminator"."""
    return kind_of_type(type(config))


def kind_of_type(config: type) -> tuple[str, str]:
    """Return what `kind_of` does for the class of a config."""
    family, kind, _ = _NETWORKS[config]
    return family, kind


def build(config: Config) -> AnyNetwork:
    """Return a freshly initialised network."""
    return _NETWORKS[type(config)][2](config)


def is_constant(name: str) -> bool:
    """Tell of a name in a `state_dict` whether the config alone says what it holds; files leave such tensors out."""
    return name.rpartition(".")[2] == "resample_filter"


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a network that belong in a file, by name; they are shared."""
    return {name: value.detach() for name, value in network.state_dict().items() if not is_constant(name)}


def network_hash(network: nn.Module) -> str:
    """Return a name of a network's weights, the same in whatever file they are."""
    digest = hashlib.sha256()
    for name, value in tensors_of(network).items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@functools.lru_cache(maxsize=8)
def _plan(config: Config) -> tuple[dict[str, torch.Size], int]:
    with torch.device("meta"):
        network = build(config)
    count = sum(value.numel() for value in network.parameters())
    return {name: value.shape for name, value in tensors_of(network).items()}, count


def shapes(config: Config) -> dict[str, torch.Size]:
    """Return name and shape of every tensor of the network that belongs in a file, in their order; makes none.

    Raises:
        CheckpointError: if no network has such a config.
    """
    try:
        return dict(_plan(config)[0])
    except (RuntimeError, ArithmeticError) as error:  # what torch makes of impossible sizes
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"a config of a network is impossible: {reason}") from error


def count_parameters(config: Config) -> int:
    """Return how many trainable values the network has."""
    return _plan(config)[1]


def check_state(config: Config, state: dict[str, Tensor], role: str) -> None:
    """Raise CheckpointError, naming the tensor, unless the tensors are those of the network."""
    expected = shapes(config)
    for name, shape in expected.items():
        if name not in state:
            raise CheckpointError(f"network {role}: tensor {name} is missing")
        value = state[name]
        if not isinstance(value, Tensor) or value.shape != shape or not value.is_floating_point():
            raise CheckpointError(f"network {role}: tensor {name} is not one of numbers of shape {list(shape)}")
    if len(state) > len(expected):
        extra = next(name for name in state if name not in expected)
        raise CheckpointError(f"network {role}: tensor {extra} is unknown")


def assemble(config: Config, state: dict[str, Tensor]) -> AnyNetwork:
    """Return the network with the given tensors (not copied), in eval mode, with no gradients asked for."""
    with torch.device("meta"):
        network = build(config)
    constants = {name: value for name, value in network.state_dict().items() if is_constant(name)}
    network.load_state_dict(constants | state, assign=True)
    return network.eval().requires_grad_(False)


def config_to_json(config: Config) -> JsonObject:
    """Return the config as plain JSON data, with its family and kind."""
    family, kind = kind_of(config)
    return {"family": family, "kind": kind, **_stated(config)}


def _stated(data: DataclassInstance) -> JsonObject:
    """Return the fields of a dataclass, without those that are told only where they are not as usual."""
    values = {field: getattr(data, field.name) for field in dataclasses.fields(data)}
    return {
        field.name: _stated(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type)
        else copy.deepcopy(value)
        for field, value in values.items()
        if not (field.metadata.get("if_unusual") and value == field.default)
    }


def config_from_json(data: JsonObject) -> Config:
    """Return the config that `config_to_json` wrote.

    Raises:
        CheckpointError: if it is not such a config, naming the key.
    """
    fields = dict(data)
    family, kind = fields.pop("family", None), fields.pop("kind", None)
    module = FAMILIES.get(str(family))
    if module is None or kind not in ("Generator", "Discriminator") or not hasattr(module, kind):
        raise CheckpointError(f"network of the unknown family {family!r}, kind {kind!r}; a newer version may know it")
    return typing.cast(Config, decode(getattr(module, f"{kind}Config"), fields))


_Data = typing.TypeVar("_Data", bound="DataclassInstance")


def decode(cls: type[_Data], fields: Json) -> _Data:
    """Return a dataclass from plain data, each value checked against the type of its field.

    Raises:
        CheckpointError: naming the key that is unknown, missing or of another type.
    """
    if not isinstance(fields, dict):
        raise CheckpointError(f"{cls.__name__} is not a dict")
    if fields.get("num_layers", 0) > MAX_LAYERS:
        raise CheckpointError(f"config key num_layers is {fields['num_layers']}, beyond any network's")
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(fields) - set(hints))
    if unknown:
        hint = did_you_mean(unknown[0], hints) or "a newer version may know it"
        raise CheckpointError(f"config key {unknown[0]} is unknown to {cls.__name__}; {hint}")
    required = [
        f.name
        for f in dataclasses.fields(cls)
        if f.default is f.default_factory is dataclasses.MISSING and f.name not in fields
    ]
    if required:
        raise CheckpointError(f"config key {required[0]} is missing")
    return cls(**{key: _value(hints[key], value, key) for key, value in fields.items()})


def _value(hint: Any, value: Json, key: str) -> Any:
    for option in typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,):
        if isinstance(option, type) and dataclasses.is_dataclass(option) and isinstance(value, dict):
            return decode(option, value)
        origin, arguments = typing.get_origin(option), typing.get_args(option)
        if origin is tuple and isinstance(value, list):
            return tuple(_value(arguments[0], item, key) for item in value)
        if origin is dict and isinstance(value, dict) and all(str(name).isdecimal() for name in value):
            return {int(name): _value(arguments[1], item, key) for name, item in value.items()}  # JSON's are strings
        if origin is typing.Literal and value in arguments:
            return value
        if option is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if option in (int, str, bool, types.NoneType) and type(value) is option:
            return value
    raise CheckpointError(f"config key {key} has the unknown value {value!r}; a newer version may know it")
