"""Pivotal tuning: a generator changed a little, so that it draws a given picture (Roich et al. 2021, "Pivotal Tuning
for Latent-based Editing of Real Images").

A projection finds the pivot, a w that draws about the picture; it can be edited well where it is one w for all layers.
Then the weights of the synthesis network learn to draw the picture there, and what they draw around is held to what
it was (section 3.3), so that other pictures stay.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from stylegan_torch.drawing.random_streams import RandomStream, Share
from stylegan_torch.editing.latents import Latents, require_w
from stylegan_torch.editing.perceptual import Distance, PyramidDistance
from stylegan_torch.errors import StyleGANError
from stylegan_torch.files.tensors import nonfinite
from stylegan_torch.networks.interface import Generator
from stylegan_torch.networks.registry import tensors_of

_PAPERS_W = 512
"""Numbers of a w in the paper."""


class TuningError(StyleGANError):
    """A generator cannot be tuned."""


@dataclass(frozen=True)
class TuningSettings:
    """How to tune; the defaults are the paper's.

    learning_rate: of Adam.
    l2_weight: of the mean squared difference of pictures, beside their distance.
    locality_weight: of how far pictures around the pivot move; 0 = they may.
    alpha: how far from the pivot, in the units of W, those pictures are, each in the direction of a random w. It is for
        a w of 512 numbers; lengths in W grow with the root of how many there are, and so does this.
    seed: of the random w.
    """

    steps: int = 350
    learning_rate: float = 3e-4
    l2_weight: float = 1.0
    locality_weight: float = 0.1
    alpha: float = 30.0
    seed: int = 0


class Tuning:
    """A tuning under way: `step` until `done`, then `tuned`.

    On the CPU the same arguments always give the same bits. taken: steps made.
    """

    def __init__(
        self,
        G: Generator,
        target: Tensor,
        pivot: Latents,
        *,
        settings: TuningSettings | None = None,
        distance: Distance | None = None,
    ) -> None:
        """Begin.

        Args:
            G: a generator in its plain form; it is left as it is.
            target: the picture [C, H, W] in [-1, 1], of the generator's size.
            pivot: the first of these latents draws about the picture, with its noise, if it has some. Both are held.
            settings: None = the defaults.
            distance: between pictures; None = `PyramidDistance()`.

        Raises:
            LatentsError: if the network has no W.
            TuningError: if target or pivot do not fit the network.
        """
        require_w(G)
        self.settings = settings or TuningSettings()
        self.distance: Distance = distance or PyramidDistance()
        if target.shape != (G.img_channels, *G.img_size):
            wanted = [G.img_channels, *G.img_size]
            raise TuningError(f"the target is {list(target.shape)}, this network draws {wanted}")
        if pivot.ws.shape[1:] != (G.num_ws, G.w_dim):
            raise TuningError(f"the pivot is {list(pivot.ws.shape[1:])}, this network takes {[G.num_ws, G.w_dim]}")
        self.G, self._tuned = G, copy.deepcopy(G)
        self.device = G.device
        self.target = target.to(self.device)[None]
        self.ws = pivot.ws[:1].to(self.device)
        self.noise = [each[:1].to(self.device) for each in pivot.noise]
        self._c = None if pivot.c is None else pivot.c[:1].to(self.device)
        self.parameters = list(self._tuned.synthesis.requires_grad_(True).parameters())
        self.optimizer = torch.optim.Adam(self.parameters, self.settings.learning_rate)
        self.taken = 0

    @property
    def done(self) -> bool:
        """Return whether all steps are made."""
        return self.taken >= self.settings.steps

    def step(self) -> float:
        """Make a step; returns the distance of the pivot's picture to the target before it.

        Raises:
            TuningError: if that is no number any more.
        """
        image = self._drawn(self._tuned, self.ws, self.noise)
        loss, distance = self._difference(image, self.target)
        if self.settings.locality_weight:
            ws = self._around()
            with torch.no_grad():
                before = self._drawn(self.G, ws)
            loss = loss + self.settings.locality_weight * self._difference(self._drawn(self._tuned, ws), before)[0]
        if not math.isfinite(float(loss.detach())):
            raise TuningError("the tuning diverged: lower its learning rate (--tune-rate)")
        gradients = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        self.taken += 1
        return float(distance)

    def _drawn(self, G: Generator, ws: Tensor, noise: list[Tensor] | None = None) -> Tensor:
        return G.signed(G.synthesis(ws, noise=noise or None))

    def _difference(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is to be made small, and the distance in it."""
        distance = self.distance(images, targets).sum()
        return distance + self.settings.l2_weight * (images - targets).square().mean(), distance.detach()

    @torch.no_grad()
    def _around(self) -> Tensor:
        """Return ws [1, num_ws, w_dim] at the distance `alpha` from the pivot (section 3.3)."""
        z = RandomStream((self.settings.seed, self.taken), 1, Share()).normal(self.G.z_dim).to(self.device)
        away = self.G.mapping(z, self._c) - self.ws
        reach = self.settings.alpha * math.sqrt(self.G.w_dim / _PAPERS_W)
        return self.ws + reach * away / away.norm(dim=2, keepdim=True).clamp(min=1e-12)

    def tuned(self) -> Generator:
        """Return the tuned generator: a copy, in eval mode, with no gradients asked for.

        Raises:
            TuningError: if it has a NaN or an infinite number.
        """
        result = copy.deepcopy(self._tuned).requires_grad_(False)
        if nonfinite(tensors_of(result)):
            raise TuningError("the tuning diverged: lower its learning rate (--tune-rate)")
        return result


def tune(
    G: Generator,
    target: Tensor,
    pivot: Latents,
    *,
    settings: TuningSettings | None = None,
    distance: Distance | None = None,
    watch: Callable[[Iterable[int]], Iterable[int]] = lambda steps: steps,
) -> Generator:
    """Return a copy of a generator that draws a picture at a pivot; arguments and errors as of `Tuning`.

    `watch` may show progress: it is given the numbers of the steps, and gives them on.
    """
    tuning = Tuning(G, target, pivot, settings=settings, distance=distance)
    for _ in watch(range(tuning.settings.steps)):
        tuning.step()
    return tuning.tuned()
