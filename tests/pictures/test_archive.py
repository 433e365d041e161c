"""The official data set: what is refused before the work, and what is not overwritten after it."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from stylegan_torch.errors import StyleGANError
from stylegan_torch.pictures.archive import Order, Shape, write
from stylegan_torch.pictures.decode import DataError
from tests.tools.hostile import written


def _png(size: tuple[int, int] = (8, 8)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, format="PNG")
    return file.getvalue()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    written(folder / "a.png", _png())
    return folder


def _unasked(given: Iterable[Any], count: int) -> Iterable[Any]:
    pytest.fail("the work has begun")


def test_a_file_that_is_there_is_refused_before_the_work(source: Path, tmp_path: Path) -> None:
    target = written(tmp_path / "out.zip", b"before")
    with pytest.raises(StyleGANError, match=r"out\.zip exists; use --force"):
        write(target, Order(source), watch=_unasked)
    assert target.read_bytes() == b"before"
    assert write(target, Order(source), force=True).count == 1


def test_a_file_that_appears_meanwhile_is_not_overwritten(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.zip"

    def watch(given: Iterable[Any], count: int) -> Iterable[Any]:
        written(target, b"theirs")
        return given

    with pytest.raises(StyleGANError, match=r"out\.zip exists; use --force"):
        write(target, Order(source), watch=watch)
    assert target.read_bytes() == b"theirs"


@pytest.mark.parametrize("name", [".", "in/out.zip"])
def test_a_data_set_is_not_made_inside_its_source(name: str, source: Path) -> None:
    with pytest.raises(StyleGANError, match=r"is a directory|itself, or inside it: name another place"):
        write(source / name, Order(source), watch=_unasked)


def test_two_pictures_of_one_name_are_refused(source: Path, tmp_path: Path) -> None:
    (source / "x").mkdir()
    for name in ("x/a.png", "x\\a.png"):  # which Windows takes for the same
        written(source / name, _png())
    with pytest.raises(DataError, match=r"photos: two pictures have the name x/a\.png: give one another"):
        write(tmp_path / "out.zip", Order(source), watch=_unasked)


def test_sources_without_pictures_that_can_be_used(source: Path, tmp_path: Path) -> None:
    written(source / "a.png", b"no picture")
    with pytest.raises(DataError, match="photos has no usable pictures"):
        write(tmp_path / "out.zip", Order(source, skip_bad=True))
    assert not list(tmp_path.glob("out*"))
    (source / "a.png").unlink()
    with pytest.raises(DataError, match="photos has no pictures"):
        write(tmp_path / "out.zip", Order(source))


def test_what_the_system_says_is_told(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, other: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StyleGANError, match=r"cannot write .*out\.zip: No space left on device"):
        write(tmp_path / "out.zip", Order(source))


@pytest.mark.parametrize("size", [(16, 16), (16, 1)])
def test_wide_shapes(size: tuple[int, int]) -> None:
    assert Shape(size, "center-crop-wide").made(Image.new("RGB", (64, 64))).size == (16, 16)


@pytest.mark.parametrize("transform", [None, "center-crop", "center-crop-wide"])
@pytest.mark.parametrize("size", [(16, 17), (16, 0), (16, -1), (12, 8), (0, 0)])
def test_shapes_that_are_none(size: tuple[int, int], transform: Any) -> None:
    with pytest.raises(DataError, match=f"{size[0]}x{size[1]}: pictures must be"):
        Shape(size, transform)


@pytest.mark.parametrize(("size", "sound"), [((16, 8), True), ((15, 100), False), ((100, 7), False)])
def test_wide_shapes_enlarge_nothing(size: tuple[int, int], sound: bool) -> None:
    shape = Shape((16, 8), "center-crop-wide")
    if sound:
        assert shape.made(Image.new("RGB", size)).size == (16, 16)
    else:
        with pytest.raises(DataError, match=r"is too small, .*: center-crop-wide enlarges nothing"):
            shape.made(Image.new("RGB", size))


@pytest.mark.parametrize("size", [(12, 12), (16, 8), (8, 16), (0, 0)])
def test_pictures_that_stay_as_they_are_must_fit(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="not square with a power of two as its side"):
        Shape().made(Image.new("RGB", size))
    assert Shape().made(Image.new("RGB", (16, 16))).size == (16, 16)
