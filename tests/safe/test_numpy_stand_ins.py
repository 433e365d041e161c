"""Stand-ins for numpy's objects: plain numbers in, float32 tensors out, nothing lost."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from converter.errors import ConvertError, UnsafePickleError
from converter.safe.stand_ins import CONTAINER_NAMES, NUMPY_NAMES, Array, DType, raw_bytes, to_tensor
from converter.safe.torch_tensors import NotPlain
from converter.safe.unpickler import load
from tests.tools.counted import assert_counted
from tests.tools.hostile import array, call, data, dtype, group, listing, name, number, pickled, table, text

ONE = group(number(1))
FLOATS = np.arange(6, dtype="<f4").tobytes()


def _load(*code: bytes) -> Any:
    return load(memoryview(pickled(*code)), {**NUMPY_NAMES, **CONTAINER_NAMES}).value


def _dtype(code: str, order: bytes) -> bytes:
    state = group(number(3), order, b"N", b"N", b"N", number(-1), number(-1), number(0))
    return call("numpy:dtype", text(code), number(0), number(1)) + state + b"b"


def _inline(shape: bytes, order: str = "C", kind: bytes = dtype("f4"), alignment: bytes = b"N") -> bytes:
    state = table(shape=shape, dtype=kind, order=text(order), numpy_array_alignment_bytes=alignment)
    return name("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81" + state + b"b"


# What is read.


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"])
@pytest.mark.parametrize("order", ["<", ">", "=", "|"])
def test_plain_numbers_of_either_byte_order(kind: str, order: str) -> None:
    value = np.array([0, 1], order.replace("=", "<") + kind)
    for spelled in (text(order), data(order.encode())):
        found = _load(array(_dtype(kind, spelled), group(number(2)), data(value.tobytes())))
        assert found.value.tolist() == value.tolist()


def test_arrays_in_either_order_of_axes() -> None:
    shape = group(number(2), number(3))
    start = call("numpy.core.multiarray:_reconstruct", name("numpy", "ndarray"), group(number(0)), data(b"b"))
    for flag, order in ((b"\x89", "C"), (b"\x88", "F")):
        expected = np.arange(6, dtype=np.float32).reshape((2, 3), order=order)  # type: ignore[call-overload]
        state = group(number(1), shape, dtype("f4"), flag, data(FLOATS))
        assert np.array_equal(_load(start, state, b"b").value, expected)
        short = group(shape, dtype("f4"), flag, data(FLOATS))
        assert np.array_equal(_load(start, short, b"b").value, expected)
        buffered = call("numpy._core.numeric:_frombuffer", data(FLOATS), dtype("f4"), shape, text(order))
        assert np.array_equal(_load(buffered).value, expected)
        assert np.array_equal(_load(_inline(shape, order), FLOATS).value, expected)
    turned = group(number(1), number(0))
    turned = call("numpy._core.numeric:_frombuffer", data(FLOATS), dtype("f4"), shape, text("C"), turned)
    assert _load(turned).value.shape == (3, 2)


def test_aligned_data_behind_their_description() -> None:
    assert _load(_inline(ONE, alignment=number(16)), b"\x03abc", FLOATS[4:8]).value.tolist() == [1.0]


def test_scalars_and_empty_arrays() -> None:
    assert _load(call("numpy.core.multiarray:scalar", dtype("f4"), data(FLOATS[4:8]))).value == 1
    assert _load(array(dtype("f4"), group(number(0), number(3)), data(b""))).tensor("x").shape == (0, 3)
    assert Array().tensor("x").shape == (0,)


def test_arrays_are_views_of_the_file_until_they_must_change() -> None:
    content = bytearray(pickled(array(dtype("f4"), ONE, data(FLOATS[4:8]))))
    found = load(memoryview(content), NUMPY_NAMES).value
    content[content.index(FLOATS[4:8]) :][:4] = bytes(4)
    content[content.index(FLOATS[4:8]) : content.index(FLOATS[4:8]) + 4] = FLOATS[8:12]
    assert found.tensor("x").tolist() == [2.0]
    assert found.tensor("x") is found.tensor("x")


def test_old_names_and_texts() -> None:
    assert bytes(_load(call("_codecs:encode", text("a\xff"), text("latin1")))) == b"a\xff"
    assert bytes(_load(call("_codecs:encode", text("a\xff"), text("latin-1")))) == b"a\xff"
    assert bytes(_load(call("__builtin__:bytes"))) == b""
    base = name("__builtin__", "object")
    made = _load(call("copy_reg:_reconstructor", name("other", "Thing"), base, b"N"))
    assert (made.name, made.entries) == ("Thing", {})
    made = _load(
        call("copy_reg:_reconstructor", name("other", "Thing"), name("__builtin__", "dict"), table(a=number(1)))
    )
    assert made.entries == {"a": 1}
    made = _load(call("copyreg:_reconstructor", name("dnnlib", "EasyDict"), base, table(a=number(1))))
    assert made == {"a": 1}


def test_collections() -> None:
    pairs = listing(group(text("a"), number(1)), group(number(2), text("b")), group(b"N", number(1)))
    assert _load(call("collections:OrderedDict", pairs)) == {"a": 1, 2: "b"}
    assert _load(call("collections:OrderedDict", table(a=number(1)))) == {"a": 1}
    assert _load(call("builtins:set", listing(number(1), text("a"), b"N"))) == {1, "a"}
    assert _load(call("collections:OrderedDict")) == {}
    assert _load(call("__builtin__:set", listing(*[number(1)] * 1000))) == {1}
    for code in (listing(*[number(1)] * 1001), number(1), text("abc")):
        with pytest.raises(ConvertError, match="holds a collection larger than any network needs"):
            _load(call("builtins:set", code))


# What is refused.

UNSOUND: dict[str, bytes] = {
    "an order of bytes that is none": _dtype("f4", text("!")),
    "an order of bytes that is none, as bytes": _dtype("f4", data(b"!")),
    "a state that is a number": array(dtype("f4"), ONE, data(bytes(4)))[:-1] + b"0K\x01b",
    "a state of three": call("numpy.core.multiarray:_reconstruct", b"N", b"N", b"N") + b"(NNNtb",
    "a state of six": call("numpy.core.multiarray:_reconstruct", b"N", b"N", b"N")
    + group(b"N", b"N", ONE, dtype("f4"), b"\x89", data(bytes(4)))
    + b"b",
    "a shape that is a list": array(dtype("f4"), listing(number(1)), data(bytes(4))),
    "33 axes": array(dtype("f4"), group(*[number(1)] * 33), data(bytes(4))),
    "a side of 2**62": array(dtype("f4"), group(number(0), number(1 << 62)), data(b"")),
    "a side of 2**70": array(dtype("f4"), group(number(0), number(1 << 70)), data(b"")),
    "a huge axis": call(
        "numpy._core.numeric:_frombuffer", data(FLOATS[:4]), dtype("f4"), ONE, text("C"), group(number(1 << 70))
    ),
    "items for what holds none": call("copy_reg:_reconstructor", name("numpy", "dtype"), b"N", table(a=number(1))),
    "entries for an array": call(
        "copy_reg:_reconstructor", name("joblib.numpy_pickle", "NumpyArrayWrapper"), b"N", table(a=number(1))
    ),
    "a negative side": array(dtype("f4"), group(number(0), number(-1)), data(b"")),
    "a negative side that the data would tell": array(dtype("f4"), group(number(-1)), data(bytes(4))),
    "a side that is a fraction": array(dtype("f4"), group(b"G" + struct.pack(">d", 1.0)), data(bytes(4))),
    "a side that is a text": array(dtype("f4"), group(text("1")), data(bytes(4))),
    "no dtype": call("numpy._core.numeric:_frombuffer", data(bytes(4)), text("f4"), ONE, text("C")),
    "a scalar without a dtype": call("numpy.core.multiarray:scalar", text("f4"), data(bytes(4))),
    "a text that is a number": call("_codecs:encode", number(1), text("latin1")),
    "a codec that is none": call("_codecs:encode", text("x"), number(1)),
    "another codec": call("_codecs:encode", text("x"), text("utf-8")),
    "inline, without a state": name("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81Nb",
    "inline, a shape that is none": _inline(number(1)),
    "inline, 33 axes": _inline(group(*[number(1)] * 33)),
    "inline, no dtype": _inline(ONE, kind=text("f4")) + bytes(4),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_unsound_arrays(case: str) -> None:
    with pytest.raises(ConvertError, match="is not a sound pickle"):
        _load(UNSOUND[case])


def test_inline_data_that_are_cut_off() -> None:
    with pytest.raises(ConvertError, match="is cut off: 8 bytes wanted"):
        _load(_inline(group(number(2))), bytes(4))


def test_as_many_axes_as_numpy_has() -> None:
    assert _load(array(dtype("f4"), group(*[number(1)] * 32), data(bytes(4)))).value.ndim == 32


@pytest.mark.parametrize("code", ["O", "V4", "S4", "U4", "M8", "c8", "f4,f4", "float32", "f16", ""])
def test_other_types(code: str) -> None:
    with pytest.raises(UnsafePickleError, match=rf"has an array of type '{code}'; only plain numbers are read"):
        DType(code)
    with pytest.raises(UnsafePickleError, match="has an array of type"):
        DType(memoryview(code.encode()))


def test_types_that_are_no_texts() -> None:
    with pytest.raises(UnsafePickleError, match="has an array of type a list"):
        DType(["f4"])
    with pytest.raises(UnsafePickleError) as caught:
        DType("x" * 1000)
    assert len(str(caught.value)) < 120
    assert DType(memoryview(b"f4")).numpy() == np.float32


# As float32.

EXACT = [
    np.array([0.5, -2, np.nan, np.inf], "<f8"),
    np.array([0.5, np.nan], ">f4"),
    np.array([0.5, np.nan], "<f2"),
    np.array(7, "i8"),
    np.array(True),
]


@pytest.mark.parametrize("value", EXACT, ids=str)
def test_what_float32_holds(value: Any) -> None:
    tensor = to_tensor(Array(value), "x")
    assert tensor.dtype == torch.float32
    assert np.array_equal(tensor.numpy(), value.astype(np.float32), equal_nan=True)


LOST: dict[str, tuple[Any, str]] = {
    "digits": (np.array([1 / 3]), "variable x is float64 and loses precision in float32"),
    "a range": (np.array([1e300]), "variable x is float64 and loses precision in float32"),
    "large whole numbers": (np.array((1 << 24) + 1), "variable x is int64 and loses precision in float32"),
    "whole numbers": (np.array([1, 2]), "variable x is int64, not floating point"),
    "truths": (np.array([True]), "variable x is bool, not floating point"),
}


@pytest.mark.parametrize("case", LOST)
def test_what_float32_does_not_hold(case: str) -> None:
    value, words = LOST[case]
    with pytest.raises(ConvertError, match=words):
        to_tensor(Array(value), "x")


def test_numbers_are_variables_too() -> None:
    assert to_tensor(0.5, "x").item() == 0.5
    assert to_tensor(3, "x").item() == 3
    for value in (1e30, -1e30, "1", None, np.zeros(1)):
        with pytest.raises(ConvertError, match="variable x is no array"):
            to_tensor(value, "x")
    with pytest.raises(ConvertError, match="variable x is sparse, not a plain tensor"):
        to_tensor(NotPlain("sparse"), "x")


# What is made is counted.

COPIED: dict[str, tuple[Callable[[], Any], int]] = {
    "raw data as text": (lambda: raw_bytes("x" * 1000), 1000),
    "doubles": (lambda: Array(np.zeros(1000)).tensor("x"), 4000),
    "floats of the other byte order": (lambda: Array(np.zeros(1000, ">f4")).tensor("x"), 4000),
    "floats": (lambda: Array(np.zeros(1000, "<f4")).tensor("x"), 0),
    "raw data": (lambda: raw_bytes(memoryview(bytes(1000))), 0),
}


@pytest.mark.parametrize("case", COPIED)
def test_copies_are_counted(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_counted(*COPIED[case], monkeypatch)


def test_bytes_of_a_text() -> None:
    assert bytes(raw_bytes("a\xff")) == b"a\xff"
    assert struct.unpack("<f", raw_bytes(data(FLOATS[4:8])[5:])) == (1.0,)
