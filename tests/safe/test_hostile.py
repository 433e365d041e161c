"""Files made to do harm: none has its code run, and arrays and tensors stay inside their data."""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tools.hostile import (
    FORMS,
    array,
    call,
    data,
    dtype,
    group,
    listing,
    name,
    number,
    pickled,
    refused,
    storage,
    table,
    text,
    write_hostile,
    written,
)

# Code. Each attack makes a file `ran` when the standard unpickler reads it; `True` says that it works on that alone.

Attack = Callable[[str], bytes]


def _build(ran: str) -> bytes:
    state = group(b"N", table(__setstate__=name("os", "system")))
    return name("collections", "Counter") + b")\x81" + state + b"b" + text(f"touch {ran}") + b"b"


ATTACKS: dict[str, tuple[Attack, str, bool]] = {
    "os.system": (lambda ran: call("os:system", text(f"touch {ran}")), "os.system", True),
    "posix.system": (lambda ran: call("posix:system", text(f"touch {ran}")), "posix.system", True),
    "eval": (lambda ran: call("builtins:eval", text(f"open({ran!r}, 'w').close()")), "builtins.eval", True),
    "eval of Python 2": (
        lambda ran: call("__builtin__:eval", text(f"open({ran!r}, 'w').close()")),
        "__builtin__.eval",
        True,
    ),
    "exec": (lambda ran: call("builtins:exec", text(f"open({ran!r}, 'w').close()")), "builtins.exec", True),
    "Popen": (
        lambda ran: call("subprocess:Popen", listing(text("touch"), text(ran))),
        "subprocess.Popen",
        False,
    ),
    "torch.hub": (
        lambda ran: call("torch.hub:load", text("someone/something"), text("model")),
        "torch.hub.load",
        False,
    ),
    "torch.load": (lambda ran: call("torch:load", text(ran)), "torch.load", False),
    "import_module": (
        lambda ran: call("importlib:import_module", text("antigravity")),
        "importlib.import_module",
        False,
    ),
    "__import__": (
        lambda ran: call("builtins:__import__", text("antigravity")),
        "builtins.__import__",
        False,
    ),
    "getattr": (
        lambda ran: call("builtins:getattr", name("numpy", "ndarray"), text("__class__")),
        "builtins.getattr",
        False,
    ),
    "INST": (lambda ran: b"(" + text(f"touch {ran}") + b"ios\nsystem\n", "os.system", True),
    "OBJ": (lambda ran: b"(" + name("os", "system") + text(f"touch {ran}") + b"o", "os.system", True),
    "OBJ of an allowed name": (lambda ran: b"(" + name("numpy", "dtype") + text("f4") + b"o", "", False),
    "NEWOBJ": (
        lambda ran: name("subprocess", "Popen") + group(text(f"touch {ran}")) + b"\x81",
        "subprocess.Popen",
        False,
    ),
    "NEWOBJ_EX": (
        lambda ran: name("collections", "OrderedDict") + b")" + table(a=text("touch")) + b"\x92",
        "not a sound pickle",
        False,
    ),
    "BUILD": (_build, "collections.Counter", True),
    "BUILD of an allowed class": (
        lambda ran: name("collections", "OrderedDict") + b")R" + table(__class__=text("x")) + b"b",
        "not a sound pickle",
        False,
    ),
    "BUILD of a function": (
        lambda ran: name("numpy", "dtype") + table(make=text("x")) + b"b",
        "not a sound pickle",
        False,
    ),
    "EXT1": (lambda ran: b"\x82\x01", "opcode 0x82", False),
    "EXT2": (lambda ran: b"\x83\x01\x00", "opcode 0x83", False),
    "EXT4": (lambda ran: b"\x84\x01\x00\x00\x00", "opcode 0x84", False),
    "persistent id": (lambda ran: text("storage") + b"Q", "outside itself", False),
    "persistent id, text": (lambda ran: b"Pstorage\n", "outside itself", False),
    "STACK_GLOBAL": (
        lambda ran: text("os") + text("system") + b"\x93" + group(text(f"touch {ran}")) + b"R",
        "os.system",
        True,
    ),
    "dotted name": (
        lambda ran: text("numpy") + text("ndarray.__class__") + b"\x93",
        "numpy.ndarray.__class__",
        False,
    ),
    "dotted path to globals": (
        lambda ran: text("dnnlib.tflib.network") + text("Network.__init__.__globals__") + b"\x93",
        "dnnlib.tflib.network.Network.__init__.__globals__",
        False,
    ),
    "a name that is no text": (lambda ran: listing() + text("system") + b"\x93", "not a sound pickle", False),
    "numpy.core neighbour": (
        lambda ran: call("numpy.core.multiarray:fromfile", text(ran)),
        "numpy.core.multiarray.fromfile",
        False,
    ),
    "numpy._core neighbour": (
        lambda ran: name("numpy._core.multiarray", "_vec_string"),
        "numpy._core.multiarray._vec_string",
        False,
    ),
    "torch._utils neighbour": (
        lambda ran: name("torch._utils", "_import_dotted_name"),
        "torch._utils._import_dotted_name",
        False,
    ),
    "collections neighbour": (
        lambda ran: call("collections:namedtuple", text("a"), text("b")),
        "collections.namedtuple",
        False,
    ),
    "builtins neighbour": (lambda ran: name("builtins", "open"), "builtins.open", False),
    "a call of data": (
        lambda ran: text("os.system") + group(text(f"touch {ran}")) + b"R",
        "not a sound",
        False,
    ),
    "a call of a name that only names": (
        lambda ran: call("numpy:ndarray", group(number(1))),
        "not a sound pickle",
        False,
    ),
    "terminal control": (lambda ran: text("os\x1b[2J\x07") + text("system") + b"\x93", "system", False),
    "a name of a megabyte": (lambda ran: text("o" * 1_000_000) + text("system") + b"\x93", "asks for", False),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("form", FORMS)
def test_no_code_is_run(form: str, attack: str, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    code, words, _ = ATTACKS[attack]
    refused(write_hostile(tmp_path / "in.pkl", form, code(str(ran))), words)
    refused(written(tmp_path / "alone.pkl", pickled(code(str(ran)))), words)
    assert not ran.exists()


@pytest.mark.parametrize("attack", [key for key, (_, _, works) in ATTACKS.items() if works])
def test_the_attacks_are_real(attack: str, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    try:
        pickle.loads(pickled(ATTACKS[attack][0](str(ran))))
    except TypeError as error:  # what some leave behind once they have run
        assert ran.exists(), error
    assert ran.exists()


@pytest.mark.parametrize("protocol", [0, 1])
def test_old_protocols_are_refused(protocol: int, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    refused(written(tmp_path / "in.pkl", pickle.dumps(Attack(), protocol)))
    assert not (tmp_path / "ran").exists()


# Arrays.

_ITEM = group(number(1))
_SYSTEM = listing(call("os:system", text("touch ran")))
ARRAYS: dict[str, tuple[bytes, str]] = {
    "objects": (array(dtype("O"), _ITEM, _SYSTEM), "array of type 'O'"),
    "objects of 8 bytes": (array(dtype("O8"), _ITEM, _SYSTEM), "array of type 'O8'"),
    "a structure": (array(dtype("V8"), _ITEM, data(bytes(8))), "array of type 'V8'"),
    "a structure with objects": (
        call("numpy:dtype", listing(group(text("a"), text("O"))), number(0), number(1)),
        "",
    ),
    "fields of a plain type": (call("numpy:dtype", text("f4,O")), "array of type 'f4,O'"),
    "texts": (array(dtype("U4"), _ITEM, data(bytes(16))), "array of type 'U4'"),
    "objects where bytes belong": (array(dtype("f4"), _ITEM, _SYSTEM), "os.system"),
    "a list where bytes belong": (array(dtype("f4"), _ITEM, listing(number(1))), "not a sound pickle"),
    "too few bytes": (array(dtype("f4"), group(number(3)), data(bytes(8))), "not a sound pickle"),
    "too many bytes": (array(dtype("f4"), group(number(3)), data(bytes(16))), "not a sound pickle"),
    "a negative side": (array(dtype("f4"), group(number(-1)), data(bytes(4))), "not a sound pickle"),
    "a side that is text": (array(dtype("f4"), group(text("1")), data(bytes(4))), "not a sound pickle"),
    "a huge side": (array(dtype("f4"), group(number(1 << 62)), data(bytes(4))), "not a sound pickle"),
    "no side": (array(dtype("f4"), group(number(0), number(1 << 63)), data(b"")), "not a sound pickle"),
    "65 axes": (array(dtype("f4"), group(*[number(1)] * 65), data(bytes(4))), "not a sound pickle"),
    "no dtype": (array(text("f4"), _ITEM, data(bytes(4))), "not a sound pickle"),
    "no state": (
        call("numpy.core.multiarray:_reconstruct", name("numpy", "ndarray"), group(), data(b"b")) + b"Nb",
        "not a sound pickle",
    ),
    "_reconstruct without arguments": (call("numpy.core.multiarray:_reconstruct"), "not a sound pickle"),
    "scalar without bytes": (call("numpy.core.multiarray:scalar", dtype("f4"), data(b"")), "not a sound"),
    "scalar of objects": (call("numpy.core.multiarray:scalar", dtype("O"), _SYSTEM), "array of type 'O'"),
    "_frombuffer of objects": (
        call("numpy._core.numeric:_frombuffer", data(bytes(8)), dtype("O"), _ITEM, text("C")),
        "array of type 'O'",
    ),
    "an unknown codec": (call("_codecs:encode", text("x"), text("rot13")), "not a sound pickle"),
}


@pytest.mark.parametrize("case", ARRAYS)
@pytest.mark.parametrize("form", FORMS)
def test_arrays_hold_numbers_only(form: str, case: str, tmp_path: Path) -> None:
    code, words = ARRAYS[case]
    for where in ("keyword", "tensor"):
        refused(write_hostile(tmp_path / f"{where}.pkl", form, code, where), words)


# Tensors.


def tensor(content: bytes, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    shape, steps = (group(*map(number, numbers)) for numbers in (size, stride))
    return call("torch._utils:_rebuild_tensor_v2", content, number(offset), shape, steps, b"\x89", b"}")


SOUND = storage()
TENSORS: dict[str, tuple[bytes, str]] = {
    "code in the container": (storage(identity=call("os:system", text("touch ran"))), "os.system"),
    "code in the storage type": (storage(call("builtins:eval", text("open('ran', 'w')"))), "builtins.eval"),
    "code for the key": (storage(key=call("os:system", text("touch ran"))), "os.system"),
    "a container in a container": (storage(key=SOUND), "torch.storage._load_from_bytes"),
    "another type": (storage(name("torch", "QInt8Storage")), "torch.QInt8Storage"),
    "a type that is text": (storage(text("FloatStorage")), "not a sound pickle"),
    "a wider type": (storage(name("torch", "DoubleStorage")), "cut off"),
    "a count too large": (storage(count=number(5)), "cut off"),
    "a huge count": (storage(count=number(1 << 62), length=struct.pack("<q", 1 << 62)), "cut off"),
    "a negative count": (storage(count=number(-4), length=struct.pack("<q", -4)), "cut off"),
    "a count that is text": (storage(count=text("4")), "unknown container"),
    "another key": (storage(keys=text("1")), "unknown container"),
    "a part beyond the end": (storage(view=group(text("a"), number(1), number(4))), "beyond its data"),
    "a part that is a number": (storage(view=number(4)), "beyond its data"),
    "no storage": (storage(what=text("module")), "unknown container"),
    "another version": (storage(version=number(1002)), "unknown container"),
    "no bytes": (storage(raw=b""), "cut off"),
    "no persistent id": (storage(identity=b"N"), "unknown container"),
    "no container": (call("torch.storage:_load_from_bytes", data(b"")), "not a sound pickle"),
    "beyond the end": (tensor(SOUND, 0, (5,), (1,)), "beyond its data"),
    "beyond the end by stride": (tensor(SOUND, 0, (2, 2), (3, 1)), "beyond its data"),
    "beyond the end by offset": (tensor(SOUND, 1, (4,), (1,)), "beyond its data"),
    "a negative offset": (tensor(SOUND, -1, (1,), (1,)), "not a sound pickle"),
    "a negative stride": (tensor(SOUND, 3, (4,), (-1,)), "not a sound pickle"),
    "a negative size": (tensor(SOUND, 0, (-1,), (1,)), "not a sound pickle"),
    "a stride less": (tensor(SOUND, 0, (2, 2), (1,)), "not a sound pickle"),
    "no storage below": (tensor(text("x"), 0, (1,), (1,)), "not a sound pickle"),
    "terabytes by stride 0": (tensor(SOUND, 0, (1 << 40,), (0,)), "data"),
    "wrapped sizes by stride 0": (tensor(SOUND, 0, (1 << 62, 1 << 62), (0, 0)), "in.pkl"),
}


@pytest.mark.parametrize("case", TENSORS)
@pytest.mark.parametrize("form", FORMS)
def test_tensors_stay_inside_their_data(form: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, words = TENSORS[case]
    monkeypatch.chdir(tmp_path)
    for where in ("keyword", "tensor"):
        (tmp_path / where).mkdir()
        refused(write_hostile(tmp_path / where / "in.pkl", form, code, where), words)
    assert not (tmp_path / "ran").exists()
