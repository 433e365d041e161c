"""`.npz` files: arrays, and beside them records as JSON; nothing is pickled, so any program with numpy opens them.

Readers raise what numpy and zipfile raise for a damaged file, which is anything; `file_errors` makes it one line.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from stylegan_torch.errors import StyleGANError

Array = np.ndarray[Any, np.dtype[Any]]
_UNPACKED = 1 << 28
"""Bytes; of files that unpack to more, no more than twentyfold is believed."""


def write_npz(file: IO[bytes], arrays: Mapping[str, Array], **records: object) -> None:
    """Write arrays, and before them records, by the names of their entries."""
    content: dict[str, Any] = {entry: np.array(json.dumps(record)) for entry, record in records.items()}
    content |= arrays
    write_arrays(file, content.items())


def write_arrays(file: IO[bytes], arrays: Iterable[tuple[str, Array]]) -> None:
    """Write what `numpy.savez` writes, which wants all arrays at once."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)


def record_of(arrays: Mapping[str, Array], entry: str) -> Any:
    """Return the record of an open file or of what `read_npz` returns."""
    return json.loads(str(arrays[entry]))


def read_npz(path: Path, single: str = "array") -> dict[str, Array]:
    """Read all entries of an `.npz`; of an `.npy`, its one array under the name `single`.

    Raises:
        StyleGANError: if it unpacks to far more than it holds.
    """
    with path.open("rb") as file:  # numpy leaves it open when it fails
        content = np.load(file, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {single: content}
        with content:
            if sum(info.file_size for info in content.zip.infolist()) > max(_UNPACKED, 20 * path.stat().st_size):
                raise StyleGANError(f"{path} unpacks to far more than it should")
            return {name: content[name] for name in content.files}


@contextmanager
def file_errors(path: Path, what: str, kind: type[StyleGANError]) -> Iterator[None]:
    """Make what goes wrong in the block an error of a kind: that a file cannot be read, or is no file of something."""
    try:
        yield
    except OSError as error:
        raise kind(f"cannot read {path}: {error.strerror or error}") from error
    except StyleGANError as error:
        raise kind(str(error)) from error
    except Exception as error:
        raise kind(f"{path} is damaged, or not a file of {what}") from error
