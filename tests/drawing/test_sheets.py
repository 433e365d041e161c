"""Sheets of pictures."""

from __future__ import annotations

import numpy as np
import pytest

from stylegan_torch.drawing.images import Picture, to_pil
from stylegan_torch.drawing.sheets import Sheet, captioned, tiled


def _picture(value: int, channels: int = 3) -> Picture:
    return np.full((2, 4, channels), value, np.uint8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("count", "columns", "rows"), [(1, None, 1), (5, None, 2), (5, 2, 3), (2, 9, 1)])
def test_pictures_fill_a_sheet_row_by_row(count: int, columns: int | None, rows: int, channels: int) -> None:
    sheet = Sheet(count, columns)
    for i in range(count):
        sheet.add(_picture(i + 1, channels))
    assert sheet.picture.shape == (rows * 2, sheet.columns * 4, channels)
    values = sheet.picture[::2, ::4, 0].flatten()
    assert values.tolist() == [*range(1, count + 1), *[0] * (rows * sheet.columns - count)]
    assert to_pil(sheet.picture).size == (sheet.columns * 4, rows * 2)


def test_places_without_a_picture_are_black_or_transparent() -> None:
    picture = tiled([[None, _picture(7, 4)], [_picture(8, 4), _picture(9, 4)]])
    assert picture[::2, ::4, 3].tolist() == [[0, 7], [8, 9]]


def test_captions_stand_above_columns() -> None:
    picture = tiled([[_picture(0), _picture(9)]])
    assert captioned(picture, []).size == (8, 2)
    assert captioned(picture, ["a", "b"]).size == (8, 2 + 28)
