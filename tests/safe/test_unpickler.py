"""The pickle machine, opcode by opcode: what it makes, and what it refuses."""

from __future__ import annotations

import pickle
import struct
from typing import Any

import pytest

from converter.errors import ConvertError, UnsafePickleError
from converter.safe.budget import budget
from converter.safe.unpickler import Foreign, Global, Loaded, load
from tests.tools.hostile import call, data, group, listing, name, number, pickled, table, text


class Pair:
    """A stand-in that keeps what it is given."""

    def __init__(self, *args: Any) -> None:
        self.args: Any = args
        self.state: Any = None

    def build(self, state: Any) -> None:
        self.state = state


class Following(Pair):
    """A stand-in whose data follow in the stream."""

    def take(self, read: Any) -> None:
        self.data = bytes(read(3))


NAMES: dict[tuple[str, str], Any] = {
    ("ours", "Pair"): Pair,
    ("ours", "Following"): Following,
    ("ours", "only_named"): None,
}
PAIR = name("ours", "Pair")


def _load(*code: bytes, **options: Any) -> Any:
    return load(memoryview(pickled(*code)), NAMES, **options).value


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_of_every_protocol(protocol: int) -> None:
    value = {
        "a": [1, 2.5, None, True, False, -1, 256, 1 << 20, 1 << 40, 1 << 3000, -(1 << 31)],
        "ü\ud800": ("t", (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ()),
        1: {"nested": {2.5: "x" * 300}},
        None: [[], {}, [1]],
    }
    value["again"] = value["a"]
    found = load(memoryview(pickle.dumps(value, protocol)), {}).value
    assert found == value
    assert found["again"] is found["a"]


def test_sets() -> None:
    assert load(memoryview(pickle.dumps([{1, "a"}, frozenset({2, None})], 4)), {}).value == [{1, "a"}, {2, None}]


def test_bytes_are_views_of_the_file() -> None:
    content = memoryview(pickle.dumps([b"a" * 10, b"b" * 300, bytearray(b"c")], 5))
    found = load(content, {}).value
    assert [bytes(each) for each in found] == [b"a" * 10, b"b" * 300, b"c"]
    assert all(each.obj is content.obj for each in found)


def test_texts_of_python_2_are_names_if_they_are_short() -> None:
    long = b"\xff" * 1025
    assert _load(b"U\x02a\xff") == "a\xff"
    assert _load(b"T" + struct.pack("<i", 1024) + long[:1024]) == "\xff" * 1024
    assert bytes(_load(b"T" + struct.pack("<i", 1025) + long)) == long
    assert _load(b"S'a\\x41'\n") == "aA"
    assert _load(b'S"a"\n') == "a"
    assert _load(b"S''\n") == ""


def test_a_pickle_has_an_end_and_a_beginning() -> None:
    content = b"before" + pickled(text("x")) + b"after"
    assert load(memoryview(content), {}, offset=6) == Loaded("x", len(content) - 5, ())


def test_numbers_as_lines() -> None:
    assert _load(b"I7\nL-8L\nF1.5\n", b"\x87") == (7, -8, 1.5)
    assert _load(b"I01\n") is True
    assert _load(b"I00\n") is False
    assert _load(b"L" + b"9" * 900 + b"L\n") == int("9" * 900)
    assert _load(b"\x8b" + struct.pack("<i", 1000) + bytes(999) + b"\x01") == 1 << 7992


def test_names_that_are_allowed_or_inert() -> None:
    assert _load(PAIR) == Global("ours", "Pair", Pair)
    made = _load(PAIR, group(number(1)), b"R", number(2), b"b")
    assert (made.args, made.state) == ((1,), 2)
    assert _load(b"(", number(1), b"iours\nPair\n").args == (1,)
    assert _load(b"(", PAIR, number(1), b"o").args == (1,)
    assert _load(PAIR, b")}\x92").args == ()
    assert _load(name("ours", "Following"), b")R", b"Nb", b"abc").data == b"abc"


def test_foreign_objects_hold_what_the_file_says() -> None:
    content = name("other.program", "Thing") + b")R" + table(a=number(1)) + b"b"
    content += b"(" + text("k") + number(2) + b"u" + text("l") + number(3) + b"s(" + number(4) + b"e" + number(5) + b"a"
    found, _, foreign = load(memoryview(pickled(content)), NAMES)
    assert isinstance(found, Foreign)
    assert (found.module, found.name, found.state) == ("other.program", "Thing", {"a": 1})
    assert (found.entries, found.elements) == ({"k": 2, "l": 3}, [4, 5])
    assert foreign == ("other.program.Thing",)


def test_state_dicts_may_have_metadata() -> None:
    assert _load(b"}", table(_metadata=b"}"), b"b") == {}


def test_other_opcodes() -> None:
    assert _load(number(1), b"2\x86") == (1, 1)
    assert _load(number(1), number(2), b"0") == 1
    assert _load(number(1), b"(", number(2), b"1") == 1
    assert _load(b"(", number(1), number(2), b"l") == [1, 2]
    assert _load(b"(", text("a"), number(2), b"d") == {"a": 2}
    assert _load(text("x"), b"p7\n0g7\n") == "x"
    assert _load(text("x"), b"q\x070h\x07") == "x"
    assert _load(text("x"), b"\x94", text("y"), b"\x94h\x00h\x01", b"\x86") == ("x", "y")
    assert _load(b"K\x01Q", persistent=lambda identity: [identity]) == [1]
    assert _load(b"Pabc\n", persistent=lambda identity: [identity]) == ["abc"]


# Names.

INERT = [
    ("other.program", "Class"),
    ("other", "CONSTANT"),
    ("numpy.random", "RandomState"),
    ("torch.optim.adam", "Adam"),
    ("pathlib", "PosixPath"),
    ("pathlib._local", "WindowsPath"),
    ("builtins", "int"),
    ("__builtin__", "unicode"),
    ("torch", "float32"),
    ("torch", "device"),
    ("numpy", "float64"),
    ("collections", "defaultdict"),
    ("functools", "partial"),
    ("a" * 150, "B" * 150),
]
REFUSED = [
    ("os", "system"),
    ("os", "Class"),
    ("os.path", "Join"),
    ("sys", "Thing"),
    ("__builtin__", "Eval"),
    ("copy_reg", "Thing"),
    ("nt", "Thing"),
    ("exceptions", "Thing"),
    ("commands", "Getoutput"),
    ("builtins", "eval"),
    ("builtins", "interest"),
    ("pathlib", "os"),
    ("numpy", "load"),
    ("numpy.lib", "load"),
    ("torch", "load"),
    ("torch.hub", "load"),
    ("collections", "namedtuple"),
    ("functools", "reduce"),
    ("other", "__globals__"),
    ("other", "Class.method"),
    ("other", "a b"),
    ("other", ""),
    ("", "Class"),
    ("other..program", "Class"),
    ("other-program", "Class"),
    ("a" * 151, "B" * 150),
    ("pathlib", "Path" * 100),
]


@pytest.mark.parametrize(("module", "attribute"), INERT)
def test_names_with_inert_stand_ins(module: str, attribute: str) -> None:
    found, _, foreign = load(memoryview(pickled(name(module, attribute))), NAMES)
    assert isinstance(found, Global) and (found.module, found.name) == (module, attribute)
    assert foreign == (f"{module}.{attribute}",)


@pytest.mark.parametrize(("module", "attribute"), REFUSED)
def test_names_that_are_refused(module: str, attribute: str) -> None:
    for code in (name(module, attribute), text(module) + text(attribute) + b"\x93"):
        with pytest.raises(UnsafePickleError, match=r"asks for .*, which no network needs; refused, nothing was run"):
            _load(code)


def test_functions_of_others_are_named_but_not_called() -> None:
    assert _load(name("other", "function")).name == "function"
    with pytest.raises(UnsafePickleError, match=r"calls other\.function, which no network needs"):
        _load(call("other:function", number(1)))
    for of_types in ("builtins:int", "torch:device", "functools:partial"):
        assert isinstance(_load(call(of_types, number(1))), Foreign)
    assert isinstance(_load(call("other:Class", number(1))), Foreign)


# What is no sound pickle.

BROKEN: dict[str, tuple[bytes, str]] = {
    "an unknown opcode": (b"\xff", "opcode 0xff at byte 2"),
    "a later protocol": (b"\x80\x06", "is a pickle of a protocol that is not known here"),
    "too little": (b"X\x05\x00\x00\x00abc", "is cut off: 5 bytes wanted at byte 7 of 10"),
    "less than nothing": (b"T\xff\xff\xff\xff", "is cut off: -1 bytes wanted"),
    "a line without an end": (b"Iab", "is cut off: no end of line after byte 3"),
    "a long line": (b"I" + b"1" * 1001, "is not a sound pickle: no end of line after byte 3"),
    "a line that is longer than a name": (b"c" + b"a" * 70_000 + b"\nb\n", "no end of line after byte 3"),
    "a number of many bytes": (
        b"\x8b" + struct.pack("<i", 1001) + bytes(1001),
        "a number of more than a thousand bytes",
    ),
    "a text that is none": (b"X\x01\x00\x00\x00\xff", "near byte"),
    "a name that is no text": (b"c\xff\nb\n", "near byte"),
    "a number that is none": (b"Iabc\n", "near byte"),
    "no quotes": (b"Sab\n", "a text without quotes"),
    "one quote": (b"S'\n", "a text without quotes"),
    "two sorts of quotes": (b"S'a\"\n", "a text without quotes"),
    "quotes that are none": (b"Saba\n", "a text without quotes"),
    "an escape that is none": (b"S'\\xg'\n", "near byte"),
    "nothing on the stack": (b"0", "near byte"),
    "a tuple of more than there is": (number(1) + b"\x87", "stack too short"),
    "no mark": (number(1) + b"t", "near byte"),
    "no mark below others": (number(1) * 5 + b"t", "near byte"),
    "no slot": (b"h\x05", "near byte"),
    "no slot, as a line": (b"g5\n", "near byte"),
    "a module that is no text": (number(1) + text("a") + b"\x93", "a name that is no text"),
    "a name that is a number": (text("a") + number(1) + b"\x93", "a name that is no text"),
    "a call of a text": (text("os.system") + group() + b"R", "something else than an allowed name is called"),
    "a call with a list": (PAIR + listing() + b"R", "something else than an allowed name is called"),
    "a call of what is only named": (name("ours", "only_named") + b")R", "ours.only_named called"),
    "a call by mark of a text": (b"(" + text("x") + b"o", "something else than an allowed name is called"),
    "an object of nothing": (b"(o", "near byte"),
    "keywords": (PAIR + b")" + table(a=number(1)) + b"\x92", "keywords for something that takes none"),
    "state for a dict": (b"}" + table(a=number(1)) + b"b", "an object that takes no state"),
    "state for a dict beside metadata": (
        b"}" + table(_metadata=b"}", a=number(1)) + b"b",
        "an object that takes no state",
    ),
    "state that is no dict for a dict": (b"}" + listing(text("_metadata")) + b"b", "an object that takes no state"),
    "state for a list": (b"]" + b"}b", "an object that takes no state"),
    "state for a name": (PAIR + b"}b", "an object that takes no state"),
    "data that are cut off": (name("ours", "Following") + b")RNba", "is cut off"),
    "items for a list": (b"]" + text("a") + number(1) + b"s", "items for something that is no dict"),
    "items for a text": (text("x") + b"(" + text("a") + number(1) + b"u", "items for something that is no dict"),
    "an odd number of items": (b"}(" + text("a") + b"u", "near byte"),
    "a dict of an odd number": (b"(" + text("a") + b"d", "near byte"),
    "a key that is a tuple": (b"})Ns", "a key that is neither text nor number"),
    "a key that is a view": (b"}" + data(b"x") + b"Ns", "a key that is neither text nor number"),
    "elements for a dict": (b"}" + number(1) + b"a", "items for something that is no list"),
    "elements for a tuple": (b")(" + number(1) + b"e", "items for something that is no list"),
    "members for a list": (b"](" + number(1) + b"\x90", "a set of other things"),
    "members that are tuples": (b"\x8f()\x90", "a set of other things"),
    "members of which one is a tuple": (b"\x8f(" + text("a") + b")\x90", "a set of other things"),
    "members of a frozen set that are tuples": (b"()\x91", "a set of other things"),
    "an index that is none": (text("x") + b"pa\n", "near byte"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_pickles(case: str) -> None:
    code, words = BROKEN[case]
    with pytest.raises(ConvertError) as caught:
        load(memoryview(pickled(code)[:-1] if words.startswith("is cut off") else pickled(code)), NAMES)
    assert not isinstance(caught.value, UnsafePickleError)
    assert words in f"{caught.value}; {caught.value.__cause__}"
    if caught.value.__cause__:
        assert "is not a sound pickle: damaged or cut off near byte" in str(caught.value)


def test_a_pickle_without_an_end() -> None:
    with pytest.raises(ConvertError, match="damaged or cut off near byte 3"):
        load(memoryview(b"\x80\x02N"), {})


def test_objects_outside_the_file_are_refused() -> None:
    for code in (b"K\x01Q", b"Pabc\n"):
        with pytest.raises(UnsafePickleError, match="refers to objects outside itself; refused"):
            _load(code)


def test_long_lines_are_read_whole() -> None:
    long = "a" * 200_000
    assert _load(b"V" + long.encode() + b"\n") == long
    assert bytes(_load(b"S'" + long.encode() + b"'\n")) == long.encode()


# What is made is counted.


def test_operations_are_counted() -> None:
    code = b"N0" * 499_999
    with budget(1 << 30):
        load(memoryview(code + b"N."), {})
    with budget(1 << 30), pytest.raises(ConvertError, match="takes more than 1,000,000 operations"):
        load(memoryview(code + b"N0N."), {})


COPIED: dict[str, tuple[bytes, int]] = {
    "a text": (text("x" * 1000), 1000),
    "a text of the first protocol": (b"V" + b"x" * 1000 + b"\n", 2000),
    "a quoted text": (b"S'" + b"x" * 998 + b"'\n", 2000),
}


@pytest.mark.parametrize("case", COPIED)
def test_copies_are_counted(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, size = COPIED[case]
    monkeypatch.setattr("converter.safe.budget.SPARE", size)
    with budget(0):
        _load(code)
    monkeypatch.setattr("converter.safe.budget.SPARE", size - 1)
    with budget(0), pytest.raises(ConvertError, match="takes more than"):
        _load(code)
