"""Tensors that are made one after another while they are written, before all is known that stands at the file's start.

A writer writes twice. First it gets blank tensors, memory that nobody touches: in place of each, what it stands for is
made, written and read back, while the next one is made. Once the rest is known the writer writes anew, with those
tensors mapped from the file, where they lie already.
"""

from __future__ import annotations

import errno
import io
import mmap
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import IO

import numpy as np
import torch
from torch import Tensor

from stylegan_torch.files.pages import Pages

_BLOCK = 1 << 18
"""Bytes written and read back at a time; few enough to stay in the caches."""


class Made(Mapping[str, Tensor]):
    """Tensors by name, each made anew whenever it is asked for, so that they need not all be in memory."""

    @abstractmethod
    def blank(self, name: str) -> Tensor | None:
        """Return a contiguous tensor of the same shape and type, of any numbers; None if making it takes no memory."""


class Laying:
    """An open file for a writer that writes twice; all that is written is read back and compared at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._place = file, 0
        self._behind, self._pending = ThreadPoolExecutor(1, "writer"), Future[None]()
        self._pending.set_result(None)
        self._makers: dict[int, Callable[[], Tensor] | None] = {}
        self._laid: dict[int, int] = {}
        self._mapped: dict[int, int] = {}
        self._pages = Pages()
        self._failed: BaseException | None = None
        self._read = np.empty(_BLOCK, np.uint8)

    def blank(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return tensors for the first writing: blank ones for those that are `Made`."""
        result = {}
        for name in tensors:
            blank = tensors.blank(name) if isinstance(tensors, Made) else None
            result[name] = value = tensors[name] if blank is None else blank
            if _is_whole(value):
                address = value.data_ptr()
                make = partial(tensors.__getitem__, name)
                self._makers[address] = None if address in self._makers else make  # what is shared stays so
        return result

    def begin_again(self) -> None:
        """End the first writing."""
        self._pending.result()
        self._place = 0
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        self._pages, self._bytes = Pages(mapped), memoryview(mapped)

    def mapped(self, tensors: Mapping[str, Tensor], blanks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return tensors for the second writing, as they lie in the file.

        Args:
            tensors: those to write.
            blanks: what `blank` gave for them.
        """
        result = {}
        for name, blank in blanks.items():
            place = self._laid.get(blank.data_ptr())
            if place is None:
                result[name] = tensors[name]
            else:
                flat = torch.frombuffer(self._bytes, dtype=blank.dtype, count=blank.numel(), offset=place)
                result[name] = flat.as_strided(blank.shape, blank.stride())
                self._mapped[flat.data_ptr()] = place
        return result

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Wait for what is being written; raise what failed meanwhile, whatever the writer made of it."""
        try:
            with self._behind:
                yield
            self._pending.result()
        except BaseException:
            if self._failed:
                raise self._failed from None
            raise

    def write(self, data: memoryview) -> int:
        """Write what comes next."""
        try:
            self._write(memoryview(data).cast("B"))
        except BaseException as error:
            self._failed = error
            raise
        return len(data)

    def flush(self) -> None:
        """Do nothing: what is written is flushed always."""

    def _write(self, data: memoryview) -> None:
        address, place = _address(data), self._place
        self._place += len(data)
        if address in self._mapped:
            if self._mapped[address] != place:
                raise OSError(errno.EIO, "its tensors would lie elsewhere")
            self._pages.passed(len(data))
            return
        make = self._makers.get(address)
        if make:
            data, self._laid[address] = bytes_of(make()), place
        self._pending.result()
        self._pending = self._behind.submit(self._put, data, place)
        if not make:
            self._pending.result()  # its memory is the writer's

    def _put(self, data: memoryview, place: int) -> None:
        file = io.FileIO(self._file.fileno(), "r+b", closefd=False)
        while data:
            file.seek(place)
            count = file.write(data[:_BLOCK])
            file.seek(place)
            read = self._read[: file.readinto(self._read[:count].data)]
            if not np.array_equal(read, np.frombuffer(data[:count], np.uint8)):  # views compare byte by byte, slowly
                raise OSError(errno.EIO, "what was written reads back otherwise; is the disk sound?")
            data, place = data[count:], place + count


def _is_whole(value: Tensor) -> bool:
    """Tell whether a tensor is all of its memory, in the order of its numbers."""
    storage = value.untyped_storage()
    return 0 < value.nbytes == storage.nbytes() and value.is_contiguous() and value.device.type == "cpu"


def bytes_of(value: Tensor) -> memoryview:
    """Return the bytes of a tensor in the order of its numbers; they are shared if they lie so."""
    flat = value.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


def _address(data: memoryview) -> int:
    address: int = np.frombuffer(data, np.uint8).__array_interface__["data"][0] if len(data) else 0
    return address
