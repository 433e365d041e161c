"""Networks of two that visitors chose, made when one is first drawn."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import cast

from stylegan_torch.editing import blending
from stylegan_torch.editing.blending import BlendingError
from stylegan_torch.explorer.fields import FieldError
from stylegan_torch.explorer.renderer import Renderer
from stylegan_torch.explorer.states import Blend
from stylegan_torch.files import checkpoint
from stylegan_torch.networks.interface import Generator
from stylegan_torch.networks.registry import Config

KEPT = 4
"""So many of them; the least recently drawn goes."""


def sides(G: Generator) -> list[int]:
    """Return the sides at which a generator may go over to another, the coarsest first."""
    return [int(level) for level in blending.levels(cast(Config, G.config)) if level != blending.MAPPING][1:]


class Blends:
    """Renderers of blended networks."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, Blend], Renderer] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self, network: str, blend: Blend, opened: Callable[[str], Generator], drawer: Callable[[Generator], Generator]
    ) -> Renderer:
        """Return what draws a network blended with another.

        Args:
            network: its name.
            blend: with what, and where.
            opened: gives networks by their names.
            drawer: gives the form to draw with.

        Raises:
            FieldError: if it has no such side.
            BlendingError: if the two do not belong together.
        """
        with self._lock:
            key = network, blend
            if key not in self._kept:
                self._kept[key] = _blended({name: opened(name) for name in (network, blend.network)}, blend, drawer)
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]


def _blended(pair: dict[str, Generator], blend: Blend, drawer: Callable[[Generator], Generator]) -> Renderer:
    first = next(iter(pair.values()))
    if blend.at not in sides(first):
        raise FieldError("Blend resolution", blend.at, f"one of {', '.join(map(str, sides(first)))}")
    content = {name: checkpoint.of_modules({"G_ema": G}) for name, G in pair.items()}
    rules = blending.swap([cast(Config, first.config)], blend.at, soft=blend.soft)
    try:
        G = blending.blend(content, rules).checkpoint.network("G_ema").to(first.device)
    except BlendingError as error:
        raise BlendingError(f"Blend: {error}") from error
    return Renderer(G, drawer(G))
