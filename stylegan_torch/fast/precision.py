"""How cards calculate in float32."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

_lock = threading.Lock()
_wanted: dict[int, list[bool]] = {}
"""What the blocks of each thread want, the innermost last: the switches are those of the whole process."""
_before: list[Any] = []
"""What the switches were before the first block."""


@contextmanager
def card_float32(tf32: bool = False) -> Iterator[None]:
    """Until the block ends, let NVIDIA cards round the inputs of float32 products to 10 bits (TF32), or not.

    They do for convolutions unless told otherwise, and it shows in 8-bit pictures. CPUs take no notice. While several
    threads are in such blocks, they round if all may.
    """
    thread = threading.get_ident()
    with _lock:
        if not _wanted:
            _before[:] = _read()
        _wanted.setdefault(thread, []).append(tf32)
        _agree()
    try:
        yield
    finally:
        with _lock:
            _wanted[thread].pop()
            if not _wanted[thread]:
                del _wanted[thread]
            _agree()


def _agree() -> None:
    """Set the switches to what the threads want; back, if none is in a block any more."""
    if _wanted:
        tf32 = all(each[-1] for each in _wanted.values())
        _set([tf32] * 2, ["tf32" if tf32 else "ieee"] * len(_newer()))
    else:
        _set([_before[0] in (True, "tf32"), _before[-1] in (True, "tf32")], _before)


def _switches() -> tuple[Any, Any]:
    return torch.backends.cudnn, torch.backends.cuda.matmul


def _newer() -> list[Any]:
    """Return PyTorch 2.9's newer switches: they win where a program sets both; reading the older may then fail."""
    cudnn, products = _switches()
    parts = [getattr(cudnn, name) for name in ("conv", "rnn") if hasattr(cudnn, name)]
    return [each for each in (*parts, products) if hasattr(each, "fp32_precision")]


def _read() -> list[Any]:
    return [each.fp32_precision for each in _newer()] or [each.allow_tf32 for each in _switches()]


def _set(older: Sequence[bool], newer: Sequence[Any]) -> None:
    for each, may in zip(_switches(), older, strict=True):
        each.allow_tf32 = may
    for each, value in zip(_newer(), newer, strict=False):
        each.fp32_precision = value
