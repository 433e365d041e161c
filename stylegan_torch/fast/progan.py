"""The fast form of ProGAN's generator."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from stylegan_torch.fast import strips
from stylegan_torch.fast.choices import laid_out
from stylegan_torch.fast.folding import (
    SMALL,
    DrawsOnly,
    assemble,
    copy_settings,
    finisher,
    is_watched,
    normalized,
    one_by_one,
    own,
    plain_conv,
    plain_kernel,
)
from stylegan_torch.fast.strips import Stage
from stylegan_torch.networks import progan
from stylegan_torch.networks.layers import labels_or_zeros


class PlainConv(nn.Module):
    """ProGAN's `Layer` in its fast form."""

    kernel: Tensor
    bias: Tensor

    def __init__(self, layer: progan.Layer, dtype: torch.dtype) -> None:
        super().__init__()
        weight, bias = layer.scaled()
        # Not the plain form's tensor, so not of its name either.
        self.register_buffer("kernel", plain_kernel(own(weight), layer.stage, dtype))
        self.register_buffer("bias", own(bias, dtype))
        self.kind, self.activation, self.eps, self.dtype = layer.stage, layer.activation, layer.eps, dtype

    def stage(self) -> Stage:
        """Return the layer."""
        finish = finisher(self.activation)
        finish = finish if self.eps is None else normalized(finish, self.eps)
        return plain_conv(self.kernel, self.kind, self.bias, finish)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, I, H, W] at once."""
        stage, height = self.stage(), x.shape[2]
        return stage.run(x.to(self.dtype), 0, 0, stage.out_height(height), height)


class ProGANBlock(progan.SynthesisBlock):
    """A level of ProGAN in its fast form."""

    conv0: Any
    conv1: Any

    def __init__(self, block: progan.SynthesisBlock, side: int, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.side, self.dtype = side, dtype
        layer: Any
        for name, layer in block.named_children():
            self.add_module(name, copy.deepcopy(layer) if name == "fc" else PlainConv(layer, dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Map the features of the level below (at 4×4: the latents) to this level's."""
        if hasattr(self, "fc"):
            return self.conv1(laid_out(self.fc(x).to(self.dtype)))
        if is_watched(self):
            return self.conv1(self.conv0(x))
        stages = [self.conv0.stage(), self.conv1.stage()]
        return assemble(stages, x.to(self.dtype), len(self.conv1.bias), (self.side, self.side))


class ProGANGenerator(DrawsOnly, progan.Generator):
    """ProGAN's generator in its fast form."""

    def __init__(self, G: progan.Generator, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        copy_settings(G, self)
        block: Any
        for name, block in G.named_children():
            side = int(name[1:])
            self.add_module(name, ProGANBlock(block, side, dtype if side >= SMALL else torch.float32))

    def forward(self, z: Tensor, c: Tensor | None = None, *options: Any, **others: Any) -> Tensor:
        """Draw images as the plain form does.

        Raises:
            ValueError: if gradients are asked for.
        """
        self.refuse_gradients(z, *self.parameters())
        labels_or_zeros(c, self.c_dim, z)
        if strips.in_pieces(z) and not len(z):
            return self(z.new_zeros(1, self.z_dim), *options, **others)[:0]
        if not one_by_one(z) or is_watched(self):
            with self.float32(z):
                return super().forward(z, c, *options, **others).float()
        each = [(z[i : i + 1], None if c is None else c[i : i + 1]) for i in range(len(z))]
        return torch.cat([self(*one, *options, **others) for one in each])
