"""Whether what is made of a file is counted, to the byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from converter.errors import ConvertError
from converter.safe.budget import budget


def assert_counted(make: Callable[[], object], size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold that making something takes exactly so many bytes of a budget."""
    monkeypatch.setattr("converter.safe.budget.SPARE", size)
    with budget(0):
        make()
    monkeypatch.setattr("converter.safe.budget.SPARE", size - 1)
    if size:
        with budget(0), pytest.raises(ConvertError, match="takes more than"):
            make()
