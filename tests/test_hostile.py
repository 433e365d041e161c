"""Files made to do harm: none runs code, takes the machine's memory or time, or leaves anything behind."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile import (
    CHANNELS,
    SLOT,
    TORCH_KWARGS,
    Job,
    array,
    call,
    check_refused,
    data,
    dtype,
    fill,
    group,
    laughs,
    listing,
    name,
    number,
    pickled,
    refused,
    run_limited,
    table,
    text,
    write_tf,
    write_torch,
)
from official import State
from official_torch import Module

import converter

FORMS = ["tf", "torch"]


def write_with_slot(path: Path, form: str, where: str = "keyword") -> Path:
    """A sound file but for a slot: in an unused keyword, in place of a tensor, or where the whole network was."""

    def change_tf(state: State) -> None:
        if where == "keyword":
            state["static_kwargs"]["unused"] = SLOT
        elif where == "tensor":
            state["variables"][0] = (state["variables"][0][0], SLOT)
        else:
            state["components"]["extra"] = {"version": 4, "name": SLOT}

    def change_torch(module: Module) -> None:
        if where == "keyword":
            module.init_kwargs["unused"] = SLOT
        elif where == "tensor":
            module.attributes["_buffers"] = {"w": SLOT}
        else:
            module.attributes["_modules"] = SLOT

    return write_tf(path, change_tf) if form == "tf" else write_torch(path, change_torch)


def write_hostile(path: Path, form: str, payload: bytes, where: str = "keyword") -> Path:
    return fill(write_with_slot(path, form, where), payload)


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
    "__import__": (lambda ran: call("builtins:__import__", text("antigravity")), "builtins.__import__", False),
    "getattr": (
        lambda ran: call("builtins:getattr", name("numpy", "ndarray"), text("__class__")),
        "builtins.getattr",
        False,
    ),
    "INST": (lambda ran: b"(" + text(f"touch {ran}") + b"ios\nsystem\n", "opcode 0x69", True),
    "OBJ": (lambda ran: b"(" + name("os", "system") + text(f"touch {ran}") + b"o", "os.system", True),
    "OBJ of an allowed name": (lambda ran: b"(" + name("numpy", "dtype") + text("f4") + b"o", "0x6f", False),
    "NEWOBJ": (
        lambda ran: name("subprocess", "Popen") + group(text(f"touch {ran}")) + b"\x81",
        "subprocess.Popen",
        False,
    ),
    "NEWOBJ_EX": (
        lambda ran: name("collections", "OrderedDict") + b")" + table(a=text("touch")) + b"\x92",
        "opcode 0x92",
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
    "persistent id, text": (lambda ran: b"Pstorage\n", "opcode 0x50", False),
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
    "a call of data": (lambda ran: text("os.system") + group(text(f"touch {ran}")) + b"R", "not a sound", False),
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
    refused(_written(tmp_path / "alone.pkl", pickled(code(str(ran)))), words)
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

    refused(_written(tmp_path / "in.pkl", pickle.dumps(Attack(), protocol)))
    assert not (tmp_path / "ran").exists()


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


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

KEY = text("94000000000000")


def storage(kind: bytes = name("torch", "FloatStorage"), **parts: bytes) -> bytes:
    """The call that reads a torch container, sound but for the parts given."""
    identity = group(
        parts.get("what", text("storage")),
        kind,
        parts.get("key", KEY),
        text("cpu"),
        parts.get("count", number(4)),
        parts.get("view", b"N"),
    )
    info = table(protocol_version=number(1001), little_endian=b"\x88", type_sizes=b"}")
    header = [number(0x1950A86A20F9469CFC6C), parts.get("version", number(1001)), info]
    blob = b"".join(map(pickled, header)) + pickled(parts.get("identity", identity + b"Q"))
    blob += pickled(listing(parts.get("keys", KEY))) + parts.get("length", struct.pack("<q", 4))
    return call("torch.storage:_load_from_bytes", data(blob + parts.get("raw", bytes(16))))


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
    "a count that is text": (storage(count=text("4")), "not a sound pickle"),
    "another key": (storage(keys=text("1")), "unknown container"),
    "a view": (storage(view=group(text("a"), number(0), number(4))), "unknown container"),
    "no storage": (storage(what=text("module")), "unknown container"),
    "another version": (storage(version=number(1002)), "unknown container"),
    "no bytes": (storage(raw=b""), "cut off"),
    "no persistent id": (storage(identity=b"N"), "not a sound pickle"),
    "no container": (call("torch.storage:_load_from_bytes", data(b"")), "not a sound pickle"),
    "keys that compare for ever": (
        storage(key=laughs(2, 40), keys=laughs(2, 40, text("ho"))),
        "in.pkl",
    ),
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
    if case == "keys that compare for ever":
        path = write_hostile(tmp_path / "in.pkl", form, code)
        _survives(tmp_path, {"in.pkl": (path, words)})
        return
    for where in ("keyword", "tensor"):
        (tmp_path / where).mkdir()
        refused(write_hostile(tmp_path / where / "in.pkl", form, code, where), words)
    assert not (tmp_path / "ran").exists()


# Memory and time: commands in processes with little of both.

MEMORY = 2 << 30
SECONDS = 10


def _survives(folder: Path, files: dict[str, tuple[Path, str]]) -> None:
    targets = {case: folder / f"target of {case}" for case in files}
    for target in targets.values():
        target.mkdir()
    jobs = [
        Job([path, targets[case] / "out.pt"], {"RLIMIT_AS": MEMORY}, seconds=SECONDS)
        for case, (path, _) in files.items()
    ]
    failed = {}
    for (case, (path, words)), (status, stderr) in zip(files.items(), run_limited(jobs), strict=True):
        try:
            check_refused(status, stderr, path, targets[case], [words])
        except AssertionError as error:
            failed[case] = f"{error}"[:300]
    assert not failed, "".join(f"\n{case}: {what}" for case, what in failed.items())


def _nested(depth: int) -> bytes:
    return text("x") + b"\x85" * depth


_OWN = b"}r\x00\x00\x01\x00X\x01\x00\x00\x00aj\x00\x00\x01\x00s"  # d = {}; d["a"] = d
_DICTS = b"".join(  # dict laughs, two references a level
    b"}(X\x01\x00\x00\x00a" + below + b"X\x01\x00\x00\x00b" + below + b"ur" + struct.pack("<I", 70000 + i) + b"0"
    for i in range(60)
    for below in [b"j" + struct.pack("<I", 69999 + i) if i else b"N"]
) + b"j" + struct.pack("<I", 70059)  # fmt: skip
_OWN_LIST = b"]r\x00\x00\x01\x00j\x00\x00\x01\x00a"

CODE_BOMBS: dict[str, tuple[bytes, str]] = {
    "BINBYTES8": (b"\x8e" + struct.pack("<Q", 1 << 62) + b"abc", "cut off"),
    "BINUNICODE8": (b"\x8d" + struct.pack("<Q", (1 << 64) - 1) + b"abc", "cut off"),
    "BYTEARRAY8": (b"\x96" + struct.pack("<Q", 1 << 40), "cut off"),
    "BINUNICODE": (b"X\xff\xff\xff\xff", "cut off"),
    "BINSTRING": (b"T\xff\xff\xff\x7f", "cut off"),
    "BINSTRING, negative": (b"T\xff\xff\xff\xff", "cut off"),
    "LONG4": (b"\x8b\xff\xff\xff\x7f", "opcode 0x8b"),
    "LONG": (b"L" + b"9" * 100_000 + b"L\n", "opcode 0x4c"),
    "laughing lists": (laughs(10, 100), "keyword"),
    "laughing lists within the rules": (laughs(999, 3), ""),
    "laughing dicts": (_DICTS, ""),
    "a list in itself": (_OWN_LIST, ""),
    "a dict in itself": (_OWN, ""),
    "deep tuples": (_nested(1_000_000), ""),
    "deep tuples as a key": (b"}" + _nested(100_000) + b"Ns", "not a sound pickle"),
    "a million sets a megabyte": (b"(" + b"\x8f" * 20_000_000 + b"t", ""),
    "text encoded again and again": (
        b"cnumpy\ndtype\n0c_codecs\nencode\nr\x00\x00\x01\x000" + text("x" * 500_000) + text("latin1")
        + b"\x86r\x01\x00\x01\x000(" + (b"j\x00\x00\x01\x00j\x01\x00\x01\x00R") * 40_000 + b"t",
        "",
    ),
    "lists copied again and again": (
        b"(" + b"]r\x00\x00\x01\x00(" + b"K\x01K\x02\x86" * 20_000 + b"e0cbuiltins\nset\nr\x01\x00\x01\x000"
        + b"j\x00\x00\x01\x00\x85r\x02\x00\x01\x000ccollections\nOrderedDict\nr\x01\x00\x01\x000"
        + b"j\x01\x00\x01\x00j\x02\x00\x01\x00R" * 50_000 + b"t",
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_pickles_do_not_take_memory_or_time(form: str, tmp_path: Path) -> None:
    _survives(
        tmp_path,
        {
            case: (write_hostile(tmp_path / f"{case}.pkl", form, code), words.replace("keyword", ""))
            for case, (code, words) in CODE_BOMBS.items()
        },
    )


def test_memo_indices_are_only_names(tmp_path: Path) -> None:
    path = write_with_slot(tmp_path / "in.pkl", "tf")
    fill(path, text("x") + b"r\xff\xff\xff\xff" + b"r\xfe\xff\xff\x7f")
    converter.convert(path, tmp_path / "out.pt")


def _tf_kwargs(**kwargs: Any) -> Callable[[Path], Path]:
    return lambda path: write_tf(path, lambda state: state["static_kwargs"].update(kwargs))


def _torch_kwargs(**kwargs: Any) -> Callable[[Path], Path]:
    return lambda path: write_torch(path, lambda module: module.init_kwargs.update(kwargs))


def _tf_named(name: str, variable: str = "more") -> Callable[[Path], Path]:
    def change(state: State) -> None:
        state["components"]["synthesis"]["name"] = name
        state["variables"].append((variable, np.float32(0)))

    return lambda path: write_tf(path, change)


def _stride_zero(path: Path) -> Path:
    """A tensor that no picture depends on, so that no keyword bounds its shape."""

    def change(module: Module) -> None:
        module.modules["synthesis"].modules["b4"].buffers["resample_filter"] = np.zeros((1, 3), np.float32)

    write_torch(path, change)
    content = path.read_bytes()
    sound, huge = b"K\x01K\x03\x86", b"(\x8a\x06\x00\x00\x00\x00\x00\x01K\x03t"
    where = content.index(sound)
    rest = content[where + len(sound) :].replace(b"K\x03K\x01\x86", b"K\x00K\x01\x86", 1)
    path.write_bytes(content[:where] + huge + rest)
    return path


def _modules_shared(path: Path) -> Path:
    """Modules of 1000 children, each level sharing the one below."""

    def module(children: bytes) -> bytes:
        state = table(_parameters=b"}", _buffers=b"}", _modules=children, _init_args=b")", _init_kwargs=b"}")
        meta = table(class_name=text("Generator"), module_src=text(""), state=state)
        return call("torch_utils.persistence:_reconstruct_persistent_obj", meta)

    code = module(b"}")
    for level in range(7):
        index = struct.pack("<I", level)
        children = b"".join(text(str(i)) + b"j" + index for i in range(1000))
        code += b"r" + index + b"0" + module(b"}(" + children + b"u")
    content = code + b"r\x00\x00\x01\x000}" + text("G_ema") + b"j\x00\x00\x01\x00s"
    return _written(path, pickled(content))


BOMBS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "mapping_layers": (_tf_kwargs(mapping_layers=10**9), "keyword mapping_layers"),
    "resolution": (_tf_kwargs(resolution=1 << 40), "keyword resolution"),
    "resolution 16384": (_tf_kwargs(resolution=1 << 14), "is missing"),
    "fmap_base": (_tf_kwargs(fmap_base=1 << 60, fmap_max=1 << 60), "keyword fmap_max"),
    "fmap_base beyond floats": (_tf_kwargs(fmap_base=1 << 1200), "fmap_base"),
    "fmap_base and fmap_max": (_tf_kwargs(fmap_base=1e308, fmap_decay=1e-308, fmap_max=1 << 20), ""),
    "fmap_base not a number": (_tf_kwargs(fmap_base=float("nan")), "fmap_base"),
    "fmap_max": (_tf_kwargs(fmap_base=1 << 20, fmap_max=1 << 20), "shape"),
    "fmap_max 0": (_tf_kwargs(fmap_max=0), "keyword fmap_max"),
    "fmap_decay": (_tf_kwargs(fmap_decay=-(10**9), fmap_max=1 << 20), "shape"),
    "latent_size": (_tf_kwargs(latent_size=1 << 40), "keyword latent_size"),
    "num_channels": (_tf_kwargs(num_channels=1 << 20), "shape"),
    "resample_kernel": (_tf_kwargs(resample_kernel=[1] * 1000), "keyword resample_kernel"),
    "resample_kernel beyond floats": (_tf_kwargs(resample_kernel=[1 << 1200, 1]), "resample_kernel"),
    "a scope that is a format": (_tf_named("{r:>9999999999}"), ""),
    "a scope that is a pattern": (_tf_named("(a+)+b", "a" * 40), ""),
    "a scope that is a broken pattern": (_tf_named("("), ""),
    "num_layers": (_torch_kwargs(mapping_kwargs={"num_layers": 10**9}), "keyword num_layers"),
    "img_resolution": (_torch_kwargs(img_resolution=1 << 40), "keyword img_resolution"),
    "channel_base": (
        _torch_kwargs(synthesis_kwargs={"channel_base": 1 << 60, "channel_max": 4}),
        "keyword channel_base",
    ),
    "channel_max": (_torch_kwargs(synthesis_kwargs={"channel_max": 1 << 20}), "shape"),
    "w_dim": (_torch_kwargs(w_dim=1 << 40), "keyword w_dim"),
    "c_dim": (_torch_kwargs(c_dim=1 << 40), "keyword c_dim"),
    "conv_clamp beyond floats": (
        _torch_kwargs(synthesis_kwargs={**CHANNELS, "conv_clamp": 1 << 1200}),
        "conv_clamp",
    ),
    "num_fp16_res": (_torch_kwargs(synthesis_kwargs={**CHANNELS, "num_fp16_res": 1 << 60}), "num_fp16_res"),
    "a kept tensor of terabytes": (_stride_zero, "data"),
    "modules without end": (_modules_shared, ""),
}


def test_keywords_do_not_take_memory_or_time(tmp_path: Path) -> None:
    assert TORCH_KWARGS["w_dim"] == 4
    _survives(
        tmp_path, {case: (make(tmp_path / f"{i}.pkl"), words) for i, (case, (make, words)) in enumerate(BOMBS.items())}
    )


# Compression.


def _gzip_bomb(size: int) -> bytes:
    """A gzip file of zeros, made of one compressed block that is repeated."""
    block = 1 << 26
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    one = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + one * (size // block) + b"\x03\x00" + bytes(8)


def _zip_bomb(path: Path, entry: str, size: int = 3 << 30) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for other in ("stylegan_torch.npy", "archive/data.pkl", "archive/version"):
            file.writestr(other, b"3\n")
        with file.open(entry, "w", force_zip64=True) as out:
            out.write(bytes(1 << 20))
    # The entry says what it takes; only the sizes in the directory are made larger than what follows them.
    content = bytearray(path.read_bytes())
    where = content.rindex(b"PK\x01\x02", 0, content.rindex(b"PK\x05\x06"))
    content[where + 24 : where + 28] = struct.pack("<I", size)
    path.write_bytes(content)
    return path


def _npy_bomb(path: Path) -> Path:
    """A dump whose entry claims a shape of terabytes."""
    write_tf(path.with_suffix(".pkl"))
    converter.convert(path.with_suffix(".pkl"), path.with_suffix(".npz"))
    with np.load(path.with_suffix(".npz")) as sound:
        arrays = dict(sound)
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}
    np.lib.format.write_array_header_1_0(header, shape)  # type: ignore[no-untyped-call]
    with zipfile.ZipFile(path, "w") as file:
        for key, value in arrays.items():
            raw = io.BytesIO()
            np.save(raw, value)
            file.writestr(f"{key}.npy", header.getvalue() if key.endswith("dlatent_avg") else raw.getvalue())
    return path


def _json_bomb(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A .safetensors file of ours after a change to its record."""
    write_tf(path.with_suffix(".pkl"))
    converter.convert(path.with_suffix(".pkl"), path)
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    record = json.loads(header["__metadata__"]["stylegan_torch"])
    change(record)
    header["__metadata__"]["stylegan_torch"] = json.dumps(record)
    raw = json.dumps(header).encode()
    return _written(path, len(raw).to_bytes(8, "little") + raw + content[end:])


