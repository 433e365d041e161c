"""The fast form of StyleGAN3's generator."""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan_torch.fast import strips, winograd
from stylegan_torch.fast.bands import FilteredActivation, taps_at
from stylegan_torch.fast.choices import choices_for
from stylegan_torch.fast.folding import (
    SMALL,
    DrawsOnly,
    FoldedLinear,
    OneByOne,
    copy_settings,
    empty_map,
    finisher,
    own,
)
from stylegan_torch.fast.room import Room
from stylegan_torch.fast.strips import Conv, run
from stylegan_torch.networks import stylegan3
from stylegan_torch.networks.layers import upfirdn2d


class FilteredConv(DrawsOnly):
    """StyleGAN3's `SynthesisLayer` in its fast form.

    A CPU filters in strips, by `activation`. Elsewhere whole maps are filtered by convolutions: each kind of sample
    between the given ones has a small filter of its own; `up_filter` is [up, C, 1, taps, 1]. Or by products with
    matrices: `up_y` and `down_y` from the left, `up_x` and `down_x` from the right.
    """

    weight: Tensor
    energy: Tensor | None
    bias: Tensor
    up_filter: Tensor
    down_filter: Tensor
    up_y: Tensor
    up_x: Tensor
    down_y: Tensor
    down_x: Tensor
    spec: stylegan3.LayerSpec
    conv_clamp: float | None
    by_matrices = False

    def __init__(self, layer: stylegan3.SynthesisLayer, dtype: torch.dtype) -> None:
        super().__init__()
        copy_settings(layer, self)
        self.dtype = dtype
        self.affine = FoldedLinear(layer.affine)
        weight, scale, energy = layer.weight.detach(), torch.rsqrt(layer.magnitude_ema), None
        if self.spec.is_rgb:
            weight = weight * (scale / math.sqrt(weight[0].numel()))
        else:
            weight = weight * torch.rsqrt(weight.square().mean(dim=(1, 2, 3), keepdim=True))
            energy = weight.square().sum(dim=(2, 3)).t().contiguous()
            weight = weight * scale
        self.register_buffer("energy", energy)
        exact = self.spec.kernel == 3 and dtype == torch.float32 and strips.in_pieces(weight)
        outputs, inputs, _, _ = weight.shape
        self.in_tiles = exact and winograd.suits(outputs, inputs, self.spec.before.size)
        laid_out = weight.contiguous(memory_format=choices_for(weight, dtype).filtered)
        self.register_buffer("weight", winograd.transformed(weight) if self.in_tiles else laid_out)
        self.register_buffer("bias", own(layer.bias, dtype))
        if layer.up_filter is not None and layer.down_filter is not None:
            self._make_filters(layer.up_filter, layer.down_filter)

    def _make_filters(self, up_filter: Tensor, down_filter: Tensor) -> None:
        # The gains of up-sampling and of the non-linearity, which is homogeneous, are the filter's. Filters are
        # symmetric, so it does not matter which way round they are.
        up, channels = self.spec.up, len(self.bias)
        up_filter = up_filter * (up * 2.0**0.25)
        self.activation = FilteredActivation(self.spec, up_filter, down_filter, self.conv_clamp)
        kinds = up_filter.reshape(-1, up).flip(0).t()
        kinds = kinds[:, None, None, :, None].expand(up, channels, 1, -1, 1)
        down = down_filter[None] if down_filter.ndim == 1 else down_filter
        self.register_buffer("up_filter", kinds.to(self.dtype).contiguous())
        self.register_buffer("down_filter", down.expand(channels, 1, *down.shape).to(self.dtype).contiguous())
        self.by_matrices = self.spec.after.size[1] <= choices_for(down, self.dtype).matrices
        if self.by_matrices:
            self._make_matrices(up_filter, down_filter)

    def _make_matrices(self, up: Tensor, down: Tensor) -> None:
        spec = self.spec
        axes = zip("yx", spec.before.size, spec.after.size, (spec.pad_y[0], spec.pad_x[0]), strict=True)
        for axis, given, made, pad in axes:
            counts = (given + spec.kernel - 1, (made - 1) * spec.down + down.shape[-1], made)
            before, between, after = (torch.arange(count, device=up.device) for count in counts)
            matrices = {"up": taps_at(up, between - pad + len(up) - 1 - spec.up * before[:, None])}
            if down.ndim == 1:
                matrices["down"] = taps_at(down, between[:, None] - spec.down * after)
            for name, matrix in matrices.items():
                turned = matrix.t() if axis == "y" else matrix
                self.register_buffer(f"{name}_{axis}", turned.to(self.dtype).contiguous())

    def forward(
        self, x: Tensor, w: Tensor, noise_mode: str = "const", force_fp32: bool = True, update_emas: bool = False
    ) -> Tensor:
        """Map x [N, I, H, W] with w [N, w_dim] to [N, O, H', W']."""
        self.refuse_gradients(x, w)
        x = x.to(self.dtype)
        x = x.contiguous(memory_format=choices_for(x).filtered)
        if not self.spec.is_rgb:
            conv = self._conv(w)
            if strips.for_graphs():
                return self._filtered_at_once(conv, x)
            if strips.in_pieces(x):
                return self.activation(conv, x)
            return self._multiplied(conv, x) if self.by_matrices else self._convolved(conv, x)
        (top, bottom), (left, right) = self.spec.pad_y, self.spec.pad_x
        x = F.pad(x, (left, right, top, bottom))  # a crop, so it can come first
        y = next(run([self._conv(w)], x, x.shape[2]))[2]
        return y if self.conv_clamp is None else y.clamp_(-self.conv_clamp, self.conv_clamp)

    def _conv(self, w: Tensor) -> Conv:
        styles, factor = self.affine(w), None
        if self.energy is not None:
            styles = styles * torch.rsqrt(styles.square().mean())
            factor = torch.rsqrt(styles.square() @ self.energy + 1e-8)
        padding = self.spec.kernel - 1
        if not strips.for_graphs() and not self.in_tiles and len(styles) == 1:
            scale = styles[0, None, :] if factor is None else factor[0, :, None] * styles[0, None, :]
            weight = (self.weight * scale[:, :, None, None]).to(self.dtype)
            return Conv(weight, self.bias, lambda y, start: y, padding=padding)
        ends = None if factor is None else factor[:, :, None, None].to(self.dtype)
        finish = finisher("linear", scale=ends, bias=self.bias[:, None, None])
        scale = styles[:, :, None, None].to(self.dtype)
        return Conv(self.weight.to(self.dtype), None, finish, scale, padding, Room(w.device))

    def _multiplied(self, conv: Conv, x: Tensor) -> Tensor:
        u = next(run([conv], x, conv.out_height(x.shape[2])))[2]
        fine = F.leaky_relu_(self.up_y @ (u @ self.up_x), 0.2)
        if self.conv_clamp is not None:
            fine.clamp_(-self.conv_clamp, self.conv_clamp)
        return self.down_y @ (fine @ self.down_x) if self.down_filter.shape[2] == 1 else self._down(fine)

    def _filtered_at_once(self, conv: Conv, x: Tensor) -> Tensor:
        u = next(run([conv], x, conv.out_height(x.shape[2])))[2]
        taps = self.up_filter[:, 0, 0, :, 0].flip(0).t().flatten()
        u = upfirdn2d(u, taps, up=self.spec.up, pad=self.spec.pad_y, pad_x=self.spec.pad_x)
        u = F.leaky_relu_(u, 0.2)
        return self._down(u if self.conv_clamp is None else u.clamp_(-self.conv_clamp, self.conv_clamp))

    def _convolved(self, conv: Conv, x: Tensor) -> Tensor:
        """Filter whole maps by convolutions."""
        spec = self.spec
        u = next(run([conv], x, conv.out_height(x.shape[2])))[2]
        size = [(made - 1) * spec.down + self.down_filter.shape[-1] for made in spec.after.size]
        top, bottom, kinds_y = self._kinds(size[0], spec.pad_y[0], u.shape[2])
        left, right, kinds_x = self._kinds(size[1], spec.pad_x[0], u.shape[3])
        u = F.pad(u, (left, right, top, bottom))
        wide = empty_map(u, u.shape[1], (u.shape[2], size[1]))
        for f, places, inputs in kinds_x:
            wide[:, :, :, places] = F.conv2d(u[:, :, :, inputs], f.transpose(2, 3), groups=len(f))
        fine = empty_map(u, u.shape[1], (size[0], size[1]))
        for f, places, inputs in kinds_y:
            part = F.conv2d(wide[:, :, inputs], f, groups=len(f))
            torch.ops.aten.leaky_relu.out(part, 0.2, out=fine[:, :, places])
        if self.conv_clamp is not None:
            fine.clamp_(-self.conv_clamp, self.conv_clamp)
        return self._down(fine)

    def _kinds(self, count: int, pad: int, given: int) -> tuple[int, int, list[tuple[Tensor, slice, slice]]]:
        """Return how many zeros go before and after the given samples, and each kind's filter, places and inputs.

        Sample m of the result is sample q = m - pad + n - 1 of the full convolution with the n taps, to which only the
        taps of its kind, q mod up, contribute.
        """
        up, taps = self.spec.up, self.up_filter.shape[3]
        shift = up * taps - 1 - pad
        low, high = shift // up - taps + 1, (count - 1 + shift) // up + 1
        kinds = []
        for kind in range(up):
            first = (kind - shift) % up
            made = len(range(first, count, up))
            at = (first + shift) // up - taps + 1 - low
            if made:
                kinds.append((self.up_filter[kind], slice(first, None, up), slice(at, at + made + taps - 1)))
        return -low, high - given, kinds

    def _down(self, fine: Tensor) -> Tensor:
        f, down = self.down_filter, self.spec.down
        if f.shape[2] > 1:
            return F.conv2d(fine, f, stride=down, groups=len(f))
        fine = F.conv2d(fine, f, stride=(1, down), groups=len(f))
        return F.conv2d(fine, f.transpose(2, 3), stride=(down, 1), groups=len(f))


class StyleGAN3Synthesis(OneByOne, stylegan3.SynthesisNetwork):
    """StyleGAN3's synthesis network in its fast form."""

    def __init__(self, synthesis: stylegan3.SynthesisNetwork, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        copy_settings(synthesis, self)
        self.input = copy.deepcopy(synthesis.input)
        for name in synthesis.layer_names:
            layer: stylegan3.SynthesisLayer = getattr(synthesis, name)
            precision = torch.float32 if layer.spec.rate < 2 * SMALL else dtype
            self.add_module(name, FilteredConv(layer, precision))
