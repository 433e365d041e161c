"""Cases that take long, and that others like them cover for `make test`: `make test-long` runs them, and so does CI."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def cases(names: Iterable[str], long: Iterable[str]) -> list[Any]:
    """Return names as cases of a parametrized test, some of which are marked as long."""
    marked = set(long)
    return [pytest.param(name, id=name, marks=[pytest.mark.long] if name in marked else []) for name in names]
