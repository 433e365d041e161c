"""A pickle machine that can only build data.

The standard unpickler imports whatever a file names. This one runs the opcodes itself: it knows a fixed list of names,
each with a stand-in of ours. Names of other programs get an inert stand-in, which holds what the file says of an object
and does nothing; names of Python's own library, and functions that would be called, are refused before anything is done
with them. Bytes stay views into the file (a memory map, usually), so reading one network of three touches only that
one.

It covers the opcodes of protocols 0 to 5 but those that refer to something outside the file.
"""

from __future__ import annotations

import codecs
import pickle
import re
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

from converter.errors import ConvertError, UnsafePickleError
from converter.safe.budget import spend

Names = Mapping[tuple[str, str], "Callable[..., Any] | None"]
"""Allowed (module, name) → what calling or instantiating it gives; None: may be named but not called."""


class Global(NamedTuple):
    """A name met in a pickle, with its stand-in."""

    module: str
    name: str
    make: Callable[..., Any] | None

    def __call__(self, *args: Any) -> Any:
        """Call the stand-in; TypeError if the name may not be called."""
        if self.make is None:
            raise TypeError(f"{self.module}.{self.name} called")
        return self.make(*args)


class Foreign:
    """Stands for an object of a class that nothing here knows: holds what the file says of it, and does nothing.

    module, name: of its class.
    state: what it was given as its state.
    entries, elements: what a dict or a list that it may be was given.
    """

    def __init__(self, module: str, name: str, *args: Any, **kwargs: Any) -> None:
        self.module, self.name = module, name
        self.state: Any = None
        self.entries: dict[Any, Any] = {}
        self.elements: list[Any] = []

    def build(self, state: Any) -> None:
        """Take the state."""
        self.state = state


@runtime_checkable
class Inline(Protocol):
    """A stand-in whose data follow its state in the stream, as joblib's arrays do."""

    def take(self, read: Callable[[int], memoryview]) -> None:
        """Read the data."""


@runtime_checkable
class Stateful(Protocol):
    """A stand-in that accepts the BUILD opcode."""

    def build(self, state: Any) -> None:
        """Take the state of the pickled object."""


class Loaded(NamedTuple):
    """A pickled object, the offset of the first byte after it, and the names in it that got inert stand-ins."""

    value: Any
    end: int
    foreign: tuple[str, ...] = ()


def load(data: memoryview, names: Names, offset: int = 0, persistent: Callable[[Any], Any] | None = None) -> Loaded:
    """Read one pickle that starts at `offset`.

    Byte strings come back as views of `data`.

    Args:
        data: the whole file.
        names: the allow-list.
        offset: where the pickle starts, in bytes.
        persistent: called with each persistent id; None refuses them.

    Raises:
        UnsafePickleError: if the pickle names what is neither in `names` nor inert.
        ConvertError: if it is damaged, cut off, or takes more than a network does.
    """
    machine = _Machine(data, names, offset, persistent)
    try:
        return Loaded(machine.run(), machine.position, tuple(machine.foreign))
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ConvertError(f"is not a sound pickle: damaged or cut off near byte {machine.position}") from error


_MARK = object()
_KEYS = (str, int, float, type(None))
_WIDEST_KEY = 1 << 60
"""Whole numbers from here on may share a hash with as many others as a file likes."""
_COST_OF_NAME = 20
"""Operations."""
_OF_STATE_DICTS = {"_metadata"}
"""What state dicts have as objects, besides their entries."""
_LONGEST = 1000
"""Bytes of a number, or of a line that names something."""
_STRICT = ("numpy", "torch")
"""Packages whose classes are inert, and whose functions are refused but for those in the list of names."""
_LONGEST_NAME = 300
_PYTHON = sys.stdlib_module_names | {"__builtin__", "copy_reg", "nt", "exceptions", "commands"}
_HARMLESS = re.compile(
    r"pathlib\.\w*Path|pathlib\._local\.\w*Path|argparse\.Namespace|types\.SimpleNamespace|collections\.(defaultdict|deque)"
    r"|datetime\.\w+|functools\.partial|uuid\.UUID|(builtins|__builtin__)\.(list|dict|tuple|int|long|float|str|unicode"
    r"|bool|bytes|bytearray|object|slice|range|complex)|torch\.(device|Size|dtype|\w*(float|int|half|double|long)\w*)"
    r"|numpy\.random\._pickle\.\w+|numpy\.(float|int|uint|bool)\w*"
)
"""Names of Python's library and of the strict packages that hold data, or only name a type."""


