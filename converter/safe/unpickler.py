"""A pickle machine that can only build data.

The standard unpickler imports whatever a file names. This one runs the opcodes itself: it knows a fixed list of names,
each with a stand-in of ours, and refuses every other name before anything is done with it. Bytes stay views into the
file (a memory map, usually), so reading one network of three touches only that one.

It covers the binary opcodes of protocols 2 to 5, which is what the official programs wrote.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from converter.errors import ConvertError, UnsafePickleError

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


@runtime_checkable
class Stateful(Protocol):
    """A stand-in that accepts the BUILD opcode."""

    def build(self, state: Any) -> None:
        """Take the state of the pickled object."""


class Loaded(NamedTuple):
    """A pickled object and the offset of the first byte after it."""

    value: Any
    end: int


def load(data: memoryview, names: Names, offset: int = 0, persistent: Callable[[Any], Any] | None = None) -> Loaded:
    """Read one pickle that starts at `offset`.

    Byte strings come back as views of `data`.

    Args:
        data: the whole file.
        names: the allow-list.
        offset: where the pickle starts, in bytes.
        persistent: called with each persistent id; None refuses them.

    Raises:
        UnsafePickleError: if the pickle names anything outside `names`.
        ConvertError: if it is damaged, cut off or not a pickle of protocol 2 to 5.
    """
    machine = _Machine(data, names, offset, persistent)
    try:
        return Loaded(machine.run(), machine.position)
    except ConvertError:
        raise
    except (
        IndexError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        struct.error,
        OverflowError,
    ) as error:
        raise ConvertError(f"is not a sound pickle: damaged or cut off near byte {machine.position}") from error


MAX_OPCODES = 2_000_000
"""Official files need some ten thousand."""
_MARK = object()
_KEYS = (str, int, float, bytes, type(None))


@dataclass
class _Machine:
    data: memoryview
    names: Names
    position: int
    persistent: Callable[[Any], Any] | None

    def run(self) -> Any:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.recoded = 0
        if self.data[self.position] != pickle.PROTO[0] or not 2 <= self.data[self.position + 1] <= 5:
            raise ConvertError("is not a pickle of protocol 2 to 5")
        for _ in range(MAX_OPCODES):
            opcode = self.data[self.position]
            self.position += 1
            if opcode == pickle.STOP[0]:
                return self.stack.pop()
            handler = _HANDLERS.get(opcode)
            if handler is None:
                raise ConvertError(f"is not a sound pickle: opcode {opcode:#04x} at byte {self.position - 1}")
            handler(self)
        raise ConvertError(f"holds more than {MAX_OPCODES:,} objects, which no network does")

    def read(self, size: int) -> memoryview:
        if size < 0 or self.position + size > len(self.data):
            raise ConvertError(f"is cut off: {size} bytes wanted at byte {self.position} of {len(self.data)}")
        self.position += size
        return self.data[self.position - size : self.position]

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.read(struct.calcsize("<" + code)))[0]

    def line(self) -> str:
        for end in range(self.position, min(self.position + 1000, len(self.data))):
            if self.data[end] == 0x0A:
                text = str(self.data[self.position : end], "utf-8")
                self.position = end + 1
                return text
        raise ConvertError(f"is not a sound pickle: no end of line after byte {self.position}")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise IndexError("no mark")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def text(self, size: int) -> None:
        self.push(str(self.read(size), "utf-8", "surrogatepass"))

    def py2_string(self, size: int) -> None:
        # Python 2 has one type for names and raw data; what is long is data.
        raw = self.read(size)
        self.push(str(raw, "latin-1") if size <= 1024 else raw)

    def find(self, module: str, name: str) -> None:
        if (module, name) not in self.names:
            raise UnsafePickleError(
                f"asks for {module}.{name}, which no network of a known release needs; refused, nothing was run"
            )
        self.push(Global(module, name, self.names[module, name]))

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("a name that is no text")
        self.find(module, name)

    def call(self) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Global) or not isinstance(args, tuple):
            raise TypeError("something else than an allowed name is called")
        made = function(*args)
        if isinstance(made, memoryview):
            # Recoding one text over and over would fill the memory; honest files recode each once.
            self.recoded += made.nbytes
            if self.recoded > len(self.data):
                raise ConvertError("recodes more text than it holds")
        self.push(made)

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, Stateful):
            raise TypeError("an object that takes no state is given one")
        target.build(state)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict:
            raise TypeError("items for something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, _KEYS):
                raise TypeError("a key that is neither text nor number")
            target[key] = value

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise TypeError("items for something that is no list")
        target.extend(items)

    def add_items(self) -> None:
        items, target = self.pop_mark(), self.stack[-1]
        if type(target) is not set or not all(isinstance(item, _KEYS) for item in items):
            raise TypeError("a set of other things than texts and numbers")
        target.update(items)

    def top_tuple(self, size: int) -> None:
        items = self.stack[len(self.stack) - size :]
        if len(items) < size:
            raise IndexError("stack too short")
        del self.stack[len(self.stack) - size :]
        self.push(tuple(items))

    def persistent_id(self) -> None:
        if self.persistent is None:
            raise UnsafePickleError("refers to objects outside itself; refused")
        self.push(self.persistent(self.stack.pop()))

    def memoize(self, index: int) -> None:
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
        pickle.PROTO: lambda m: m.read(1),
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
        pickle.LONG1: lambda m: m.push(int.from_bytes(m.read(m.number("B")), "little", signed=True)),
        pickle.BINFLOAT: lambda m: m.push(struct.unpack(">d", m.read(8))[0]),
        pickle.BINUNICODE: lambda m: m.text(m.number("I")),
        pickle.SHORT_BINUNICODE: lambda m: m.text(m.number("B")),
        pickle.BINUNICODE8: lambda m: m.text(m.number("Q")),
        pickle.BINSTRING: lambda m: m.py2_string(m.number("i")),
        pickle.SHORT_BINSTRING: lambda m: m.py2_string(m.number("B")),
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
        pickle.BINPUT: lambda m: m.memoize(m.number("B")),
        pickle.LONG_BINPUT: lambda m: m.memoize(m.number("I")),
        pickle.MEMOIZE: lambda m: m.memoize(len(m.memo)),
        pickle.BINGET: lambda m: m.push(m.memo[m.number("B")]),
        pickle.LONG_BINGET: lambda m: m.push(m.memo[m.number("I")]),
        pickle.GLOBAL: lambda m: m.find(m.line(), m.line()),
        pickle.STACK_GLOBAL: _Machine.stack_global,
        pickle.REDUCE: _Machine.call,
        pickle.NEWOBJ: _Machine.call,
        pickle.BUILD: _Machine.build,
        pickle.BINPERSID: _Machine.persistent_id,
    }.items()
}
