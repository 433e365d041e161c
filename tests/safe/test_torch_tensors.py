"""Tensors of PyTorch's files: views that stay inside their storages, read as float32 without loss."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from converter.errors import ConvertError
from converter.safe.budget import budget
from converter.safe.stand_ins import CONTAINER_NAMES
from converter.safe.torch_file import load_torch, pickle_in
from converter.safe.torch_tensors import TORCH_NAMES, NotPlain, Storage, StoredTensor, exact_float32, load_storage
from converter.safe.unpickler import load
from tests.tools.counted import assert_counted
from tests.tools.hostile import call, group, listing, name, number, pickled, storage, table, text

NAMES = {**TORCH_NAMES, **CONTAINER_NAMES}
NUMBERS = torch.arange(4.0)
RAW = NUMBERS.numpy().tobytes()


def _flat(count: int = 4, raw: bytes | None = RAW) -> Storage:
    return Storage(torch.float32, count, None if raw is None else memoryview(raw))


def _tensor(offset: Any = 0, size: Any = (4,), stride: Any = (1,), of: Storage | None = None) -> Tensor:
    return StoredTensor(of or _flat(), torch.float32, offset, size, stride).tensor("x")


# Views.

VIEWS: dict[str, tuple[Any, Any, Any, Any]] = {
    "all": (0, (4,), (1,), [0, 1, 2, 3]),
    "a list of sides": (0, [2, 2], [2, 1], [[0, 1], [2, 3]]),
    "turned": (0, (2, 2), (1, 2), [[0, 2], [1, 3]]),
    "the last one": (3, (1,), (1,), [3]),
    "a number": (2, (), (), 2),
    "one that steps far": (0, (1, 2), (1 << 48, 3), [[0, 3]]),
    "nothing": (9, (0, 5), (1, 1), []),
    "nothing, in steps of nothing": (0, (2, 2, 0), (0, 0, 0), [[[], []], [[], []]]),
    "32 axes": (1, (1,) * 32, (1,) * 32, torch.ones((1,) * 32).tolist()),
}


@pytest.mark.parametrize("case", VIEWS)
def test_views(case: str) -> None:
    offset, size, stride, expected = VIEWS[case]
    found = _tensor(offset, size, stride)
    assert found.shape == tuple(size)
    assert found.tolist() == expected


BEYOND: dict[str, tuple[Any, Any, Any]] = {
    "an offset": (1, (4,), (1,)),
    "an offset of nothing else": (4, (1,), (1,)),
    "a stride": (0, (2, 2), (3, 1)),
    "a step": (0, (4,), (2,)),
    "a stride of 0": (0, (5,), (0,)),
    "a huge offset": ((1 << 48) + 1, (0,), (1,)),
    "a huge side": (0, ((1 << 48) + 1, 0), (1, 1)),
    "a huge stride": (0, (1,), ((1 << 48) + 1,)),
}


@pytest.mark.parametrize("case", BEYOND)
def test_views_beyond_their_data(case: str) -> None:
    with pytest.raises(ConvertError, match="holds a tensor that reaches beyond its data"):
        _tensor(*BEYOND[case])


@pytest.mark.parametrize(("size", "stride"), [((2, 2), (1, 1)), ((4,), (0,)), ((2, 2), (2, 0))])
def test_views_whose_numbers_lie_over_one_another(size: Any, stride: Any) -> None:
    with pytest.raises(ConvertError, match="holds a tensor whose numbers lie over one another"):
        _tensor(0, size, stride)


def test_a_view_as_another_type_counts_bytes() -> None:
    sixteen = Storage(torch.uint8, 16, memoryview(RAW))
    assert StoredTensor(sixteen, torch.float32, 0, (4,), (1,)).tensor("x").tolist() == [0, 1, 2, 3]
    for size in (5, 16):
        with pytest.raises(ConvertError, match="reaches beyond its data"):
            StoredTensor(sixteen, torch.float32, 0, (size,), (1,))


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (-1, (1,), (1,)),
        (0, (-1,), (1,)),
        (0, (1,), (-1,)),
        (True, (1,), (1,)),
        (0, (True,), (1,)),
        ("0", (1,), (1,)),
        (0, (1.0,), (1,)),
        (0, (1, 1), (1,)),
        (0, 1, (1,)),
        (0, (1,), 1),
        (0, (1,) * 33, (1,) * 33),
    ],
)
def test_views_that_are_none(offset: Any, size: Any, stride: Any) -> None:
    with pytest.raises(TypeError, match="tensor"):
        StoredTensor(_flat(), torch.float32, offset, size, stride)


def test_a_tensor_of_nothing_asks_for_no_data() -> None:
    assert _tensor(0, (0, 2), (1, 1), of=_flat(raw=None)).shape == (0, 2)


def test_what_is_no_name_of_a_file_is_not_called() -> None:
    rebuild: Any = TORCH_NAMES["torch._tensor", "_rebuild_from_type_v2"]
    with pytest.raises(TypeError):
        rebuild(lambda: pytest.fail("it was called"), None, (), None)


@pytest.mark.parametrize("raw", [None, RAW[:-1], RAW + b"x"])
def test_storages_have_all_their_data(raw: bytes | None) -> None:
    with pytest.raises(ConvertError, match="holds a tensor whose data are cut off"):
        _tensor(of=_flat(raw=raw))


def test_a_tensor_is_made_once_and_shares_what_can_be_written_to() -> None:
    writable = bytearray(RAW)
    stand_in = StoredTensor(Storage(torch.float32, 4, memoryview(writable)), torch.float32, 0, (4,), (1,))
    found = stand_in.tensor("x")
    assert stand_in.tensor("x") is found
    writable[:4] = struct.pack("<f", 7)
    assert found[0] == 7
    assert Storage(torch.float32, 0, memoryview(b"")).flat(torch.float32).shape == (0,)


def test_two_tensors_of_a_storage_share_it() -> None:
    flat = _flat()
    first, second = _tensor(of=flat), _tensor(1, (2,), (1,), of=flat)
    first[1] = 9
    assert second[0] == 9


# As float32.

LOST: dict[str, tuple[Tensor, str]] = {
    "digits": (torch.tensor([1 / 3], dtype=torch.float64), "variable x is float64 and loses precision in float32"),
    "the largest double": (
        torch.tensor([torch.finfo(torch.float64).max], dtype=torch.float64),
        "variable x is float64 and loses precision in float32",
    ),
    "a large whole number": (torch.tensor((1 << 24) + 1), "variable x is int64 and loses precision in float32"),
    "whole numbers": (torch.tensor([1]), "variable x is int64, not floating point that float32 holds"),
    "truths": (torch.tensor([True]), "variable x is bool, not floating point"),
}


@pytest.mark.parametrize("case", LOST)
def test_what_float32_does_not_hold(case: str) -> None:
    value, words = LOST[case]
    with pytest.raises(ConvertError, match=words):
        exact_float32(value, "x")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_what_float32_holds(dtype: torch.dtype) -> None:
    value = torch.tensor([0.5, torch.nan, torch.inf, -torch.inf, -2], dtype=dtype)
    found = exact_float32(value, "x")
    assert found.dtype == torch.float32
    assert torch.equal(found.nan_to_num(7), value.float().nan_to_num(7))
    assert (found is value) == (dtype == torch.float32)
    assert exact_float32(torch.tensor(3), "x") == 3


# What pickles ask for.


def _asked(*code: bytes, **options: Any) -> Any:
    return load(memoryview(pickled(*code)), TORCH_NAMES, **options).value


def _rebuilt(function: str, *more: bytes, of: bytes | None = None) -> bytes:
    four = group(number(4))
    return call(f"torch._utils:{function}", of or storage(), number(0), four, group(number(1)), *more)


REBUILT: dict[str, bytes] = {
    "the first way": _rebuilt("_rebuild_tensor"),
    "the second": _rebuilt("_rebuild_tensor_v2", b"\x89", b"}"),
    "the second, with flags that are off": _rebuilt(
        "_rebuild_tensor_v2", b"\x89", b"}", table(neg=b"\x89", conj=b"\x89")
    ),
    "the third": _rebuilt("_rebuild_tensor_v3", b"\x89", b"}", name("torch", "float32")),
    "a parameter": call("torch._utils:_rebuild_parameter", _rebuilt("_rebuild_tensor"), b"\x88", b"}"),
    "a parameter with state": call(
        "torch._utils:_rebuild_parameter_with_state", _rebuilt("_rebuild_tensor"), b"\x88", b"}", b"N"
    ),
    "a subclass": call(
        "torch._tensor:_rebuild_from_type_v2",
        name("torch._utils", "_rebuild_tensor"),
        name("other", "Tensor"),
        group(storage(), number(0), group(number(4)), group(number(1))),
        b"N",
    ),
}


@pytest.mark.parametrize("case", REBUILT)
def test_rebuilt_tensors(case: str) -> None:
    found = _asked(REBUILT[case])
    assert found.shape == (4,)
    assert found.tensor("x").tolist() == [0, 0, 0, 0]


NOT_PLAIN: dict[str, tuple[bytes, str]] = {
    "negative": (
        _rebuilt("_rebuild_tensor_v2", b"\x89", b"}", table(neg=b"\x88")),
        "stored with its sign to be turned",
    ),
    "conjugate": (
        _rebuilt("_rebuild_tensor_v2", b"\x89", b"}", table(conj=b"\x88")),
        "stored with its sign to be turned",
    ),
    "another type": (
        _rebuilt("_rebuild_tensor_v3", b"\x89", b"}", name("torch", "float8_e4m3fn")),
        "of type float8_e4m3fn",
    ),
    "sparse": (call("torch._utils:_rebuild_sparse_tensor", b"N"), "sparse"),
    "sparse in rows": (call("torch._utils:_rebuild_sparse_csr_tensor", b"N"), "sparse"),
    "quantised": (call("torch._utils:_rebuild_qtensor", b"N"), "quantised"),
    "without values": (call("torch._utils:_rebuild_meta_tensor_no_storage"), "a meta tensor without values"),
    "wrapped": (call("torch._utils:_rebuild_wrapper_subclass"), "a wrapper of another tensor"),
    "elsewhere": (call("torch._utils:_rebuild_device_tensor_from_numpy"), "of a device that is not known here"),
}


@pytest.mark.parametrize("case", NOT_PLAIN)
def test_tensors_that_are_not_plain(case: str) -> None:
    code, words = NOT_PLAIN[case]
    found = _asked(code)
    assert isinstance(found, NotPlain)
    with pytest.raises(ConvertError, match=f"variable x is {words}, not a plain tensor; save it as one"):
        found.tensor("x")


UNSOUND: dict[str, bytes] = {
    "a text for a storage": _rebuilt("_rebuild_tensor_v2", b"\x89", b"}", of=text("x")),
    "a text for a storage, the third way": _rebuilt(
        "_rebuild_tensor_v3", b"\x89", b"}", name("torch", "float32"), of=b"N"
    ),
    "a text for a type": _rebuilt("_rebuild_tensor_v3", b"\x89", b"}", text("float32")),
    "a text for a function": call("torch._tensor:_rebuild_from_type_v2", text("x"), b"N", group(), b"N"),
    "a list for arguments": call(
        "torch._tensor:_rebuild_from_type_v2", name("torch._utils", "_rebuild_tensor"), b"N", listing(), b"N"
    ),
    "a storage that is called": call("torch:FloatStorage"),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_unsound_tensors(case: str) -> None:
    with pytest.raises(ConvertError, match="is not a sound pickle"):
        _asked(UNSOUND[case])


# The old container.


def _container(**parts: bytes) -> bytes:
    """The bytes of an old container of one storage, sound but for the parts given."""
    code = storage(**parts)
    start = code.index(b"(B") + 6
    return code[start : start + int.from_bytes(code[start - 4 : start], "little")]


IDENTITY = [text("storage"), name("torch", "FloatStorage"), text("94000000000000"), text("cpu"), number(4)]


def _identity(**changes: bytes) -> bytes:
    parts = dict(enumerate(IDENTITY)) | {int(key[1:]): value for key, value in changes.items()}
    return group(*parts.values()) + b"Q"


OLD: dict[str, tuple[bytes, str]] = {
    "no tuple": (_container(identity=text("storage") + b"Q"), "unknown container"),
    "four parts": (_container(identity=group(*IDENTITY[:4]) + b"Q"), "unknown container"),
    "another thing": (_container(identity=_identity(_0=text("module"))), "unknown container"),
    "a count that is a text": (_container(identity=_identity(_4=text("4"))), "unknown container"),
    "a view beyond it": (_container(view=group(text("x"), number(1), number(4))), "reaches beyond its data"),
    "a negative count": (_container(count=number(-1)), "data are cut off"),
    "a huge count": (_container(count=number((1 << 48) + 1)), "data are cut off"),
    "another magic number": (_container().replace(b"\x6c\xfc\x9c\x46", b"\x6c\xfc\x9c\x47"), "unknown container"),
    "another version": (_container(version=number(1002)), "unknown container"),
    "other keys": (_container(keys=text("x")), "unknown container"),
    "keys that are numbers": (_container(keys=number(1)), "unknown container"),
    "more keys": (_container(keys=text("94000000000000") + text("x")), "unknown container"),
    "another length": (_container(length=struct.pack("<q", 3)), "data are cut off"),
    "less data": (_container(raw=bytes(15)), "data are cut off"),
    "more data": (_container(raw=bytes(17)), "unknown container"),
    "no storage": (_container(identity=text("x"), keys=b"", length=b"", raw=b""), "unknown container"),
    "big numbers first": (
        _container().replace(text("little_endian") + b"\x88", text("little_endian") + b"\x89"),
        "unknown",
    ),
    "a fact that is no table": (
        pickled(number(0x1950A86A20F9469CFC6C)) + pickled(number(1001)) + pickled(listing()),
        "unknown container",
    ),
}


@pytest.mark.parametrize("case", OLD)
def test_old_containers_that_are_unsound(case: str) -> None:
    content, words = OLD[case]
    for blob in (memoryview(content), content.decode("latin-1")):
        with pytest.raises(ConvertError, match=words):
            load_storage(blob)


def test_keys_are_a_list() -> None:
    content = _container().replace(listing(text("94000000000000")), group(text("94000000000000")))
    with pytest.raises(ConvertError, match="unknown container"):
        load_storage(memoryview(content))


def test_old_containers() -> None:
    raw = bytes(range(1, 17))
    assert bytes(load_storage(memoryview(_container(raw=raw))).flat(torch.float32).numpy()) == raw
    content = _container(raw=RAW)
    for blob in (memoryview(content), content.decode("latin-1")):
        found = load_storage(blob)
        assert found.flat(torch.float32).tolist() == [0, 1, 2, 3]
    with pytest.raises(ConvertError, match=r"holds a tensor of torch\.QInt8Storage, which is no type of plain numbers"):
        load_storage(memoryview(_container(identity=_identity(_1=name("torch", "QInt8Storage")))))
    with pytest.raises(ConvertError, match="is not a sound pickle"):
        load_storage(memoryview(_container(identity=_identity(_1=text("FloatStorage")))))
    file = io.BytesIO()
    value = {"x": NUMBERS, "y": NUMBERS[1:3], "z": NUMBERS + 4}
    torch.save(value, file, _use_new_zipfile_serialization=False)
    made = load_torch(memoryview(file.getvalue()), NAMES).value
    assert {key: found.tensor(key).tolist() for key, found in made.items()} == {k: v.tolist() for k, v in value.items()}


# The zip file.


def _saved(value: object) -> dict[str, bytes]:
    file = io.BytesIO()
    torch.save(value, file)
    with zipfile.ZipFile(file) as archive:
        return {entry: archive.read(entry) for entry in archive.namelist()}


def _zip(members: dict[str, bytes]) -> memoryview:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for entry, content in members.items():
            archive.writestr(entry, content)
    return memoryview(file.getvalue())


def _with(**changes: bytes | None) -> Callable[[], memoryview]:
    def make() -> memoryview:
        members: dict[str, Any] = _saved({"x": NUMBERS})
        root = next(iter(members)).partition("/")[0]
        members |= {
            f"{root}/{entry.replace('__', '/').replace('_pkl', '.pkl')}": value for entry, value in changes.items()
        }
        return _zip({entry: value for entry, value in members.items() if value is not None})

    return make


def _referring(*parts: bytes) -> Callable[[], memoryview]:
    """A file whose pickle refers to a storage in other words."""
    return _with(data_pkl=pickled(group(*parts), b"Q"))


ZIPS: dict[str, tuple[Callable[[], memoryview], str]] = {
    "a program": (_with(code__x=b"def f(): pass"), "is a TorchScript program"),
    "another order of bytes": (_with(byteorder=b"big"), "another order of bytes"),
    "data that are missing": (_with(data__0=None), "lacks the data of a tensor"),
    "data that are cut off": (_with(data__0=RAW[:-1]), "data are cut off"),
    "no tuple": (_with(data_pkl=pickled(text("storage"), b"Q")), "refers to something that is no storage"),
    "four parts": (_referring(*IDENTITY[:4]), "refers to something that is no storage"),
    "six parts": (_referring(*IDENTITY, b"N"), "refers to something that is no storage"),
    "another thing": (_referring(text("module"), *IDENTITY[1:]), "refers to something that is no storage"),
    "a key that is a number": (
        _referring(*IDENTITY[:2], number(0), *IDENTITY[3:]),
        "refers to something that is no storage",
    ),
    "a count that is a text": (_referring(*IDENTITY[:4], text("4")), "refers to something that is no storage"),
    "a negative count": (_referring(*IDENTITY[:4], number(-1)), "refers to something that is no storage"),
    "a huge count": (_referring(*IDENTITY[:4], number(1 << 48)), "refers to something that is no storage"),
    "an unknown key": (_referring(*IDENTITY), "lacks the data of a tensor"),
    "a key of another folder": (
        _referring(*IDENTITY[:2], text("../data/0"), *IDENTITY[3:]),
        "lacks the data of a tensor",
    ),
}


@pytest.mark.parametrize("case", ZIPS)
def test_zip_files_that_are_unsound(case: str) -> None:
    make, words = ZIPS[case]
    with pytest.raises(ConvertError, match=words):
        load_torch(make(), NAMES).value["x"].tensor("x")


def test_zip_files() -> None:
    made = load_torch(_zip(_saved({"x": NUMBERS, "y": NUMBERS})), NAMES).value
    assert made["x"].tensor("x").tolist() == [0, 1, 2, 3]
    assert made["x"].storage is made["y"].storage
    made = load_torch(_with(byteorder=None)(), NAMES).value
    assert made["x"].tensor("x").tolist() == [0, 1, 2, 3]
    assert load_torch(_zip(_saved({"x": NUMBERS[:0].clone()})), NAMES).value["x"].tensor("x").shape == (0,)
    empty = load_torch(_referring(*IDENTITY[:2], text("0"), text("cpu"), number((1 << 48) - 1))(), {}).value
    assert empty.count == (1 << 48) - 1


def test_the_pickle_of_a_zip_file() -> None:
    assert pickle_in(["a/version", "a/data.pkl"]) == "a/data.pkl"
    assert pickle_in(["data.pkl"]) == "data.pkl"
    assert pickle_in(["a/mydata.pkl", "data.pkl.txt"]) is None


# What is made is counted.

COPIED: dict[str, tuple[Callable[[], Any], int]] = {
    "what cannot be written to": (lambda: _flat().flat(torch.float32), 16),
    "doubles": (lambda: exact_float32(torch.zeros(100, dtype=torch.float64), "x"), 400),
    "floats": (lambda: exact_float32(torch.zeros(100), "x"), 0),
}


@pytest.mark.parametrize("case", COPIED)
def test_copies_are_counted(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_counted(*COPIED[case], monkeypatch)


def test_a_container_as_text_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    content = _container()
    monkeypatch.setattr("converter.safe.budget.SPARE", len(content) - 1)
    with budget(0):
        load_storage(memoryview(content))
    with budget(0), pytest.raises(ConvertError, match="takes more than"):
        load_storage(content.decode("latin-1"))
