"""Truncation beyond one psi for all: another for each layer, and towards one of several centres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from stylegan_torch.errors import NoAverageError
from stylegan_torch.networks.interface import Generator


class Centres(Protocol):
    """Several centres of W."""

    @property
    def name(self) -> str:
        """Return what pictures say of them."""

    def nearest(self, w: Tensor) -> Tensor:
        """Return the centre [N, w_dim] that each w [N, w_dim] is drawn to."""


@dataclass(frozen=True, eq=False)
class Truncation:
    """How w are drawn to a centre.

    psis: of each layer; 1 = as they are, 0 = the centre.
    centres: None = the mean w alone.
    """

    psis: tuple[float, ...]
    centres: Centres | None = None

    def apply(self, ws: Tensor, w_avg: Tensor | None) -> Tensor:
        """Return ws [N, num_ws, w_dim], the rows of which are the same, truncated.

        Raises:
            NoAverageError: if there is no centre.
        """
        centre = self.centres.nearest(ws[:, 0]) if self.centres else w_avg
        if centre is None:
            raise NoAverageError
        return centre.to(ws).unsqueeze(-2).lerp(ws, ws.new_tensor(self.psis)[:, None])


def mapped(
    G: Generator,
    z: Tensor,
    c: Tensor | None,
    *,
    psi: float = 1.0,
    cutoff: int | None = None,
    truncation: Truncation | None = None,
) -> Tensor:
    """Return ws [N, num_ws, w_dim] of latents z [N, z_dim] and labels c [N, c_dim] of a generator with W.

    Args:
        G: the generator.
        z, c: where they are drawn from, on its device.
        psi, cutoff: what its mapping takes.
        truncation: instead of these.
    """
    if truncation is None:
        return G.mapping(z, c, psi, cutoff)
    return truncation.apply(G.mapping(z, c), G.mapping.w_avg)
