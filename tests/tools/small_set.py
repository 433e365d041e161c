"""Small sets of pictures, and what tests ask of any set."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import torch

import stylegan_torch
from stylegan_torch import bulk
from stylegan_torch.bulk.stores import open_store
from stylegan_torch.networks.registry import build
from stylegan_torch.training.recipes import Networks

SIZES: dict[str, Any] = {"z_dim": 8, "w_dim": 8, "channel_base": 128, "channel_max": 8}


@functools.cache
def networks(c_dim: int, family: Any = "stylegan2") -> dict[str, torch.nn.Module]:
    """Return untrained networks of 16² pixels that draw different pictures for different seeds."""
    torch.manual_seed(7)
    generator, discriminator = Networks(family, 16, c_dim=c_dim, **SIZES).configs()
    G, D = build(generator), build(discriminator)
    for parameter in G.parameters():
        parameter.data.mul_(3)
    return {"G_ema": G, "D": D}


def network_file(folder: Path, c_dim: int = 0, family: str = "stylegan2") -> Path:
    """Write a small network, and return its file."""
    path = folder / f"{family}-{c_dim}.pt"
    if not path.exists():
        stylegan_torch.save(path, networks(c_dim, family))
    return path


def planned(folder: Path, count: int = 10, **settings: Any) -> bulk.Plan:
    """Return the plan of a small set, of shards of 4."""
    file = network_file(folder, settings.pop("c_dim", 0), settings.pop("family", "stylegan2"))
    return bulk.plan([file], count, device="cpu", **{"shard_size": 4, "batch": 3, **settings})


def made(place: Path | str, plan: bulk.Plan, **how: Any) -> bulk.State:
    """Begin a set and draw it."""
    bulk.begin(place, plan)
    return bulk.run(place, **how)


def hashes(place: Path | str) -> dict[str, str]:
    """Return the sha256 of every file of a set."""
    store = open_store(str(place))
    return {name: hashlib.sha256(store.read(name) or b"").hexdigest() for name in store.names()}
