"""Plain JSON data from files that may be hostile: what is copied, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from stylegan_torch.errors import CheckpointError
from stylegan_torch.files import plain_json


def _nested(depth: int) -> Any:
    return [_nested(depth - 1)] if depth else 1


PLAIN: dict[str, Any] = {
    "text": "a ü \ud7ff\ue000",
    "truths": [True, False, None],
    "the largest numbers": [(1 << 64) - 1, 1 - (1 << 64), -1e308],
    "the deepest": _nested(12),
    "the deepest dicts": {"a": {"b": _nested(10)}},
    "a dict": {"a": {"b": [1, {"c": "d"}]}},
    "the most values": [0] * 99_999,
}
REFUSED: dict[str, tuple[Any, str]] = {
    "too deep": (_nested(13), "holds more, or deeper"),
    "too deep in dicts": ({"a": _nested(12)}, "holds more, or deeper"),
    "too many values": ([0] * 100_000, "holds more, or deeper"),
    "too many in dicts": ({str(i): 0 for i in range(100_000)}, "holds more, or deeper"),
    "a huge number": (1 << 64, "int"),
    "a huge negative number": (-(1 << 64), "int"),
    "infinity": (float("inf"), "float"),
    "no number": (float("nan"), "float"),
    "bytes": (b"x", "bytes"),
    "a set": ({1}, "set"),
    "a complex number": (1j, "complex"),
    "a key that is a number": ({1: "x"}, "dict"),
    "some keys that are numbers": ({"a": "x", 1: "x"}, "dict"),
    "half a character": ("ok \ud800", "not a proper text"),
    "the other half": ("\udfff", "not a proper text"),
    "a key with half a character": ({"\udc80": 1}, "not a proper text"),
}


@pytest.mark.parametrize("case", PLAIN)
def test_plain_data_are_copied(case: str) -> None:
    value = PLAIN[case]
    assert plain_json.plain(value, "it") == value
    if isinstance(value, list | dict):
        assert plain_json.plain(value, "it") is not value


def test_tuples_become_lists_and_others_what_they_are_turned_into() -> None:
    assert plain_json.plain((1, (2,)), "it") == [1, [2]]
    assert plain_json.plain([{1, 2}], "it", other=lambda v: sorted(v) if isinstance(v, set) else v) == [[1, 2]]


@pytest.mark.parametrize("case", REFUSED)
def test_others_are_refused(case: str) -> None:
    value, words = REFUSED[case]
    with pytest.raises(CheckpointError, match=words):
        plain_json.plain(value, "it")


def test_an_error_says_where_and_stays_short() -> None:
    with pytest.raises(CheckpointError, match=r"^it\.a\.b holds a value .*: set$"):
        plain_json.plain({"a": {"b": [{1}]}}, "it")
    with pytest.raises(CheckpointError) as caught:
        plain_json.plain({"x" * 10_000: {1}}, "it")
    assert len(str(caught.value)) < 300


def test_a_text_is_one() -> None:
    assert plain_json.text("ü", "it") == "ü"
    with pytest.raises(CheckpointError, match="it is not a proper text"):
        plain_json.text(1, "it")
