"""Files whose parts are small and whose sum, product or copies are not: one budget for all that is in a file."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from converter.safe.budget import LIMITS
from tests.tools.hostile import (
    SOUND,
    array,
    call,
    data,
    dtype,
    group,
    name,
    number,
    pickled,
    storage,
    survives,
    text,
    written,
)
from tests.tools.long import cases

OFTEN = LIMITS["operations"] + 100
"""More operations than any file may have."""


def put(index: int) -> bytes:
    """Remember the top of the stack, and drop it."""
    return b"r" + struct.pack("<I", index) + b"0"


def get(index: int) -> bytes:
    return b"j" + struct.pack("<I", index)


def keys(count: int, value: bytes = b"N", step: int = 1) -> bytes:
    """A dict of many whole numbers."""
    return b"}(" + b"".join(number(i * step) + value for i in range(count)) + b"u"


def floats(count: int) -> bytes:
    return b"}(" + b"".join(b"G" + struct.pack(">d", i) + b"N" for i in range(count)) + b"u"


_TENSOR = call("torch._utils:_rebuild_tensor_v2", get(0), number(0), group(number(1)), group(number(1)), b"\x89", b"}")
_MARKS = ["conv1.conv.modulation.weight", "convs.0.conv.weight", "input.input", "to_rgb1.conv.weight", "style.1.weight"]

REPEATED: dict[str, bytes] = {
    "empty sets": b"\x8f",
    "empty dicts": b"}",
    "views of nothing": b"C\x00",
    "names": b"ca\nB\n",
    "numbers": b"\x8a\x08" + b"\xff" * 7 + b"\x7f",
    "texts": b"\x8c\x02ab",
    "lists in lists": b"]",
    "marks": b"(",
    "copies of the top": b"2",
    "objects of other programs": b"h\x01)\x81",
    "arrays": b"h\x02h\x03R",
    "scalars": b"h\x04h\x05R",
    "calls of dtype": b"h\x06h\x07R",
    "byte orders": b"h\x08h\x09b",
    "memo": b"\x94",
    "storages": b"h\x0ah\x0b\x85R",
    "tensors": b"h\x0ch\x0dR",
}
"""What is done again and again, with the things that `_BEFORE` remembers."""
_BEFORE = b"".join(
    code + b"q" + bytes([index]) + b"0"
    for index, code in enumerate(
        [
            storage(),
            name("some.program", "Class"),
            name("numpy.core.multiarray", "_reconstruct"),
            group(name("numpy", "ndarray"), group(number(0)), data(b"b")),
            name("numpy.core.multiarray", "scalar"),
            group(dtype("f4"), data(bytes(4))),
            name("numpy", "dtype"),
            group(text("f4"), number(0), number(1)),
            dtype("f4"),
            group(number(3), data(b" " * 1_000_000), b"N", b"N", b"N", number(-1), number(-1), number(0)),
            name("torch.storage", "_load_from_bytes"),
            data(b""),
            name("torch._utils", "_rebuild_tensor_v2"),
            group(storage(), number(0), group(number(4)), group(number(1)), b"\x89", b"}"),
        ]
    )
)


@pytest.mark.parametrize("case", cases(REPEATED, long=REPEATED.keys() - {"empty sets", "scalars"}))
def test_operations_without_end(case: str, tmp_path: Path) -> None:
    code = _BEFORE + b"(" + REPEATED[case] * OFTEN + b"t"
    survives(tmp_path, {case: (written(tmp_path / "in.pkl", pickled(code)), "")})


COPIES: dict[str, bytes] = {
    "pairs made a dict": (
        name("collections", "OrderedDict") + put(0)
        + b"](" + b"".join(number(i) + b"N\x86" for i in range(1000)) + b"e\x85" + put(1)
        + b"(" + (get(0) + get(1) + b"R") * 300_000 + b"t"
    ),
    "a set made a set": (
        name("builtins", "set") + put(0)
        + b"](" + b"".join(number(i) for i in range(1000)) + b"e\x85" + put(1)
        + b"(" + (get(0) + get(1) + b"R") * 300_000 + b"t"
    ),
    "a dict copied by copy_reg": (
        name("copy_reg", "_reconstructor") + put(0) + name("dnnlib", "EasyDict") + put(2)
        + group(get(2), b"N", keys(50_000)) + put(1)
        + b"(" + (get(0) + get(1) + b"R") * 300_000 + b"t"
    ),
    "a dict given a state": keys(100_000) + put(0) + b"}" + (get(0) + b"b") * 100_000,
    "keys of one hash": keys(150_000, step=(1 << 61) - 1),
    "a set of one hash": b"\x8f(" + b"".join(number(i * ((1 << 61) - 1)) for i in range(150_000)) + b"\x90",
    "places of one hash": b"N" + b"".join(b"p%d\n" % (i * ((1 << 61) - 1)) for i in range(150_000)),
    "a memo of negative places": b"Np-1\n0g-1\n",
    "keys that are passed over": floats(20_000) + put(0) + b"(" + get(0) * 150_000 + b"t",
    "paths": (
        text("k" * 500) + put(0) + keys(100_000) + put(1)
        + b"}" + (get(0) + b"}") * 90 + get(0) + get(1) + b"s" * 91
    ),
    "byte orders": (
        dtype("f4") + put(0) + data(b"<" * 4_000_000) + put(1)
        + b"(" + (get(0) + group(number(3), get(1)) + b"b") * 50_000 + b"t"
    ),
    "networks": (
        storage() + put(0) + _TENSOR + put(1)
        + b"}(" + b"".join(
            number(i) + b"}(" + b"".join(text(mark) + get(1) for mark in _MARKS) + b"u" for i in range(5_000)
        ) + b"u"
    ),
    "one array in many variables": (
        array(dtype("f8"), group(number(1 << 17)), data(bytes(8 << 17))) + put(0)
        + b"(" + b"".join(text(f"v{i}") + get(0) + b"\x86" for i in range(3000)) + b"t"
    ),
    "one text encoded in many arrays": (
        text("x" * (1 << 22)) + put(0) + text("latin1") + put(1) + name("_codecs", "encode") + put(2)
        + b"(" + b"".join(
            array(dtype("f4"), group(number(1 << 20)), get(2) + get(0) + get(1) + b"\x86R") for i in range(500)
        ) + b"t"
    ),
    "storages of one text": (
        text("x" * (1 << 20)) + put(0) + (name("torch.storage", "_load_from_bytes") + put(1))
        + b"(" + (get(1) + get(0) + b"\x85R0") * 5000 + b"t"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", COPIES)
def test_copies_without_end(case: str, tmp_path: Path) -> None:
    survives(tmp_path, {case: (written(tmp_path / "in.pkl", pickled(COPIES[case])), SOUND)})
