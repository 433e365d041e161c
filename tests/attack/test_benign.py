"""The pickle machine against Python's own: what is benign comes back as the same values, shared where they were."""

from __future__ import annotations

import math
import pickle
import pickletools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.errors import ConvertError
from converter.safe.stand_ins import CONTAINER_NAMES, NUMPY_NAMES
from converter.safe.unpickler import load

NAMES = {**NUMPY_NAMES, **CONTAINER_NAMES}
KEYS = st.one_of(
    st.text(), st.integers(-(1 << 60) + 1, (1 << 60) - 1), st.none(), st.booleans(), st.floats(allow_nan=False)
)
PLAIN = st.one_of(KEYS, st.integers(-(1 << 2000), 1 << 2000), st.floats())
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(KEYS, inner), st.tuples(inner, inner)
    ),
)
PROTOCOLS = st.integers(0, pickle.HIGHEST_PROTOCOL)


def read(content: bytes) -> Any:
    loaded = load(memoryview(content), NAMES)
    assert loaded.end == len(content)
    assert loaded.foreign == ()
    return loaded.value


def same(a: Any, b: Any) -> bool:
    """Whether values are equal and of one type all through; NaN is NaN; bytes may be views."""
    if isinstance(a, memoryview) and isinstance(b, bytes | bytearray):
        return bytes(a) == bytes(b)
    if type(a) is not type(b) or (isinstance(a, list | tuple | dict | set) and len(a) != len(b)):
        return False
    if isinstance(a, list | tuple):
        return all(map(same, a, b))
    if isinstance(a, dict):
        return all(map(same, a, b)) and all(map(same, a.values(), b.values()))
    return bool(a == b) or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


@given(VALUES, PROTOCOLS, st.booleans())
def test_plain_values(value: Any, protocol: int, optimized: bool) -> None:
    content = pickle.dumps(value, protocol)
    content = pickletools.optimize(content) if optimized else content
    assert same(read(content), pickle.loads(content))


@given(st.sets(KEYS), st.integers(4, 5))
def test_sets(value: set[Any], protocol: int) -> None:
    assert read(pickle.dumps(value, protocol)) == value
    assert read(pickle.dumps(frozenset(value), protocol)) == value


@given(st.binary(max_size=2000), PROTOCOLS)
def test_bytes(value: bytes, protocol: int) -> None:
    assert bytes(read(pickle.dumps(value, protocol))) == value


@given(st.binary(max_size=2000))
def test_byte_arrays(value: bytes) -> None:
    assert bytes(read(pickle.dumps(bytearray(value), 5))) == value


@given(VALUES, st.integers(2, 5), PROTOCOLS)
def test_shared_values_stay_one_object(value: Any, count: int, protocol: int) -> None:
    shared = [value, []]
    found = read(pickle.dumps({"many": [shared] * count, "one": (shared,)}, protocol))
    assert all(other is found["one"][0] for other in found["many"])
    found["one"][0][1].append(1)
    assert found["many"][-1][1] == [1]


@given(PROTOCOLS, st.integers(1, 50))
def test_values_that_hold_themselves(protocol: int, depth: int) -> None:
    top: list[Any] = []
    inner: Any = top
    for level in range(depth):
        inner = {"level": level, "inner": (inner,)}
    top.append(inner)
    found = read(pickle.dumps(top, protocol))
    at: Any = found
    for level in reversed(range(depth)):
        at = at[0] if at is found else at
        assert at["level"] == level
        (at,) = at["inner"]
    assert at is found


@given(VALUES, PROTOCOLS)
def test_what_is_cut_off_is_refused(value: Any, protocol: int) -> None:
    content = pickle.dumps(value, protocol)
    for end in {0, 1, len(content) // 3, len(content) // 2, len(content) - 1}:
        with pytest.raises(ConvertError):
            load(memoryview(content[:end] or b"\x80"), NAMES)


@given(st.lists(VALUES, min_size=1, max_size=4), PROTOCOLS)
def test_pickles_one_after_another(values: list[Any], protocol: int) -> None:
    content, at = b"".join(pickle.dumps(value, protocol) for value in values), 0
    for value in values:
        found, at, _ = load(memoryview(content), NAMES, at)
        assert same(found, pickle.loads(pickle.dumps(value, protocol)))
    assert at == len(content)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        load(memoryview(content + b"."), NAMES)
    except ConvertError as error:
        assert "\n" not in str(error)


def test_all_operations_of_pickle_are_known_but_those_that_reach_outside() -> None:
    from converter.safe.unpickler import _HANDLERS

    known = {ord(op.code) for op in pickletools.opcodes}
    outside = {
        ord(op.code)
        for op in pickletools.opcodes
        if op.name in ("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER")
    }
    assert set(_HANDLERS) == known - outside - {ord(".")}