def _layers(record: dict[str, Any]) -> None:
    record["networks"]["G_ema"]["mapping"]["num_layers"] = 10**9


def _side(record: dict[str, Any]) -> None:
    record["networks"]["G_ema"]["img_resolution"] = 1 << 40


def _own_pt(path: Path, provenance: Any) -> Path:
    torch.save({"format": "stylegan-torch", "version": 1, "provenance": provenance, "networks": {}}, path)
    return path


def _laughing() -> list[Any]:
    level: list[Any] = ["ha"]
    for _ in range(40):
        level = [level, level]
    return level


def _xz_dictionary(path: Path) -> Path:
    """An xz file that asks for a dictionary of 4 GB."""
    content = bytearray(lzma.compress(b"x" * 1000))
    size = (content[12] + 1) * 4
    where = content.index(b"\x21\x01", 12) + 2  # the filter LZMA2 and its one byte of properties
    content[where] = 40
    content[12 + size - 4 : 12 + size] = struct.pack("<I", zlib.crc32(content[12 : 12 + size - 4]))
    return _written(path, bytes(content))


TEN_GB = 10 << 30


def test_decompression_bombs(tmp_path: Path) -> None:
    chunk = bytes(1 << 26)
    bombs = {
        "gzip": (_written(tmp_path / "a.pkl.gz", _gzip_bomb(TEN_GB)), "refused"),
        "bzip2": (_written(tmp_path / "a.pkl.bz2", bz2.compress(chunk) * (TEN_GB >> 26)), "refused"),
        "xz": (_written(tmp_path / "a.pkl.xz", lzma.compress(chunk) * (TEN_GB >> 26)), "refused"),
        "an xz dictionary": (_xz_dictionary(tmp_path / "b.xz"), ""),
        "gzip in gzip": (_written(tmp_path / "c.gz", gzip.compress(gzip.compress(chunk))), "no kind of file"),
        "an .npz entry": (_zip_bomb(tmp_path / "d.npz", "G/w.npy"), "refused"),
        "a .pt entry": (_zip_bomb(tmp_path / "e.pt", "archive/data/0"), "refused"),
        "an .npz shape": (_npy_bomb(tmp_path / "f.npz"), ""),
        "layers of our own file": (_json_bomb(tmp_path / "g.safetensors", _layers), ""),
        "resolution of our own file": (_json_bomb(tmp_path / "h.safetensors", _side), ""),
        "laughing provenance": (_own_pt(tmp_path / "i.pt", {"a": _laughing()}), ""),
        "deep provenance": (_own_pt(tmp_path / "j.pt", {"a": _deep(150)}), ""),
        "no networks": (_own_pt(tmp_path / "l.pt", {}), "network"),
        "a safetensors header of terabytes": (
            _written(tmp_path / "k.safetensors", struct.pack("<Q", 1 << 42) + b'{"a":1}'),
            "k.safetensors",
        ),
    }
    _survives(tmp_path, bombs)


def _deep(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value
