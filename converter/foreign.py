"""What a foreign file holds, whatever its format: networks of named tensors with a header, and where they came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from converter.errors import ConvertError
from converter.safe.unpickler import Foreign
from stylegan_torch.files.checkpoint import ROLES
from stylegan_torch.files.pages import Pages

Header = Mapping[str, Any]
"""All of a network but its tensors, as plain JSON values: release form, build function, keywords, tensor order."""


@dataclass(frozen=True)
class ForeignNetwork:
    """One network of a foreign file.

    role: "G_ema", "G" or "D".
    form: which reader wrote the header and which tables apply: the id of one of `FORMS`.
    tensors: original names and values, in the original order.
    code: source texts that the file carries, by sha256; nothing but `original/run.py` ever runs them.
    """

    role: str
    form: str
    header: Header
    tensors: dict[str, Tensor]
    code: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ForeignFile:
    """The networks of one file.

    origin: which file they came from: sha256, size in bytes.
    notes: what was passed over.
    pages: those of the file, as far as it is mapped.
    """

    networks: dict[str, ForeignNetwork]
    origin: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    pages: Pages = field(default_factory=Pages)


def described(top: Any) -> str:
    """Return in words what kind of object a file holds."""
    if isinstance(top, dict):
        return "a dict with keys " + ", ".join(str(key)[:40] for key in list(top)[:8])
    if isinstance(top, Foreign):
        return f"an object of {top.module}.{top.name}"
    return f"a {type(top).__name__}"


def mapping(value: Any, what: str) -> dict[Any, Any]:
    """Return a dict of a foreign file.

    Raises:
        ConvertError: if it is none.
    """
    if not isinstance(value, dict):
        raise ConvertError(f"{what} is a {type(value).__name__}, not a dict")
    return value


class Keywords:
    """The keywords of a build function: what the file says over what the function assumes; typed access by name.

    Keywords the function doesn't know are ignored, as the original functions do.
    """

    def __init__(self, function: str, defaults: dict[str, Any], *given: dict[str, Any]) -> None:
        self.function = function
        self._values = dict(defaults)
        for keywords in given:
            self._values.update((key, value) for key, value in keywords.items() if key in defaults)

    def get(self, name: str) -> Any:
        """Return the value as it is."""
        return self._values[name]

    def _wrong(self, name: str, expected: str) -> ConvertError:
        return ConvertError(f"{self.function}: keyword {name} is {self._values[name]!r}, which is not {expected}")

    def integer(self, name: str, low: int = 0, high: int = 1 << 20) -> int:
        """Return a whole number between `low` and `high`."""
        value = self._values[name]
        if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._wrong(name, f"a whole number from {low} to {high}")
        return value

    def optional_integer(self, name: str, low: int = 0, high: int = 1 << 20) -> int | None:
        """Return a whole number or None."""
        return None if self._values[name] is None else self.integer(name, low, high)

    def number(self, name: str) -> float:
        """Return a number as float."""
        value = self._values[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e30:
            raise self._wrong(name, "a number")
        return float(value)

    def optional_number(self, name: str) -> float | None:
        """Return a number or None."""
        return None if self._values[name] is None else self.number(name)

    def flag(self, name: str) -> bool:
        """Return a truth value."""
        value = self._values[name]
        if not isinstance(value, bool | int | None):
            raise self._wrong(name, "True or False")
        return bool(value)

    def choice(self, name: str, *choices: Any) -> Any:
        """Return a value that must be one of `choices`."""
        value = self._values[name]
        if not any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in choices):
            raise self._wrong(name, "one of " + ", ".join(map(str, choices)))
        return value

    def resolution(self, name: str) -> int:
        """Return a picture side: a power of two from 4 to 16384."""
        value = self.integer(name, 4, 1 << 14)
        if value & (value - 1):
            raise self._wrong(name, "a power of two")
        return value

    def taps(self, name: str) -> tuple[float, ...] | None:
        """Return the taps of a filter, or None."""
        value = self._values[name]
        if value is None:
            return None
        if (
            not isinstance(value, list)
            or not 0 < len(value) <= 64
            or not all(isinstance(v, int | float) and abs(v) < 1e30 for v in value)
        ):
            raise self._wrong(name, "a list of numbers")
        if sum(value) == 0:
            raise self._wrong(name, "a filter whose taps have a sum other than 0")
        return tuple(map(float, value))


def walk(networks: dict[str, ForeignNetwork]) -> Iterator[ForeignNetwork]:
    """Yield the networks in the order G_ema, G, D."""
    for role in ROLES:
        if role in networks:
            yield networks[role]
