"""When pictures are the same, whatever the processor."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

Picture = npt.ArrayLike | Image
EDGE = 1e-3
"""Of an 8-bit step. A float this close to where 8-bit values change may fall on either side: another processor adds in
another order, and has other last digits."""


def assert_same_picture(actual: Picture, expected: Picture, images: npt.ArrayLike) -> None:
    """Assert that 8-bit pictures are the same but where rounding decides.

    Args:
        actual: what was drawn, [N, H, W, C] uint8, or one picture [H, W, C] or [H, W].
        expected: what the original program drew.
        images: the floats it had before rounding, [N, C, H, W] in [-1, 1], or one image [C, H, W].
    """
    # ⌊127.5·x + 128⌋ and 127.5·x + 127.5 rounded change at the same places: where 127.5·x is whole.
    x = np.moveaxis(np.asarray(images, np.float64), -3, -1) * 127.5
    on_edge = np.abs(x - np.rint(x)) <= EDGE
    wanted = np.asarray(expected, int).reshape(x.shape)
    difference = np.abs(np.asarray(actual, int).reshape(x.shape) - wanted)
    wrong = difference > on_edge
    assert not wrong.any(), f"{_count(wrong)} are wrong, by up to {difference.max()}"


def _count(wrong: npt.NDArray[Any]) -> str:
    return f"{np.count_nonzero(wrong)} of {wrong.size} values, the first at {[int(i) for i in np.argwhere(wrong)[0]]},"