def is_key(value: Any) -> bool:
    """Tell whether a dict or set may have a value as its key: it takes no time to hash and compare."""
    return isinstance(value, _KEYS) and not (isinstance(value, int) and abs(value) >= _WIDEST_KEY)


def _is_inert(module: str, name: str) -> bool:
    """Tell whether a name may have a stand-in that does nothing, so that what a network needs can still be read."""
    if len(module) + len(name) > _LONGEST_NAME:
        return False
    if _HARMLESS.fullmatch(f"{module}.{name}"):
        return True
    if not all(part.isidentifier() for part in module.split(".")) or not name.isidentifier() or name.startswith("__"):
        return False
    package = module.partition(".")[0]
    return package not in _PYTHON and (package not in _STRICT or name[0].isupper())


def _stand_in(module: str, name: str, *args: Any) -> Foreign:
    """Make an inert object. A function that is called is none: it would do something in the program it comes from."""
    if name[0].islower() and not _HARMLESS.fullmatch(f"{module}.{name}"):
        raise _unsafe(f"calls {module}.{name}")
    return Foreign(module, name)


def _unsafe(what: str) -> UnsafePickleError:
    return UnsafePickleError(f"{what}, which no network needs; refused, nothing was run")


@dataclass
class _Machine:
    data: memoryview
    names: Names
    position: int
    persistent: Callable[[Any], Any] | None
    foreign: dict[str, None] = field(default_factory=dict)

    def run(self) -> Any:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        while True:
            spend("operations")
            opcode = self.data[self.position]
            self.position += 1
            if opcode == pickle.STOP[0]:
                return self.stack.pop()
            handler = _HANDLERS.get(opcode)
            if handler is None:
                raise ConvertError(f"is not a sound pickle: opcode {opcode:#04x} at byte {self.position - 1}")
            handler(self)

    def read(self, size: int) -> memoryview:
        if size < 0 or self.position + size > len(self.data):
            raise ConvertError(f"is cut off: {size} bytes wanted at byte {self.position} of {len(self.data)}")
        self.position += size
        return self.data[self.position - size : self.position]

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.read(struct.calcsize("<" + code)))[0]

    def line(self, longest: int = _LONGEST) -> bytes:
        start, end = self.position, -1
        while end < 0:
            block = bytes(self.data[self.position : min(self.position + (1 << 16), start + longest)])
            if not block:
                what = "is cut off" if self.position == len(self.data) else "is not a sound pickle"
                raise ConvertError(f"{what}: no end of line after byte {start}")
            end = block.find(b"\n")
            self.position += len(block) if end < 0 else end + 1
        return bytes(self.data[start : self.position - 1])

    def name(self) -> str:
        return str(self.line(), "utf-8")

    def protocol(self) -> None:
        if self.read(1)[0] > pickle.HIGHEST_PROTOCOL:
            raise ConvertError("is a pickle of a protocol that is not known here")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:  # IndexError if there is none
            at -= 1
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def text(self, size: int) -> None:
        raw = self.read(size)
        spend("bytes", size)
        self.push(str(raw, "utf-8", "surrogatepass"))

    def text_line(self) -> None:
        raw = self.line(len(self.data))
        spend("bytes", 2 * len(raw))
        self.push(str(raw, "raw-unicode-escape"))

    def py2_string(self, raw: memoryview) -> None:
        # Python 2 has one type for names and raw data; what is long is data.
        self.push(str(raw, "latin-1") if len(raw) <= 1024 else raw)

    def py2_line(self) -> None:
        quoted = self.line(len(self.data)).strip()
        if len(quoted) < 2 or quoted[0] != quoted[-1] or quoted[:1] not in (b"'", b'"'):
            raise ValueError("a text without quotes")
        spend("bytes", 2 * len(quoted))
        self.py2_string(memoryview(bytearray(codecs.escape_decode(quoted[1:-1])[0])))

    def integer_line(self) -> None:
        line = self.line().strip().removesuffix(b"L")
        self.push(line == b"01" if line in (b"00", b"01") else int(line))

    def long(self, size: int) -> None:
        if size > _LONGEST:
            raise ValueError("a number of more than a thousand bytes")
        self.push(int.from_bytes(self.read(size), "little", signed=True))

    def find(self, module: str, name: str) -> None:
        spend("operations", _COST_OF_NAME)
        if (module, name) in self.names:
            make = self.names[module, name]
        elif _is_inert(module, name):
            make = partial(_stand_in, module, name)
            self.foreign[f"{module}.{name}"] = None
        else:
            raise _unsafe(f"asks for {module}.{name}")
        self.push(Global(module, name, make))

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("a name that is no text")
        self.find(module, name)

    def make(self, function: Any, args: Any) -> None:
        if not isinstance(function, Global) or not isinstance(args, tuple):
            raise TypeError("something else than an allowed name is called")
        self.push(function(*args))

    def call(self) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        self.make(function, args)

    def call_with_keywords(self) -> None:
        keywords, args, function = self.stack.pop(), self.stack.pop(), self.stack.pop()
        if keywords:
            raise TypeError("keywords for something that takes none")
        self.make(function, args)

    def call_marked(self) -> None:
        function, *args = self.pop_mark()
        self.make(function, tuple(args))

    def call_named(self) -> None:
        self.find(self.name(), self.name())
        function, args = self.stack.pop(), self.pop_mark()
        self.make(function, tuple(args))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is dict and isinstance(state, dict) and state.keys() <= _OF_STATE_DICTS:
            return
        if not isinstance(target, Stateful):
            raise TypeError("an object that takes no state is given one")
        target.build(state)
        if isinstance(target, Inline):
            target.take(self.read)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1].entries if isinstance(self.stack[-1], Foreign) else self.stack[-1]
        if type(target) is not dict:
            raise TypeError("items for something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not is_key(key):
                raise TypeError("a key that is neither text nor number")
            target[key] = value

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1].elements if isinstance(self.stack[-1], Foreign) else self.stack[-1]
        if type(target) is not list:
            raise TypeError("items for something that is no list")
        target.extend(items)

    def add_items(self) -> None:
        items, target = self.pop_mark(), self.stack[-1]
        if type(target) is not set or not all(map(is_key, items)):
            raise TypeError("a set of other things than texts and numbers")
        target.update(items)

    def top_tuple(self, size: int) -> None:
        items = self.stack[len(self.stack) - size :]
        if len(items) < size:
            raise IndexError("stack too short")
        del self.stack[len(self.stack) - size :]
        self.push(tuple(items))

    def persistent_id(self, identity: Any) -> None:
        if self.persistent is None:
            raise UnsafePickleError("refers to objects outside itself; refused")
        self.push(self.persistent(identity))

    def frozen_set(self) -> None:
        items = self.pop_mark()
        self.push(set())
        self.push(_MARK)
        self.stack += items
        self.add_items()

    def memoize(self, index: int) -> None:
        if not 0 <= index < 1 << 32:
            raise ValueError("a place in the memo that no pickle has")
        self.memo[index] = self.stack[-1]

    def set_pair(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def marked_dict(self) -> None:
        items = self.pop_mark()
        self.push({})
        self.set_items(items)

    def set_marked(self) -> None:
        items = self.pop_mark()
        self.set_items(items)

    def append_marked(self) -> None:
        items = self.pop_mark()
        self.append(items)

    def append_one(self) -> None:
        item = self.stack.pop()
        self.append([item])


_HANDLERS: dict[int, Callable[[_Machine], Any]] = {
    opcode[0]: handler
    for opcode, handler in {
        pickle.PROTO: _Machine.protocol,
        pickle.FRAME: lambda m: m.read(8),
        pickle.MARK: lambda m: m.push(_MARK),
        pickle.POP: lambda m: m.stack.pop(),
        pickle.POP_MARK: lambda m: m.pop_mark(),
        pickle.DUP: lambda m: m.push(m.stack[-1]),
        pickle.NONE: lambda m: m.push(None),
        pickle.NEWTRUE: lambda m: m.push(True),
        pickle.NEWFALSE: lambda m: m.push(False),
        pickle.BININT: lambda m: m.push(m.number("i")),
        pickle.BININT1: lambda m: m.push(m.number("B")),
        pickle.BININT2: lambda m: m.push(m.number("H")),
        pickle.INT: _Machine.integer_line,
        pickle.LONG: _Machine.integer_line,
        pickle.LONG1: lambda m: m.long(m.number("B")),
        pickle.LONG4: lambda m: m.long(m.number("i")),
        pickle.FLOAT: lambda m: m.push(float(m.line())),
        pickle.BINFLOAT: lambda m: m.push(struct.unpack(">d", m.read(8))[0]),
        pickle.BINUNICODE: lambda m: m.text(m.number("I")),
        pickle.SHORT_BINUNICODE: lambda m: m.text(m.number("B")),
        pickle.BINUNICODE8: lambda m: m.text(m.number("Q")),
        pickle.UNICODE: _Machine.text_line,
        pickle.STRING: _Machine.py2_line,
        pickle.BINSTRING: lambda m: m.py2_string(m.read(m.number("i"))),
        pickle.SHORT_BINSTRING: lambda m: m.py2_string(m.read(m.number("B"))),
        pickle.BINBYTES: lambda m: m.push(m.read(m.number("I"))),
        pickle.SHORT_BINBYTES: lambda m: m.push(m.read(m.number("B"))),
        pickle.BINBYTES8: lambda m: m.push(m.read(m.number("Q"))),
        pickle.BYTEARRAY8: lambda m: m.push(m.read(m.number("Q"))),
        pickle.EMPTY_LIST: lambda m: m.push([]),
        pickle.EMPTY_DICT: lambda m: m.push({}),
        pickle.EMPTY_SET: lambda m: m.push(set()),
        pickle.EMPTY_TUPLE: lambda m: m.push(()),
        pickle.TUPLE: lambda m: m.push(tuple(m.pop_mark())),
        pickle.TUPLE1: lambda m: m.top_tuple(1),
        pickle.TUPLE2: lambda m: m.top_tuple(2),
        pickle.TUPLE3: lambda m: m.top_tuple(3),
        pickle.LIST: lambda m: m.push(m.pop_mark()),
        pickle.DICT: _Machine.marked_dict,
        pickle.APPEND: _Machine.append_one,
        pickle.APPENDS: _Machine.append_marked,
        pickle.SETITEM: _Machine.set_pair,
        pickle.SETITEMS: _Machine.set_marked,
        pickle.ADDITEMS: _Machine.add_items,
        pickle.FROZENSET: _Machine.frozen_set,
        pickle.PUT: lambda m: m.memoize(int(m.line())),
        pickle.GET: lambda m: m.push(m.memo[int(m.line())]),
        pickle.BINPUT: lambda m: m.memoize(m.number("B")),
        pickle.LONG_BINPUT: lambda m: m.memoize(m.number("I")),
        pickle.MEMOIZE: lambda m: m.memoize(len(m.memo)),
        pickle.BINGET: lambda m: m.push(m.memo[m.number("B")]),
        pickle.LONG_BINGET: lambda m: m.push(m.memo[m.number("I")]),
        pickle.GLOBAL: lambda m: m.find(m.name(), m.name()),
        pickle.STACK_GLOBAL: _Machine.stack_global,
        pickle.REDUCE: _Machine.call,
        pickle.NEWOBJ: _Machine.call,
        pickle.NEWOBJ_EX: _Machine.call_with_keywords,
        pickle.OBJ: _Machine.call_marked,
        pickle.INST: _Machine.call_named,
        pickle.BUILD: _Machine.build,
        pickle.BINPERSID: lambda m: m.persistent_id(m.stack.pop()),
        pickle.PERSID: lambda m: m.persistent_id(m.name()),
    }.items()
}
