"""Plain JSON data from files that may be hostile."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from stylegan_torch.errors import CheckpointError
from stylegan_torch.types import Json

MAX_DEPTH = 12
MAX_VALUES = 100_000
MAX_TEXT = 1 << 23


def parse(source: str, what: str) -> Any:
    """Return the JSON data that a text says.

    Raises:
        CheckpointError: if it is longer than 8 million characters, or too deep to be read at all.
        ValueError: if it is no JSON.
    """
    try:
        if len(source) <= MAX_TEXT:
            return json.loads(source)
    except RecursionError:
        pass
    raise CheckpointError(f"{what} holds more, or deeper, than any network needs")


def plain(value: object, what: str, other: Callable[[Any], object] = lambda value: value) -> Json:
    """Copy a value as plain JSON data: text, finite numbers, lists (from tuples too) and dicts with text keys.

    Args:
        value: the value.
        what: its name, for errors.
        other: may turn values of other types into plain ones.

    Raises:
        CheckpointError: naming what is something else, nested deeper than 12, or more than 100,000 values.
    """
    return _copy(value, what, other, 0, [MAX_VALUES])


def _copy(value: object, what: str, other: Callable[[Any], object], depth: int, left: list[int]) -> Json:
    value = other(value)
    left[0] -= 1
    if left[0] < 0 or depth > MAX_DEPTH:
        raise CheckpointError(f"{what} holds more, or deeper, than any network needs")
    if isinstance(value, str):
        return text(value, what)
    if isinstance(value, bool | None) or (isinstance(value, int) and abs(value) < 1 << 64):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list | tuple):
        return [_copy(item, what, other, depth + 1, left) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {
            text(key, what): _copy(item, f"{what}.{key}"[:200], other, depth + 1, left) for key, item in value.items()
        }
    raise CheckpointError(f"{what} holds a value that no network of a known release has: {type(value).__name__}")


def text(value: object, what: str) -> str:
    """Return a text.

    Raises:
        CheckpointError: if it is none, or cannot be written to a file again.
    """
    if not isinstance(value, str) or any("\ud800" <= c <= "\udfff" for c in value):
        raise CheckpointError(f"{what} is not a proper text")
    return value
