"""Dragging: points of a picture are pulled to where they shall be (Pan et al. 2023, "Drag Your GAN", section 3.2).

Each step moves w so that the features around every point come to lie a pixel farther on (motion supervision), and then
looks where the points have come to (point tracking). Features are those of one early layer, and no later one is drawn.

Points are x and y in pixels of the picture; the first pixel's middle is 0, 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan_torch.drawing.devices import exact_float32
from stylegan_torch.drawing.draw import draw_latents
from stylegan_torch.drawing.images import Picture
from stylegan_torch.editing.latents import Latents, require_w
from stylegan_torch.errors import StyleGANError
from stylegan_torch.networks import stylegan3
from stylegan_torch.networks.interface import Generator
from stylegan_torch.networks.layers import up_to
from stylegan_torch.networks.registry import network_hash
from stylegan_torch.pictures.decode import decode_image, in_mode

__all__ = ["Drag", "DragError", "DragSettings", "Moment", "Point", "mask_from"]

Point = tuple[float, float]
Sampler = Callable[[Tensor], Tensor]
"""Maps points [..., 2] to the features there [..., C]."""
_FINEST = 128
"""Side of the features: those of StyleGAN2's sixth block, which the paper found best."""
_FEW = 5
"""So many points shall come within one pixel; more of them within two."""


class DragError(StyleGANError):
    """Nothing can be dragged so."""


