"""How much a file of arrays unpacks to, as its headers say it: known before any array is read."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO

from numpy.lib import format as npy

_ZIP = b"PK"
_FLOAT = 4
"""Bytes of the numbers that arrays are made into."""


def unpacked(path: Path) -> int:
    """Return the bytes of all arrays of an `.npz` or `.npy` file, as float32; of what is no array, its own.

    Raises:
        Exception: of numpy or zipfile, if it is damaged.
    """
    with path.open("rb") as file:
        start = file.read(len(_ZIP))
        file.seek(0)
        if start != _ZIP:  # as numpy tells them apart
            return _array(file, path.stat().st_size)
        with zipfile.ZipFile(file) as archive:
            total = 0
            for info in archive.infolist():
                with archive.open(info) as entry:
                    total += _array(entry, info.file_size)
            return total


def _array(file: IO[bytes], size: int) -> int:
    """Return the bytes of an array, whose header is next in a file of this size."""
    start = file.read(len(npy.MAGIC_PREFIX))
    if start != npy.MAGIC_PREFIX:
        return size
    version = file.read(2)
    read = npy.read_array_header_1_0 if version == b"\x01\x00" else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if min(shape, default=0) < 0:
        raise ValueError("an array has a negative side")
    return math.prod(shape) * (_FLOAT if dtype.kind in "fiu" else max(_FLOAT, dtype.itemsize))
