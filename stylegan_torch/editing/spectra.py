"""Average power spectra: what frequencies pictures have, in which directions, as StyleGAN3's authors plot them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylegan_torch.drawing.devices import in_float64
from stylegan_torch.errors import StyleGANError
from stylegan_torch.files.atomic import new_file
from stylegan_torch.files.npz_record import Array, file_errors, read_npz, record_of, write_npz

BETA = 8.0
"""Of the Kaiser window: what leaks beyond three frequencies to each side is 58 dB lower."""
_ARRAYS = ("power", "radii", "profile", "mean", "std")


class SpectrumError(StyleGANError):
    """Pictures have no spectrum, or a file holds none."""


@dataclass(frozen=True)
class Spectrum:
    """The mean power of pictures by frequency.

    power: [H, W], frequency 0 at [H // 2, W // 2]; row i is (i - H // 2) / H cycles a pixel, columns alike. White noise
        is 1 everywhere.
    radii, profile: [R], frequencies from 0 to ½ cycle a pixel, and the mean power of all directions there.
    mean, std: [C], of the pixels, in [-1, 1], by which pictures were normalised.
    count: of pictures. about: JSON data, what they are.
    """

    power: Tensor
    radii: Tensor
    profile: Tensor
    mean: Tensor
    std: Tensor
    count: int
    about: dict[str, Any]

    @property
    def decibels(self) -> Tensor:
        """Power [H, W] as 10 log₁₀."""
        return _decibels(self.power)

    @property
    def profile_decibels(self) -> Tensor:
        """The profile [R] as 10 log₁₀."""
        return _decibels(self.profile)


def _decibels(power: Tensor) -> Tensor:
    return 10 * power.clamp(min=1e-20).log10()


def average_spectrum(
    batches: Iterable[Tensor],
    *,
    beta: float = BETA,
    mean: Tensor | None = None,
    std: Tensor | None = None,
    about: dict[str, Any] | None = None,
) -> Spectrum:
    """Return the average spectrum of pictures x [C, H, W], over channels c and pictures: E |F{w · (x_c - μ_c) / σ_c}|².

    F is the discrete Fourier transform, w [H, W] the product of two Kaiser windows of parameter `beta`, scaled so that
    Σ w² = 1; the power of white noise is then 1 at every frequency. A sine that a picture holds a whole number of times
    has (Σ w)² / 2 at its frequency and at the opposite one, whatever its amplitude. The profile is the mean over rings
    of the frequency plane as wide as one frequency of the shorter side. μ and σ are the mean and the standard deviation
    of all pixels of a channel; those of a data set make its networks' spectra comparable with its own.

    Pictures are looked at once: with X = F{w · x} and W = F{w}, the mean power is
    (E|X|² - 2 Re(E[X] · conj(μ W)) + |μ W|²) / σ².

    Args:
        batches: pictures [n, C, H, W], in [-1, 1], of one size.
        beta: of the window; more = fewer leaks, and a broader peak.
        mean, std: [C], in place of the pictures' own.
        about: what the pictures are, JSON data.

    Raises:
        SpectrumError: if there is no picture, a channel is the same everywhere, or mean or std are of other channels.
    """
    sums: _Sums | None = None
    for images in map(in_float64, batches):
        if sums is None:
            _refuse_others(images.shape[1], mean, std)
            sums = _Sums(images, beta)
        sums.add(images)
    if not sums:
        raise SpectrumError("there are no pictures")
    own_mean, own_std = sums.moments()
    mean, std = own_mean if mean is None else in_float64(mean), own_std if std is None else in_float64(std)
    if not (std > 1e-9).all():
        raise SpectrumError("all pixels are the same: there is no spectrum")
    power = torch.fft.fftshift(sums.power(mean, std))
    radii, profile = radial_profile(power)
    return Spectrum(power, radii, profile, mean, std, sums.count, about or {})


def _refuse_others(channels: int, *statistics: Tensor | None) -> None:
    """Raise SpectrumError for statistics that are not of so many channels."""
    for given in statistics:
        if given is not None and given.shape != (channels,):
            raise SpectrumError(f"pictures have {channels} channels, the mean and the spread {given.numel()}")


class _Sums:
    """What is kept of pictures that were looked at."""

    def __init__(self, like: Tensor, beta: float) -> None:
        self.window = _window(*like.shape[2:], beta=beta).to(like.device)
        channels = like.shape[1]
        self.squares = torch.zeros(like.shape[1:], dtype=torch.float64, device=like.device)
        self.spectra = torch.zeros(like.shape[1:], dtype=torch.complex128, device=like.device)
        self.values, self.values_squared = (torch.zeros(channels, dtype=torch.float64) for _ in range(2))
        self.count = 0

    def add(self, x: Tensor) -> None:
        spectra = torch.fft.fft2(x * self.window)
        self.squares += spectra.abs().square().sum(dim=0)
        self.spectra += spectra.sum(dim=0)
        self.values += x.mean(dim=(2, 3)).sum(dim=0).cpu()
        self.values_squared += x.square().mean(dim=(2, 3)).sum(dim=0).cpu()
        self.count += len(x)

    def moments(self) -> tuple[Tensor, Tensor]:
        mean = self.values / self.count
        return mean, (self.values_squared / self.count - mean.square()).clamp(min=0).sqrt()

    def power(self, mean: Tensor, std: Tensor) -> Tensor:
        """Return the mean power [H, W] of normalised pictures, frequency 0 first."""
        constant = mean.to(self.window.device)[:, None, None] * torch.fft.fft2(self.window)
        cross = (self.spectra / self.count * constant.conj()).real
        power = self.squares / self.count - 2 * cross + constant.abs().square()
        return (power / std.to(power)[:, None, None].square()).clamp(min=0).mean(dim=0).cpu()


def _window(height: int, width: int, *, beta: float) -> Tensor:
    """Return the window [H, W], whose squares have the sum 1."""
    rows, columns = (torch.kaiser_window(n, periodic=False, beta=beta, dtype=torch.float64) for n in (height, width))
    window = rows.outer(columns)
    return window / window.square().sum().sqrt()


def radial_profile(power: Tensor) -> tuple[Tensor, Tensor]:
    """Return radii [R] from 0 to ½ cycle a pixel, and the mean [R] of power [H, W] around 0 in rings about them."""
    height, width = power.shape
    y, x = (torch.fft.fftshift(torch.fft.fftfreq(n, dtype=torch.float64)) for n in (height, width))
    per_cycle = min(height, width)
    ring = (torch.hypot(y[:, None], x[None, :]) * per_cycle).round().long()
    last = per_cycle // 2
    inside = ring <= last
    sums = torch.zeros(last + 1, dtype=power.dtype).index_add_(0, ring[inside], power[inside])
    return torch.arange(last + 1) / per_cycle, sums / torch.bincount(ring[inside], minlength=last + 1)


def save(path: Path, spectrum: Spectrum, force: bool = False) -> None:
    """Write a spectrum as `.npz`: its arrays by their names, and `about`, JSON with its count.

    Raises:
        StyleGANError: if the file exists and `force` is off, or cannot be written.
    """
    arrays: dict[str, Array] = {name: getattr(spectrum, name).numpy() for name in _ARRAYS}
    with new_file(path, force) as file:
        write_npz(file, arrays, about={**spectrum.about, "count": spectrum.count})


def load(path: Path) -> Spectrum:
    """Read a spectrum.

    Raises:
        SpectrumError: if the file holds none.
    """
    with file_errors(path, "a spectrum", SpectrumError):
        arrays = read_npz(path)
        about = record_of(arrays, "about")
        count = int(about.pop("count"))
        values = {name: torch.from_numpy(arrays[name].astype(np.float64)) for name in _ARRAYS}
        spectrum = Spectrum(**values, count=count, about=about)
        shapes = [getattr(spectrum, name).ndim for name in _ARRAYS]
    finite = all(bool(value.isfinite().all()) for value in values.values())
    if shapes != [2, 1, 1, 1, 1] or len(spectrum.radii) != len(spectrum.profile) or not finite:
        raise SpectrumError(f"{path}: its arrays are not those of a spectrum")
    return spectrum
