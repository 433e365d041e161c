"""Networks of two that visitors chose, made when one is first drawn."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
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
        self._kept: OrderedDict[tuple[str, Blend], Future[Renderer]] = OrderedDict()
        self._lock, self._making = threading.Lock(), threading.Lock()

    def get(
        self, network: str, blend: Blend, opened: Callable[[str], Generator], drawer: Callable[[Generator], Generator]
    ) -> Renderer:
        """Return what draws a network blended with another. New ones are made one at a time; nobody else waits.

        Args:
            network: its name.
            blend: with what, and where.
            opened: gives networks by their names.
            drawer: gives the form to draw with.

        Raises:
            FieldError: if it has no such side.
            BlendingError: if the two do not belong together.
        """
        key = network, blend
        with self._lock:
            mine = key not in self._kept
            found = self._kept.setdefault(key, Future())
            self._kept.move_to_end(key)
        try:
            if mine:
                try:
                    with self._making:
                        pair = {name: opened(name) for name in (network, blend.network)}
                        found.set_result(_blended(pair, blend, drawer))
                except BaseException as error:
                    found.set_exception(error)
                self._tidy()
            return found.result()
        finally:
            del found  # or an error, whose traceback has this frame, would be kept by itself

    def _tidy(self) -> None:
        """Forget blends that could not be made, and all beyond those to keep."""
        with self._lock:
            for key in [key for key, found in self._kept.items() if found.done() and found.exception()]:
                del self._kept[key]
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)


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
