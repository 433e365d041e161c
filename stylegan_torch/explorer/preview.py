"""Small pictures of large networks, in a fraction of the time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan_torch.networks.interface import Generator

SIDE = 32
"""Largest side of a preview, in pixels."""
_RIDGE = 1e-4
_KEPT = 0.9
"""Share of what was learnt from earlier pictures that counts beside a new one."""


class _EnoughError(Exception):
    """The features that a preview is made from are there."""


class Preview:
    """A small picture from the features of an early layer.

    Colours are a linear map of the features, fitted by least squares to the pictures that were drawn whole, so it
    serves every family, needs no RGB layer at that size, and gets better with every picture. Old ones are forgotten.
    """

    _features: Tensor

    def __init__(self, G: Generator, side: int = SIDE) -> None:
        """Take a generator with W, in any form, and the largest side of previews."""
        self._synthesis: nn.Module = G.synthesis
        self._side = side
        self._margin: int = getattr(G.config, "margin_size", 0)  # what StyleGAN3's layers have beyond the picture
        self._layer = ""
        self._sums: tuple[Tensor, Tensor] | None = None
        self._colours: Tensor | None = None

    def learn(self, draw: Callable[[], Tensor], synthesis: nn.Module | None = None) -> Tensor:
        """Return the image [1, C, H, W] that `draw` draws with the generator, or a bent form of it; learn from it."""
        layers = list((synthesis or self._synthesis).named_children())
        handles = [layer.register_forward_hook(partial(self._keep, name)) for name, layer in layers]
        try:
            image = draw()
        finally:
            for handle in handles:
                handle.remove()
        self._fit(image)
        return image

    def sketch(self, draw: Callable[[], Tensor], synthesis: nn.Module | None = None) -> Tensor:
        """Return a preview [1, C, h, w] of what `draw` would draw with the generator; it is stopped on the way."""
        if self._colours is None:
            raise ValueError("nothing has been drawn to learn from")
        handle = (synthesis or self._synthesis).get_submodule(self._layer).register_forward_hook(self._stop)
        try:
            draw()
        except _EnoughError:
            pass
        finally:
            handle.remove()
        x, size = self._columns()
        return (x @ self._colours).t().reshape(1, -1, *size).float()

    def _keep(self, name: str, layer: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        features = output[0] if isinstance(output, tuple) else output
        if features.numel() and max(features.shape[2:]) - 2 * self._margin <= self._side:
            self._layer, self._features = name, features

    def _stop(self, layer: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        self._keep(self._layer, layer, inputs, output)
        raise _EnoughError

    def _columns(self) -> tuple[Tensor, tuple[int, int]]:
        """Return the features as rows [h · w, channels + 1] with ones at the end, and (h, w)."""
        height, width = self._features.shape[2:]
        m = self._margin
        inner = self._features[0, :, m : height - m, m : width - m]
        rows = inner.flatten(1).t().cpu().double()
        return torch.cat([rows, torch.ones_like(rows[:, :1])], dim=1), (inner.shape[1], inner.shape[2])

    def _fit(self, image: Tensor) -> None:
        x, size = self._columns()
        y = F.interpolate(image.clamp(-1, 1), size, mode="area")[0].flatten(1).t().cpu().double()
        weight = 1 / x.square().mean()  # so that no picture outweighs all others
        if not (weight.isfinite() and y.isfinite().all()):
            return
        earlier = self._sums or (0, 0)
        products = x.t() @ x * weight + _KEPT * earlier[0]
        targets = x.t() @ y * weight + _KEPT * earlier[1]
        self._sums = products, targets
        ridge = _RIDGE * products.diagonal().mean() * torch.eye(len(products))
        self._colours = torch.linalg.solve(products + ridge, targets)
