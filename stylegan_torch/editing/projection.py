"""Projection: which latents draw a given picture (StyleGAN2 appendix D; docs/spec/TF.md 5.1).

One w, or one a layer (W+), and the noise maps are optimised by Adam, so that a perceptual distance to the target
shrinks. What is new against the paper: W+, and several start points in one batch, of which the best is taken.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan_torch.drawing.draw import labels_of
from stylegan_torch.drawing.random_streams import RandomStream, Share
from stylegan_torch.editing.latents import Latents, chosen, require_w, w_statistics
from stylegan_torch.editing.perceptual import Distance, PyramidDistance
from stylegan_torch.errors import StyleGANError
from stylegan_torch.files.atomic import new_file, opened_by_name
from stylegan_torch.files.tensors import load_plain
from stylegan_torch.networks.interface import Generator
from stylegan_torch.networks.registry import network_hash

_START_POINTS, _W_NOISE = range(2)
"""Purposes of random numbers."""
_PATH_POINTS = 100
"""About so many moments of a projection are kept for its film."""
_ENDS_AT = 8
"""Side of the last level of a noise map's pyramid."""


State = dict[str, Any]
"""As `torch.load` gives it: of any file, anything."""


class ProjectionError(StyleGANError):
    """A projection cannot be made, or not be gone on with."""


@dataclass(frozen=True)
class ProjectionSettings:
    """How to project; the defaults are the paper's.

    space: "w" = one row for all layers, "w+" = a row a layer.
    starts: start points in the batch: the mean of W or what to begin with, and random w besides.
    learning_rate: of Adam. It rises linearly from 0 for the share `rampup` of the steps, and falls along a cosine to 0
        for the share `rampdown`.
    w_noise: standard deviation, in those of W, of what is added to w at first; it falls to none after the share
        `w_noise_ramp` of the steps.
    noise_regularization: weight of `noise_penalty`.
    seed: of the random start points, and of the noise added to w.
    """

    space: Literal["w", "w+"] = "w+"
    steps: int = 1000
    starts: int = 1
    learning_rate: float = 0.1
    rampdown: float = 0.25
    rampup: float = 0.05
    w_noise: float = 0.05
    w_noise_ramp: float = 0.75
    noise_regularization: float = 1e5
    seed: int = 0


def learning_rate(settings: ProjectionSettings, t: float) -> float:
    """Return the learning rate at the time t of [0, 1)."""
    down = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / settings.rampdown))
    return settings.learning_rate * down * min(1.0, t / settings.rampup)


def w_noise(settings: ProjectionSettings, t: float) -> float:
    """Return how many standard deviations of W are added to w at the time t of [0, 1)."""
    return settings.w_noise * max(0.0, 1 - t / settings.w_noise_ramp) ** 2


def noise_penalty(maps: Sequence[Tensor]) -> Tensor:
    """Return how far noise maps [N, 1, H, W] are from white noise, [N]: it keeps pictures out of them.

    The squared correlations with the map moved by a pixel, in both directions, are summed over all maps and their
    pyramids, halved while the side is above 8 (StyleGAN2 appendix D, equation 15).
    """
    total = maps[0].new_zeros(len(maps[0]))
    for level in maps:
        while True:
            for axis in (2, 3):
                total = total + (level * level.roll(1, axis)).mean(dim=(1, 2, 3)).square()
            if min(level.shape[2:]) <= _ENDS_AT:
                break
            level = F.avg_pool2d(level, 2)  # noqa: PLW2901
    return total


@torch.no_grad()
def normalize(maps: Sequence[Tensor]) -> None:
    """Shift and scale every map of noise maps [N, 1, H, W], in place, to mean 0 and mean square 1."""
    for each in maps:
        each.sub_(each.mean(dim=(1, 2, 3), keepdim=True))
        energy = each.square().mean(dim=(1, 2, 3), keepdim=True)
        each.mul_((energy + 1e-12).rsqrt())  # a map of zeros stays one


