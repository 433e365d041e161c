"""Archives and compressed files, one in another, that ask for endless memory or time, or mean two things at once."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

import converter
from tests.tools.hostile import SOUND, survives, write_tf, written
from tests.tools.mutations import zipped

Make = Callable[[bytes], bytes]


def _xz(content: bytes) -> bytes:
    return lzma.compress(content, preset=0)


PACK: dict[str, Make] = {
    "gz": lambda content: gzip.compress(content, mtime=0),
    "bz2": bz2.compress,
    "xz": _xz,
    "zst": zstandard.compress,
    "zip": lambda content: zipped([("folder/net.pkl", content)]),
    "zip deflated": lambda content: zipped([("folder/net.pkl", content)], zipfile.ZIP_DEFLATED),
    "tar": lambda content: tarred(("folder/net.pkl", content)),
    "tar of GNU": lambda content: tarred(("folder/" * 30 + "net.pkl", content), form=tarfile.GNU_FORMAT),
    "tar of POSIX": lambda content: tarred(("folder/" * 40 + "ä.pkl", content), form=tarfile.PAX_FORMAT),
}


def tarred(*members: tuple[str, bytes], form: int = tarfile.USTAR_FORMAT, **fields: object) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize("outer", PACK)
def test_sound_networks_are_read_however_they_are_packed(outer: str, tmp_path: Path) -> None:
    content = write_tf(tmp_path / "in.pkl").read_bytes()
    parameters = converter.inspect(tmp_path / "in.pkl").parameters
    for inner in PACK.values():
        path = written(tmp_path / "packed", PACK[outer](inner(content)))
        assert converter.inspect(path).parameters == parameters
    pieces = content[:1000], content[1000:]
    if outer in ("gz", "bz2", "xz", "zst"):
        path = written(tmp_path / "pieces", b"".join(map(PACK[outer], pieces)))
        assert converter.inspect(path).parameters == parameters


# Bombs.

MANY = 100_000


def _zeros(size: int) -> bytes:
    """A gzip file of zeros, made of one compressed block that is repeated: it can be compressed again."""
    block = 1 << 24
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    one = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + one * (size // block) + b"\x03\x00" + bytes(8)


def _directory(count: int) -> bytes:
    """A zip file whose directory has many entries, all of one member."""
    one = zipped([("a", b"")])
    start = one.index(b"PK\x01\x02")
    entry = one[start : one.index(b"PK\x05\x06")]
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 65535, 65535, len(entry) * count, start, 0)
    return one[:start] + entry * count + end


def _overlapping(count: int, size: int) -> bytes:
    """A zip file of many members that are all the same compressed bytes."""
    one = bytearray(zipped([("00000.pkl", bytes(size))], zipfile.ZIP_DEFLATED))
    start = one.index(b"PK\x01\x02")
    entry = bytes(one[start : one.index(b"PK\x05\x06")])
    entries = b"".join(entry.replace(b"00000", b"%05d" % i) for i in range(count))
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(entries), start, 0)
    return bytes(one[:start]) + entries + end


def _pax(records: bytes, kind: bytes = b"x") -> bytes:
    info = tarfile.TarInfo("pax")
    info.type, info.size = kind, len(records)
    return info.tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % 512)


def _nested(depth: int, pack: Make) -> bytes:
    content = b"\x80\x02N."
    for _ in range(depth):
        content = pack(content)
    return content


def _quine_like() -> bytes:
    return _nested(60, PACK["zip deflated"])


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip in xz": lambda: _xz(_zeros(32 << 30)),
    "gzip in gzip in bzip2": lambda: bz2.compress(gzip.compress(_zeros(8 << 30))),
    "gzip in zip": lambda: PACK["zip deflated"](_zeros(16 << 30)),
    "zip of one member many times": lambda: _overlapping(9000, 1 << 20),
    "gzip in many pieces": lambda: _xz(gzip.compress(b"", mtime=0) * MANY),
    "bzip2 in many pieces": lambda: _xz(bz2.compress(b"") * MANY),
    "xz in many pieces": lambda: bz2.compress(_xz(b"") * MANY),
    "zstd in many pieces": lambda: _xz(zstandard.compress(b"") * MANY),
    "gzip with a name of megabytes": lambda: _xz(b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 8_000_000),
    "a zip directory of a million": lambda: _xz(_directory(MANY)),
    "a zip in itself, nearly": _quine_like,
    "tar: a record of digits": lambda: _pax(b"1" * MANY) + tarred(("a", b"x"), ("b", b"y")),
    "tar: many records for all": lambda: _xz(
        _pax(b"".join(b"%d k%06d=1\n" % (13, i) for i in range(MANY)), b"g") + tarred(*[("a", b"x")] * 2000)
    ),
    "tar: a name of megabytes": lambda: _xz(_pax(b"9" * 8_000_000, b"L") + tarred(("a", b"x"))),
    "tar: a million headers": lambda: _xz(tarred()[:512] * 100_000),
    "tar: a million names for one file": lambda: _xz(_pax(b"n", b"L") * 60_000),
    "tar: a size without end": lambda: tarred(("a", b"x")).replace(b"00000000001", b"77777777777"),
    "zstd with a large window": lambda: b"\x28\xb5\x2f\xfd\x00\xa8" + b"\x01\x00\x00" + bytes(10),
}  # fmt: skip


@pytest.mark.parametrize("case", BOMBS)
def test_bombs(case: str, tmp_path: Path) -> None:
    survives(tmp_path, {case: (written(tmp_path / "in.pkl", BOMBS[case]()), "")})


# Archives that mean two things, or name places outside.


def _two(first: str, second: str) -> bytes:
    return zipped([(first, b"\x80\x02N."), (second, b"\x80\x02]."), ("stylegan_torch.npy", b"")])


def _sparse() -> bytes:
    info = tarfile.TarInfo("net.pkl")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 0
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def _link(kind: bytes) -> bytes:
    info = tarfile.TarInfo("net.pkl")
    info.type, info.linkname = kind, "/etc/passwd"
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


ODD: dict[str, tuple[Callable[[], bytes], str]] = {
    "a zip name twice": (lambda: zipped([("a.pkl", b"1"), ("a.pkl", b"2")]), "twice"),
    "a tar name twice": (lambda: tarred(("a.pkl", b"1"), ("a.pkl", b"2")), "twice"),
    "an npz name twice": (lambda: _two("stylegan_torch.npy", "G/a.npy"), "twice"),
    "a tar of a sparse file": (_sparse, ""),
    "a sparse file of POSIX": (lambda: _pax(b"22 GNU.sparse.major=1\n") + tarred(("a", b"x")), ""),
    "a symbolic link": (lambda: _link(tarfile.SYMTYPE), "empty archive"),
    "a hard link": (lambda: _link(tarfile.LNKTYPE), "empty archive"),
    "a device": (lambda: _link(tarfile.CHRTYPE), "empty archive"),
    "places outside, zip": (lambda: zipped([("../../../../tmp/evil.pkl", b"\x80\x02N.")]), ""),
    "places outside, tar": (lambda: tarred(("/tmp/evil.pkl", b"\x80\x02N.")), ""),
    "names that write to the terminal": (
        lambda: zipped([("\x1b]0;x\x07\u202ea.pkl", b"\x80\x02N."), ("\x1b[2J.pkl", b"\x80\x02N.")]), "several files"),
    "a name of 65535 bytes": (lambda: zipped([("n" * 65_535, b"\x80\x02N.")]), ""),
    "a bad sum": (lambda: tarred(("a", b"x"))[:500] + b"x" + tarred(("a", b"x"))[501:], "damaged"),
    "a negative size": (lambda: _pax(b"12 size=-1\n\n"[:11]) + tarred(("a", b"x")), "damaged"),
    "records without end": (lambda: _pax(b"0 a=b\n") + tarred(("a", b"x")), "damaged"),
    "an archive of ours in ours": (lambda: zipped([("a/data.pkl", zipped([("a/data.pkl", b"\x80\x02N.")]))]), ""),
    "a directory outside": (lambda: _directory(1)[:-10] + struct.pack("<IIH", 1 << 31, 0, 0), ""),
    "sizes of zip64 that lie": (lambda: _zip64(), ""),  # noqa: PLW0108
}  # fmt: skip


def _zip64() -> bytes:
    content = bytearray(_two("G/a.npy", "G/b.npy"))
    at = content.index(b"PK\x01\x02")
    content[at + 20 : at + 28] = b"\xff" * 8
    return bytes(content)


def test_archives_that_mean_two_things(tmp_path: Path) -> None:
    survives(
        tmp_path,
        {case: (written(tmp_path / f"{i}.npz", make()), words) for i, (case, (make, words)) in enumerate(ODD.items())},
    )


def test_members_are_told_apart_by_case(tmp_path: Path) -> None:
    content = write_tf(tmp_path / "in.pkl").read_bytes()
    path = written(tmp_path / "a.zip", zipped([("Net.pkl", content), ("net.pkl", b"\x80\x02N.")]))
    assert converter.inspect(f"{path}!Net.pkl").parameters
    survives(tmp_path, {SOUND: (path, "several files")})
