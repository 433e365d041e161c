"""Convolutions tile by tile are convolutions, in networks too."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

import converter
from stylegan_torch import fast
from stylegan_torch.fast import winograd
from stylegan_torch.fast.strips import Conv, run, whole_batches
from stylegan_torch.fast.stylegan3 import FilteredConv
from tests import DATA

_sides = st.integers(1, 13)


@given(
    st.tuples(st.integers(1, 2), st.integers(1, 5), _sides, _sides),
    st.integers(1, 5),
    st.sampled_from([None, 2]),
    st.integers(1, 15),
    st.sampled_from([1, 1 << 20]),
    st.booleans(),
)
def test_strips_are_those_of_a_convolution(
    shape: tuple[int, int, int, int], outputs: int, padding: int | None, rows: int, values: int, scaled: bool
) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(outputs, shape[1], 3, 3, generator=generator)
    bias = torch.randn(outputs, generator=generator)
    scale = torch.randn(*shape[:2], 1, 1, generator=generator) if scaled else None
    expected = F.conv2d(x if scale is None else x * scale, weight, bias, padding=padding or 1)
    conv = Conv(winograd.transformed(weight), bias, lambda y, start: y.add_(start), scale, padding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "VALUES", values)
        strips = [(start, strip) for start, _, strip in run([conv], x, rows)]
    assert conv.channels == outputs
    for start, strip in strips:
        assert (strip - start - expected[:, :, start : start + rows]).abs().max() < 1e-4
    assert sum(strip.shape[2] for _, strip in strips) == expected.shape[2]


@pytest.mark.parametrize("name", ["sg3t_64", "sg3r_64"])
def test_networks_draw_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "suits", lambda outputs, inputs, size: True)
    G: Any = converter.load(DATA / f"{name}.pkl").network("G_ema")
    z, c = torch.randn(2, G.z_dim, generator=torch.Generator().manual_seed(1)), torch.zeros(2, G.c_dim)
    images, drawn = G(z, c), fast.optimize(G)
    assert (drawn(z, c) - images).abs().max() < 1e-4 * max(1.0, float(images.abs().max()))
    assert _tiled(drawn) == (14 if name == "sg3t_64" else 0)  # StyleGAN3-R convolves pixel by pixel
    assert _tiled(fast.optimize(G, torch.bfloat16)) < 14
    with whole_batches():
        assert _tiled(fast.optimize(G)) == 0


def test_a_form_made_on_a_cpu_may_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device without numbers stands for a card: what lies elsewhere is refused there too."""
    monkeypatch.setattr(winograd, "suits", lambda outputs, inputs, size: True)
    G: Any = converter.load(DATA / "sg3t_64.pkl").network("G_ema")
    moved = fast.optimize(G).to("meta")
    assert moved(torch.zeros(1, G.z_dim, device="meta")).shape == (1, 3, 64, 64)


def _tiled(G: Any) -> int:
    return sum(layer.weight.ndim == 3 for layer in G.synthesis.children() if isinstance(layer, FilteredConv))


def test_many_large_maps_are_convolved_so() -> None:
    assert winograd.suits(512, 512, (64, 64))
    assert winograd.suits(203, 323, (276, 276))
    assert not winograd.suits(512, 512, (36, 36))
    assert not winograd.suits(128, 203, (276, 276))
