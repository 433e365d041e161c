"""Style mixing: some layers from one w, the others from another (StyleGAN section 3.1, figure 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from stylegan_torch.editing.composition import well_formed_layers
from stylegan_torch.networks import stylegan1
from stylegan_torch.networks.interface import Generator

RANGES = {"coarse": (4, 8), "middle": (16, 32), "fine": (64, 1 << 20)}
"""The papers' ranges of layers by the picture sides at which they work, the first and the last."""


def layers_of(G: Generator, text: str) -> list[int]:
    """Read a choice of layers: "0-6", "1,3,5-7", "coarse", "middle", "fine", "all", or several with commas between.

    Named ranges are of networks whose levels have as many layers each (all but StyleGAN3's).

    Raises:
        ValueError: for another text, or layers that the network does not have.
    """
    chosen: set[int] = set()
    for part in well_formed_layers(text).replace(" ", "").split(","):
        if part == "all":
            chosen |= set(range(G.num_ws))
        elif part in RANGES:
            chosen |= set(_named(G, part))
        else:
            first, _, last = part.partition("-")
            low, high = int(first), int(last or first)
            if low > high or high >= G.num_ws:
                raise ValueError(f"{part!r} is not within the layers 0 to {G.num_ws - 1} of this network")
            chosen |= set(range(low, high + 1))
    return sorted(chosen)


def _named(G: Generator, name: str) -> list[int]:
    sides = getattr(G.synthesis, "block_resolutions", None)
    if sides is None:
        raise ValueError(f"{name} is a range of StyleGAN and StyleGAN2; name layers of this network by number")
    low, high = RANGES[name]
    return [i for i in range(G.num_ws) if low <= sides[i * len(sides) // G.num_ws] <= high]


def official_psi(G: Generator) -> float:
    """Return the truncation psi of the release's own style-mixing script, which truncates all layers.

    StyleGAN's takes w as it comes from the mapping; the others have the network's default (docs/spec/TF.md 5).
    """
    return 1.0 if isinstance(G, stylegan1.Generator) else G.config.truncation_psi


def mix(ws: Tensor, others: Tensor, layers: Sequence[int]) -> Tensor:
    """Return ws [N, num_ws, w_dim] with the given layers' rows taken from `others`, of the same shape."""
    mixed = ws.clone()
    index = torch.tensor(list(layers), dtype=torch.long)
    mixed[:, index] = others[:, index]
    return mixed


def mixing_grid(rows: Tensor, columns: Tensor, layers: Sequence[int]) -> Tensor:
    """Return the ws [R, C, num_ws, w_dim] of a grid: those of each row, with some layers of each column's.

    Args:
        rows: ws [R, num_ws, w_dim].
        columns: ws [C, num_ws, w_dim].
        layers: which come from the columns.
    """
    R, C = len(rows), len(columns)
    wide = rows[:, None].expand(-1, C, -1, -1).flatten(0, 1)
    high = columns[None].expand(R, -1, -1, -1).flatten(0, 1)
    return mix(wide, high, layers).reshape(R, C, *rows.shape[1:])
