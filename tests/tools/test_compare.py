"""What the other tests measure with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylegan_torch.drawing.images import Rounding, on_rounding_edge, to_uint8
from tests.tools import oracle
from tests.tools.compare import EDGE, assert_same_picture

ROUNDINGS = {"truncate": oracle.to_uint8, "nearest": oracle.to_uint8_rounded}


@pytest.mark.parametrize("rounding", ROUNDINGS)
@given(step=st.integers(0, 255), offset=st.floats(-1, 1), error=st.floats(-EDGE, EDGE))
def test_what_float_rounding_may_do_to_a_picture(rounding: str, step: int, offset: float, error: float) -> None:
    x = (step - 127.5 + offset) / 127.5
    images = np.full((1, 1, 1, 1), x)
    expected, drawn = ROUNDINGS[rounding](images), ROUNDINGS[rounding](images + error * 0.9 / 127.5)
    assert_same_picture(drawn, expected, images)
    on_edge = on_rounding_edge(torch.from_numpy(images))
    assert on_edge.shape == (1, 1, 1, 1)
    assert bool(on_edge) or (drawn == expected).all()


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(
    ("beside", "passes"), [(0.0, True), (0.9e-3, True), (-0.9e-3, True), (1.1e-3, False), (0.5, False)]
)
def test_off_by_one_is_allowed_at_an_edge_only(rounding: Rounding, beside: float, passes: bool) -> None:
    images = np.full((1, 3, 2, 2), 0.1)
    images[0, 1, 0, 1] = (17 + beside) / 127.5  # 145 begins at 17
    expected = ROUNDINGS[rounding](images)
    assert np.array_equal(expected, to_uint8(torch.from_numpy(images), rounding))
    wrong = expected.copy()
    wrong[0, 0, 1, 1] -= 1
    assert bool(on_rounding_edge(torch.from_numpy(images))[0, 0, 1, 1]) == passes
    assert_same_picture(expected, expected, images)
    if passes:
        assert_same_picture(wrong, expected, images)
    else:
        with pytest.raises(AssertionError, match=r"1 of 12 values, the first at \[0, 0, 1, 1\], are wrong, by up to 1"):
            assert_same_picture(wrong, expected, images)
    wrong[0, 0, 1, 1] -= 1
    with pytest.raises(AssertionError, match="are wrong, by up to 2"):
        assert_same_picture(wrong, expected, images)


def test_pictures_and_images_of_every_shape() -> None:
    images = np.random.default_rng(0).uniform(-1.2, 1.2, (1, 1, 5, 4))
    expected = oracle.to_uint8(images)
    assert_same_picture(expected[0, :, :, 0], expected, images[0])
    with pytest.raises(AssertionError, match="are wrong"):
        assert_same_picture(expected[0, ::-1, :, 0], expected, images)
    with pytest.raises(ValueError, match="reshape"):
        assert_same_picture(expected[:, :3], expected, images)
