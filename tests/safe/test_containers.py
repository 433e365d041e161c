"""Compressed files and archives: what is unpacked, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial

import pytest
import zstandard

from converter.errors import ConvertError
from converter.safe import containers
from converter.safe.budget import budget, spend

CONTENT = bytes(range(256)) * 100
WAYS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}


def _view(content: bytes) -> memoryview:
    return memoryview(content)


@pytest.mark.parametrize("way", WAYS)
def test_compressed_files(way: str) -> None:
    packed = WAYS[way](CONTENT)
    for content in (packed, packed + packed):  # in parts too
        found = containers.decompressed(_view(content))
        assert found is not None
        assert bytes(found) == CONTENT * (len(content) // len(packed))
    spoilt = packed[:4] + b"\xff" * 20  # zstandard gives what there is of a file that is only cut off
    with pytest.raises(ConvertError, match=f"is a {way} file that is damaged or cut off"):
        containers.decompressed(_view(spoilt if way == "zstd" else packed[:-10]))


def test_other_files_are_not_unpacked() -> None:
    assert containers.decompressed(_view(b"\x80\x02}.")) is None
    assert containers.archived(_view(b"\x80\x02}.")) is None
    assert containers.member_of(_view(b"\x80\x02}."), None) is None
    assert containers.decompressed(_view(b"")) is None


def test_what_is_unpacked_counts_as_the_files_size() -> None:
    member = containers.archived(_view(_zip({"a": CONTENT})))
    assert member is not None
    for unpack in (partial(containers.decompressed, _view(gzip.compress(CONTENT))), member["a"]):
        with budget(0):
            unpack()
            spend("bytes", (192 << 20) + 2 * len(CONTENT))
            with pytest.raises(ConvertError):
                spend("bytes")


SIZES = [(64 << 20, 1, True), ((64 << 20) + 1, 1, False), (160 << 20, 8 << 20, True), ((160 << 20) + 1, 8 << 20, False)]


@pytest.mark.parametrize(("unpacked", "packed", "allowed"), SIZES)
def test_how_much_a_file_may_unpack_to(unpacked: int, packed: int, allowed: bool) -> None:
    if allowed:
        containers.check_ratio(unpacked, packed)
    else:
        with pytest.raises(ConvertError, match=rf"unpacks to over {unpacked >> 20} MB from {packed >> 10} KB"):
            containers.check_ratio(unpacked, packed)


def test_unpacking_stops_where_it_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "SMALL", 1000)
    zeros = bytes(10 << 20)
    deflated = _zip({"a": zeros})
    where = deflated.rindex(b"PK\x01\x02") + 24
    liar = deflated[:where] + struct.pack("<I", 1000) + deflated[where + 4 :]
    with pytest.raises(ConvertError, match="unpacks to over 4 MB"):
        containers.decompressed(_view(gzip.compress(zeros)))
    with pytest.raises(ConvertError, match="unpacks to over 10 MB"):
        containers.archived(_view(deflated))
    member = containers.archived(_view(liar))
    assert member is not None
    with pytest.raises(ConvertError):
        member["a"]()


@pytest.mark.parametrize(("log", "allowed"), [(27, True), (28, False)])
def test_windows_of_zstandard(log: int, allowed: bool) -> None:
    """A frame by hand: its header, the size of the window, one block of five bytes as they are."""
    frame = bytes.fromhex("28b52ffd00") + bytes([log - 10 << 3]) + (5 << 3 | 1).to_bytes(3, "little") + b"hello"
    if allowed:
        found = containers.decompressed(_view(frame))
        assert found is not None and bytes(found) == b"hello"
    else:
        with pytest.raises(ConvertError, match="is a zstd file that is damaged"):
            containers.decompressed(_view(frame))


def test_bytes_are_a_file() -> None:
    file = containers.Bytes(_view(b"0123456789"))
    assert file.readable() and file.seekable()
    assert file.seek(2) == 2 and file.read(3) == b"234"
    assert file.seek(-1, 1) == 4 and file.read(1) == b"4"
    assert file.seek(-2, 2) == 8 and file.read() == b"89"
    assert file.read(1) == b"" and file.seek(-5) == 0 and file.read(1) == b"0"
    assert file.seek(20) == 20 and file.read(1) == b""


# Archives.


def _zip(members: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED, extra: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.extra, info.compress_type = extra, how
            archive.writestr(info, content)
    return file.getvalue()


def _tar(members: dict[str, bytes | None], more: dict[str, bytes] | None = None) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in [*members.items(), *(more or {}).items()]:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            info.size = len(content or b"")
            archive.addfile(info, io.BytesIO(content or b""))
    return file.getvalue()


def _linked(content: bytes) -> bytes:
    """An archive whose member is a link to another file."""
    info = tarfile.TarInfo("a")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info.tobuf() + content


@pytest.mark.parametrize("extra", [b"", struct.pack("<HH", 0x7777, 300) + bytes(300)])
@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_of_zip_files(how: int, extra: bytes) -> None:
    content = _zip({"folder/": b"", "folder/a": CONTENT, "b": b"x"}, how, extra)
    found = containers.archived(_view(content))
    assert found is not None
    assert {name: bytes(read()) for name, read in found.items()} == {"folder/a": CONTENT, "b": b"x"}
    assert (found["b"]().obj is content) == (how == zipfile.ZIP_STORED)  # what is stored is not copied


def test_members_of_tar_files() -> None:
    content = _tar({"folder": None, "folder/a": CONTENT, "b": b"x"})
    found = containers.archived(_view(content))
    assert found is not None
    assert {name: bytes(read()) for name, read in found.items()} == {"folder/a": CONTENT, "b": b"x"}
    assert found["b"]().obj is content
    assert containers.archived(_view(_linked(content))).keys() == found.keys()  # type: ignore[union-attr]


def _directory(content: bytes, offset: int, value: bytes) -> bytes:
    """A zip file after a change in its directory's first entry."""
    where = content.index(b"PK\x01\x02") + offset
    return content[:where] + value + content[where + len(value) :]


