"""The memory that a mapped file takes."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping

from torch import Tensor

RESIDENT = 32 << 20
"""Bytes of a file that may stay in memory after they were read."""


class Pages:
    """The pages of a mapped file: those that were read go back to the system, which reads them anew if need be.

    What was written to private pages is lost then, so it is for files whose tensors nobody changes.

    mapped: the file; None if it is none, or was unpacked.
    """

    def __init__(self, mapped: mmap.mmap | None = None) -> None:
        self._mapped, self._passed = mapped, 0

    def passed(self, size: int) -> None:
        """Note that so many bytes were read, or are about to be."""
        self._passed += size
        if self._passed > RESIDENT:
            self._passed = 0
            if self._mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
                self._mapped.madvise(mmap.MADV_DONTNEED)

    def of(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return tensors of the file, which count as read when they are asked for."""
        return _Passing(tensors, self)


class _Passing(Mapping[str, Tensor]):
    def __init__(self, tensors: Mapping[str, Tensor], pages: Pages) -> None:
        self._tensors, self._pages = tensors, pages

    def __getitem__(self, name: str) -> Tensor:
        value = self._tensors[name]
        self._pages.passed(value.nbytes)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors
