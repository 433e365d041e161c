"""Small files that ask for endless memory or time; read by processes that have little of both."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import converter
from tests.tools.hostile import (
    CHANNELS,
    FORMS,
    TORCH_KWARGS,
    call,
    fill,
    laughs,
    pickled,
    storage,
    survives,
    table,
    text,
    write_hostile,
    write_tf,
    write_torch,
    write_with_slot,
    written,
)
from tests.tools.official import State
from tests.tools.official_torch import Module


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
    "LONG4": (b"\x8b\xff\xff\xff\x7f", "not a sound pickle"),
    "LONG": (b"L" + b"9" * 100_000 + b"L\n", "no end of line"),
    "laughing lists": (laughs(10, 100), ""),
    "laughing lists within the rules": (laughs(999, 3), ""),
    "laughing dicts": (_DICTS, ""),
    "laughing keys": (storage(key=laughs(2, 40), keys=laughs(2, 40, text("ho"))), ""),
    "a list in itself": (_OWN_LIST, ""),
    "a dict in itself": (_OWN, ""),
    "deep tuples": (_nested(100_000), ""),
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


def test_pickles_do_not_take_memory_or_time(tmp_path: Path) -> None:
    files = {}
    for case, (code, words) in CODE_BOMBS.items():
        # One machine reads both forms; what they do with a value differs.
        for form in FORMS if "laugh" in case or "itself" in case else ["tf"]:
            files[f"{case}, {form}"] = write_hostile(tmp_path / f"{case} {form}.pkl", form, code), words
    survives(tmp_path, files)


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
    return written(path, pickled(content))


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
    "resample_kernel beyond floats": (_tf_kwargs(resample_kernel=[1 << 1200, 1]), ""),
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
    survives(
        tmp_path,
        {case: (make(tmp_path / f"{i}.pkl"), words) for i, (case, (make, words)) in enumerate(BOMBS.items())},
    )


# Compression.


def _gzip_bomb(size: int) -> bytes:
    """A gzip file of zeros, made of one compressed block that is repeated."""
    block = 1 << 24
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
    np.lib.format.write_array_header_1_0(header, shape)
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
    return written(path, len(raw).to_bytes(8, "little") + raw + content[end:])


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
    return written(path, bytes(content))


TEN_GB = 10 << 30


def test_decompression_bombs(tmp_path: Path) -> None:
    chunk = bytes(1 << 24)
    bombs = {
        "gzip": (written(tmp_path / "a.pkl.gz", _gzip_bomb(TEN_GB)), "refused"),
        "bzip2": (written(tmp_path / "a.pkl.bz2", bz2.compress(chunk) * (TEN_GB >> 24)), "refused"),
        "xz": (written(tmp_path / "a.pkl.xz", lzma.compress(chunk) * (TEN_GB >> 24)), "refused"),
        "an xz dictionary": (_xz_dictionary(tmp_path / "b.xz"), ""),
        "gzip in gzip": (written(tmp_path / "c.gz", gzip.compress(gzip.compress(chunk))), "no kind of file"),
        "an .npz entry": (_zip_bomb(tmp_path / "d.npz", "G/w.npy"), "refused"),
        "a .pt entry": (_zip_bomb(tmp_path / "e.pt", "archive/data/0"), "refused"),
        "an .npz shape": (_npy_bomb(tmp_path / "f.npz"), ""),
        "layers of our own file": (_json_bomb(tmp_path / "g.safetensors", _layers), ""),
        "resolution of our own file": (_json_bomb(tmp_path / "h.safetensors", _side), ""),
        "laughing provenance": (_own_pt(tmp_path / "i.pt", {"a": _laughing()}), ""),
        "no networks": (_own_pt(tmp_path / "l.pt", {}), "network"),
        "a safetensors header of terabytes": (
            written(tmp_path / "k.safetensors", struct.pack("<Q", 1 << 42) + b'{"a":1}'),
            "k.safetensors",
        ),
    }
    survives(tmp_path, bombs)
