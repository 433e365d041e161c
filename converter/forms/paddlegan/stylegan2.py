"""PaddleGAN's StyleGAN2 (docs/spec/COMMUNITY.md 12): rosinality's names and values, but dense weights are [in, out]."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from converter.contents import Found
from converter.foreign import ForeignNetwork
from converter.forms.completion import with_average_w, with_noise
from converter.forms.paddlegan import FORM
from converter.forms.rosinality import stylegan2 as rosinality
from converter.safe.stand_ins import Array
from converter.safe.unpickler import Names
from converter.table import TRANSPOSE, Row, Table, chain
from stylegan_torch.networks import stylegan2

_DENSE = re.compile(r"style\.\d+\.weight|.+\.modulation\.weight|final_linear\.\d+\.weight")


def names() -> Names:
    """Return how the tensors of nested dicts are stored: `tuple((name, array))`."""
    return {("builtins", "tuple"): _array_of, ("__builtin__", "tuple"): _array_of}


def _array_of(parts: Any = ()) -> Any:
    if not isinstance(parts, tuple | list):
        raise TypeError("tuple")
    return parts[1] if len(parts) == 2 and isinstance(parts[1], Array) else tuple(parts)


def accepts(found: Found) -> bool:
    """Tell by most shapes of the file's networks whether it is PaddleGAN's; if none tells, numpy arrays do."""
    told = [vote for one in found.contents.find(FORM.marks) for vote in _votes(one.values)]
    return 2 * sum(told) > len(told) if told else all(isinstance(value, Array) for value in found.values.values())


def _votes(values: Mapping[str, Any]) -> Iterator[bool]:
    """Yield of every dense weight that is not square whether it is [in, out]."""
    for name in filter(_DENSE.fullmatch, values):
        bias, weight = (_shape(values.get(part)) for part in (name.removesuffix("weight") + "bias", name))
        if len(weight) == 2 and weight[0] != weight[1] and len(bias) == 1 and bias[0] in weight:
            yield weight[1] == bias[0]


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value.value if isinstance(value, Array) else value, "shape", ()))


def read(found: Found) -> ForeignNetwork:
    """Return a network of a file."""
    return found.network(FORM.id)


def completion_notes(networks: dict[str, ForeignNetwork]) -> list[str]:
    """Return notes on what `complete` makes, and on a layout that no shape tells."""
    notes = rosinality.completion_notes(networks)
    if not any(True for network in networks.values() for _ in _votes(network.tensors)):
        notes.append("dense weights are taken as [in, out] since the file has numpy arrays; all of them are square")
    return notes


def _upright(network: ForeignNetwork) -> ForeignNetwork:
    """Return a network with rosinality's layout."""
    turned = {
        name: value.t() if value.ndim == 2 and _DENSE.fullmatch(name) else value
        for name, value in network.tensors.items()
    }
    return replace(network, tensors=turned)


def _turned(table: Table) -> Table:
    """Return a table of rosinality's for PaddleGAN's layout."""

    def turned(row: Row) -> Row:
        dense = _DENSE.fullmatch(re.sub(r"\{\w+\}", "0", row.theirs))
        return replace(row, transform=chain(TRANSPOSE, row.transform)) if dense else row

    return replace(table, rows=[turned(row) for row in table.rows])


def complete(network: ForeignNetwork) -> ForeignNetwork:
    """Make what a file lacks, as rosinality's program does."""
    config = generator_config(network)
    table, mapping = generator_table(network, config), stylegan2.MappingNetwork(config.mapping, num_ws=1)
    return with_average_w(with_noise(network, config, table), table, mapping, samples=rosinality.MEAN_SAMPLES)


def generator_config(network: ForeignNetwork) -> stylegan2.GeneratorConfig:
    """Return the config of a `Generator`."""
    return rosinality.generator_config(_upright(network))


def generator_table(network: ForeignNetwork, config: stylegan2.GeneratorConfig) -> Table:
    """Return the table of a `Generator`."""
    return _turned(rosinality.generator_table(network, config))


def discriminator_config(network: ForeignNetwork) -> stylegan2.DiscriminatorConfig:
    """Return the config of a `Discriminator`."""
    return rosinality.discriminator_config(_upright(network))


def discriminator_table(network: ForeignNetwork, config: stylegan2.DiscriminatorConfig) -> Table:
    """Return the table of a `Discriminator`."""
    return _turned(rosinality.discriminator_table(network, config))
