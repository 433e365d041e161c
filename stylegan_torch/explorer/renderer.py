"""Drawing one network's pictures for visitors: at once if it is quick, a preview at once if not."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor, nn

from stylegan_torch.drawing.draw import synthesize
from stylegan_torch.drawing.images import Picture, to_uint8
from stylegan_torch.editing.bending import drawer_of
from stylegan_torch.editing.composer import Composer
from stylegan_torch.editing.composition import Composition
from stylegan_torch.editing.directions import Directions
from stylegan_torch.editing.films.frames import Cell, draw_loops, latents_cells, timed
from stylegan_torch.editing.inspect import average_ws
from stylegan_torch.editing.latents import Latents, joined
from stylegan_torch.explorer.preview import SIDE, Preview
from stylegan_torch.networks.interface import Generator
from stylegan_torch.networks.layers import feature_layers, up_to

QUICK = 0.12
"""A network whose picture takes longer, in seconds, gets previews."""


_FORMS = 4
"""Bent forms that are kept for the next picture."""
_SLOW = 10
"""A first picture that takes so many times longer than what is quick needs not be timed again."""
_KEPT = 8
"""So many ways are kept for their next moment."""


class OvertakenError(Exception):
    """A newer picture is wanted, so this one was not finished."""


@dataclass(frozen=True)
class Way:
    """A closed way through pictures.

    starts: when it is at each, in turns. easing: how it goes on, a name in `films.keys.EASINGS`.
    """

    pictures: tuple[Composition, ...]
    starts: tuple[float, ...]
    easing: str


class Renderer:
    """Draws the pictures of one network, one at a time, whoever asks."""

    def __init__(
        self, G: Generator, drawer: Generator, *, preview_side: int = SIDE, quick_seconds: float = QUICK
    ) -> None:
        """Take a generator with W, in its plain form, and the form to draw with; draws a first picture to time it.

        If pictures take longer than `quick_seconds`, `glimpse` draws previews of at most `preview_side` pixels a side.

        Raises:
            LatentsError: if it has no W.
        """
        self.G = G
        self.quick_seconds = quick_seconds
        self.composer = Composer(G)
        # Ours alone: others, such as projections, must not run into our hooks.
        self._drawer = copy.deepcopy(drawer) if drawer is G else drawer
        self._preview = Preview(self._drawer, preview_side)
        self._form = lru_cache(_FORMS)(partial(drawer_of, self._drawer))
        self._lock, self._finding = threading.Lock(), threading.Lock()
        self._cells = lru_cache(_KEPT)(self._cell)
        self.seconds = float("inf")
        self.draw(Latents(average_ws(G).cpu()))
        if self.seconds < _SLOW * quick_seconds:  # the first one warmed up
            self.draw(Latents(average_ws(G).cpu()))

    @property
    def quick(self) -> bool:
        """Return whether whole pictures are drawn fast enough to follow a slider."""
        return self.seconds <= self.quick_seconds

    def compose(self, picture: Composition) -> Latents:
        """Return the latents of a composition; see `Composer.compose`."""
        self._find([picture])
        with self._lock:
            return self.composer.compose(picture)

    def _find(self, pictures: Iterable[Composition]) -> None:
        """Find what pictures move along, while others draw."""
        for name in dict.fromkeys(move.directions for picture in pictures for move in picture.moves):
            self.directions(name)

    def directions(self, name: str) -> Directions:
        """Return directions of the network; see `Composer.directions`. Others draw while they are found."""
        with self._finding:
            return self.composer.directions(name)

    def count(self, name: str) -> int:
        """Return how many directions there are; see `Composer.count`."""
        with self._finding:
            return self.composer.count(name)

    @property
    def layers(self) -> list[str]:
        """The names of the layers that can be looked into."""
        return list(feature_layers(self._drawer.synthesis))

    def features(self, latents: Latents, picture: Composition, layer: str) -> Tensor:
        """Return what a layer makes [C, H, W] of the first latents of a composition, before it is bent itself."""
        with self._lock, torch.inference_mode():
            part = up_to(self._shaped(picture).synthesis, layer)
            [features] = part(latents.ws[:1].to(self.G.device), noise=[each[:1] for each in latents.noise] or None)
            return features.float().cpu()

    def outputs(self, latents: Latents, picture: Composition) -> dict[str, tuple[tuple[int, ...], float]]:
        """Return the shape [C, H, W] of what each layer makes, and its standard deviation, in the order of drawing."""
        found: dict[str, tuple[tuple[int, ...], float]] = {}

        def note(name: str, layer: nn.Module, inputs: object, output: Tensor) -> None:
            found[name] = tuple(output.shape[1:]), float(output.float().std())

        with self._lock:
            drawer = self._shaped(picture)
            handles = [
                layer.register_forward_hook(partial(note, name))
                for name, layer in feature_layers(drawer.synthesis).items()
            ]
            try:
                self._synthesize(latents, drawer)
            finally:
                for handle in handles:
                    handle.remove()
        return found

    def _shaped(self, picture: Composition | None) -> Generator:
        """Return the form that draws a composition, or what nothing is done to."""
        if picture is None:
            return self._drawer
        return self._form(Composition(0, bends=picture.bends, translate=picture.translate, rotate=picture.rotate))

    def glimpse(self, latents: Latents, picture: Composition | None = None) -> Picture:
        """Return the picture [H, W, C] of the first latents, or a small one if that would take long; see `draw`."""
        if self.quick:
            return self.draw(latents, picture=picture)
        with self._lock:
            drawer = self._shaped(picture)
            return self._picture(self._preview.sketch(lambda: self._synthesize(latents, drawer), drawer.synthesis))

    def draw(
        self,
        latents: Latents,
        overtaken: Callable[[], bool] = lambda: False,
        picture: Composition | None = None,
    ) -> Picture:
        """Return the picture [H, W, C] of the first latents.

        Args:
            latents: of the network.
            overtaken: asked before each layer whether to give up.
            picture: they are drawn as this, bent and moved.

        Raises:
            OvertakenError: if it gave up.
        """
        with self._lock:
            ask = partial(_ask, overtaken)
            drawer = self._shaped(picture)
            handles = [layer.register_forward_pre_hook(ask) for layer in drawer.synthesis.children()]
            try:
                if self.quick:
                    return self._picture(self._synthesize(latents, drawer))
                return self._picture(self._preview.learn(lambda: self._timed(latents, drawer), drawer.synthesis))
            finally:
                for handle in handles:
                    handle.remove()

    def moment(self, way: Way, turn: float) -> Picture:
        """Return the picture [H, W, C] of a way after a share of it, or a small one if that would take long."""
        self._find(way.pictures)
        with self._lock:
            cell = self._cells(way)
        noise = tuple(cell.noise(turn)) if cell.noise else ()
        return self.glimpse(Latents(cell.latents(torch.tensor([turn], dtype=torch.float64)), noise=noise))

    def film(self, way: Way, frames: int) -> Iterator[Picture]:
        """Yield the pictures [H, W, C] of a way, once around, as `stylegan film` draws them."""
        self._find(way.pictures)
        with self._lock:
            pictures = draw_loops(self._drawer, [self._cells(way)], columns=1, frames=frames)
        while True:
            with self._lock:
                picture = next(pictures, None)
            if picture is None:
                return
            yield picture

    def _cell(self, way: Way) -> Cell:
        latents = joined([self.composer.compose(each) for each in way.pictures])  # one by one, as command lines do
        (cell,) = latents_cells(latents, 1, len(latents))
        return timed(cell, way.easing, easings=[""] * len(latents), starts=way.starts)

    def _timed(self, latents: Latents, drawer: Generator) -> Tensor:
        start = time.perf_counter()
        image = self._synthesize(latents, drawer).cpu()  # which waits for a GPU to be done
        self.seconds = min(self.seconds, time.perf_counter() - start)
        return image

    @torch.inference_mode()
    def _synthesize(self, latents: Latents, drawer: Generator) -> Tensor:
        return synthesize(drawer, latents.ws[:1], noise=[layer[:1] for layer in latents.noise])

    def _picture(self, images: Tensor) -> Picture:
        picture: Picture = to_uint8(images, self.G.rounding)[0].numpy()
        return picture


def _ask(overtaken: Callable[[], bool], layer: nn.Module, inputs: object) -> None:
    if overtaken():
        raise OvertakenError
