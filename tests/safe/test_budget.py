"""What reading one file may take is counted, and bounded."""

from __future__ import annotations

import pytest

from converter.errors import ConvertError
from converter.safe.budget import budget, check_depth, grow, spend

SPARE = 192 << 20


@pytest.mark.parametrize(("what", "most"), [("operations", 1_000_000), ("values", 200_000)])
def test_things_are_counted(what: str, most: int) -> None:
    with budget(1 << 40):
        spend(what, most - 1)
        spend(what)
        with pytest.raises(ConvertError, match=f"takes more than {most:,} {what} to read"):
            spend(what)


def test_bytes_are_counted_by_the_size_of_the_file() -> None:
    with budget(100):
        spend("bytes", SPARE + 200)
        with pytest.raises(ConvertError, match="takes more than 192 MB to read"):
            spend("bytes")
    with budget(1 << 20), pytest.raises(ConvertError, match="takes more than 194 MB to read"):
        spend("bytes", SPARE + (2 << 20) + 1)


def test_what_a_file_unpacks_to_counts_as_its_size() -> None:
    with budget(0):
        grow(1 << 20)
        spend("bytes", SPARE + (2 << 20))
        with pytest.raises(ConvertError, match="takes more than 194 MB to read"):
            spend("bytes")


def test_a_budget_is_of_one_file() -> None:
    with budget(0):
        spend("bytes", SPARE)
        with pytest.raises(ZeroDivisionError), budget(0):
            spend("bytes", SPARE)
            raise ZeroDivisionError
        with pytest.raises(ConvertError):
            spend("bytes")
    spend("bytes", 1 << 60)
    grow(1)


def test_depth() -> None:
    check_depth(100)
    with pytest.raises(ConvertError, match="nests things over 100 deep"):
        check_depth(101)
