"""What the fields of a form hold, whatever was sent for them: checked, and told by the field's name if it is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from stylegan_torch.errors import StyleGANError

_SAID = 40
"""Characters of a wrong value that are said."""
_LONGEST = 200
"""Characters of a text."""


_Choice = TypeVar("_Choice", bound=str)


class FieldError(StyleGANError):
    """A field, of this `name`, holds what it cannot hold."""

    def __init__(self, name: str, value: object, wanted: str) -> None:
        self.name = name
        empty = value is None or value == ""
        super().__init__(
            f"{name} is empty: it takes {wanted}" if empty else f"{name}: {repr(value)[:_SAID]} is not {wanted}"
        )


def number(name: str, value: object, *, low: float, high: float) -> float:
    """Return a number within [low, high].

    Raises:
        FieldError: if it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise FieldError(name, value, f"a number from {low} to {high}")
    return float(value)


def whole(name: str, value: object, *, low: int, high: int) -> int:
    """Return a whole number from `low` to `high`.

    Raises:
        FieldError: if it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or value % 1:
        raise FieldError(name, value, f"a whole number from {low} to {high}")
    return int(value)


def choice(name: str, value: object, choices: Iterable[_Choice]) -> _Choice:
    """Return one of the choices.

    Raises:
        FieldError: if it is none.
    """
    choices = list(choices)
    found = next((each for each in choices if each == value), None)
    if found is None:
        raise FieldError(name, value, f"one of {', '.join(choices)}")
    return found


def text(name: str, value: object) -> str:
    """Return a text.

    Raises:
        FieldError: if it is none, or very long.
    """
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise FieldError(name, value, f"a text of at most {_LONGEST} characters")
    return value


def items(name: str, value: object, most: int) -> list[object]:
    """Return a list of at most so many.

    Raises:
        FieldError: if it is none, or longer.
    """
    if not isinstance(value, list) or len(value) > most:
        raise FieldError(name, value, f"a list of at most {most}")
    return value
