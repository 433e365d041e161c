"""The fast form of a generator, derived from the plain one for drawing; both draw the same to about 1e-5.

Gains are folded into weights, biases and noise, pointwise operations work in place, and styles scale whichever is
smaller, weights or feature maps. A CPU draws a batch picture by picture, and large maps in strips (`strips`); a card
draws batches at once, with weights that all pictures share. `choices` has what else suits which. The plain form remains
the one to read, to train and to look into.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch

import stylegan_torch.networks.lucidrains as plain_lucidrains
import stylegan_torch.networks.progan as plain_progan
import stylegan_torch.networks.stylegan1 as plain_stylegan1
import stylegan_torch.networks.stylegan2 as plain_stylegan2
import stylegan_torch.networks.stylegan3 as plain_stylegan3
from stylegan_torch.fast.folding import DrawsOnly, fold_linear
from stylegan_torch.fast.progan import ProGANGenerator
from stylegan_torch.fast.stylegan1 import StyleGANSynthesis
from stylegan_torch.fast.stylegan2 import StyleGAN2Synthesis
from stylegan_torch.fast.stylegan3 import StyleGAN3Synthesis
from stylegan_torch.networks.interface import Generator, StyleGenerator, SynthesisNetwork

__all__ = ["optimize"]

_Make = Callable[[Any, torch.dtype], Generator]
"""Makes a fast form; each takes the plain form of its family."""


class FastGenerator(DrawsOnly, StyleGenerator):
    """A generator with a w, in its fast form."""


def _style_generator(synthesis: Callable[[Any, torch.dtype], SynthesisNetwork]) -> _Make:
    def make(G: StyleGenerator, dtype: torch.dtype) -> FastGenerator:
        return FastGenerator(G.config, fold_linear(copy.deepcopy(G.mapping)), synthesis(G.synthesis, dtype))

    return make


_FORMS: dict[type[Generator], _Make] = {
    plain_progan.Generator: ProGANGenerator,
    plain_stylegan1.Generator: _style_generator(StyleGANSynthesis),
    plain_stylegan2.Generator: _style_generator(StyleGAN2Synthesis),
    plain_stylegan3.Generator: _style_generator(StyleGAN3Synthesis),
    plain_lucidrains.Generator: lambda G, _: copy.deepcopy(G),  # there is none yet
}


def optimize(G: Generator, dtype: torch.dtype = torch.float32, *, tf32: bool = False) -> Generator:
    """Return the fast form of a generator: the same interface, its own tensors, for drawing only.

    It is made for the device that the generator is on.

    Args:
        G: a generator of this package, in eval mode.
        dtype: of feature maps at 64² and above: float32, or bfloat16 (float16 on a GPU) for speed.
        tf32: let NVIDIA cards round the inputs of float32 products to 10 bits. Whatever PyTorch is set to, they
            don't without.

    It keeps no state between calls, so threads may share it. A network without a fast form is returned as it is, with a
    warning.
    """
    make = _FORMS.get(type(G))
    if make is None:
        warnings.warn(f"{type(G).__module__}.{type(G).__name__} has no fast form; using the plain one", stacklevel=2)
        return G
    fast = make(G, dtype).eval().requires_grad_(False)
    for part in fast.modules():
        if isinstance(part, DrawsOnly):
            part.tf32 = tf32
    return fast
