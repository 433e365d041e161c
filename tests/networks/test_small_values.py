"""Values so small that what is added before a root or a division decides: another epsilon gives other numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch import from_numpy as tensor

from stylegan_torch import fast
from stylegan_torch.fast import strips
from stylegan_torch.networks import layers, lucidrains, progan, stylegan1, stylegan2, stylegan3
from stylegan_torch.networks.registry import build
from tests.networks.test_layers import Array, agree, random
from tests.tools import oracle, oracle_torch

SMALL = 1e-4
"""Its square is the epsilon of the papers."""

W = stylegan2.MappingConfig(z_dim=3, c_dim=0, w_dim=4, num_layers=1, layer_dim=3)
SIZES: dict[str, Any] = {"img_resolution": 8, "img_channels": 2, "channels": (3, 2)}


def formula(x: Array, weight: Array, styles: Array) -> Array:
    """The literal modulated convolution, demodulated, of StyleGAN2 section 2.2."""
    return oracle_torch.modulated(x, weight, styles, None, True)


# Normalisation.

NORMS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Array], Array]]] = {
    "pixel norm": (layers.pixel_norm, oracle.norm2),
    "instance norm": (layers.instance_norm, oracle.instance_norm),
    "minibatch stddev": (lambda x: layers.minibatch_stddev(x, 3, 2), lambda x: oracle.mbstd(x, 3, 2)),
}


@pytest.mark.parametrize("norm", NORMS)
def test_norms(norm: str) -> None:
    ours, theirs = NORMS[norm]
    x = SMALL * random(0, 3, 4, 3, 2)
    agree(ours(tensor(x)), theirs(x))


def test_a_constant_map_is_rounded_as_pytorch_rounds_it() -> None:
    x = torch.full((1, 2, 5, 7), 0.1)
    assert torch.equal(layers.instance_norm(x, 1e-5), F.instance_norm(x, eps=1e-5))


def test_norms_of_networks_take_the_epsilon_of_the_papers() -> None:
    mapping = stylegan1.MappingConfig(z_dim=3, c_dim=0, w_dim=4, num_layers=1, layer_dim=3)
    assert progan.GeneratorConfig(z_dim=3, c_dim=0, **SIZES).pixel_norm_eps == 1e-8
    assert stylegan1.GeneratorConfig(mapping=mapping, **SIZES).instance_norm_eps == 1e-8


# Demodulation.


@pytest.mark.parametrize("taps", [None, (1, 3, 3, 1)])
def test_demodulation(taps: tuple[int, ...] | None) -> None:
    x, weight, styles = random(0, 2, 3, 4, 4), random(1, 5, 3, 3, 3), SMALL * random(2, 2, 3)
    up_filter = None if taps is None else layers.make_filter(taps).double()
    expected = oracle_torch.modulated(x, weight, styles, None if taps is None else oracle.filter_2d(taps), True)
    actual = stylegan2.modulated_conv2d(tensor(x), tensor(weight), tensor(styles), up_filter=up_filter, demodulate=True)
    agree(actual, expected)


def test_demodulation_of_lucidrains() -> None:
    layer = lucidrains.SynthesisLayer(3, 5, 4).double()
    assert layer.affine.bias is not None
    torch.nn.init.constant_(layer.affine.bias, -1.0)  # which is added to, so that styles are as small as w
    x, w = random(0, 2, 3, 4, 4), SMALL * random(1, 2, 4)
    with torch.no_grad():
        styles = layer.affine(tensor(w)).numpy() + 1
        agree(layer.convolve(tensor(x), tensor(w)), formula(x, layer.weight.numpy(), styles))


def test_demodulation_of_stylegan3_beside_a_sample_of_larger_styles() -> None:
    config = stylegan3.GeneratorConfig(W, 16, 2, 64, 4)
    layer = stylegan3.SynthesisLayer(config, stylegan3.layer_specs(config)[0]).double()
    x, styles = random(0, 2, layer.in_channels, 4, 4), random(1, 2, layer.in_channels) * [[1], [SMALL]]
    weight = layer.weight.detach().numpy()
    weight = weight / np.sqrt((weight**2).mean(axis=(1, 2, 3), keepdims=True))
    with torch.no_grad():
        actual = layer._convolve(tensor(x), tensor(styles))
    margin = layer.conv_kernel - 1
    wide = np.pad(x, [(0, 0), (0, 0), (margin // 2,) * 2, (margin // 2,) * 2])  # the formula adds the other half
    agree(actual, formula(wide, weight, styles / np.sqrt((styles**2).mean())))


def _stylegan2() -> Any:
    G = build(stylegan2.GeneratorConfig(mapping=W, const_channels=2, **SIZES))
    for name, value in G.named_parameters():
        if "conv" in name and ".affine." in name:
            value.mul_(SMALL)
    return G


def _stylegan3() -> Any:
    G = build(stylegan3.GeneratorConfig(W, 16, 2, 64, 4))
    for layer in G.modules():
        if isinstance(layer, stylegan3.SynthesisLayer) and not layer.spec.is_rgb:
            torch.nn.init.zeros_(layer.get_parameter("affine.bias"))
    return G


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("make", [_stylegan2, _stylegan3])
def test_the_fast_form_demodulates_alike(make: Callable[[], Any], count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "in_pieces", lambda x: False)  # else StyleGAN3's samples are drawn one by one
    with torch.no_grad():
        G = make().eval().requires_grad_(False)
        ws = torch.randn(2, G.num_ws, 4) * torch.tensor([SMALL, 1.0])[:, None, None]
        expected, actual = (each.synthesis(ws[:count], noise_mode="none") for each in (G, fast.optimize(G)))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


# The largest singular value.


def test_spectral_norm() -> None:
    layer = stylegan2.ConvLayer(3, 2, 3, spectral_norm=True).double()
    x, weight, u = random(0, 2, 3, 4, 4), SMALL * random(1, 2, 3, 3, 3), random(2, 1, 2)
    layer.load_state_dict({"weight": tensor(weight), "weight_u": tensor(u)}, strict=False)
    scaled = weight / np.sqrt(3 * 9)
    flat = scaled.reshape(2, -1)
    v = u @ flat / np.sqrt(((u @ flat) ** 2).sum() + 1e-8)
    inverse = 1 / np.sqrt(((v @ flat.T) ** 2).sum() + 1e-8)
    with torch.no_grad():
        agree(layer(tensor(x)), oracle.corr(x, oracle_torch.hwio(scaled * inverse)))


@pytest.mark.parametrize("size", [1e-6, 1e-5])
def test_spectral_norm_of_a_forks_attention(size: float) -> None:
    layer = stylegan2.SpectralConv(3, 2).double()
    x, weight, u = random(0, 2, 3, 4, 4), size * random(1, 2, 3, 1, 1), random(2, 1, 2)
    layer.load_state_dict({"weight": tensor(weight), "bias": torch.zeros(2), "u": tensor(u)})

    def unit(v: Array) -> Array:
        return v / max(np.sqrt((v**2).sum()), 1e-6)

    matrix = weight.reshape(2, 3)
    v = unit(u @ matrix)
    sigma = (v @ matrix.T @ unit(v @ matrix.T).T).item()
    with torch.no_grad():
        agree(layer(tensor(x)), oracle.corr(x, oracle_torch.hwio(weight / sigma)))


def test_noise_at_the_ends_of_its_range_stays_finite() -> None:
    config = lucidrains.GeneratorConfig(lucidrains.MappingConfig(4, 4, 1), 8, 3, (4, 2), 4)
    G: Any = build(config)
    normal = G.synthesis.normal_of(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    np.testing.assert_allclose(normal, [-4.753424, 0, 4.753424], atol=1e-5)  # the quantiles of a millionth
