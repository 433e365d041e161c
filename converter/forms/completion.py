"""What generators of some programs may lack, and is made for them: noise maps, and the average w."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from converter.foreign import ForeignNetwork
from converter.forms.state_dict import bounded
from converter.table import Table
from stylegan_torch.networks import lucidrains, stylegan1, stylegan2
from stylegan_torch.networks.registry import shapes

GeneratorConfig = stylegan1.GeneratorConfig | stylegan2.GeneratorConfig
MappingNetwork = stylegan1.MappingNetwork | stylegan2.MappingNetwork | lucidrains.MappingNetwork


def completed(network: ForeignNetwork, config: GeneratorConfig, table: Table, *, samples: int) -> ForeignNetwork:
    """Return a generator with the noise maps and the average w that it lacks; arguments as of the functions below."""
    family = stylegan1 if isinstance(config, stylegan1.GeneratorConfig) else stylegan2
    mapping: MappingNetwork = family.MappingNetwork(config.mapping, num_ws=1)
    return with_average_w(with_noise(network, config, table), table, mapping, samples=samples)


def completion_notes(networks: Mapping[str, ForeignNetwork], *, average: str, noise: str, samples: int) -> list[str]:
    """Return notes on what is made for the generator of a file.

    Args:
        networks: by role.
        average: name of the average w.
        noise: what names of noise maps begin with.
        samples: as of `with_average_w`.
    """
    generator = next((network for role, network in networks.items() if role != "D"), None)
    if generator is None:
        return []
    notes = []
    if average not in generator.tensors:
        notes.append(f"the file has no average w; that of {samples} z is taken, as its program does")
    if not any(name.startswith(noise) for name in generator.tensors):
        notes.append("the file has no noise maps, which were always random then; some are made")
    return notes


def with_noise(network: ForeignNetwork, config: GeneratorConfig, table: Table) -> ForeignNetwork:
    """Return a generator with the noise maps that it lacks, the same whenever it is read."""
    tensors, random, wanted = dict(network.tensors), np.random.RandomState(0), shapes(config)
    bounded(*config.img_size)
    table.check(wanted, tensors, table.optional)
    for ours, shape in wanted.items():
        theirs, transform = table.source_name(ours)
        if theirs not in tensors and ours.endswith("noise_const"):
            tensors[theirs] = torch.from_numpy(random.randn(*transform.source_shape(shape)).astype(np.float32))
    return replace(network, tensors=tensors)


def with_average_w(network: ForeignNetwork, table: Table, mapping: MappingNetwork, *, samples: int) -> ForeignNetwork:
    """Return a generator with an average w, if it lacks one.

    Args:
        network: the generator.
        table: its table.
        mapping: a fresh mapping network of ours, of the generator's config, which draws the average.
        samples: z that the program averages w over.
    """
    average, _ = table.source_name("mapping.w_avg")
    if average in network.tensors:
        return network
    return replace(network, tensors={**network.tensors, average: _average_w(table, mapping, network.tensors, samples)})


def _average_w(table: Table, mapping: MappingNetwork, tensors: Mapping[str, Tensor], samples: int) -> Tensor:
    for name, value in mapping.requires_grad_(False).named_parameters():
        theirs, transform = table.source_name(f"mapping.{name}")
        value.copy_(transform.to_ours(tensors[theirs]))
    z = np.random.RandomState(0).randn(samples, mapping.z_dim).astype(np.float32)
    return mapping(torch.from_numpy(z))[:, 0].mean(dim=0)
