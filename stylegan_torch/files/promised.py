"""A file of ours from networks whose tensors are made while it is written, and whose origin may be told last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, cast

import torch
from torch import Tensor

from stylegan_torch.files.atomic import new_file
from stylegan_torch.files.checkpoint import Checkpoint, StoredNetwork, Writer, check_written, same_bits, writer_of
from stylegan_torch.files.streaming import Laying
from stylegan_torch.networks.registry import Config
from stylegan_torch.types import JsonObject


@dataclass(frozen=True)
class PromisedNetwork:
    """What a `StoredNetwork` is, but for tensors that may be `Made`."""

    config: Config
    state_dict: Mapping[str, Tensor]
    source: Mapping[str, Tensor]


@dataclass(frozen=True)
class Promised:
    """What a `Checkpoint` is to hold.

    networks: by role.
    provenance: gives the provenance, which may take a while; tensors are written meanwhile.
    expected: what is as long as the provenance, as JSON.
    """

    networks: dict[str, PromisedNetwork]
    provenance: Callable[[], JsonObject]
    expected: JsonObject


def write(path: Path, promised: Promised, force: bool = False) -> None:
    """Write what `checkpoint.write` writes, tensor after tensor; errors as there, and those of making tensors.

    All that is written is read back and compared, and the file as a whole is read before it takes its name.
    """
    write_to = writer_of(path, promised.networks)
    with new_file(path, force) as file:
        check_written(path, file, _laid(file, promised, write_to), _SamePlace())


def _laid(file: IO[bytes], promised: Promised, write_to: Writer) -> Checkpoint:
    """Write tensors as they are made, then the rest; return what was written, with the tensors that lie in the file."""
    laying = Laying(file)
    target = cast("IO[bytes]", laying)
    with laying.errors():
        blanks = {
            role: StoredNetwork(net.config, laying.blank(net.state_dict), laying.blank(net.source))
            for role, net in promised.networks.items()
        }
        _without_checksums(partial(write_to, target, Checkpoint(blanks, promised.expected)))
        laying.begin_again()
        mapped = {
            role: StoredNetwork(
                net.config,
                laying.mapped(net.state_dict, blanks[role].state_dict),
                laying.mapped(net.source, blanks[role].source),
            )
            for role, net in promised.networks.items()
        }
        content = Checkpoint(mapped, promised.provenance())
        write_to(target, content)
    return content


def _without_checksums(write: Callable[[], None]) -> None:
    """Write blank tensors, whose checksums nobody needs, where PyTorch can be told so for this context alone."""
    context, known = copy_context(), torch.serialization
    if hasattr(known, "get_crc32_options") and known.get_crc32_options():
        context.run(known.set_crc32_options, False)
        if not known.get_crc32_options():
            known.set_crc32_options(True)
    context.run(write)


class _SamePlace:
    """Tells whether two tensors are the same: one mapped from a file that was compared as it was written, one read.

    Where the file is mapped twice, a byte of it has two addresses, whose difference is the same for all: where two
    tensors show it, they are the same bytes.
    """

    def __init__(self) -> None:
        self._shift: int | None = None

    def __call__(self, laid: Tensor, read: Tensor) -> bool:
        shift = read.data_ptr() - laid.data_ptr()
        alike = laid.dtype == read.dtype and laid.shape == read.shape and laid.stride() == read.stride()
        if alike and shift == self._shift:
            return True
        if not same_bits(laid, read):
            return False
        if laid.numel():
            self._shift = shift
        return True