def _twice(content: bytes) -> bytes:
    return content.replace(b"a1", b"a2")


STORED = _zip({"a1": CONTENT, "a2": b"x"}, zipfile.ZIP_STORED)
MOST = {f"{i}": b"" for i in range(10_001)}
SPARSE = tarfile.TarInfo("a")
SPARSE.type = tarfile.GNUTYPE_SPARSE

BAD: dict[str, tuple[bytes, str]] = {
    "a zip file that is cut off": (STORED[:-30], "is a zip file that is damaged or cut off"),
    "a name twice": (_twice(STORED), "is an archive that holds a2 twice"),
    "a name twice in a tar file": (_tar({"a": b"x"}, {"a": b"y"}), "is an archive that holds a twice"),
    "a password": (_directory(STORED, 8, b"\x01\x00"), "is a zip file with a password: unpack it first"),
    "a name that changes": (_directory(STORED, 46, b"b1"), "is a zip file that is damaged or cut off"),
    "another compression": (_directory(STORED, 10, b"\x63\x00"), "is a zip file that is damaged or cut off"),
    "a member beyond the end": (
        _directory(STORED, 20, struct.pack("<II", 1 << 20, 1 << 20)),
        "is a zip file that is damaged or cut off",
    ),
    "too many members": (_zip(MOST), "is an archive of more than networks"),
    "too many members of a tar file": (_tar({**MOST}), "is an archive of more than networks"),
    "a tar file that is cut off": (_tar({"a": CONTENT})[: 512 + 1000], "is an archive that is damaged or cut off"),
    "a tar file without its last byte": (_tar({"a": CONTENT})[: 512 + len(CONTENT) - 1], "damaged or cut off"),
    "a tar file of nothing but a header": (_tar({"a": CONTENT})[:512], "is an archive that is damaged or cut off"),
    "a sparse file": (SPARSE.tobuf(tarfile.GNU_FORMAT) + bytes(1024), "is an archive of more than networks"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_archives(case: str) -> None:
    content, words = BAD[case]
    with pytest.raises(ConvertError, match=words):
        found = containers.archived(_view(content))
        assert found is not None
        for read in found.values():
            read()


def test_as_many_members_as_networks_may_have() -> None:
    members = dict(list(MOST.items())[1:])
    for content in (_zip(members), _tar({**members})):
        found = containers.archived(_view(content))
        assert found is not None and len(found) == 10_000


def test_the_two_headers_of_a_damaged_member_are_compared() -> None:
    content = bytearray(_zip({"a": CONTENT}))
    content[60] ^= 255
    found = containers.archived(_view(bytes(content)))
    assert found is not None
    with pytest.raises(ConvertError, match="is a zip file that is damaged or cut off"):
        found["a"]()


# Which member.

TEXTS = [".txt", ".md", ".json", ".yaml", ".yml", ".png", ".jpg", ".jpeg", ".gif", ".py", ".html", ".csv", ".log"]
PICKED: dict[str, tuple[list[str], str | None, str]] = {
    "the only one": (["a.pkl"], None, "a.pkl"),
    "a text alone": (["a.txt"], None, "a.txt"),
    "beside texts": (["README.md", "x/a.pkl", "a.PNG", "__MACOSX/a.pkl", "x/.DS_Store", "Thumbs.db"], None, "x/a.pkl"),
    "beside texts of every kind": ([f"a{suffix}" for suffix in TEXTS] + ["a.pkl"], None, "a.pkl"),
    "by name": (["a.pkl", "b.pkl"], "b.pkl", "b.pkl"),
    "by the end of its name": (["x/a.pkl", "x/ba.pkl"], "a.pkl", "x/a.pkl"),
    "a text by name": (["a.pkl", "b.txt"], "b.txt", "b.txt"),
}
UNCLEAR: dict[str, tuple[list[str], str | None, str]] = {
    "several": (["a.pkl", "b.pkl"], None, "archive of several files, a.pkl, b.pkl: say which one .* FILE!a.pkl"),
    "another": (["a.pkl"], "b.pkl", "is an archive without b.pkl, or with several; it holds a.pkl"),
    "two by the end": (["x/a.pkl", "y/a.pkl"], "a.pkl", "is an archive without a.pkl, or with several"),
    "nothing": ([], None, "is an empty archive"),
    "nothing but litter": (["__MACOSX/a.pkl"], None, "is an empty archive"),
    "litter by name": (["__MACOSX/a.pkl", "b"], "a.pkl", "is an archive without a.pkl"),
}


@pytest.mark.parametrize("case", PICKED)
def test_the_member_meant(case: str) -> None:
    names, wanted, expected = PICKED[case]
    content = {name: name.encode() for name in names}
    for archive in (_zip(content), _tar({**content})):
        found = containers.member_of(_view(archive), wanted)
        assert found is not None
        assert (found[0], bytes(found[1])) == (expected, expected.encode())


@pytest.mark.parametrize("case", UNCLEAR)
def test_no_member_is_meant(case: str) -> None:
    names, wanted, words = UNCLEAR[case]
    content = _tar(dict.fromkeys(names, b"x")) if names else _tar({"folder": None})
    with pytest.raises(ConvertError, match=words):
        containers.member_of(_view(content), wanted)


def test_names_are_told_shortly_and_few() -> None:
    content = _zip({f"{i:02}" + "x" * 200: b"" for i in range(20)})
    with pytest.raises(ConvertError) as caught:
        containers.member_of(_view(content), None)
    assert len(str(caught.value)) < 1300
