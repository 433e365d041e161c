"""What suits a kind of device: data that `benchmarks/gpu.py` can be asked about.

Nothing of the rows for cards has been measured yet. They follow from what is known: tensor cores read channels-last and
have arithmetic to spare; without them, cards convolve maps that lie one after another best, and arithmetic decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stylegan_torch.fast import strips

HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Choices:
    """How feature maps lie, and how they are enlarged.

    layout: of what is convolved.
    filtered: of what StyleGAN3 filters, map by map.
    matrices: StyleGAN3's maps no wider than this are filtered by products with band matrices, all samples of a row at
        once: more arithmetic in fewer operations.
    phases: StyleGAN2's enlarging convolution and its filter are one convolution to the four kinds of pixels: four
        times the arithmetic, a third of the reading and writing.
    """

    layout: torch.memory_format
    filtered: torch.memory_format
    matrices: int
    phases: bool


CPU = Choices(torch.channels_last, torch.channels_last, matrices=0, phases=False)
CARD = Choices(torch.contiguous_format, torch.contiguous_format, matrices=84, phases=False)
CARD_HALF = Choices(torch.channels_last, torch.contiguous_format, matrices=148, phases=True)
GRAPH = Choices(torch.contiguous_format, torch.contiguous_format, matrices=0, phases=False)


def choices_for(x: Tensor, dtype: torch.dtype | None = None) -> Choices:
    """Return what suits the device of a tensor, for maps of its dtype or another."""
    if strips.in_pieces(x):
        return CPU
    if strips.for_graphs():
        return GRAPH
    return CARD_HALF if (dtype or x.dtype) in HALF else CARD


def laid_out(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return a map or kernel [., ., ., .] in the layout for convolutions in its dtype or another."""
    return x.contiguous(memory_format=choices_for(x, dtype).layout)
