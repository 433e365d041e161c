"""What `torch.save` wrote, read as data."""

from __future__ import annotations

import io
import pickle
import warnings

import pytest
import torch

from stylegan_torch.files.tensors import load_plain


def test_tensors_come_back() -> None:
    file = io.BytesIO()
    torch.save({"a": torch.arange(3)}, file)
    file.seek(0)
    assert load_plain(file)["a"].tolist() == [0, 1, 2]


def test_what_torch_warns_of_is_not_told_beside_the_error() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest.raises(pickle.UnpicklingError):
            load_plain(io.BytesIO(pickle.dumps(print, protocol=4)))
    assert told == []
