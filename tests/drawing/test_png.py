"""PNG files of ours: what Pillow reads of them is the picture and all that was said of it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from stylegan_torch.drawing import png
from stylegan_torch.drawing.images import ENCODERS, encode

CHANNELS = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,)}


def read_back(image: Image.Image, info: PngInfo | None = None) -> Image.Image:
    """Write an image, look at its checksums, and read it."""
    file = io.BytesIO()
    png.write(file, image, info or PngInfo())
    Image.open(file).verify()
    found = Image.open(file)
    found.load()
    return found


@given(
    mode=st.sampled_from(sorted(png.COLOURS)),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_any_picture_is_read_as_it_was(mode: str, height: int, width: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, *CHANNELS[mode]), np.uint8)
    found = read_back(Image.fromarray(values))
    assert found.mode == mode
    assert np.array_equal(np.asarray(found), values)


@pytest.mark.parametrize("size", [(300, 500), (1, 100_000), (100_000, 1)])
def test_pictures_of_several_strips(size: tuple[int, int]) -> None:
    """More values than are filtered together, in rows and in one row."""
    values = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert np.array_equal(np.asarray(read_back(Image.fromarray(values))), values)


def test_smooth_pictures_are_small() -> None:
    """The filter does its work: a slope costs less than a tenth of its bytes."""
    slope = np.add.outer(np.arange(128), np.arange(128))
    image = Image.fromarray(slope.astype(np.uint8))
    assert len(encode(image, ENCODERS["png"], {})) < slope.size / 10


def test_what_is_said_is_read() -> None:
    info = PngInfo()
    info.add_text("stylegan-torch", "seed 7, Größe ≥ 3")  # beyond Latin-1, so in an international field
    info.add_text("Software", "a program")
    found = read_back(Image.new("RGB", (4, 4)), info)
    assert found.info["stylegan-torch"] == "seed 7, Größe ≥ 3"
    assert found.info["Software"] == "a program"
