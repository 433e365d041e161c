"""What files of rosinality's programs may lack, and is made for them: noise maps, and the average w."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from converter.foreign import Network
from converter.forms.state_dict import bounded
from converter.table import Table
from stylegan_torch.networks.registry import shapes


def completed(
    network: Network, config: Any, table: Table, mapping: Any, *, noise: str, average: str, samples: int
) -> Network:
    """Return a generator with what it lacks, the same whenever it is read.

    Args:
        network: the generator.
        config: its config.
        table: its table.
        mapping: a fresh mapping network of ours, of the config's, which draws the average w.
        noise: what the names of noise maps begin with.
        average: the name of the average w.
        samples: z that the program averages w over.
    """
    tensors, random = dict(network.tensors), np.random.RandomState(0)
    bounded(*config.img_size)
    table.check(shapes(config), tensors, table.optional)
    for ours, shape in shapes(config).items():
        theirs, transform = table.source_name(ours)
        if theirs not in tensors and theirs.startswith(noise):
            tensors[theirs] = torch.from_numpy(random.randn(*transform.source_shape(shape)).astype(np.float32))
    if average not in tensors:
        tensors[average] = _mean_w(table, mapping.requires_grad_(False), tensors, samples)
    return replace(network, tensors=tensors)


def _mean_w(table: Table, mapping: Any, tensors: dict[str, Tensor], samples: int) -> Tensor:
    for name, value in mapping.named_parameters():
        theirs, transform = table.source_name(f"mapping.{name}")
        value.copy_(transform.to_ours(tensors[theirs]))
    z = np.random.RandomState(0).randn(samples, mapping.z_dim).astype(np.float32)
    return mapping(torch.from_numpy(z))[:, 0].mean(dim=0)