class Projection:
    """A projection under way: `step` until `done`, then `latents`.

    On the CPU the same arguments always give the same bits, also if `state` was saved and gone on from.

    w: [starts, 1 or num_ws, w_dim]; noise: maps [starts, 1, H, W] of N(0, 1), one a noisy layer. taken: steps made.
    path: what w was every so often, [points, *w.shape].
    """

    def __init__(
        self,
        G: Generator,
        target: Tensor,
        settings: ProjectionSettings | None = None,
        distance: Distance | None = None,
        *,
        class_index: int | None = None,
        state: State | None = None,
        begin: Latents | None = None,
    ) -> None:
        """Begin, or go on.

        Args:
            G: a generator in its plain form; it is left as it is.
            target: the picture [C, H, W] in [-1, 1], of the generator's size.
            settings: None = the defaults.
            distance: to the target; None = `PyramidDistance()`.
            class_index: of a conditional network.
            state: of a projection with the same arguments, to go on from.
            begin: the first of these latents is the first start point, for "w" the mean of its rows; its noise, if
                there is some, is what noise starts from. None = the mean of W, and the stored noise.

        Raises:
            LatentsError: if the network has no W.
            NoClassError: if it has no such class.
            ProjectionError: if the target does not fit the network, or the state these arguments.
        """
        require_w(G)
        self.settings = settings = settings or ProjectionSettings()
        self.distance: Distance = distance or PyramidDistance()
        self.G = G
        if target.shape != (G.img_channels, *G.img_size):
            wanted = [G.img_channels, *G.img_size]
            raise ProjectionError(f"the target is {list(target.shape)}, this network draws {wanted}")
        self.device = G.device
        self.c = labels_of(G, class_index, 1).to(self.device)
        self.target = target.to(self.device).expand(settings.starts, -1, -1, -1)
        self._begin = chosen(begin, [0]) if begin else None
        self.taken = 0
        self._path: list[Tensor] = []
        self.deviation = float(state["deviation"]) if state else 0.0
        mean = torch.zeros(G.w_dim, device=self.device)
        if not state:
            mean, self.deviation = w_statistics(G, self.c)
        self.w = self._start_points(mean).requires_grad_()
        # The stored maps are N(0, 1) too, as the paper begins with.
        maps = [stored.detach() for stored in G.synthesis.noise_buffers()]
        if self._begin and self._begin.noise:
            maps = [each.to(self.device) for each in self._begin.noise]
        maps = [G.synthesis.normal_of(each) for each in maps]
        self.noise = tuple(each.repeat(settings.starts, 1, 1, 1).requires_grad_() for each in maps)
        self.optimizer = torch.optim.Adam([self.w, *self.noise], betas=(0.9, 0.999), eps=1e-8)
        if state:
            self._go_on(state)

    def _start_points(self, mean: Tensor) -> Tensor:
        random = RandomStream((self.settings.seed, _START_POINTS), self.settings.starts, Share()).normal(self.G.z_dim)
        with torch.no_grad():
            found = self.G.mapping(random.to(self.device), self.c.expand(len(random), -1))[1:, 0]
        w = torch.cat([mean.to(found)[None], found])
        rows = 1 if self.settings.space == "w" else self.G.num_ws
        points = w[:, None].repeat(1, rows, 1)
        if self._begin:
            first = self._begin.ws[0].to(points)
            points[0] = first.mean(dim=0) if rows == 1 else first
        return points

    @property
    def done(self) -> bool:
        """Return whether all steps are made."""
        return self.taken >= self.settings.steps

    @property
    def path(self) -> Tensor:
        """Return the moments of w [points, *w.shape] that are kept, on the CPU."""
        return torch.stack(self._path) if self._path else self.w.new_zeros(0, *self.w.shape, device="cpu")

    def step(self) -> float:
        """Make a step; returns the smallest distance of the start points before it.

        Raises:
            ProjectionError: if no start point has a finite distance any more.
        """
        settings = self.settings
        t = self.taken / settings.steps
        if self.taken % max(1, settings.steps // _PATH_POINTS) == 0:
            self._path.append(self.w.detach().cpu().clone())
        draws = RandomStream((settings.seed, _W_NOISE, self.taken), settings.starts, Share())
        added = draws.normal(*self.w.shape[1:]).to(self.device) * (self.deviation * w_noise(settings, t))
        distances = self._distances(self.w + added)
        penalty = noise_penalty(self.noise) if self.noise else distances.new_zeros(())
        loss = (distances + settings.noise_regularization * penalty).sum()
        self._descend(loss, learning_rate(settings, t))
        self.taken += 1
        return _least(distances.detach())[1]

    def _descend(self, loss: Tensor, rate: float) -> None:
        parameters = [self.w, *self.noise]
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            # A start point that overflows must not take the others with it.
            parameter.grad = None if gradient is None else gradient.nan_to_num(0.0, 0.0, 0.0)
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        normalize(self.noise)

    def _distances(self, w: Tensor) -> Tensor:
        ws = w.expand(-1, self.G.num_ws, -1)
        noise = [self.G.synthesis.noise_of(each) for each in self.noise]
        return self.distance(self.G.signed(self.G.synthesis(ws, noise=noise or None)), self.target)

    @torch.no_grad()
    def latents(self) -> Latents:
        """Return the latents of the best start point, ws [1, num_ws, w_dim], with its noise maps.

        Raises:
            ProjectionError: if none has a finite distance.
        """
        best = self._best()
        ws = self.w[best].expand(1, self.G.num_ws, -1)
        chosen_maps = [self.G.synthesis.noise_of(each[best : best + 1]) for each in self.noise]
        noise = tuple(each.detach().cpu().clone() for each in chosen_maps)
        c = self.c.cpu() if self.G.c_dim else None
        return Latents(ws.detach().cpu().clone(), c=c, noise=noise, network=self._identity["network"])

    @torch.no_grad()
    def film(self) -> Latents:
        """Return what w of the best start point was on the way, ws [points, num_ws, w_dim], with its last noise maps.

        Raises:
            ProjectionError: if no start point has a finite distance.
        """
        last = self.latents()
        ws = self.path[:, self._best()].expand(-1, self.G.num_ws, -1)
        return Latents(torch.cat([ws, last.ws]), noise=last.noise, network=last.network)

    @torch.no_grad()
    def _best(self) -> int:
        return _least(self._distances(self.w))[0]

    def state(self) -> State:
        """Return what it takes to go on, as `torch.load(weights_only=True)` reads it."""
        changing = {
            "w": self.w.detach(),
            "noise": [each.detach() for each in self.noise],
            "optimizer": self.optimizer.state_dict(),
        }
        fixed = {**self._identity, "taken": self.taken, "deviation": self.deviation, "path": self.path}
        return fixed | copy.deepcopy(changing)

    @cached_property
    def _identity(self) -> State:
        return {
            "network": network_hash(self.G),
            "picture": _hash([self.target[0]]),
            "beginning": _hash([self._begin.ws, *self._begin.noise]) if self._begin else None,
            "class": self.c.tolist(),
            "distance": self.distance.name,
            "settings": asdict(self.settings),
        }

    def _go_on(self, state: State) -> None:
        for name, value in self._identity.items():
            if state.get(name) != value:
                raise ProjectionError(f"the state is of a projection with another {name}: it cannot be gone on with")
        try:
            with torch.no_grad():
                for mine, kept in zip([self.w, *self.noise], [state["w"], *state["noise"]], strict=True):
                    mine.copy_(kept)
            self.optimizer.load_state_dict(state["optimizer"])
            self._path = list(state["path"].cpu())
            self.taken = int(state["taken"])
        except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise ProjectionError("the state is damaged") from error


def _hash(arrays: Sequence[Tensor]) -> str:
    digest = hashlib.sha256()
    for each in arrays:
        digest.update(each.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _least(distances: Tensor) -> tuple[int, float]:
    """Return which distance is the smallest, and how small it is."""
    finite = distances.where(distances.isfinite(), math.inf)
    best = int(finite.argmin())
    if not finite[best].isfinite():
        raise ProjectionError("the projection diverged: lower the learning rate")
    return best, float(finite[best])


def save_state(path: Path, projection: Projection) -> None:
    """Write the state of a projection, in place of an earlier one.

    Raises:
        StyleGANError: if it cannot be written.
    """
    with new_file(path, force=True) as file:
        torch.save(projection.state(), file)


def load_state(path: Path) -> State:
    """Read the state of a projection; no code in it is executed.

    Raises:
        ProjectionError: if there is none, or it is damaged.
    """
    try:
        with opened_by_name(path) as name:
            state = load_plain(name)
    except FileNotFoundError as error:
        raise ProjectionError(f"there is no {path} to resume from") from error
    except Exception as error:  # what torch raises for a damaged file is anything
        raise ProjectionError(f"{path} is damaged; remove it to begin anew") from error
    if not isinstance(state, dict) or not isinstance(state.get("deviation"), float):
        raise ProjectionError(f"{path} is not the state of a projection")
    return state
