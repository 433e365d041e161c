"""Pictures of any size, and several latents in one picture.

StyleGAN3 draws a window of an endless field, so a larger picture is a larger window: its input grid has more samples of
the same spacing, and all layers grow alike. StyleGAN and StyleGAN2 grow everything from a learned constant, so a larger
picture takes a larger constant, made of the one there is. Both draw with the plain form of the network.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan_torch.drawing.draw import synthesize
from stylegan_torch.drawing.random_streams import RandomStream, Share
from stylegan_torch.editing.latents import Latents
from stylegan_torch.errors import StyleGANError
from stylegan_torch.networks import stylegan1, stylegan2, stylegan3
from stylegan_torch.networks.interface import Generator
from stylegan_torch.networks.registry import assemble, tensors_of

Fill = Literal["reflect", "tile", "edge"]
"""What the constant becomes beyond its edges: mirrored in its last samples, repeated, or its last samples again."""
FILLS: tuple[Fill, ...] = get_args(Fill)
LARGEST = 1 << 14
"""Side of a picture."""
_WithConstant = stylegan1.Generator | stylegan2.Generator
Size = tuple[int, int]
"""Height and width, or from the top and from the left."""


class CanvasError(StyleGANError):
    """A network cannot draw what is asked for."""


@dataclass(frozen=True)
class Canvas:
    """A network that draws pictures of another size.

    G: the network; of StyleGAN3 its config still has the ordinary size, so that it is to draw with, not to save.
    ordinary: the height and width of the pictures of the network that it is made of.
    offset: where in pictures the ordinary one lies, in pixels.
    noise_seed: of the noise beyond it.
    """

    G: Generator
    ordinary: Size
    offset: Size
    noise_seed: int = 0

    @property
    def size(self) -> Size:
        """Height and width of pictures."""
        return self.G.img_size

    def fitted(self, latents: Latents) -> Latents:
        """Return latents of the ordinary network with their noise, if they have any, continued to this size."""
        return replace(latents, noise=tuple(self._continued(latents.noise)))

    def _continued(self, maps: Sequence[Tensor]) -> list[Tensor]:
        sizes = [tuple(stored.shape) for stored in self.G.synthesis.noise_buffers()]
        return _continued_noise(maps, sizes, self.size, self.offset, self.noise_seed) if maps else []


def step_of(G: Generator) -> int:
    """Return of how many pixels the sides of a canvas are multiples: a sample of the coarsest layer.

    Raises:
        CanvasError: if the network cannot draw other sizes.
    """
    if isinstance(G, stylegan3.Generator):
        return G.config.img_resolution // G.synthesis.input.sampling_rate
    if isinstance(G, _WithConstant) and _constant(tensors_of(G)):
        return G.img_size[0] // G.config.base_size[0]
    raise CanvasError("this network draws one size only: others take StyleGAN with a constant, StyleGAN2 or StyleGAN3")


def canvas_of(
    G: Generator,
    size: Size | None = None,
    *,
    offset: Size | None = None,
    fill: Fill = "reflect",
    noise_seed: int = 0,
) -> Canvas:
    """Return a network that draws pictures of another size, with the tensors of this one.

    In the ordinary size it is the same network, bit for bit. Otherwise StyleGAN3 draws the same in the window of the
    ordinary picture but for what comes in over its borders, which fades away inwards. In StyleGAN and StyleGAN2 all
    pixels depend on the whole constant, so the picture there is another, if alike. Noise is the stored maps in that
    window, and beyond it N(0, 1), a layer after the other, by `noise_seed`.

    Args:
        G: a generator with W, in its plain form.
        size: height and width, multiples of `step_of`; None = the ordinary size.
        offset: where the ordinary picture lies, in pixels from the top and the left, such multiples too; negative if it
            is cut off. None = in the middle, as far as that is one.
        fill: what the constant becomes; StyleGAN3 has none.
        noise_seed: of what there is no stored noise for.

    Raises:
        CanvasError: if the network cannot draw that size.
    """
    step, ordinary = step_of(G), G.img_size
    size = size or ordinary
    if any(side < step or side % step for side in size):
        raise CanvasError(f"{size[0]}x{size[1]}: this network's sides are multiples of {step}, at least that")
    if max(size) > LARGEST:
        raise CanvasError(f"{size[0]}x{size[1]}: a side has at most {LARGEST} pixels")
    if offset is None:
        offset = _middle(size[0] - ordinary[0], step), _middle(size[1] - ordinary[1], step)
    if any(each % step for each in offset):
        raise CanvasError(f"an offset of {offset[0]},{offset[1]}: this network's are multiples of {step}")
    made = G
    if (size, offset) != (ordinary, (0, 0)):
        if isinstance(G, stylegan3.Generator):
            made = _wider_grid(G, size, offset)
        elif isinstance(G, _WithConstant):
            made = _larger_constant(G, size, offset, fill, noise_seed)
    return Canvas(made, ordinary, offset, noise_seed)


def _middle(more: int, step: int) -> int:
    return more // step // 2 * step


def _wider_grid(G: stylegan3.Generator, size: Size, offset: Size) -> Generator:
    wide, step = copy.deepcopy(G), step_of(G)
    grid = wide.synthesis.input
    more = [(side - own) // step for side, own in zip(size, G.img_size, strict=True)]
    grid.size = (grid.size[0] + more[0], grid.size[1] + more[1])
    # Samples are counted from the middle, which is then another.
    down, across = ((extra / 2 - first // step) / grid.sampling_rate for extra, first in zip(more, offset, strict=True))
    if down or across:
        shift = torch.eye(3).to(grid.transform)
        shift[0, 2], shift[1, 2] = across, down
        grid.transform.copy_(grid.transform @ shift)
    wide.img_size, wide.img_resolution = size, max(size)
    wide.synthesis.img_resolution = max(size)
    return wide


def _larger_constant(
    G: stylegan1.Generator | stylegan2.Generator, size: Size, offset: Size, fill: Fill, noise_seed: int
) -> Generator:
    state, step = tensors_of(G), step_of(G)
    base = (size[0] // step, size[1] // step)
    name = _constant(state)
    assert name is not None
    constant = state[name]
    for axis, (count, first) in enumerate(zip(base, offset, strict=True), start=1):
        index = _FILLED[fill](torch.arange(count) - first // step, constant.shape[axis])
        constant = constant.index_select(axis, index.to(constant.device))
    state[name] = constant
    names = [key for key in state if key.endswith("noise_const")]
    maps = [state[key][None, None] for key in names]
    sizes = [tuple(side * size[i] // G.img_size[i] for i, side in enumerate(state[key].shape)) for key in names]
    for key, continued in zip(names, _continued_noise(maps, sizes, size, offset, noise_seed), strict=True):
        state[key] = continued[0, 0]
    made = assemble(replace(G.config, base_size=base), state).to(G.device)
    assert isinstance(made, Generator)
    return made


def _folded(place: Tensor, size: int) -> Tensor:
    period = max(2 * size - 2, 1)
    return torch.minimum(place.remainder(period), period - place.remainder(period))


_FILLED: dict[Fill, Callable[[Tensor, int], Tensor]] = {
    "reflect": _folded,
    "tile": lambda place, size: place.remainder(size),
    "edge": lambda place, size: place.clamp(0, size - 1),
}


def _constant(state: Mapping[str, Tensor]) -> str | None:
    """Return the name of the learned constant; None if there is none."""
    return next((name for name in state if name.endswith(".const")), None)


def _continued_noise(
    maps: Sequence[Tensor], sizes: Sequence[tuple[int, ...]], whole: Size, offset: Size, seed: int
) -> list[Tensor]:
    """Return noise maps [N, 1, h, w] as parts of larger ones, of these sizes; maps of zeros stay zeros.

    Args:
        maps: one a layer, in layer order.
        sizes: height and width of each larger map.
        whole: height and width of pictures.
        offset: where the ordinary picture lies in them.
        seed: of the noise beyond.
    """
    draws = RandomStream((seed,), 1, Share())
    result = []
    for each, (height, width) in zip(maps, sizes, strict=True):
        around = draws.normal(1, height, width).to(each) * bool(each.any())
        if each.shape[2:] == (height, width) and offset == (0, 0):
            result.append(each)
            continue
        larger = around.repeat(len(each), 1, 1, 1)
        top, left = offset[0] * height // whole[0], offset[1] * width // whole[1]
        rows, columns = _overlap(top, each.shape[2], height), _overlap(left, each.shape[3], width)
        larger[:, :, rows, columns] = each[
            :, :, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
        result.append(larger)
    return result


def _overlap(first: int, count: int, size: int) -> slice:
    start = min(max(first, 0), size)
    return slice(start, max(min(first + count, size), start))


def masks_of(layout: Tensor, size: Size, *, count: int, feather: float = 0.0) -> Tensor:
    """Return masks [count, H, W] that are 1 together everywhere.

    Args:
        layout: whole numbers [h, w], which of `count` latents is where; enlarged by the nearest.
        size: H and W.
        count: of latents.
        feather: standard deviation of the Gaussian that softens edges, in pixels.
    """
    large = F.interpolate(layout[None, None].double(), size, mode="nearest")[0, 0].long()
    masks = F.one_hot(large, count).permute(2, 0, 1).float()
    return _normalized(_softened(masks, feather))


def strips(count: int, *, across: bool) -> Tensor:
    """Return the layout of as many strips of one width: side by side, or one below the other."""
    places = torch.arange(count)
    return places[None, :] if across else places[:, None]


def _softened(masks: Tensor, sigma: float) -> Tensor:
    reach = round(3 * sigma)
    if reach < 1:
        return masks
    x = torch.arange(-reach, reach + 1, dtype=masks.dtype)
    f = torch.exp(-0.5 * (x / sigma).square())
    f = (f / f.sum())[None, None]
    wide = F.pad(masks[:, None], [reach] * 4, mode="replicate")
    return F.conv2d(F.conv2d(wide, f[:, :, None]), f[:, :, :, None])[:, 0]


def _normalized(masks: Tensor) -> Tensor:
    return masks / masks.sum(dim=0, keepdim=True)


@torch.inference_mode()
def draw_laid_out(canvas: Canvas, latents: Latents, masks: Tensor, noise_mode: str = "const") -> Tensor:
    """Return the image [1, C, H, W] that has each of K latents where its mask [K, H, W] is 1.

    Every layer, StyleGAN3's input among them, is computed with the style of each of the latents, and of each noise, on
    the same features, and what comes out is mixed by the masks at that layer's size; so colours and shapes grow into
    each other. With one latent it is the ordinary image, bit for bit.

    Args:
        canvas: what to draw on.
        latents: K of them, of the ordinary network.
        masks: as of `masks_of`, in the canvas's size.
        noise_mode: as of `synthesize`.

    Raises:
        CanvasError: if there are not as many masks as latents, or they have another size.
    """
    if masks.shape != (len(latents), *canvas.size):
        raise CanvasError(f"masks are {list(masks.shape)}, not {[len(latents), *canvas.size]}")
    fitted = canvas.fitted(latents)
    with _mixing(canvas, masks.to(canvas.G.device)):
        return synthesize(canvas.G, fitted.ws, noise=fitted.noise, noise_mode=noise_mode)[:1]


@contextmanager
def _mixing(canvas: Canvas, masks: Tensor) -> Iterator[None]:
    """Let each layer that reads a w mix a batch of K by masks [K, H, W]; all K are then the same."""
    if len(masks) == 1:  # mixing one by 1 would only choose other kernels, by the layout in memory
        yield
        return
    at_size: dict[tuple[int, ...], Tensor] = {}

    def mix(layer: nn.Module, _: object, output: Tensor) -> Tensor:
        size = tuple(output.shape[2:])
        if size not in at_size:
            at_size[size] = _reduced(masks, size, _pixels_per_sample(canvas, layer, size[0])).to(output.dtype)
        return (output * at_size[size][:, None]).sum(dim=0, keepdim=True).expand_as(output)

    layers = [module for module in canvas.G.synthesis.modules() if hasattr(module, "affine")]
    handles = [layer.register_forward_hook(mix) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _pixels_per_sample(canvas: Canvas, layer: nn.Module, height: int) -> float:
    rate = getattr(layer, "out_sampling_rate", getattr(layer, "sampling_rate", None))
    return canvas.ordinary[0] / rate if rate else canvas.size[0] / height


def _reduced(masks: Tensor, size: tuple[int, ...], scale: float) -> Tensor:
    """Return masks [K, H, W] in the size (h, w) of a layer; in its margins about the picture, edges go on.

    `scale` is how many pixels a sample of the layer is.
    """
    pads = []
    for side, own in zip(reversed(size), reversed(masks.shape[1:]), strict=True):
        margin = max(round(side * scale) - own, 0)
        pads += [margin // 2, margin - margin // 2]
    return _normalized(F.interpolate(F.pad(masks[None], pads, mode="replicate"), size, mode="area")[0])
