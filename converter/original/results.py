"""Reading what a stranger's program left: as data, of the sizes and shapes that its file declares, and nothing else."""

from __future__ import annotations

import io
import json
import math
import mmap
import os
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from converter.errors import ConvertError
from converter.safe.containers import open_zip, zip_member
from stylegan_torch.files.plain_json import plain

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
RECORD_LIMIT = 1 << 22
"""Bytes of JSON."""
EXTRA = 1 << 28
"""Bytes of arrays that no file declares: samples of layers, variables that only the source makes."""
_HEADERS = 1 << 22
"""Bytes of an `.npz` that are not of arrays."""
_LONGEST_HEADER = 1 << 14
RESULTS = ("result.json", "variables.npz", "reference.npz")


class Results:
    """The files for results in a folder, made before the program runs, and held open: whatever it puts in their place
    is not looked at. To be used in a `with` block.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._files, self._stack = folder, dict[str, IO[bytes]](), ExitStack()

    def __enter__(self) -> Results:
        with ExitStack() as stack:
            self._files = {name: stack.enter_context((self._folder / name).open("x+b")) for name in RESULTS}
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def record(self) -> dict[str, Any]:
        """Return the record.

        Raises:
            ConvertError: if there is none, or too much of it.
            ValueError: if it is no plain JSON.
        """
        text = self._content("result.json", RECORD_LIMIT).read()
        try:
            return plain(json.loads(text), "the result of its source")
        except RecursionError as error:
            raise ValueError("nested too deeply") from error

    def arrays(self, name: str, declared: Mapping[str, Shape]) -> dict[str, Array]:
        """Return the arrays of an `.npz` file.

        Args:
            name: of the file.
            declared: what shapes arrays have, if they are there. All are float32 but `images_uint8`.

        Raises:
            ConvertError: if there is no such file, or too much of it.
            ValueError: if it is damaged, or has other arrays than these and `EXTRA` bytes.
        """
        largest = sum(4 * math.prod(shape) for shape in declared.values()) + EXTRA + _HEADERS
        file = self._content(name, largest)
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        try:
            with open_zip(data) as archive:
                return _read_all(data, archive, declared)
        except Exception as error:  # what numpy and zipfile raise for a damaged file is anything
            raise ValueError(f"{name}: {error}") from error

    def _content(self, name: str, largest: int) -> IO[bytes]:
        file = self._files[name]
        if not 0 < os.fstat(file.fileno()).st_size <= largest:
            raise ConvertError("the process that ran its source left no sound result")
        return file


def _read_all(data: memoryview, archive: zipfile.ZipFile, declared: Mapping[str, Shape]) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    extra = EXTRA
    for entry in archive.infolist():
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError("compressed arrays")
        name = entry.filename.removesuffix(".npy")
        dtype = np.dtype(np.uint8 if name == "images_uint8" else np.float32)
        array = _view(name, zip_member(data, archive, entry), dtype, declared.get(name))
        extra -= 0 if name in declared else array.nbytes
        if extra < 0:
            raise ValueError(f"over {EXTRA >> 20} MB of arrays that its file doesn't have")
        arrays[name] = array.copy(order="K")
    return arrays


def _view(name: str, member: memoryview, dtype: np.dtype[Any], declared: Shape | None) -> Array:
    """Return the array that is stored in a member, not copied; its header may claim what it likes."""
    header = io.BytesIO(member[:_LONGEST_HEADER])
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, columns_first, found = read[np.lib.format.read_magic(header)](header)
    if found != dtype or shape != (shape if declared is None else declared):
        wanted = f"{dtype}" if declared is None else f"{dtype} {list(declared)}"
        raise ValueError(f"array {name} is {found} {list(shape)}, not {wanted} as in its file")
    values = np.frombuffer(member, dtype, offset=header.tell())
    return values.reshape(shape, order="F" if columns_first else "C")
