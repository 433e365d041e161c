"""Headers: all of a network but its tensors, as plain JSON values. Each form says in a `TypedDict` what its own hold.

Readers build headers of checked values; what comes from a record in a file of ours is checked here before it is used.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, TypedDict, cast, get_args, get_origin, get_type_hints, is_typeddict

from converter.errors import ConvertError


class Header(TypedDict):
    """What the headers of all forms say.

    build_func_name: build function or class, by which a form tells kinds of networks apart.
    variables: names of the tensors, in the original order.
    """

    build_func_name: str
    variables: list[str]


_WORDS: dict[object, str] = {
    dict: "a dict",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    NoneType: "null",
}


def check(value: object, expected: object, field: str = "") -> None:
    """Hold a value from the record of a file against what is expected of it.

    Args:
        value: plain JSON.
        expected: a class of plain JSON values, `object` for any, a union of such, a `Literal`, a `TypedDict`, or a list
            or dict of one of these.
        field: where it is in the record, for errors.

    Raises:
        ConvertError: naming the field that is missing or of another type.
    """
    origin, inner = get_origin(expected), get_args(expected)
    if origin is Literal:
        if value not in inner:
            raise _wrong(field, _short(value), " or ".join(map(_short, inner)))
    elif is_typeddict(expected):
        check(value, dict, field)
        _check_fields(cast(dict[str, object], value), expected, f"{field}." if field else "")
    elif expected is not object:
        classes = inner if origin is UnionType else (origin or expected,)
        if type(value) not in classes:
            raise _wrong(field, _WORDS.get(type(value), "odd"), " or ".join(_WORDS[cls] for cls in classes))
        if origin is list:
            for index, item in enumerate(cast(list[object], value)):
                check(item, inner[0], f"{field}[{index}]")
        if origin is dict:
            for key, item in cast(dict[str, object], value).items():
                check(item, inner[1], f"{field}.{key}")


def _check_fields(value: Mapping[str, object], expected: object, prefix: str) -> None:
    for name, (kind, required) in _fields(expected).items():
        if name in value:
            check(value[name], kind, f"{prefix}{name}")
        elif required:
            raise ConvertError(f"field {prefix}{name} of its record is missing")


def _wrong(field: str, found: str, wanted: str) -> ConvertError:
    return ConvertError(f"{f'field {field} of ' if field else ''}its record is {found}, not {wanted}")


@functools.cache
def _fields(kind: Any) -> dict[str, tuple[object, bool]]:
    """Return the fields of a `TypedDict`: what is expected, and whether they must be there."""
    hints = get_type_hints(kind, include_extras=True)
    optional = {key for key, hint in hints.items() if get_origin(hint) is NotRequired}
    return {key: (get_args(hint)[0] if key in optional else hint, key not in optional) for key, hint in hints.items()}


def _short(value: object) -> str:
    return json.dumps(value)[:40]
