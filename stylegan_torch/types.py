"""Names for values that may be anything of a kind."""

from __future__ import annotations

from typing import Any, TypeAlias

Json: TypeAlias = Any
"""What JSON can say: text, a number, a truth value, None, or lists and dicts of these."""
JsonObject: TypeAlias = dict[str, Json]
Arguments: TypeAlias = dict[str, Any]
"""Keyword arguments of a class that says itself what it takes."""
