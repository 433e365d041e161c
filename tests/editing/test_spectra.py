"""Average spectra: what is known by hand of noise and sines, and files of pictures and networks by command."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

from stylegan_torch.commands.main import main
from stylegan_torch.drawing.charts import _ticks
from stylegan_torch.editing.spectra import SpectrumError, _window, average_spectrum, load, save
from tests import DATA


def _noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _sine(size: tuple[int, int], down: int, across: int, amplitude: float = 0.5) -> Tensor:
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) / n for n in size), indexing="ij")
    return amplitude * (2 * math.pi * (down * y + across * x)).sin()[None, None] + 0.1


def test_white_noise_is_flat() -> None:
    found = average_spectrum([0.3 + 0.2 * _noise(100, 3, 32, 48), 0.3 + 0.2 * _noise(50, 3, 32, 48)])
    assert found.count == 150
    torch.testing.assert_close(found.mean, torch.full([3], 0.3).double(), rtol=0, atol=2e-3)
    torch.testing.assert_close(found.std, torch.full([3], 0.2).double(), rtol=0, atol=2e-3)
    assert found.power.shape == (32, 48)
    assert found.power.mean().item() == pytest.approx(1, abs=0.01)
    assert (found.profile[1:] - 1).abs().max() < 0.1
    assert found.profile_decibels[1:].abs().max() < 0.5


@pytest.mark.parametrize("size", [(64, 64), (32, 64)])
@pytest.mark.parametrize(("down", "across"), [(0, 16), (8, 0), (6, 20)])
def test_a_sine_is_a_peak_where_it_should_be(size: tuple[int, int], down: int, across: int) -> None:
    found = average_spectrum([_sine(size, down, across)])
    middle = (size[0] // 2, size[1] // 2)
    expected = _window(*size, beta=8.0).sum().square().item() / 2
    for sign in (1, -1):
        peak = found.power[middle[0] + sign * down, middle[1] + sign * across]
        assert peak.item() == pytest.approx(expected, rel=1e-4)
        assert peak == pytest.approx(found.power.max().item())
    assert found.power[middle] < 1e-5 * found.power.max()  # the mean is gone
    radius = math.hypot(down / size[0], across / size[1])
    if radius <= 0.5:
        assert found.radii[found.profile.argmax()].item() == pytest.approx(radius, abs=1 / min(size))


def test_one_look_is_as_good_as_two() -> None:
    images = _noise(5, 2, 16, 12).cumsum(dim=3) * 0.1 + 0.5
    mean, std = images.mean(dim=(0, 2, 3)), images.std(dim=(0, 2, 3), correction=0)
    normalised = (images - mean[:, None, None]) / std[:, None, None]
    spectra = torch.fft.fft2(normalised * _window(16, 12, beta=8.0)).abs().square()
    expected = torch.fft.fftshift(spectra.mean(dim=(0, 1)))
    torch.testing.assert_close(average_spectrum([images[:2], images[2:]]).power, expected, rtol=1e-9, atol=1e-9)


def test_statistics_of_another_set_make_both_comparable(tmp_path: Path) -> None:
    reals = average_spectrum([_noise(40, 1, 16, 16)], about={"pictures": "reals"})
    save(tmp_path / "reals.npz", reals)
    kept = load(tmp_path / "reals.npz")
    assert (kept.count, kept.about) == (40, {"pictures": "reals"})
    assert torch.equal(kept.power, reals.power)
    twice = average_spectrum([2 * _noise(40, 1, 16, 16)], mean=kept.mean, std=kept.std)
    assert twice.power.mean().item() == pytest.approx(4 * reals.power.mean().item(), rel=0.02)
    assert average_spectrum([2 * _noise(40, 1, 16, 16)]).power.mean().item() == pytest.approx(1, abs=0.05)


def test_statistics_are_for_as_many_channels(tmp_path: Path) -> None:
    gray, rgb = (average_spectrum([_noise(4, channels, 8, 8)]) for channels in (1, 3))
    for one, other in ((gray, 3), (rgb, 1)):
        with pytest.raises(SpectrumError, match=f"pictures have {other} channels, the mean and the spread"):
            average_spectrum([_noise(4, other, 8, 8)], mean=one.mean, std=one.std)
    save(tmp_path / "bad.npz", replace(gray, profile=gray.profile * math.nan))
    with pytest.raises(SpectrumError, match="its arrays are not those of a spectrum"):
        load(tmp_path / "bad.npz")


def test_what_has_no_spectrum(tmp_path: Path) -> None:
    with pytest.raises(SpectrumError, match="there are no pictures"):
        average_spectrum([])
    with pytest.raises(SpectrumError, match="all pixels are the same"):
        average_spectrum([torch.ones(2, 1, 8, 8)])
    np.savez(tmp_path / "other.npz", power=np.zeros(3))
    with pytest.raises(SpectrumError, match=r"other.npz is not a file of a spectrum|other.npz"):
        load(tmp_path / "other.npz")


def test_ticks_are_round_numbers_around_the_values() -> None:
    assert _ticks(0, 0.5) == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert _ticks(-12.3, 31) == [-20, -10, 0, 10, 20, 30, 40]
    assert _ticks(2, 2)[0] <= 2 <= _ticks(2, 2)[-1]


def _spectrum(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["spectrum", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def test_by_command(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(4):
        wave = ((_sine((32, 32), 0, 8) * (i + 1) / 4 + 1) * 127.5).round().byte().numpy()[0, 0]
        Image.fromarray(wave).convert("RGB").save(folder / f"{i}.png")
    reals, drawn = tmp_path / "reals.npz", tmp_path / "drawn.npz"
    said = _spectrum(folder, "--out", reals)
    assert said == f"The spectrum of 4 pictures in {reals}, and in {tmp_path / 'reals.png'}\n"
    found = load(reals)
    assert divmod(int(found.power.argmax()), 32) in ((16, 8), (16, 24))
    assert found.about == {"pictures": "photos", "beta": 8.0}
    with Image.open(tmp_path / "reals.png") as picture:
        assert picture.size == (384 + 576, 384)
    network = ("--network", DATA / "sg2-skip.pkl", "--samples", 6)
    _spectrum(*network, "--reals", reals, "--out", drawn, "--picture", tmp_path / "both.png")
    assert (load(drawn).count, load(drawn).std.tolist()) == (6, found.std.tolist())
    assert _spectrum(*network, "--out", drawn, status=1).startswith(f"Error: {drawn} exists")
    Image.new("RGB", (32, 30)).save(folder / "9.png")
    assert "9.png is 32×30, the first 32×32; --bad skip" in _spectrum(folder, "--out", reals, "--force", status=1)
    said = _spectrum(folder, "--out", reals, "--force", "--bad", "skip")
    assert "Skipped 1 of the pictures of" in said
    assert load(reals).count == 4


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (("{data}", "--network", "{data}/sg2-skip.pkl"), "give PICTURES or --network, not both", 2),
        (("{data}", "--class", "1"), "--truncation and --class are for what a network draws", 2),
        (("{data}", "--beta", "nan"), "'nan' is not a finite number", 2),
        (("{data}", "--beta", "1e9"), "is not in the range 0<=x<=100", 2),
        (("--reals", "nowhere.npz"), "cannot read nowhere.npz", 1),
        (("--reals", "{data}/sg2-skip.npz", "--samples", "1"), "sg2-skip.npz", 1),
        (("--network", "{data}/pg.pkl", "--samples", "1", "--truncation", "0.5"), "ProGAN has no truncation", 2),
    ],
)
def test_wrong_options_get_one_line(arguments: Any, message: str, status: int, tmp_path: Path) -> None:
    given = [argument.format(data=DATA) for argument in arguments]
    said = _spectrum(*given, "--out", tmp_path / "out.npz", status=status)
    assert message in said
    assert "Traceback" not in said
    assert not (tmp_path / "out.npz").exists()
