"""What reading one file may take, over all that is nested in it: declared here, counted where things are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from converter.errors import ConvertError

LIMITS = {
    "operations": 1_000_000,
    "values": 200_000,
}
DEPTH = 100
"""Pickle opcodes; tensors, names and numbers; levels of one thing in another. Official files need some ten thousand
operations, two thousand values and ten levels."""
SPARE = 192 << 20
COPIES = 2
"""Bytes that may be made of any file, and how many times its own size besides: float16 doubles as float32."""


@dataclass
class Budget:
    """What is left for one file; `left` by what is counted, bytes included.

    size: bytes that it has, unpacked ones included.
    packed: bytes that it has on the disk.
    """

    size: int
    packed: int = 0
    left: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.packed = self.size
        self.left = {**LIMITS, "bytes": SPARE + COPIES * self.size}

    def spend(self, what: str, count: int) -> None:
        """Take something off.

        Raises:
            ConvertError: if there is less left.
        """
        self.left[what] -= count
        if self.left[what] < 0:
            most = f"{(SPARE + COPIES * self.size) >> 20} MB" if what == "bytes" else f"{LIMITS[what]:,} {what}"
            raise ConvertError(f"takes more than {most} to read, which no network of its size does")


_CURRENT: ContextVar[Budget | None] = ContextVar("budget", default=None)


@contextmanager
def budget(size: int) -> Iterator[None]:
    """Bound what reading a file of so many bytes takes."""
    token = _CURRENT.set(Budget(size))
    try:
        yield
    finally:
        _CURRENT.reset(token)


def packed_size(size: int) -> int:
    """Return the bytes on the disk of the file that is being read, or `size` if none is, or if that is less."""
    current = _CURRENT.get()
    return min(size, current.packed) if current else size


def grow(size: int) -> None:
    """Count bytes that a compressed file turned out to hold as bytes of the file."""
    current = _CURRENT.get()
    if current:
        current.size += size
        current.left["bytes"] += COPIES * size


def spend(what: str, count: int = 1) -> None:
    """Take something off the budget of the file that is being read, if one is.

    Args:
        what: one of `LIMITS`, or "bytes".
        count: how many.

    Raises:
        ConvertError: if there is less left.
    """
    current = _CURRENT.get()
    if current:
        current.spend(what, count)


def check_depth(depth: int) -> None:
    """Raise ConvertError for things nested deeper than any network has them."""
    if depth > DEPTH:
        raise ConvertError(f"nests things over {DEPTH} deep, which no network does")
