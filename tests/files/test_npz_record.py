"""`.npz` files with records: none unpacks to far more than it holds."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from stylegan_torch.errors import CheckpointError, StyleGANError
from stylegan_torch.files import npz_record


def test_records_and_arrays_come_back(tmp_path: Path) -> None:
    path, arrays = tmp_path / "a.npz", {"x": np.arange(6).reshape(2, 3)}
    with path.open("wb") as file:
        npz_record.write_npz(file, arrays, about={"a": [1, None]})
    found = npz_record.read_npz(path)
    assert list(found) == ["about", "x"]
    assert npz_record.record_of(found, "about") == {"a": [1, None]}
    assert np.array_equal(found["x"], arrays["x"])
    np.save(tmp_path / "b.npy", arrays["x"])
    assert np.array_equal(npz_record.read_npz(tmp_path / "b.npy", "y")["y"], arrays["x"])


def _claiming(path: Path, size: int) -> Path:
    """An .npz whose directory says that its one entry takes so many bytes."""
    np.savez(path, x=np.zeros(10))
    content = bytearray(path.read_bytes())
    where = content.rindex(b"PK\x01\x02") + 24
    content[where : where + 4] = struct.pack("<I", size)
    path.write_bytes(content)
    return path


def test_bombs_are_refused(tmp_path: Path) -> None:
    path = _claiming(tmp_path / "a.npz", (1 << 28) + 1)
    with pytest.raises(StyleGANError, match=r"a\.npz unpacks to far more than it should"):
        npz_record.read_npz(path)


def test_a_large_file_may_hold_its_size_twentyfold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz_record, "_UNPACKED", 0)
    size = _claiming(tmp_path / "a.npz", 1).stat().st_size
    npz_record.read_npz(_claiming(tmp_path / "a.npz", 20 * size))
    with pytest.raises(StyleGANError, match="unpacks to far more"):
        npz_record.read_npz(_claiming(tmp_path / "b.npz", 20 * size + 1))


ERRORS: dict[str, tuple[Exception, str]] = {
    "of the system": (PermissionError(13, "Permission denied"), "cannot read in.npz: Permission denied"),
    "of the system, without words": (OSError("odd"), "cannot read in.npz: odd"),
    "of ours": (StyleGANError("as it is"), "as it is"),
    "of any other kind": (KeyError("x"), "in.npz is damaged, or not a file of directions"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_become_one_kind(case: str) -> None:
    error, words = ERRORS[case]
    with (
        pytest.raises(CheckpointError) as caught,
        npz_record.file_errors(Path("in.npz"), "directions", CheckpointError),
    ):
        raise error
    assert str(caught.value) == words
    assert caught.value.__cause__ is error
