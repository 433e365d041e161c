"""What readers and writers of state dicts share: sizes read off tensors, filters, the file (docs/spec/COMMUNITY.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import IO

import torch
from torch import Tensor

from converter.errors import ConvertError
from converter.form import Options, Written
from converter.table import Kept
from stylegan_torch.files.checkpoint import Checkpoint, same_bits
from stylegan_torch.networks.layers import make_filter

USUAL_TAPS = (1.0, 3.0, 3.0, 1.0)
MAX_PIXELS = 4096 * 4096
Tensors = Mapping[str, Tensor]


def shape_of(tensors: Tensors, name: str, ndim: int) -> torch.Size:
    """Return the shape of a tensor.

    Raises:
        ConvertError: if it is not there, has another number of axes, or no values.
    """
    value = tensors.get(name)
    if value is None:
        raise ConvertError(f"variable {name} is missing")
    if value.ndim != ndim or not value.numel():
        raise ConvertError(f"variable {name} has shape {list(value.shape)}, which no network of this kind has")
    return value.shape


def shapes_of(tensors: Tensors, pattern: str, ndim: int) -> list[torch.Size]:
    """Return the shapes of the tensors "layer0", "layer1", … (for the pattern "layer{}"), of which there must be one.

    Raises:
        ConvertError: naming one that is missing, or has another number of axes.
    """
    return [shape_of(tensors, pattern.format(i), ndim) for i in range(max(count(tensors, pattern), 1))]


def count(names: Iterable[str], pattern: str, start: int = 0) -> int:
    """Return how many of the names "layer0", "layer1", … (for the pattern "layer{}") there are.

    Raises:
        ConvertError: naming one that is missing before another.
    """
    number = re.compile(re.escape(pattern).replace(r"\{\}", "(0|[1-9][0-9]{0,8})"))
    found = {int(match[1]) for match in map(number.fullmatch, names) if match}
    indices = range(start, start + len(found - set(range(start))))
    for index in indices:
        if index not in found:
            raise ConvertError(f"variable {pattern.format(index)} is missing")
    return len(indices)


Rename = Callable[[str], str]
"""Gives the name of a tensor, or a pattern of such, that one program has for that of another."""


def renaming(*changes: tuple[str, str]) -> Rename:
    """Return what makes replacements of regular expressions one after the other."""

    def rename(name: str) -> str:
        for pattern, replacement in changes:
            name = re.sub(pattern, replacement, name)
        return name

    return rename


def bounded(height: int, width: int) -> None:
    """Raise ConvertError if no known network draws pictures that large; noise maps would be made for them."""
    if height * width > MAX_PIXELS:
        raise ConvertError(f"has levels to {height}x{width}, which no network of this kind has")


def taps_of(tensors: Tensors, name: str) -> tuple[float, ...]:
    """Return the taps of a stored filter [..., n, n], which is the outer product of them with itself times a gain."""
    kernel = tensors[name] if name in tensors else make_filter(USUAL_TAPS)
    if kernel.ndim < 2 or kernel.shape[-1] != kernel.shape[-2] or not float(kernel.abs().sum()) > 0:
        raise ConvertError(f"variable {name} has shape {list(kernel.shape)}, which no filter has")
    taps = kernel.double().reshape(-1, *kernel.shape[-2:])[0].sum(dim=0)
    taps = taps / taps.sum()
    for usual in (USUAL_TAPS, (1.0, 2.0, 1.0)):
        expected = torch.tensor(usual, dtype=torch.float64) / sum(usual)
        if taps.shape == expected.shape and torch.allclose(taps, expected, atol=1e-6):
            return usual
    return tuple(taps.tolist())


def stored_filters(pattern: str, taps: tuple[float, ...] | None, *, gain: float = 1.0, ndim: int = 2) -> Kept:
    """Carry stored filters along, after a check that they are the network's."""
    expected = make_filter(taps or (1.0,)) * gain

    def check(name: str, value: Tensor) -> None:
        if value.shape[-2:] != expected.shape or not torch.allclose(value, expected.expand(value.shape), atol=1e-5):
            raise ConvertError(f"variable {name} is not the filter of the other levels")

    return Kept(pattern, lambda name: expected.reshape(*[1] * (ndim - 2), *expected.shape), check)


def expanded_filter(taps: tuple[float, ...], width: int, gain: float = 1.0) -> Tensor:
    """Return a filter as programs store it for a depthwise convolution: [width, 1, n, n]."""
    return (make_filter(taps) * gain).repeat(width, 1, 1, 1)


def writer_of(
    content_of: Callable[[Checkpoint], tuple[Mapping[str, object], list[str]]],
) -> Callable[[IO[bytes], Checkpoint, Options], Written]:
    """Return the `write` of a form; `content_of` tells what a file of it holds, and what is not as it was."""

    def write(file: IO[bytes], checkpoint: Checkpoint, options: Options) -> Written:
        content, notes = content_of(checkpoint)
        write_state_dicts(file, content)
        return Written(checkpoint, notes)

    return write


def write_state_dicts(file: IO[bytes], content: Mapping[str, object]) -> None:
    """Write state dicts to an open file, read them back and compare.

    Raises:
        ConvertError: if what was written reads back otherwise.
    """
    torch.save(content, file)
    file.seek(0)
    if not _same(torch.load(file, weights_only=True), content):
        raise ConvertError("what was written reads back otherwise; is the disk sound?")


def _same(a: object, b: object) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    return same_bits(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else bool(a == b)
