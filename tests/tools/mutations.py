"""Small changes to files: of bytes, of pickle operations, of members of zip files, of JSON headers."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import json
import lzma
import pickletools
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import zstandard

from tests.tools.hostile import array, call, data, dtype, group, laughs, listing, number, storage, table, text

Change = Callable[[bytes, random.Random], bytes]

NUMBERS = [0, 1, -1, 2, 3, 127, 255, 256, 1 << 15, 1 << 16, (1 << 31) - 1, -1 << 31, 1 << 32, (1 << 63) - 1, -1 << 63]
NUMBERS += [1 << 40, 1 << 62, 1 << 64, 10**30]
TEXTS = [
    "",
    "a",
    ".",
    "..",
    "/",
    "\0",
    "\x1b[2J",
    "\n",
    "\u202e",
    "\ud800",
    "{}",
    "%s",
    "(a+)+",
    "x" * 600,
    "G",
    "weight",
]
TEXTS += ["0", "-1", "nan", "torch", "synthesis", "_parameters", "state_dict", "g_ema", "\U0001f600", "é" * 300]


# Bytes.


def _at(content: bytes | bytearray, rng: random.Random) -> int:
    """A place in a file: anywhere, or where headers are wont to be."""
    ranges = [(0, 64), (0, 1024), (0, len(content)), (len(content) - 1024, len(content))]
    low, high = rng.choice(ranges)
    return rng.randrange(max(low, 0), max(min(high, len(content)), 1)) if content else 0


def _span(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = _at(content, rng)
    return start, min(len(content), start + rng.choice([1, 2, 4, 8, 64, 1024]))


def flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(rng.choice([1, 1, 1, 2, 8, 64])):
        changed[_at(changed, rng)] ^= rng.choice([0xFF, 1 << rng.randrange(8), rng.randrange(256)])
    return bytes(changed)


def overwrite(content: bytes, rng: random.Random) -> bytes:
    at, size = _at(content, rng), rng.choice([1, 2, 4, 8])
    return content[:at] + _integer(size, rng) + content[at + size :]


def _integer(size: int, rng: random.Random) -> bytes:
    value = rng.choice(NUMBERS) % (1 << 8 * size)
    return value.to_bytes(size, rng.choice(["little", "big"]))


def truncate(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.choice([_at(content, rng), len(content) - rng.randrange(1, 32)])]


def delete(content: bytes, rng: random.Random) -> bytes:
    start, end = _span(content, rng)
    return content[:start] + content[end:]


def repeat(content: bytes, rng: random.Random) -> bytes:
    start, end = _span(content, rng)
    return content[:end] + content[start:end] * rng.choice([1, 1, 2, 100]) + content[end:]


def insert(content: bytes, rng: random.Random) -> bytes:
    at = _at(content, rng)
    return content[:at] + rng.randbytes(rng.choice([1, 2, 4, 8, 64])) + content[at:]


def move(content: bytes, rng: random.Random) -> bytes:
    (start, end), at = _span(content, rng), _at(content, rng)
    return content[:at] + content[start:end] + content[at + end - start :]


BYTES: list[Change] = [flip, flip, overwrite, truncate, delete, repeat, insert, move]


def bytewise(content: bytes, rng: random.Random) -> bytes:
    return rng.choice(BYTES)(content, rng)


# Pickles.


class Op(NamedTuple):
    """One operation of a pickle: what it is called, and where it is."""

    name: str
    start: int
    end: int


PUSHES = {"NONE", "NEWTRUE", "NEWFALSE", "INT", "LONG", "FLOAT", "STRING", "UNICODE", "EMPTY_LIST", "EMPTY_DICT"}
PUSHES |= {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"}
PUSHES |= {"BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "EMPTY_TUPLE", "BINGET", "LONG_BINGET", "GET"}
PUSHES |= {"GLOBAL", "EMPTY_SET", "BINBYTES8", "BINUNICODE8"}
MEMO = {"BINGET": "B", "LONG_BINGET": "I", "BINPUT": "B", "LONG_BINPUT": "I"}
_SOUND_STORAGE = storage()
_ARRAY = array(dtype("f4"), group(number(2)), data(bytes(8)))
CALLED = [
    ("numpy.core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"), ("__builtin__", "bytes"), ("builtins", "object"),
    ("joblib.numpy_pickle", "NumpyArrayWrapper"), ("copy_reg", "_reconstructor"), ("collections", "OrderedDict"),
    ("builtins", "set"), ("dnnlib.util", "EasyDict"), ("torch._utils", "_rebuild_tensor_v2"), ("torch", "FloatStorage"),
    ("torch._utils", "_rebuild_tensor_v3"), ("torch._utils", "_rebuild_parameter"), ("torch", "HalfStorage"),
    ("torch._tensor", "_rebuild_from_type_v2"), ("torch._utils", "_rebuild_sparse_tensor"), ("torch", "Size"),
    ("torch.storage", "_load_from_bytes"), ("torch_utils.persistence", "_reconstruct_persistent_obj"),
    ("dnnlib.tflib.network", "Network"), ("argparse", "Namespace"), ("collections", "defaultdict"), ("os", "system"),
    ("numpy.random._pickle", "__randomstate_ctor"), ("some.module", "Class"), ("pathlib", "PosixPath"),
]  # fmt: skip
SNIPPETS: list[bytes] = [
    *(bytes([code]) for code in range(256)),
    *(b"c" + f"{module}\n{attribute}\n".encode() for module, attribute in CALLED),
    *(b"c" + f"{module}\n{attribute}\n".encode() + arguments + end
      for module, attribute in CALLED
      for arguments in (b")", b"(NNNt", listing() + b"\x85", text("f4") + b"\x85", b"}\x85")
      for end in (b"R", b"\x81", b"Rh\x00b", b"R}b")),
    b"]q\x00h\x00a", b"}q\x00X\x01\x00\x00\x00ah\x00s", b"(((((t", b"2" * 40, b"N" + b"\x85" * 200, b"]" + b"\x8f" * 50,
    text("x") + b"\x94", b"r\xff\xff\xff\xff", b"j\xff\xff\xff\xff", b"p-1\n", b"gz\n", b"p" + b"9" * 900 + b"\n",
    b"\x8e" + b"\xff" * 8, b"\x8d" + b"\xff" * 8, b"\x96" + b"\xff" * 8, b"\x95" + b"\xff" * 8, b"\x97", b"\x98",
    b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00", b"Pid\n", b"NQ", b"]Q", b"}(NNNNtQ",
    b"I" + b"9" * 900 + b"\n", b"L-1L\n", b"Inan\n", b"Fnan\n", b"Finf\n", b"F1e999\n", b"G\x7f\xf8" + bytes(6),
    b"S'\\x'\n", b"S'\\\n", b"V\\ud800\n", b"V\\U00110000\n", b"ios\nsystem\n", b"(inumpy\ndtype\n",
    laughs(20, 20), _SOUND_STORAGE, _ARRAY, dtype("f8"), dtype("O"), table(a=_ARRAY), listing(_ARRAY),
    *(call("torch._utils:_rebuild_tensor_v2", _SOUND_STORAGE, number(0), group(number(side)), group(number(0)), b"\x89")
      for side in (4, 1 << 40)),
    array(dtype("f4"), group(), data(bytes(4))), array(dtype("i8"), group(number(1)), data(bytes(8))),
    array(dtype("f8"), group(number(1)), data(struct.pack("<d", 1e300))),
]  # fmt: skip


@functools.lru_cache(1000)
def operations(content: bytes) -> tuple[Op, ...]:
    """The operations of a pickle, or of several one after another, up to what is none."""
    ops: list[Op] = []
    file, end = io.BytesIO(content), len(content)
    while file.tell() < end:
        begin = len(ops)
        try:
            for kind, _, start in pickletools.genops(file):
                ops.append(Op(kind.name, start or 0, file.tell()))
        except Exception:  # what pickletools raises for what is no pickle is anything
            break
        if len(ops) == begin:
            break
    return tuple(ops) or (Op("NONE", 0, end),)


def _value(rng: random.Random, content: bytes, ops: tuple[Op, ...]) -> bytes:
    """Code that pushes something."""
    other = rng.choice(ops)
    ways: list[Callable[[], bytes]] = [
        lambda: rng.choice([b"N", b"\x88", b"\x89", b"]", b"}", b")", b"\x8f", b"(t", b"(d", b"(l"]),
        lambda: number(rng.choice(NUMBERS)),
        lambda: text(rng.choice(TEXTS).encode("utf-8", "surrogatepass")),
        lambda: data(rng.randbytes(rng.choice([0, 1, 4, 16]))),
        lambda: b"G" + struct.pack(">d", rng.choice([0.0, -1.0, 1e300, 1e-300, float("nan"), float("inf")])),
        lambda: b"h" + bytes([rng.randrange(256)]),
        lambda: content[other.start : other.end] if other.name in PUSHES else b"N",
        lambda: group(*[number(rng.choice(NUMBERS)) for _ in range(rng.randrange(5))]),
        lambda: rng.choice(SNIPPETS),
    ]
    return rng.choice(ways)()


def pickle_operation(content: bytes, rng: random.Random) -> bytes:
    """Change one operation of a pickle, or its argument."""
    ops = operations(content)
    wanted = rng.choice([None, "push", "memo", "call"])
    some = [op for op in (rng.choice(ops) for _ in range(30)) if _is(op, wanted)] or [rng.choice(ops)]
    op, other = some[0], rng.choice(ops)
    before, code, after = content[: op.start], content[op.start : op.end], content[op.end :]
    if wanted == "push":
        return before + _value(rng, content, ops) + after
    if wanted == "memo" and op.name in MEMO:
        size = struct.calcsize(MEMO[op.name])
        return before + code[:1] + rng.randrange(min(1 << 8 * size, 2000)).to_bytes(size, "little") + after
    ways: list[Callable[[], bytes]] = [
        lambda: before + after,
        lambda: before + code * rng.choice([2, 2, 3, 50]) + after,
        lambda: before + content[other.start : other.end] + after,
        lambda: before + code + content[other.start : other.end] + after,
        lambda: before + rng.choice(SNIPPETS) + after,
        lambda: before + code + rng.choice(SNIPPETS) + after,
        lambda: before + code + b"0" + _value(rng, content, ops) + after,
        lambda: before + bytes([rng.randrange(256)]) + code[1:] + after,
        lambda: before + code[:1] + _integer(max(len(code) - 1, 1), rng) + after if len(code) < 10 else before + after,
        lambda: before + b"".join(content[o.start : o.end] for o in _run(ops, rng)) + after,
        lambda: before + content[other.start :],
    ]
    return rng.choice(ways)()


def _is(op: Op, wanted: str | None) -> bool:
    if wanted == "push":
        return op.name in PUSHES
    if wanted == "memo":
        return op.name in MEMO
    return wanted is None or op.name in {"REDUCE", "BUILD", "NEWOBJ", "BINPERSID", "TUPLE", "SETITEMS", "APPENDS"}


def _run(ops: tuple[Op, ...], rng: random.Random) -> tuple[Op, ...]:
    start = rng.randrange(len(ops))
    return ops[start : start + rng.randrange(1, 30)]


# JSON.


def _odd(rng: random.Random) -> Any:
    deep: Any = 0
    for _ in range(rng.choice([20, 200, 3000])):
        deep = [deep]
    return rng.choice(
        [None, True, False, [], {}, [0], {"a": 1}, deep, 1.5, float("nan"), 1e300, *NUMBERS, *TEXTS, [[]], ["a"] * 9]
    )


def json_value(value: Any, rng: random.Random) -> Any:
    """Return plain JSON data with one change somewhere; JSON in a text is changed inside."""
    if isinstance(value, str) and value[:1] == "{" and rng.random() < 0.95:
        try:
            return dumped(json_value(json.loads(value), rng))
        except ValueError:
            return value[:-1]
    if not isinstance(value, dict | list) or not value or rng.random() < 0.05:
        return _odd(rng)
    changed: Any = value.copy()
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key, other = rng.choice(keys), rng.choice(keys)
    way = rng.random()
    if way < 0.7:
        changed[key] = json_value(value[key], rng)
    elif way < 0.8:
        del changed[key]
    elif way < 0.9:
        changed[key], changed[other] = value[other], value[key]
    elif isinstance(changed, dict):
        changed[rng.choice([*TEXTS, f"{key}x"])] = changed.pop(key)
    else:
        changed.insert(key, value[other])
    return changed


def dumped(value: Any) -> str:
    """JSON text, however deep."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        inner, depth = value, 0
        while isinstance(inner, list) and len(inner) == 1:
            inner, depth = inner[0], depth + 1
        return "[" * depth + json.dumps(inner) + "]" * depth
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {dumped(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(dumped, value)) + "]"
    return json.dumps(value)


# Other files.


def safetensors_header(content: bytes, rng: random.Random) -> bytes:
    """Change the JSON of a safetensors file, its length, or its text."""
    end = 8 + int.from_bytes(content[:8], "little")
    raw = content[8:end]
    way = rng.random()
    if way < 0.1:
        return _integer(8, rng) + content[8:]
    if way < 0.25:
        raw = bytewise(raw, rng)
    elif way < 0.3:
        first = raw.index(b'"', 1)
        raw = raw[:first] + raw[first:-1] + b"," + raw[first:]  # every key twice
    else:
        raw = dumped(json_value(json.loads(raw), rng)).encode("utf-8", "surrogatepass")
    return len(raw).to_bytes(8, "little") + raw + content[end:]


_HEADERS = [
    b"{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % parts
    for parts in [
        (b"<f4", b"False", b"(1099511627776,)"), (b"|O", b"False", b"(1,)"), (b"<f8", b"True", b"()"),
        (b"<f4", b"False", b"(-1,)"), (b"<U9999999", b"False", b"()"), (b"<f4", b"7", b"(0, 99999999999)"),
        (b"|V8", b"False", b"(1,)"), (b"<c8", b"False", b"(1,)"), (b"<f2", b"False", b"(2,)"),
        (b"M8", b"False", b"(1,)"),
    ]
] + [b"(" * 500, b"{'descr': " + b"[" * 300, b"1 + 1", b"{}", b"-" * 3000 + b"1"]  # fmt: skip


def npy(content: bytes, rng: random.Random) -> bytes:
    """Change the header of an array, or the JSON in it."""
    array_end = 10 + int.from_bytes(content[8:10], "little")
    way = rng.random()
    if b"U" in content[10:array_end] and way < 0.8:
        record = content[array_end:].decode("utf-32-le", "replace")
        raw = json_value(record, rng)
        coded = (raw if isinstance(raw, str) else dumped(raw)).encode("utf-32-le", "surrogatepass")
        header = b"{'descr': '<U%d', 'fortran_order': False, 'shape': (), }" % (len(coded) // 4)
        return _npy(header, coded)
    if way < 0.5:
        return _npy(rng.choice(_HEADERS), content[array_end:])
    return bytewise(content[: array_end + 64], rng) + content[array_end + 64 :]


def _npy(header: bytes, rest: bytes) -> bytes:
    header = header.ljust(118 if len(header) < 118 else len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + rest


@functools.lru_cache(1000)
def members(content: bytes) -> tuple[tuple[str, bytes], ...]:
    """What is in a zip file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return tuple((entry, archive.read(entry)) for entry in archive.namelist())


def zip_member(content: bytes, rng: random.Random) -> bytes:
    """Change something of a zip file that is sound as one."""
    parts = list(members(content))
    told = [i for i, (entry, _) in enumerate(parts) if entry.endswith(("data.pkl", "stylegan_torch.npy"))]
    at, other = rng.choice([told[0] if told else 0, rng.randrange(len(parts))]), rng.randrange(len(parts))
    entry, raw = parts[at]
    way = rng.random()
    if way < 0.7:
        parts[at] = entry, _of_member(entry)(raw, rng)
    elif way < 0.75:
        del parts[at]
    elif way < 0.8:
        parts[at] = (
            rng.choice([entry.upper(), "/" + entry, "../" + entry, parts[other][0], entry + "\0", "n" * 60_000]),
            raw,
        )
    elif way < 0.85:
        parts[at], parts[other] = (entry, parts[other][1]), (parts[other][0], raw)
    elif way < 0.9:
        parts.append((rng.choice([entry, "archive/code/a.py", "data.pkl", "x/data.pkl", "byteorder", "G/w.npy"]), raw))
    else:
        rng.shuffle(parts)
    return zipped(parts, zipfile.ZIP_DEFLATED if rng.random() < 0.1 else zipfile.ZIP_STORED)


def _of_member(entry: str) -> Change:
    return pickle_operation if entry.endswith(".pkl") else npy if entry.endswith(".npy") else bytewise


def zipped(parts: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file of some members; of one name, several."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for entry, raw in parts:
            info = zipfile.ZipInfo(entry)
            info.filename, info.compress_type = entry, method
            archive.NameToInfo.pop(entry, None)
            archive.writestr(info, raw)
    return file.getvalue()


def zip_directory(content: bytes, rng: random.Random) -> bytes:
    """Change bytes of the directory of a zip file, or of the header of a member."""
    signature = rng.choice([b"PK\x01\x02", b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"])
    places: list[int] = []
    at = content.find(signature)
    while at >= 0 and len(places) < 200:
        places.append(at)
        at = content.find(signature, at + 4)
    start = (rng.choice(places) if places else 0) + rng.randrange(4, 60)
    return content[:start] + (new := _integer(rng.choice([1, 2, 4, 8]), rng)) + content[start + len(new) :]


def _tarred(content: bytes, rng: random.Random) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=rng.choice([0, 1, 2])) as archive:
        info = tarfile.TarInfo("networks.pkl")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


_PACKERS: list[Change] = [
    lambda content, rng: gzip.compress(content, 1, mtime=0),
    lambda content, rng: bz2.compress(content, 1),
    lambda content, rng: lzma.compress(content, preset=0),
    lambda content, rng: zstandard.compress(content, 1),
    lambda content, rng: zipped([("networks.pkl", content)]),
    lambda content, rng: zipped([("networks.pkl", content)], zipfile.ZIP_DEFLATED),
    _tarred,
]


def packed(content: bytes, rng: random.Random) -> bytes:
    """Wrap a file once or more often, with a change somewhere between; large files are cut first."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        content = rng.choice(_PACKERS)(content[: 1 << 18], rng)
        if rng.random() < 0.6:
            content = rng.choice([bytewise, bytewise, zip_directory])(content, rng)
    return content


# Any.


def mutate(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """Change a file: something of its kind mostly, once or twice; at times its bytes, or it is wrapped or spliced.

    Args:
        content: a sound file.
        rng: decides.
        others: sound files to take the end of.
    """
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        way = rng.random()
        if way < 0.02:
            other = rng.choice(others)
            content = content[: _at(content, rng)] + other[_at(other, rng) :]
        elif way < 0.05:
            content = packed(content, rng)
        elif way < 0.2:
            content = bytewise(content, rng)
        else:
            content = _by_kind(content, rng)
    return content


def _by_kind(content: bytes, rng: random.Random) -> bytes:
    try:
        if content[:2] == b"PK":
            return (zip_member if rng.random() < 0.85 else zip_directory)(content, rng)
        if content[8:9] == b"{":
            return safetensors_header(content, rng)
        return pickle_operation(content, rng)
    except Exception:  # what was changed before is no longer of its kind
        return bytewise(content, rng)


def parse(contents: Iterable[bytes]) -> None:
    """Take files apart beforehand, which takes a while."""
    for content in contents:
        parts = (
            [raw for entry, raw in members(content) if entry.endswith(".pkl")] if content[:2] == b"PK" else [content]
        )
        for part in parts:
            operations(part)
