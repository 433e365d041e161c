"""Pictures as 8-bit pixels: where each rule about numbers, sizes and colours ends."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stylegan_torch.pictures.decode import DataError, PictureSize, decode, decode_image, fitted, in_mode, is_gray

SIZE = PictureSize(16, 16, 3)


def _file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


def _numbers(*values: float, dtype: str = "float32") -> Any:
    image = Image.fromarray(np.array([values], dtype))
    return np.asarray(decode_image(_file(image, "TIFF"))).tolist()[0]


def test_numbers_where_a_rule_ends() -> None:
    assert _numbers(0, 1) == [0, 255]
    assert _numbers(0, 0.5) == [0, 128]
    assert _numbers(0, 16) == [0, 16]
    assert _numbers(0, 255) == [0, 255]
    assert _numbers(0, 20.4, 20.6) == [0, 20, 21]
    assert _numbers(0, 255, dtype="int32") == [0, 255]
    assert _numbers(0, 256, 300, dtype="int32") == [0, 0, 1]
    assert _numbers(257, 514, 65535, dtype="int32") == [1, 2, 255]


@pytest.mark.parametrize("values", [(0, 1.001), (0, 15.99), (0, 255.1), (-0.001, 1), (-1, 200), (0, float("nan"))])
def test_floats_that_mean_no_brightness(values: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match=r"has floats from .*: save it with 8 or 16 bits"):
        _numbers(*values)


@pytest.mark.parametrize("values", [(0, 65536), (-1, 5)])
def test_integers_that_mean_no_brightness(values: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"has integers from .*: save it with 8 or 16 bits"):
        _numbers(*values, dtype="int32")


@pytest.mark.parametrize(("size", "sound"), [((3, 3), True), ((2, 3), False), ((3, 2), False)])
def test_pictures_that_would_be_enlarged_more_than_eightfold(size: tuple[int, int], sound: bool) -> None:
    data = _file(Image.new("RGB", size, "red"))
    assert decode(_file(Image.new("RGB", (2, 2))), SIZE).shape == (3, 16, 16)
    wanted = PictureSize(17, 17, 3)
    if sound:
        assert decode(data, wanted).shape == (3, 17, 17)
    else:
        with pytest.raises(DataError, match=f"is too small, {size[0]}×{size[1]} pixels"):
            decode(data, wanted)


def test_pictures_that_are_bombs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    with warnings.catch_warnings(action="error"):  # Pillow warns of those of up to twice as many pixels
        assert decode_image(_file(Image.new("RGB", (20, 20)))).size == (20, 20)
        assert not is_gray(_file(Image.new("RGB", (20, 20))))
    with pytest.raises(DataError, match="is too large"):
        decode_image(_file(Image.new("RGB", (20, 21))))


@pytest.mark.parametrize("data", [b"", b"text", _file(Image.new("RGB", (64, 64)), "BMP")[:500]])
def test_files_that_are_broken_or_none(data: bytes) -> None:
    with pytest.raises(DataError, match="is broken, or not a picture"):
        decode_image(data)


def test_pictures_in_other_containers_are_none() -> None:
    for kind in ("PDF", "EPS", "ICO", "PCX"):
        with pytest.raises(DataError, match="is broken, or not a picture"):
            decode_image(_file(Image.new("RGB", (16, 16)), kind))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "TGA", "JPEG2000"])
def test_pictures_of_every_kind(kind: str) -> None:
    assert decode_image(_file(Image.new("RGB", (16, 16), "white"), kind)).convert("L").getextrema() == (255, 255)


GRAY = {"1": True, "L": True, "LA": True, "I;16": True, "RGB": False, "RGBA": False, "P": False}


@pytest.mark.parametrize("mode", GRAY)
def test_gray_pictures(mode: str) -> None:
    data = _file(Image.new(mode, (16, 16)))
    assert is_gray(data) == GRAY[mode]
    assert decode_image(data).mode == {"LA": "RGBA", "RGBA": "RGBA", "RGB": "RGB", "P": "RGB"}.get(mode, "L")


def test_what_is_broken_counts_as_gray() -> None:
    assert is_gray(b"text")


def test_transparency_becomes_white_unless_it_can_stay() -> None:
    clear = Image.new("RGBA", (16, 16), (10, 20, 30, 0))
    assert in_mode(clear, "RGB").getpixel((0, 0)) == (255, 255, 255)
    assert in_mode(clear, "L").getpixel((0, 0)) == 255
    assert in_mode(clear, "RGBA").getpixel((0, 0)) == (10, 20, 30, 0)
    assert in_mode(Image.new("RGB", (16, 16), (10, 20, 30)), "RGB").getpixel((0, 0)) == (10, 20, 30)
    palette = Image.new("P", (16, 16))
    palette.info["transparency"] = 0
    assert decode_image(_file(palette, "GIF", transparency=0)).mode == "RGBA"


def test_padding() -> None:
    wide = Image.new("RGB", (32, 16), "black")
    padded = fitted(wide, SIZE, "pad")
    assert (padded[:, :4] == 255).all() and (padded[:, 4:12] == 0).all() and (padded[:, 12:] == 255).all()
    assert (fitted(wide, SIZE, "crop") == 0).all()
    assert (fitted(wide, PictureSize(16, 16, 4), "pad")[3, :4] == 0).all()
    assert (fitted(wide, PictureSize(16, 16, 1), "pad")[0, :4] == 255).all()
    assert fitted(Image.new("RGB", (160, 6)), SIZE, "pad").shape == (3, 16, 16)
    for size in ((160, 5), (5, 160)):  # half a pixel is none
        with pytest.raises(DataError, match=f"is too narrow to pad, {size[0]}×{size[1]} pixels"):
            fitted(Image.new("RGB", size), SIZE, "pad")
