"""Adaptive augmentation: what each transformation is, and that probability 0 changes nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stylegan_torch.drawing.random_streams import RandomStream, Share
from stylegan_torch.training import ada, corruption


def _draws(count: int, seed: int = 0) -> RandomStream:
    return RandomStream((seed,), count, Share())


def _images(count: int = 2, side: int = 16, channels: int = 3) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def _waves(side: int = 48) -> Tensor:
    x = torch.linspace(0, 2 * math.pi, side)
    return (x.sin()[None, :] * (2 * x + 0.3).cos()[:, None]).expand(1, 3, side, side).contiguous()


ONE, ZERO = torch.ones(1), torch.zeros(1)


@pytest.mark.parametrize("groups", [tuple(ada.GROUPS), *((name,) for name in ada.GROUPS)])
@pytest.mark.parametrize("channels", [1, 3])
def test_probability_0_changes_nothing(groups: tuple[str, ...], channels: int) -> None:
    images = _images(5, channels=channels)
    assert torch.equal(ada.augment(images, 0.0, _draws(5), groups=groups), images)


def test_what_nothing_happens_to_stays_the_same() -> None:
    images = _images(40)
    changed = ada.augment(images, 0.02, _draws(40, seed=2), groups=tuple(ada.GROUPS))
    same = (changed == images).flatten(1).all(dim=1)
    assert 10 < same.sum() < 40


def test_groups_have_the_official_names() -> None:
    assert ada.COMBINATIONS["bgc"] == ada.USUAL_GROUPS
    assert ada.COMBINATIONS["bgcfnc"] == tuple(ada.GROUPS)
    assert ada.COMBINATIONS["geom"] == ("geometric",)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("groups", [(name,) for name in ada.GROUPS])
def test_probability_1_changes_every_picture(groups: tuple[str, ...], channels: int) -> None:
    images = _images(6, channels=channels)
    changed = ada.augment(images, 1.0, _draws(6), groups=groups)
    assert changed.shape == images.shape
    assert changed.isfinite().all()
    differs = (changed - images).abs().amax(dim=(1, 2, 3)) > 1e-3
    colorless = groups == ("color",) and channels == 4
    assert not differs.any() if colorless else differs.sum() >= 5  # a turn by 0 without a flip or move can be drawn


def test_blits_are_exact() -> None:
    images = _images()[:1]
    flip = ada._sampled(images, ada._scaling(-ONE, ONE))
    assert torch.equal(flip, images.flip(3))
    for turns in range(4):
        turned = ada._sampled(images, ada._rotation(ONE * turns * math.pi / 2).round())
        assert torch.equal(turned, images.rot90(turns, (2, 3)))
    moved = ada._sampled(images, ada._translation(3 * ONE, -2 * ONE))  # to the right and up
    assert torch.equal(moved[:, :, :-2, 3:], images[:, :, 2:, :-3])
    assert torch.equal(moved[:, :, :-2, :3], images[:, :, 2:, :3].flip(3))  # mirrored at the edge


def test_resampling_gives_the_picture_back() -> None:
    images = _images(1, 32)
    inner = slice(8, -8)
    same = ada._resampled(images, torch.eye(3)[None])
    torch.testing.assert_close(same[:, :, inner, inner], images[:, :, inner, inner], rtol=0, atol=1e-5)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_resampling_turns_about_the_middle(turns: int) -> None:
    images, inner = _waves(), slice(8, -8)
    turned = ada._resampled(images, ada._rotation(ONE * turns * math.pi / 2))
    exact = images.rot90(turns, (2, 3))
    torch.testing.assert_close(turned[:, :, inner, inner], exact[:, :, inner, inner], rtol=0, atol=2e-3)


def test_resampling_moves_by_parts_of_a_pixel() -> None:
    side, by = 64, 0.3
    x = torch.arange(side) - (side - 1) / 2
    images = (x * 0.4).cos().expand(1, 1, side, side).contiguous()
    moved = ada._resampled(images, ada._translation(by * ONE, ZERO))
    exact = ((x - by) * 0.4).cos().expand(1, 1, side, side)
    inner = slice(8, -8)
    torch.testing.assert_close(moved[:, :, inner, inner], exact[:, :, inner, inner], rtol=0, atol=0.02)


@pytest.mark.parametrize(("groups", "count", "side"), [(ada.USUAL_GROUPS, 2, 8), (("filter", "noise", "cutout"), 1, 6)])
def test_twice_differentiable(groups: tuple[str, ...], count: int, side: int) -> None:
    images = _images(count, side).double()[:, :1].requires_grad_(True)

    def transformed(x: Tensor) -> Tensor:
        return ada.augment(x, 0.9, _draws(count, seed=3), groups=groups).square()

    assert torch.autograd.gradcheck(transformed, images)
    assert torch.autograd.gradgradcheck(transformed, images)


def _recolored(matrix: Tensor, *color: float) -> list[float]:
    return (matrix[0] @ torch.tensor([*color, 1.0]))[:3].tolist()


def test_hue_turns_about_gray() -> None:
    gray = torch.tensor([1.0, 1, 1, 0]) / math.sqrt(3)
    third = ada._hue(ONE * 2 * math.pi / 3, gray.outer(gray), torch.eye(4)[None])
    assert _recolored(third, 0.1, 0.2, 0.3) == pytest.approx([0.3, 0.1, 0.2])  # a third of a turn moves the channels on
    half = ada._hue(ONE * math.pi, gray.outer(gray), torch.eye(4)[None])
    assert _recolored(half, 0.5, 0.5, 0.5) == pytest.approx([0.5, 0.5, 0.5])


class _Fixed(RandomStream):
    """Gives 0.5 sigma for every normal number, and makes the chosen transformations happen."""

    def __init__(self, happen: set[int]) -> None:
        super().__init__((0,), 1, Share())
        self.happen, self.asked = happen, -1

    def normal(self, *shape: int) -> Tensor:
        return torch.full((1, *shape), 0.5)

    def integers(self, low: int, high: int) -> Tensor:
        return torch.tensor([high - 1])

    def uniform(self, *shape: int) -> Tensor:
        self.asked += 1
        return torch.tensor([0.0 if self.asked in self.happen else 1.0])


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (1, [0.1 + 0.1, 0.2 + 0.1, 0.6 + 0.1]),  # brightness: 0.2 × 0.5 more
        (2, [value * 2**0.25 for value in (0.1, 0.2, 0.6)]),  # contrast: × 2^(0.5 × 0.5)
        (3, [0.1 - 0.6, 0.2 - 0.6, 0.6 - 0.6]),  # mirrored in brightness: each less twice the mean
        (6, [0.3 + (value - 0.3) * 2**0.5 for value in (0.1, 0.2, 0.6)]),  # saturation: × 2^0.5 from gray
    ],
)
def test_colors(which: int, expected: list[float]) -> None:
    assert _recolored(ada._colors(3, 0.5, _Fixed({which})), 0.1, 0.2, 0.6) == pytest.approx(expected, abs=1e-6)


def test_bands_of_frequencies_make_up_the_whole() -> None:
    filters = corruption.band_filters()
    assert filters.shape == (4, 43)
    torch.testing.assert_close(filters.sum(dim=0), F.one_hot(torch.tensor(21), 43).float(), rtol=0, atol=1e-6)
    spectra = torch.fft.rfft(filters, 512).abs()
    for band, (low, high) in enumerate([(0, 1 / 8), (1 / 8, 1 / 4), (1 / 4, 1 / 2), (1 / 2, 1)]):
        power = spectra[band].square()
        inside = power[round(256 * low) : round(256 * high) + 1].sum() / power.sum()
        assert inside > 0.75
    assert filters.sum(dim=1).tolist() == pytest.approx([1, 0, 0, 0], abs=1e-6)


def test_a_band_is_made_stronger() -> None:
    gains = torch.tensor([[2.0, 1, 1, 3]])
    flat = torch.full((1, 3, 16, 16), 0.3)
    torch.testing.assert_close(corruption.amplified(flat, gains), 4 * flat)  # twice along each axis
    side = 64
    checks = (-1.0) ** torch.arange(side)
    stripes = (0.1 * checks).expand(1, 1, side, side)  # the highest frequency along one axis, none along the other
    inner = slice(22, -22)
    stronger = corruption.amplified(stripes, gains)
    torch.testing.assert_close(stronger[..., inner], 6 * stripes[..., inner], rtol=1e-4, atol=0)
    images = _images(1, 48)
    torch.testing.assert_close(corruption.amplified(images, torch.ones(1, 4)), images, rtol=0, atol=1e-5)


@pytest.mark.parametrize("band", range(4))
def test_gains_keep_the_power_that_is_expected(band: int) -> None:
    gains = corruption.one_band(torch.tensor([0.5, 1.0, 3.0]), band)
    power = gains.square() @ torch.tensor(corruption.POWER)
    torch.testing.assert_close(power, torch.ones(3))
    torch.testing.assert_close(gains[1], torch.ones(4), rtol=0, atol=0)
    others = [other for other in range(4) if other != band]
    assert (gains[:, band] / gains[:, others[0]]).tolist() == pytest.approx([0.5, 1, 3])


def test_filtering_happens_band_by_band() -> None:
    # At the second band, the second question of whether: a gain of 2^0.5, and all divided by √((12 + 2) / 13).
    images = torch.full((1, 1, 8, 8), 0.5)
    weaker = math.sqrt(13 / 14)
    changed = corruption.filtered(images, 0.5, _Fixed({1}))
    torch.testing.assert_close(changed, images * weaker**2)


def test_noise_is_as_strong_as_said() -> None:
    images = _images(1)
    torch.testing.assert_close(corruption.noisy(images, 0.5, _Fixed({0})), images + 0.5 * 0.1 * 0.5)
    count = 4000
    noise = corruption.noisy(torch.zeros(count, 1, 8, 8), 1.0, _draws(count))
    assert noise.std().item() == pytest.approx(0.1, rel=0.05)  # E σ² of a half-normal is its scale squared
    assert noise.std(dim=(1, 2, 3)).mean().item() == pytest.approx(0.1 * math.sqrt(2 / math.pi), rel=0.05)


class _At(RandomStream):
    """Says that everything happens, at a place."""

    def __init__(self, *place: float) -> None:
        super().__init__((0,), 1, Share())
        self.place = torch.tensor([place])

    def uniform(self, *shape: int) -> Tensor:
        return self.place if shape else torch.zeros(1)


@pytest.mark.parametrize(
    ("place", "rows", "columns"),
    [
        ((0.5, 0.5), slice(4, 12), slice(8, 24)),  # half of each side
        ((0.0, 1.0), slice(0, 4), slice(24, 32)),  # the rest is beyond the edges
        ((0.25, 0.3), slice(0, 8), slice(2, 18)),  # 0.05 and 0.55 of 32 are rounded
    ],
)
def test_a_rectangle_is_cut_out(place: tuple[float, float], rows: slice, columns: slice) -> None:
    images = torch.ones(1, 3, 16, 32)
    expected = images.clone()
    expected[:, :, rows, columns] = 0
    assert torch.equal(corruption.cut_out(images, 1.0, _At(*place)), expected)


def test_gray_pictures_keep_one_channel() -> None:
    images = _images(3, channels=1)
    changed = ada.augment(images, 1.0, _draws(3), groups=("color",))
    slopes = (changed - changed.mean(dim=(2, 3), keepdim=True)) / (images - images.mean(dim=(2, 3), keepdim=True))
    assert (slopes.amax(dim=(2, 3)) - slopes.amin(dim=(2, 3))).max() < 1e-2  # brightness and contrast only


@given(st.floats(0.05, 0.95))
def test_each_transformation_is_as_likely_as_said(p: float) -> None:
    count = 2000
    changed = ada._when(_draws(count), p, torch.ones(count), 0.0).mean().item()
    assert changed == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / count))


def test_overfitting_moves_p() -> None:
    control = ada.Overfitting(target=0.6, kimg=0.5, interval=4)
    for _ in range(3):
        control.observe(10.0, 10)
        assert control.p == 0.0
    control.observe(10.0, 10)
    assert control.r_t == 1.0
    assert control.p == pytest.approx(40 / 500)
    for _ in range(8):
        control.observe(0.0, 10)  # r_t = 0, below the target
    assert control.p == 0.0
    for _ in range(400):
        control.observe(9.0, 10)
    assert control.p == 1.0


def test_overfitting_goes_on_where_it_was() -> None:
    one: Any = ada.Overfitting(kimg=1)
    for signs in (10.0, 5.0, 7.0):
        one.observe(signs, 10)
    other = ada.Overfitting(kimg=1)
    other.restore(one.state())
    for control in (one, other):
        control.observe(9.0, 10)
    assert one.state() == other.state()