@dataclass(frozen=True)
class DragSettings:
    """How to drag; the defaults are the paper's.

    steps: at most so many.
    learning_rate: of Adam.
    layers: the first so many rows of ws change, which shape the picture; the others keep its looks. None = 6, or 3
        where a level has only one.
    patch: radius of what is moved around each point, in pixels (r1).
    search: how far a point is looked for, in pixels (r2); None = 12, or a 16th of the picture if that is less.
    mask_weight: of what is held against what is moved (lambda).
    """

    steps: int = 300
    learning_rate: float = 2e-3
    layers: int | None = None
    patch: float = 3
    search: float | None = None
    mask_weight: float = 20

    def __post_init__(self) -> None:
        for name in ("steps", "learning_rate", "layers", "patch", "search"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise DragError(f"{name} is {value}: more than 0 is needed")


@dataclass(frozen=True)
class Moment:
    """A drag after some steps. Nothing in it is ever changed, so to keep it is enough to come back.

    ws: [1, num_ws, w_dim].
    points: [K, 2], where they are.
    distances: [K], how far from their targets, in pixels.
    taken: steps made.
    means: Adam's, of the gradient and of its square.
    """

    ws: Tensor
    points: Tensor
    distances: Tensor
    taken: int
    means: tuple[Tensor, Tensor]

    @property
    def distance(self) -> float:
        """How far the point is that is farthest from its target, in pixels."""
        return float(self.distances.max())


@dataclass(frozen=True)
class Grid:
    """Where the samples of a layer are in the picture.

    layer: its name. rate: samples per pixel. picture: height and width in pixels.
    rows: of ws that change, if nobody says otherwise.
    """

    layer: str
    rate: float
    picture: tuple[int, int]
    rows: int = 6

    def sampler(self, features: Tensor) -> Sampler:
        """Return what takes points, in pixels, to features [C, h, w]; a margin is about the picture on all sides."""
        # x first, as of points.
        middle, center = (
            torch.tensor(size[::-1], device=features.device) / 2 - 0.5 for size in (self.picture, features.shape[1:])
        )
        return lambda points: bilinear(features, (points - middle) * self.rate + center)

    def held(self, mask: Tensor, size: tuple[int, int]) -> Tensor:
        """Return how much of each sample [h, w] is to stay, by a mask [H, W] of what may move; margins may."""
        inner = [round(side * self.rate) for side in self.picture]
        within = F.interpolate(1 - mask[None, None], inner, mode="area")[0, 0]
        above, left = ((side - own) // 2 for side, own in zip(size, inner, strict=True))
        return F.pad(within, (left, size[1] - inner[1] - left, above, size[0] - inner[0] - above))


def grid_of(G: Generator) -> Grid:
    """Return the layer of a generator with W whose features are dragged: of 128 samples, or half the picture's."""
    config = G.config
    if isinstance(config, stylegan3.GeneratorConfig):
        rates = {spec.name: spec.after.rate for spec in stylegan3.layer_specs(config)}
        finest = drawn = config.img_resolution
    else:
        rates = {name: int(name[1:]) for name, _ in G.synthesis.named_children()}  # b4, b8 …
        finest = max(rates.values())
        drawn = finest >> math.floor(getattr(config, "lod", 0))  # a snapshot from the middle of growing ends earlier
    most = max(min(_FINEST, finest // 2, drawn), min(rates.values()))
    layer, rate = [each for each in rates.items() if each[1] <= most][-1]
    one_a_level = G.num_ws <= len(rates)
    return Grid(layer, rate / finest, G.img_size, 3 if one_a_level else 6)


def bilinear(features: Tensor, places: Tensor) -> Tensor:
    """Return features [C, h, w] between their samples [..., C]; beyond the outermost, theirs.

    Args:
        features: a sample in each row and column.
        places: x and y [..., 2], counted in samples from the middle of the first.
    """
    last = places.new_tensor(features.shape[:0:-1]) - 1
    within = torch.minimum(places.clamp(min=0), last) * (2 / last.clamp(min=1)) - 1
    found = F.grid_sample(features[None], within.reshape(1, 1, -1, 2), align_corners=True)
    return found[0, :, 0].t().reshape(*places.shape[:-1], -1)


def disc(radius: float) -> Tensor:
    """Return the steps [P, 2] to all pixels nearer than a radius, nearest first."""
    around = _square(radius)
    return around[around.square().sum(dim=1) < radius**2]


def _square(radius: float) -> Tensor:
    """Return the steps [P, 2] to all pixels nearer than a radius along both axes, nearest first."""
    reach = torch.arange(1 - math.ceil(radius), math.ceil(radius)).float()
    around = torch.cartesian_prod(reach, reach)
    return around[around.square().sum(dim=1).argsort(stable=True)]


def motion_loss(at: Sampler, points: Tensor, targets: Tensor, radius: float) -> Tensor:
    """Return how much the features around points differ from those a pixel on, towards the targets (equation 1).

    Those around the points are constants, so that the gradient moves them on. The paper's sums over pixels and channels
    are means here, so that weights mean the same for all networks; a target nearer than a pixel is aimed at itself.

    Args:
        at: the features.
        points: [K, 2]; targets: [K, 2].
        radius: of what is around, in pixels.
    """
    way = targets - points
    way = way / way.norm(dim=1, keepdim=True).clamp(min=1)
    patches = points[:, None] + disc(radius).to(points)
    return (at(patches + way[:, None]) - at(patches).detach()).abs().mean(dim=(1, 2)).sum()


def mask_loss(features: Tensor, start: Tensor, held: Tensor) -> Tensor:
    """Return how much features [C, h, w] differ from those at the start where they are held [h, w] (equation 1)."""
    return ((features - start).abs() * held).mean()


def track_points(at: Sampler, points: Tensor, wanted: Tensor, *, radius: float, picture: tuple[int, int]) -> Tensor:
    """Return where around points [K, 2] the features are most like wanted ones [K, C] (equation 2).

    Of several places that are alike, it is the nearest.

    Args:
        at: the features.
        points: where they were; wanted: what was there at the start.
        radius: how far along each axis they are looked for, in pixels.
        picture: height and width, beyond which no point goes.
    """
    last = points.new_tensor(picture[::-1]) - 1
    places = torch.minimum((points[:, None] + _square(radius).to(points)).clamp(min=0), last)
    nearest = (at(places) - wanted[:, None]).abs().sum(dim=2).argmin(dim=1)
    return places[torch.arange(len(points), device=points.device), nearest]


class Drag:
    """A drag under way: `step` until `done`, or go through it; then `latents`, or `picture` at any time.

    `now` is the moment it is at; set it to an earlier one to undo. Between steps it may be left, gone on with, or
    copied by `copy.copy`, which copies no tensor. On the CPU the same arguments always give the same bits.
    """

    @torch.inference_mode(False)
    def __init__(
        self,
        G: Generator,
        latents: Latents,
        points: Sequence[Point],
        *,
        targets: Sequence[Point],
        mask: Tensor | None = None,
        settings: DragSettings | None = None,
    ) -> None:
        """Begin.

        Args:
            G: a generator in its plain form; it is left as it is.
            latents: one picture's.
            points: of it, x and y in pixels.
            targets: where they shall be, one a point.
            mask: what may move [H, W], from 0 = stays to 1 = moves; None = all.
            settings: None = the defaults.

        Raises:
            LatentsError: if the network has no W.
            DragError: if the latents are several, points or targets are not in the picture, or the mask is not for it.
        """
        require_w(G)
        if len(latents) != 1:
            raise DragError(
                f"one picture is dragged at a time, and these latents are of {len(latents)}: choose one (--row)"
            )
        self.G, self.settings = G, settings or DragSettings()
        self.grid = grid_of(G)
        self._start = latents
        self._noise = [each.to(G.device) for each in latents.noise] or None
        self._synthesis = up_to(G.synthesis, self.grid.layer)
        self._rows = self.settings.layers or self.grid.rows
        self._search = self.settings.search or min(12.0, min(G.img_size) / 16)
        at, self.targets = self._given("point", points), self._given("target", targets)
        if len(at) != len(self.targets):
            raise DragError(f"{len(at)} points have {len(self.targets)} targets")
        ws = latents.ws.detach().to(G.device, torch.float32).clone()
        none = torch.zeros_like(ws[:, : self._rows])
        self._now = Moment(ws, at, self._left(at), 0, (none, none))
        self._drawn: tuple[Tensor, Tensor] | None = self._draw(ws)
        self._features = self._drawn[1].detach()
        self._wanted = self.grid.sampler(self._features)(at)
        self._held = None if mask is None else self._holding(mask)

    def __getstate__(self) -> dict[str, object]:
        # What is drawn can be differentiated once only, so a copy draws anew.
        return self.__dict__ | {"_drawn": None}

    def __iter__(self) -> Iterator[Moment]:
        while not self.done:
            yield self.step()

    @property
    def now(self) -> Moment:
        """The moment it is at."""
        return self._now

    @now.setter
    def now(self, moment: Moment) -> None:
        self._now, self._drawn = replace(moment, distances=self._left(moment.points)), None

    @property
    def near(self) -> float:
        """How near to its target every point shall come, in pixels."""
        return 1.0 if len(self.targets) <= _FEW else 2.0

    @property
    def arrived(self) -> bool:
        """Whether all points are near their targets."""
        return self.now.distance <= self.near

    @property
    def done(self) -> bool:
        """Whether all points are near their targets, or all steps are made."""
        return self.arrived or self.now.taken >= self.settings.steps

    def aim(self, targets: Sequence[Point]) -> None:
        """Take other targets for the same points.

        Raises:
            DragError: if they are not as many, or not in the picture.
        """
        given = self._given("target", targets)
        if given.shape != self.targets.shape:
            raise DragError(f"{len(self.targets)} points have {len(given)} targets")
        self.targets = given
        self._now = replace(self._now, distances=self._left(self._now.points))

    @torch.inference_mode(False)
    def step(self) -> Moment:
        """Make a step, done or not, and return the moment after it.

        Raises:
            DragError: if numbers are not finite any more.
        """
        now, settings = self._now, self.settings
        (rows, features), self._drawn = self._drawn or self._draw(now.ws), None
        with torch.enable_grad(), exact_float32():
            loss = motion_loss(self.grid.sampler(features), now.points, self.targets, settings.patch)
            if self._held is not None:
                loss = loss + settings.mask_weight * mask_loss(features, self._features, self._held)
            [gradient] = torch.autograd.grad(loss, [rows])
        moved, means = adam(rows.detach(), gradient, now.means, now.taken + 1, settings.learning_rate)
        ws = torch.cat([moved, now.ws[:, self._rows :]], dim=1)
        drawn = self._draw(ws)
        points = self._tracked(drawn[1].detach(), now.points)
        self._now, self._drawn = Moment(ws, points, self._left(points), now.taken + 1, means), drawn
        return self._now

    def latents(self) -> Latents:
        """Return the latents of this moment, with the noise of those at the start."""
        start = self._start
        return replace(start.with_ws(self.now.ws.cpu()), network=start.network or network_hash(self.G))

    def picture(self, drawer: Generator | None = None) -> Picture:
        """Return the picture of this moment, drawn by the network's form `drawer`, or else by its plain form."""
        [picture] = draw_latents(drawer or self.G, self.now.ws, noise=self._start.noise)
        return picture

    def _draw(self, ws: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows of ws that change, and the features [C, h, w] that follow from them."""
        with torch.enable_grad(), exact_float32():
            rows = ws[:, : self._rows].clone().requires_grad_()
            [features] = self._synthesis(torch.cat([rows, ws[:, self._rows :]], dim=1), noise=self._noise)
        return rows, features.float()

    def _tracked(self, features: Tensor, points: Tensor) -> Tensor:
        if not features.isfinite().all():
            raise DragError("the drag diverged: lower the learning rate")
        at = self.grid.sampler(features)
        return track_points(at, points, self._wanted, radius=self._search, picture=self.G.img_size)

    def _left(self, points: Tensor) -> Tensor:
        return (self.targets - points).norm(dim=1)

    def _given(self, what: str, points: Sequence[Point]) -> Tensor:
        height, width = self.G.img_size
        for x, y in points:
            if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
                raise DragError(f"the {what} {x:g},{y:g} is not in the picture: 0,0 to {width - 1},{height - 1}")
        if not points:
            raise DragError(f"a drag takes at least one {what}")
        return torch.tensor(points, dtype=torch.float32, device=self.G.device)

    def _holding(self, mask: Tensor) -> Tensor:
        if mask.shape != self.G.img_size:
            sizes = ["x".join(map(str, reversed(size))) for size in (mask.shape, self.G.img_size)]
            raise DragError(f"the mask has {sizes[0]} pixels, the picture {sizes[1]}")
        if not mask.any():
            raise DragError("the mask lets nothing move")
        height, width = self._features.shape[1:]
        return self.grid.held(mask.to(self._features), (height, width))


def mask_from(content: bytes) -> Tensor:
    """Return what may move [H, W], from 0 to 1, by a picture file: what is white may.

    Raises:
        DataError: if it is no picture.
    """
    gray = np.asarray(in_mode(decode_image(content), "L"))
    return torch.from_numpy(gray.astype(np.float32) / 255)


def adam(
    x: Tensor, gradient: Tensor, means: tuple[Tensor, Tensor], step: int, learning_rate: float
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return what Adam makes of x in its step of a number from 1, and its new means; nothing is changed in place."""
    mean = means[0].lerp(gradient, 1 - 0.9)
    square = means[1].lerp(gradient.square(), 1 - 0.999)
    size = (square / (1 - 0.999**step)).sqrt() + 1e-8
    return x - learning_rate * (mean / (1 - 0.9**step)) / size, (mean, square)
