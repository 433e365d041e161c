"""The building blocks against literal float64 formulas, and gradients of whole networks.

Resampling and convolution are tried on all sizes and filters that hypothesis thinks of, lopsided ones included: those
make a forgotten flip or an offset of one visible.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch import from_numpy as tensor

from stylegan_torch.networks import layers, progan, stylegan1, stylegan2
from stylegan_torch.networks import registry as networks
from tests.tools import oracle, oracle_torch

Array = np.ndarray[Any, Any]
EXAMPLES = settings(max_examples=60)

taps_of_filter = st.lists(st.integers(1, 9), min_size=1, max_size=9)
sides = st.integers(1, 7)
even_sides = st.sampled_from([2, 4, 6, 8])
kernel_sides = st.sampled_from([1, 3, 5])
seeds = st.integers(0, 2**32 - 1)


def random(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def exact_filter(taps: list[int]) -> Tensor:
    """A filter in double precision, of as many dimensions as `make_filter` gives it."""
    f = torch.tensor(taps, dtype=torch.float64)
    return f.outer(f) / f.sum() ** 2 if len(taps) < 8 else f / f.sum()


def agree(actual: Tensor, expected: Array, tolerance: float = 1e-11) -> None:
    assert actual.shape == expected.shape
    assert actual.dtype == torch.float64
    np.testing.assert_allclose(actual.numpy(), expected, rtol=tolerance, atol=tolerance)


# Filters and resampling.


@given(taps_of_filter)
def test_filter_sums_to_one_and_is_separable_from_eight_taps_on(taps: list[int]) -> None:
    f = layers.make_filter(taps)
    assert f.ndim == (2 if len(taps) < 8 else 1)
    square = f if f.ndim == 2 else f.outer(f)
    np.testing.assert_allclose(square.numpy(), oracle.filter_2d(taps), rtol=1e-6)


@pytest.mark.parametrize("taps", [[1, 2, 5], [1, 2, 3, 4, 5, 6, 7, 9]])
def test_filters_are_real_on_the_meta_device(taps: list[int]) -> None:
    # Networks are made on the meta device and then filled from files, which do not hold these filters.
    with torch.device("meta"):
        f = layers.make_filter(taps)
    assert torch.equal(f, layers.make_filter(taps))


@given(
    taps_of_filter, sides, sides, st.integers(1, 3), st.integers(1, 3), st.integers(-2, 4), st.integers(-2, 4), seeds
)
@EXAMPLES
def test_upfirdn(taps: list[int], h: int, w: int, up: int, down: int, before: int, after: int, seed: int) -> None:
    assume(min(h, w) * up + min(before, 0) + min(after, 0) >= 1)
    assume(min(h, w) * up + before + after >= len(taps))
    x = random(seed, 2, 2, h, w)
    expected = oracle.upfirdn(x, 3 * oracle.filter_2d(taps), (before, after), up, down)
    actual = layers.upfirdn2d(tensor(x), exact_filter(taps), up=up, down=down, pad=(before, after), gain=3)
    agree(actual, expected)


@given(taps_of_filter, sides, sides, seeds)
@EXAMPLES
def test_upsample(taps: list[int], h: int, w: int, seed: int) -> None:
    x = random(seed, 2, 3, h, w)
    agree(layers.upsample2d(tensor(x), exact_filter(taps)), oracle.up2(x, oracle.filter_2d(taps)))


@given(taps_of_filter, even_sides, even_sides, seeds)
@EXAMPLES
def test_downsample(taps: list[int], h: int, w: int, seed: int) -> None:
    x = random(seed, 2, 3, h, w)
    agree(layers.downsample2d(tensor(x), exact_filter(taps)), oracle.down2(x, oracle.filter_2d(taps)))


@given(taps_of_filter, sides, sides, seeds)
@EXAMPLES
def test_blur(taps: list[int], h: int, w: int, seed: int) -> None:
    x = random(seed, 2, 3, h, w)
    agree(layers.blur2d(tensor(x), exact_filter(taps)), oracle.blur(x, taps))


# Convolutions.


@given(sides, sides, kernel_sides, seeds)
@EXAMPLES
def test_convolution_correlates_and_keeps_the_size(h: int, w: int, k: int, seed: int) -> None:
    x, weight = random(seed, 2, 3, h, w), random(seed + 1, 4, 3, k, k)
    agree(layers.conv2d(tensor(x), tensor(weight)), oracle.corr(x, oracle_torch.hwio(weight)))


@given(taps_of_filter, sides, sides, kernel_sides, seeds)
@EXAMPLES
def test_enlarging_convolution(taps: list[int], h: int, w: int, k: int, seed: int) -> None:
    x, weight = random(seed, 2, 3, h, w), random(seed + 1, 4, 3, k, k)
    expected = oracle_torch.conv_up(x, weight, oracle.filter_2d(taps))
    agree(layers.conv2d_up(tensor(x), tensor(weight), exact_filter(taps)), expected)


@given(taps_of_filter, sides, sides, kernel_sides, seeds)
@EXAMPLES
def test_enlarging_convolution_is_that_of_tensorflow_with_a_rotated_kernel(
    taps: list[int], h: int, w: int, k: int, seed: int
) -> None:
    x, hwio = random(seed, 2, 3, h, w), random(seed + 1, k, k, 3, 4)
    weight = tensor(hwio).permute(3, 2, 0, 1).flip(2, 3)
    actual = layers.conv2d_up(tensor(x), weight, exact_filter(taps))
    agree(actual, oracle.conv_up2(x, hwio, oracle.filter_2d(taps)))


@given(taps_of_filter, even_sides, even_sides, kernel_sides, seeds)
@EXAMPLES
def test_reducing_convolution(taps: list[int], h: int, w: int, k: int, seed: int) -> None:
    x, weight = random(seed, 2, 3, h, w), random(seed + 1, 4, 3, k, k)
    f = oracle.filter_2d(taps)
    actual = layers.conv2d_down(tensor(x), tensor(weight), exact_filter(taps))
    agree(actual, oracle_torch.conv_down(x, weight, f))
    agree(actual, oracle.conv_down2(x, oracle_torch.hwio(weight), f))


@given(sides, sides, seeds)
@EXAMPLES
def test_fused_enlargement(h: int, w: int, seed: int) -> None:
    x, weight = random(seed, 2, 3, h, w), random(seed + 1, 4, 3, 3, 3)
    actual = layers.conv2d_nearest_up(tensor(x), tensor(weight))
    agree(actual, layers.conv2d(layers.nearest_up2d(tensor(x)), tensor(weight)).numpy())
    # The fused form of the TensorFlow releases is the same with the kernel turned by 180°.
    agree(actual, oracle.fused_up(x, oracle_torch.hwio(weight)[::-1, ::-1]))


@given(even_sides, even_sides, seeds)
@EXAMPLES
def test_fused_reduction(h: int, w: int, seed: int) -> None:
    x, weight = random(seed, 2, 3, h, w), random(seed + 1, 4, 3, 3, 3)
    actual = layers.conv2d_box_down(tensor(x), tensor(weight))
    agree(actual, layers.box_down2d(layers.conv2d(tensor(x), tensor(weight))).numpy())
    agree(actual, oracle.fused_down(x, oracle_torch.hwio(weight)))


@given(sides, sides, st.sampled_from([1, 2, 4]), seeds)
def test_nearest_and_box(h: int, w: int, factor: int, seed: int) -> None:
    x = random(seed, 2, 3, h, w)
    enlarged = layers.nearest_up2d(tensor(x), factor)
    agree(enlarged, oracle.near(x, factor))
    y = random(seed + 1, *enlarged.shape)
    agree(layers.box_down2d(tensor(y), factor), oracle.box(y, factor))


# Normalisation, activations and the rest.


@given(st.integers(1, 6), st.sampled_from([(), (1, 1), (3, 2)]), st.sampled_from([1e-8, 0.1]), seeds)
def test_pixel_norm(channels: int, area: tuple[int, ...], eps: float, seed: int) -> None:
    x = random(seed, 3, channels, *area)
    agree(layers.pixel_norm(tensor(x), eps), oracle.norm2(x, eps))


@given(sides, sides, seeds)
def test_instance_norm(h: int, w: int, seed: int) -> None:
    x = random(seed, 2, 3, h, w)
    # A map of one pixel minus its mean is nothing but rounding.
    agree(layers.instance_norm(tensor(x)), oracle.instance_norm(x), 1e-9)


@given(sides, sides, seeds)
def test_instance_norm_of_pytorch(h: int, w: int, seed: int) -> None:
    x = random(seed, 2, 3, 1 + h, w)
    centred = x - x.mean(axis=(2, 3), keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(axis=(2, 3), keepdims=True) + 1e-5)
    agree(layers.instance_norm(tensor(x), 1e-5), expected, 1e-9)


@given(st.integers(1, 4), st.integers(1, 4), st.booleans(), st.integers(1, 3), st.integers(1, 2), seeds)
@EXAMPLES
def test_minibatch_stddev(groups: int, group: int, whole: bool, features: int, width: int, seed: int) -> None:
    n, size = (groups, None) if whole else (groups * group, group)
    x = random(seed, n, features * width, 3, 4)
    agree(layers.minibatch_stddev(tensor(x), size, features), oracle.mbstd(x, size, features))


def test_minibatch_stddev_of_a_small_batch_takes_it_as_one_group() -> None:
    x = random(0, 3, 2, 4, 4)
    agree(layers.minibatch_stddev(tensor(x), 8), oracle.mbstd(x, 3, 1))


def test_minibatch_stddev_of_unbiased_variances() -> None:
    x = torch.randn(4, 3, 4, 4)
    spread = (x.var(dim=0, correction=1) + 1e-8).sqrt().mean()
    torch.testing.assert_close(layers.minibatch_stddev(x, 4, unbiased=True)[:, 3], spread.expand(4, 4, 4))
    assert bool((layers.minibatch_stddev(x[:1], 4, unbiased=True)[:, 3] == 1e-4).all())


def test_minibatch_stddev_refuses_a_batch_that_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="batch of 6 cannot be split into minibatch-stddev groups of 4"):
        layers.minibatch_stddev(torch.zeros(6, 2, 4, 4), 4)


@given(st.sampled_from(sorted(layers.ACTIVATIONS)), st.sampled_from([None, 0.3, 256.0]), st.booleans(), seeds)
@EXAMPLES
def test_activations(name: str, clamp: float | None, with_gain: bool, seed: int) -> None:
    x = random(seed, 2, 3, 4, 4) * 3
    gain = 1.0 if with_gain else 1 / oracle.ACTIVATIONS[name][1]
    limit = clamp if clamp is None else clamp / gain
    expected = oracle.bias_act(x, np.zeros(3), name, limit, gain)
    agree(layers.activate(tensor(x), name, clamp, with_gain=with_gain), expected)


def test_activations_are_those_of_the_formulas() -> None:
    assert set(layers.ACTIVATIONS) == set(oracle.ACTIVATIONS)


@given(
    st.sampled_from([0.0, 0.3, 0.7, 1.0, -0.5, 1.5]), st.one_of(st.none(), st.integers(-2, 9)), st.integers(1, 8), seeds
)
@EXAMPLES
def test_truncation_pulls_the_first_rows_towards_the_average(
    psi: float, cutoff: int | None, rows: int, seed: int
) -> None:
    ws, average = random(seed, 2, rows, 5), random(seed + 1, 5)
    first = rows if cutoff is None else max(min(cutoff, rows), 0)
    expected = ws.copy()
    expected[:, :first] = average + psi * (ws[:, :first] - average)
    agree(layers.truncate(tensor(ws), tensor(average), psi, cutoff), expected)


@given(st.floats(-1, 9, allow_nan=False), st.integers(0, 6))
def test_growth_splits_a_level_of_detail(lod: float, coarsest: int) -> None:
    level, fade = layers.growth(lod, coarsest)
    # The finest level in use is the last that the lod has reached.
    assert level == max([other for other in range(coarsest + 1) if other <= lod], default=0)
    assert fade == max(lod - level, 0)


# Gradients. Everything is double precision, and small enough for numerical differentiation.

SIZES: dict[str, Any] = {"img_resolution": 8, "img_channels": 2, "channels": (3, 2)}
W1 = stylegan1.MappingConfig(z_dim=3, c_dim=2, w_dim=4, num_layers=2, layer_dim=3)
W2 = stylegan2.MappingConfig(z_dim=3, c_dim=2, w_dim=4, num_layers=2, layer_dim=3, embed_dim=3)
CMAP = stylegan2.MappingConfig(z_dim=0, c_dim=2, w_dim=3, num_layers=1, layer_dim=3, embed_dim=3)
SG2_G: dict[str, Any] = {"mapping": W2, "const_channels": 2, **SIZES}
SG2_D: dict[str, Any] = {**SIZES, "fc_dim": 3, "c_dim": 2, "mbstd_group_size": 2}
PROJECT: dict[str, Any] = {"conditioning": "project", "mapping": CMAP, "num_outputs": 3}

GENERATORS: dict[str, networks.Config] = {
    "ProGAN": progan.GeneratorConfig(z_dim=3, c_dim=2, growing=False, **SIZES),
    "ProGAN growing": progan.GeneratorConfig(z_dim=3, c_dim=2, lod=0.4, **SIZES),
    "StyleGAN": stylegan1.GeneratorConfig(mapping=W1, growing=False, **SIZES),
    "StyleGAN growing": stylegan1.GeneratorConfig(mapping=W1, lod=0.4, use_pixel_norm=True, **SIZES),
    "StyleGAN dense": stylegan1.GeneratorConfig(
        mapping=W1, const_input=False, base_size=(4, 2), **SIZES, growing=False
    ),
    "StyleGAN2 skip": stylegan2.GeneratorConfig(**SG2_G),
    "StyleGAN2 resnet": stylegan2.GeneratorConfig(architecture="resnet", activation="swish", **SG2_G),
    "StyleGAN2 orig": stylegan2.GeneratorConfig(
        architecture="orig", resample_filter=(1.0, 2.0, 3.0, 4.0, 5.0, 4.0, 2.0, 1.0), **SG2_G
    ),
    "StyleGAN2 growing": stylegan2.GeneratorConfig(architecture="revised", lod=0.4, equalized_modulation=True, **SG2_G),
}
DISCRIMINATORS: dict[str, networks.Config] = {
    "ProGAN": progan.DiscriminatorConfig(fc_dim=3, growing=False, mbstd_group_size=2, **SIZES),
    "ProGAN growing": progan.DiscriminatorConfig(fc_dim=3, lod=0.4, pool_first=False, **SIZES),
    "StyleGAN": stylegan1.DiscriminatorConfig(fc_dim=3, c_dim=2, growing=False, **SIZES),
    "StyleGAN growing": stylegan1.DiscriminatorConfig(fc_dim=3, c_dim=2, lod=0.4, **SIZES),
    "StyleGAN2 resnet": stylegan2.DiscriminatorConfig(**SG2_D, **PROJECT),
    "StyleGAN2 skip": stylegan2.DiscriminatorConfig(architecture="skip", conv_clamp=50.0, **SG2_D, **PROJECT),
    "StyleGAN2 orig": stylegan2.DiscriminatorConfig(architecture="orig", conditioning="select", num_outputs=2, **SG2_D),
    "StyleGAN2 growing": stylegan2.DiscriminatorConfig(
        architecture="revised", lod=0.4, conditioning="select", num_outputs=2, **SG2_D
    ),
}


def network(config: networks.Config) -> nn.Module:
    """A network of double precision whose values are all random, also those that start from 0."""
    module = networks.build(config).double()
    generator = torch.Generator().manual_seed(1)
    for value in module.state_dict().values():
        value.add_(torch.randn(value.shape, generator=generator, dtype=torch.float64), alpha=0.3)
    return module


def inputs(config: networks.Config) -> Tensor:
    """Latents or pictures."""
    shape = [2, 3] if networks.kind_of(config)[1] == "Generator" else [2, 2, 8, 8]
    return tensor(random(7, *shape)).requires_grad_()


def labelled(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """The network as a function of its first input."""
    labels = torch.eye(2, dtype=torch.float64)
    return lambda x: module(x, labels if module.c_dim else None)


CONFIGS = {f"{name} G": config for name, config in GENERATORS.items()}
CONFIGS |= {f"{name} D": config for name, config in DISCRIMINATORS.items()}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
class TestGradients:
    def test_first_and_second_derivatives(self, config: networks.Config) -> None:
        # Second ones are what R1 and path-length regularisation take.
        function, x = labelled(network(config)), inputs(config)
        assert torch.autograd.gradcheck(function, x, fast_mode=True)
        assert torch.autograd.gradgradcheck(function, x, fast_mode=True)

    def test_every_parameter_gets_a_gradient(self, config: networks.Config) -> None:
        module = network(config)
        labelled(module)(inputs(config)).square().sum().backward()  # type: ignore[no-untyped-call]
        without = [name for name, value in module.named_parameters() if value.grad is None or not value.grad.any()]
        assert without == []
