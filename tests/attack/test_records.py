"""Hostile files in our own forms: what `torch.load`, safetensors and numpy take for ever, or read as two things."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
from converter.describe import as_text
from stylegan_torch.errors import StyleGANError
from tests.tools.hostile import (
    SOUND,
    Job,
    call,
    group,
    laughs,
    listing,
    name,
    number,
    pickled,
    run_limited,
    survives,
    table,
    text,
    write_tf,
    written,
)
from tests.tools.mutations import dumped, zipped

MANY = 1_000_000


def pt(code: bytes) -> bytes:
    """A `.pt` file that says it is ours, with a value among its provenance."""
    content = table(format=text("stylegan-torch"), version=number(2), provenance=table(a=code), networks=table(G=b"}"))
    return zipped([("archive/data.pkl", pickled(content)), ("archive/version", b"3\n")])


def _memo(index: int) -> bytes:
    return b"r" + struct.pack("<I", index)


_TUPLES = b")" + b"".join(b"2\x86" for _ in range(60))
"""Pairs of the same pair: as a key, 2 ** 60 steps."""
_DEEP = b")" + b"\x85" * 300_000

PICKLES: dict[str, bytes] = {
    "a key of shared tuples": b"}" + _TUPLES + b"Ns",
    "a deep key": b"}" + _DEEP + b"Ns",
    "a set of shared tuples": b"\x8f(" + _TUPLES + b"\x90",
    "keys that are compared": b"}" + _TUPLES + b"N" + _TUPLES + b"Nu"[:1] + b"s",
    "deep tuples": _DEEP,
    "deep lists": b"]" * 300_000 + b"a" * 299_999,
    "laughing lists": laughs(10, 50),
    "a byte array of gigabytes": call("builtins:bytearray", number(3 << 30)),
    "a text coded again and again": (
        text("x" * 1_000_000) + b"q\x000" + text("utf-16") + b"q\x010" + name("_codecs", "encode") + b"q\x020("
        + b"h\x02h\x00h\x01\x86R" * 30_000 + b"t"
    ),
    "a counter of a list": (
        b"](" + b"K\x01" * 100_000 + b"e\x85q\x000" + name("collections", "Counter") + b"q\x010("
        + b"h\x01h\x00R0" * 20_000 + b"t"
    ),
    "a meta tensor of terabytes": call(
        "torch._utils:_rebuild_meta_tensor_no_storage",
        name("torch", "float32"), group(number(1 << 40)), group(number(1)), b"\x89"
    ),
    "a sparse tensor": call("torch._utils:_rebuild_sparse_tensor", name("torch", "sparse_coo"), group(number(1 << 40))),
    "a storage that isn't there": (
        group(text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), number(1)) + b"Q"
    ),
    "a persistent id that is a list": listing() + b"Q",
    "a program": call("os:system", text("touch ran")),
    "a module": name("torch.nn.modules.linear", "Linear") + b")\x81",
    "an extension": b"\x82\x01",
    "a buffer from outside": b"\x97",
    "sets without end": b"(" + b"\x8f" * 3_000_000 + b"t",
}  # fmt: skip


@pytest.mark.parametrize("case", PICKLES)
def test_pickles_in_our_files(case: str, tmp_path: Path) -> None:
    path = written(tmp_path / "in.pt", pt(PICKLES[case]))
    survives(tmp_path, {case: (path, "")})
    draw = Job(
        ["--network", path, "--seeds", "1", "--outdir", tmp_path / "out"], generate=True, seconds=10, memory=3 << 30
    )
    (ended,) = run_limited([draw])
    assert ended.status == 1, ended
    assert "unexpected" not in ended.stderr


# Safetensors.


def ours(folder: Path, suffix: str) -> Path:
    path = write_tf(folder / "sound.pkl")
    converter.convert(path, path.with_suffix(suffix))
    return path.with_suffix(suffix)


def safetensors(header: dict[str, Any] | str, size: int = 16) -> bytes:
    raw = (header if isinstance(header, str) else dumped(header)).encode()
    return len(raw).to_bytes(8, "little") + raw + bytes(size)


def entry(dtype: str = "F32", shape: Any = (4,), offsets: Any = (0, 16)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def _of_type(kind: str, size: int) -> bytes:
    return safetensors({"a": entry(kind, (16 // size,))})


def _record(record: str) -> dict[str, Any]:
    return {"__metadata__": {"stylegan_torch": record}, "a": entry()}


_RECORD = '{"format": "stylegan-torch", "version": 2, "provenance": {}, "networks": %s}'
SIZES = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "F8_E8M0": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2}
SIZES |= {"I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8, "C64": 8}
HEADERS: dict[str, Callable[[], bytes]] = {
    **{f"numbers of type {kind}": partial(_of_type, kind, size) for kind, size in SIZES.items()},
    "numbers of half a byte": lambda: safetensors({"a": entry("F4", (32,))}),
    "numbers of an unknown type": lambda: safetensors({"a": entry("X9")}),
    "overlaps": lambda: safetensors({"a": entry(), "b": entry()}),
    "a hole": lambda: safetensors({"a": entry(), "b": entry(offsets=(32, 48))}, 48),
    "offsets backwards": lambda: safetensors({"a": entry(offsets=(16, 0))}),
    "offsets beyond": lambda: safetensors({"a": entry(shape=(1 << 40,), offsets=(0, 1 << 42))}),
    "a shape that wraps": lambda: safetensors({"a": entry(shape=(1 << 62, 4), offsets=(0, 0))}, 0),
    "a shape of 2 ** 64": lambda: safetensors({"a": entry(shape=(1 << 64,))}),
    "a shape of many sides": lambda: safetensors({"a": entry(shape=[1] * 100_000 + [4])}),
    "nothing, of terabytes": lambda: safetensors({"a": entry(shape=(0, 1 << 50), offsets=(0, 0))}, 0),
    "a name twice": lambda: safetensors(f'{{"a": {json.dumps(entry())}, "a": {json.dumps(entry())}}}'),
    "metadata twice": lambda: safetensors('{"__metadata__": {}, "__metadata__": {"stylegan_torch": "{}"}}', 0),
    "deep JSON": lambda: safetensors('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"),
    "no JSON": lambda: safetensors("{" + "a" * 1000),
    "a header that is cut": lambda: (1 << 20).to_bytes(8, "little") + b'{"a": {}}',
    "a header of 2 ** 63": lambda: b"\xff" * 7 + b"\x7f" + b'{"a": {}}',
    "a name of a million": lambda: safetensors({"n" * MANY: entry()}),
    "a name to the terminal": lambda: safetensors({"\x1b[2J\u202e\n": entry()}),
    "tiny tensors, many": lambda: safetensors(
        "{" + ", ".join(f'"{i}": {{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for i in range(300_000)) + "}", 0),
    "metadata that is a list": lambda: safetensors(f'{{"__metadata__": [], "a": {json.dumps(entry())}}}'),
    "a record of deep JSON": lambda: safetensors(_record("[" * 100_000 + "]" * 100_000)),
    "a record of deep JSON inside": lambda: safetensors(_record(_RECORD % ('{"G": ' * 900 + "{}" + "}" * 900))),
    "a record of many lists": lambda: safetensors(_record("[" + "[]," * 20_000_000 + "[]]")),
    "a record that is a number": lambda: safetensors(_record("3")),
    "a record that is text": lambda: safetensors(_record('"stylegan-torch"')),
    "a record of many networks": lambda: safetensors(
        _record(_RECORD % ("{" + ", ".join(f'"{i}": {{}}' for i in range(100_000)) + "}"))),
    "a record with a number of 5000 digits": lambda: safetensors(_record(_RECORD % ('{"G": ' + "9" * 5000 + "}"))),
    "a record without networks": lambda: safetensors(_record(_RECORD % "null")),
    "a record with networks in a list": lambda: safetensors(_record(_RECORD % '["G"]')),
    "a record with a network that is text": lambda: safetensors(_record(_RECORD % '{"G": "x"}')),
    "a record of an unknown family": lambda: safetensors(_record(_RECORD % '{"G": {"family": "\\u001b[2J"}}')),
    "a version that is a list": lambda: safetensors(_record(_RECORD.replace("2", "[2]") % '{"G": {}}')),
}  # fmt: skip


def test_safetensors(tmp_path: Path) -> None:
    files = {case: written(tmp_path / f"{i}.safetensors", make()) for i, (case, make) in enumerate(HEADERS.items())}
    survives(tmp_path, {case: (path, "") for case, path in files.items()})


_GONE = "nothing at all"
_ODD: list[Any] = [[], {}, "x" * 30, -1, 1 << 70, 1e308, True, [[0]], {"a": {"b": 0}}, 0.5, "\x1b[2J"]


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", pytest.param(".pt", marks=pytest.mark.long)])
def test_records_of_other_types(suffix: str, tmp_path: Path) -> None:
    """Each value of the record of a sound file in turn is something else, or four such."""
    path = ours(tmp_path, suffix)
    record, build = _RECORDS[suffix](path.read_bytes())
    failed = {}
    for index, place in enumerate(_places(record)):
        for value in [_GONE, None, *(_ODD[(3 * index + i) % len(_ODD)] for i in range(3))]:
            changed = json.loads(json.dumps(record))
            at = changed
            for key in place[:-1]:
                at = at[key]
            if value == _GONE:
                del at[place[-1]]
            else:
                at[place[-1]] = value
            file = written(tmp_path / f"in{suffix}", build(changed))
            try:
                as_text(converter.inspect(file))
            except StyleGANError as error:
                if str(file) not in str(error):
                    failed[f"{place} = {value!r}"] = str(error)[:200]
            except Exception as error:
                failed[f"{place} = {value!r}"] = repr(error)[:200]
    assert not failed, "".join(f"\n{case}: {what}" for case, what in failed.items())


def _places(value: Any, start: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [place for key, item in value.items() for place in [(*start, key), *_places(item, (*start, key))]]
    if isinstance(value, list) and value:
        return [(*start, 0), *_places(value[0], (*start, 0))]
    return []


def _of_safetensors(content: bytes) -> tuple[Any, Callable[[Any], bytes]]:
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])

    def build(record: Any) -> bytes:
        raw = json.dumps({**header, "__metadata__": {"stylegan_torch": json.dumps(record)}}).encode()
        return len(raw).to_bytes(8, "little") + raw + content[end:]

    return json.loads(header["__metadata__"]["stylegan_torch"]), build


def _of_npz(content: bytes) -> tuple[Any, Callable[[Any], bytes]]:
    with np.load(io.BytesIO(content)) as arrays:
        sound = dict(arrays)

    def build(record: Any) -> bytes:
        file = io.BytesIO()
        np.savez(file, **{**sound, "stylegan_torch": np.array(json.dumps(record))})
        return file.getvalue()

    return json.loads(str(sound["stylegan_torch"])), build


def _of_pt(content: bytes) -> tuple[Any, Callable[[Any], bytes]]:
    sound = torch.load(io.BytesIO(content), weights_only=True)
    tensors = {role: (net["state_dict"], net["source"]) for role, net in sound["networks"].items()}

    def build(record: Any) -> bytes:
        networks = record.get("networks")
        for role, net in networks.items() if isinstance(networks, dict) else ():
            if isinstance(net, dict) and role in tensors:
                net.update(
                    {
                        part: value
                        for part, value in zip(("state_dict", "source"), tensors[role], strict=True)
                        if net.get(part) == "tensors"
                    }
                )
        file = io.BytesIO()
        torch.save(record, file)
        return file.getvalue()

    for net in sound["networks"].values():
        net["state_dict"] = net["source"] = "tensors"
    return sound, build


_RECORDS = {".safetensors": _of_safetensors, ".npz": _of_npz, ".pt": _of_pt}


# Numpy.


def npy(header: str, raw: bytes = bytes(16)) -> bytes:
    coded = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(coded).to_bytes(2, "little") + coded + raw


def array_of(descr: str, shape: str = "()", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


NUMPY: dict[str, bytes] = {
    "objects": npy(array_of("'|O'", "(1,)"), pickled(call("os:system", text("touch ran")))),
    "a structure of objects": npy(array_of("[('a', '|O')]", "(1,)"), pickled(b"N")),
    "a structure in a structure": npy(array_of("[('a', " * 50 + "'<f4'" + ")]" * 50, "(1,)")),
    "terabytes": npy(array_of("'<f4'", "(1099511627776,)")),
    "texts of terabytes": npy(array_of("'<U99999999'")),
    "a negative side": npy(array_of("'<f4'", "(-1,)")),
    "a side that is text": npy(array_of("'<f4'", "('4',)")),
    "many sides": npy(array_of("'<f4'", "(" + "1, " * 65 + ")")),
    "dates": npy(array_of("'<M8[s]'", "(2,)")),
    "complex": npy(array_of("'<c8'", "(2,)")),
    "a program as header": npy("__import__('os').system('touch ran')"),
    "a deep header": npy("(" * 5000),
    "a version from the future": b"\x93NUMPY\x09\x00" + bytes(100),
    "a header of gigabytes": b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(100),
    "no array": b"hello",
    "deep JSON": npy(array_of("'<U200000'"), ("[" * 200_000).encode("utf-32-le")),
    "half a character": npy(array_of("'<U2'"), struct.pack("<II", 0xD800, 0x110000)),
}


def test_arrays_in_dumps(tmp_path: Path) -> None:
    files = {}
    for i, (case, raw) in enumerate(NUMPY.items()):
        files[case] = written(tmp_path / f"{i}.npz", zipped([("stylegan_torch.npy", raw), ("G/a.npy", raw)])), ""
    survives(tmp_path, files)


def test_tensors_that_share_their_numbers_are_not_ours(tmp_path: Path) -> None:
    path = ours(tmp_path, ".pt")
    content = torch.load(path, weights_only=True)
    state = content["networks"]["G_ema"]["state_dict"]
    name = "synthesis.b8.conv1.weight"
    for i, value in enumerate(
        [torch.zeros(1).expand(state[name].shape), torch.zeros(9999).as_strided(state[name].shape, (4, 1, 1, 1))]
    ):
        state[name] = value
        torch.save(content, tmp_path / f"{i}.pt")
        survives(tmp_path, {str(i): (tmp_path / f"{i}.pt", "")})


def test_a_sound_file_is(tmp_path: Path) -> None:
    for suffix in (".pt", ".safetensors", ".npz"):
        survives(tmp_path, {suffix: (ours(tmp_path, suffix), SOUND)})
