"""What a stranger's program leaves is read as data, of the sizes that its file declares."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter.errors import ConvertError
from converter.original import results as module
from converter.original.results import RECORD_LIMIT, Array, Results

NAME = "variables.npz"
NONE_SOUND = "left no sound result"


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Results]:
    with Results(tmp_path) as opened:
        yield opened


def test_arrays_are_as_they_were_written(results: Results, tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "Gs/x": np.arange(6, dtype=np.float32).reshape(2, 3),
        "Gs/turned": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "images_uint8": np.arange(6, dtype=np.uint8),
        "labels": np.zeros([2, 0], np.float32),
    }
    np.savez(tmp_path / NAME, **arrays)
    read = results.arrays(NAME, {"Gs/x": (2, 3), "labels": (2, 0), "not there": (5,)})
    assert {name: value.tolist() for name, value in read.items()} == {k: v.tolist() for k, v in arrays.items()}


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros([7, 7], "f4"), r"array x is float32 \[7, 7\], not float32 \[2\] as in its file"),
        (np.zeros([2], "f8"), r"array x is float64 \[2\]"),
        (np.zeros([2], ">f4"), r"array x is >f4 \[2\]"),
        (np.array([{}, {}]), r"array x is object \[2\]"),
    ],
)
def test_other_arrays_than_declared_are_refused(array: Array, message: str, results: Results, tmp_path: Path) -> None:
    np.savez(tmp_path / NAME, x=array)
    with pytest.raises(ValueError, match=message):
        results.arrays(NAME, {"x": (2,)})


def _member(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


BILLION = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,), }\n"


@pytest.mark.parametrize(
    ("members", "compression", "message"),
    [
        ({"x.npy": _member(BILLION)}, zipfile.ZIP_STORED, "cannot reshape array"),
        ({"x.npy": _member("(" * 9000)}, zipfile.ZIP_STORED, NAME),
        ({"x.npy": b"not an array"}, zipfile.ZIP_STORED, "magic string"),
        ({"x.npy": _member(BILLION, bytes(4000))}, zipfile.ZIP_DEFLATED, "compressed arrays"),
        ({f"{i}.npy": b"" for i in range(10_001)}, zipfile.ZIP_STORED, "more than networks"),
    ],
)
def test_archives_of_another_kind_are_refused(
    members: dict[str, bytes], compression: int, message: str, results: Results, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / NAME, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match=message):
        results.arrays(NAME, {})


def test_a_name_that_is_there_twice_is_refused(results: Results, tmp_path: Path) -> None:
    content = io.BytesIO()
    np.save(content, np.zeros(2, "f4"))
    with zipfile.ZipFile(tmp_path / NAME, "w") as archive:
        for _ in range(2):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("warnings.warn", lambda *_, **__: None)
                archive.writestr("x.npy", content.getvalue())
    with pytest.raises(ValueError, match="twice"):
        results.arrays(NAME, {"x": (2,)})


def test_what_no_file_declares_is_bounded(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXTRA", 1 << 20)
    np.savez(tmp_path / NAME, x=np.zeros(1 << 18, "f4"), y=np.zeros(1 << 18, "f4"))
    assert set(results.arrays(NAME, {"x": (1 << 18,)})) == {"x", "y"}
    with pytest.raises(ValueError, match="over 1 MB of arrays that its file doesn't have"):
        results.arrays(NAME, {})
    with (tmp_path / NAME).open("ab") as file:
        file.truncate(7 << 20)
    with pytest.raises(ConvertError, match=NONE_SOUND):
        results.arrays(NAME, {"x": (1 << 18,)})


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"\xff", b"[]" + bytes(RECORD_LIMIT)])
def test_a_record_is_plain_and_small(content: bytes, results: Results, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises((ValueError, ConvertError)) as caught:
        results.record()
    assert (NONE_SOUND in str(caught.value)) == (not 0 < len(content) <= RECORD_LIMIT)


def test_links_and_new_files_are_not_followed(results: Results, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text('{"a": "secret"}')
    path = tmp_path / "result.json"
    path.unlink()
    path.symlink_to(tmp_path / "secret")
    with pytest.raises(ConvertError, match=NONE_SOUND):
        results.record()


def test_a_program_finds_the_files_made_and_cannot_have_made_them(tmp_path: Path) -> None:
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError), Results(tmp_path):
        pass
