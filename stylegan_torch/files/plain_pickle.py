"""A look at a pickle before torch reads it: is it a tree of plain data, as `torch.save` writes of dicts and tensors?

`torch.load(weights_only=True)` runs nothing of a file, but it builds all that is in it. A few bytes can be a tuple of a
tuple of … that holds itself twice at each level, for which a hash, a comparison or a print takes years, or that is so
deep that C code overflows its stack. So only text, numbers and tensors may be used twice, and keys are text or numbers.
"""

from __future__ import annotations

import pickletools
import zipfile
from dataclasses import dataclass
from pathlib import Path

from stylegan_torch.errors import CheckpointError

MAX_BYTES = 64 << 20
"""Of the pickle, whose tensors' numbers are beside it."""
MAX_DEPTH = 100

_KEYS = frozenset(("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1"))
_LEAVES = _KEYS | {"NONE", "NEWTRUE", "NEWFALSE", "BINFLOAT", "GLOBAL"}
_EMPTY = frozenset(("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"))
_MADE = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "BINPERSID": 1, "REDUCE": 2, "BUILD": 2}
"""Opcodes that make a value of so many others."""
_INTO = {"APPEND": 1, "SETITEM": 2}
"""Opcodes that put so many values into another; those of all since the mark have an S more."""


@dataclass(slots=True)
class _Value:
    """What stands for a value.

    made: by which opcode.
    again: it may be used more than once, since there is nothing in it.
    module: of a name.
    depth: how many containers are in one another.
    """

    made: str
    again: bool = False
    module: str = ""
    depth: int = 0

    def take(self, parts: list[_Value]) -> None:
        self.depth = max([self.depth, *(part.depth + 1 for part in parts)])
        if self.depth > MAX_DEPTH:
            raise CheckpointError("holds data nested deeper than in any file of ours")


def check_pickle_of(path: Path) -> None:
    """Look at the pickle in a zip file of `torch.save`.

    Raises:
        CheckpointError: if it is not what such files have.
        ValueError, LookupError, zipfile.BadZipFile: if it is none.
        OSError: if the file cannot be read.
    """
    with zipfile.ZipFile(path) as archive:
        (member,) = (entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl"))
        if member.compress_type != zipfile.ZIP_STORED or member.file_size > MAX_BYTES:
            raise CheckpointError("is packed otherwise than files of ours are")
        check_pickle(archive.read(member))


def check_pickle(data: bytes) -> None:
    """Raise CheckpointError, ValueError or LookupError unless a pickle is a tree of plain data."""
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(data):
        machine.step(opcode.name, argument)


class _Machine:
    """What an unpickler has, with what stands for the values."""

    def __init__(self) -> None:
        self.stack: list[_Value] = []
        self.marks: list[int] = []
        self.memo: dict[object, _Value] = {}

    def step(self, name: str, argument: object) -> None:
        if name in _LEAVES:
            self.stack.append(_Value(name, True, str(argument).partition(" ")[0] if name == "GLOBAL" else ""))
        elif name in _EMPTY:
            self.stack.append(_Value(name))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.get(argument)
        elif name == "MARK":
            self.marks.append(len(self.stack))
        elif name in _MADE or name == "TUPLE":
            self.make(name, self.pop(_MADE[name]) if name in _MADE else self.since_mark())
        elif name.removesuffix("S") in _INTO:
            self.put(self.pop(_INTO[name]) if name in _INTO else self.since_mark(), name.startswith("SET"))
        elif name not in ("PROTO", "STOP"):
            raise CheckpointError(f"has the opcode {name}, which no file of ours does")

    def pop(self, count: int) -> list[_Value]:
        """Take values from the stack; those below the last mark are out of reach."""
        start = len(self.stack) - count
        if start < (self.marks[-1] if self.marks else 0):
            raise LookupError("stack")
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def since_mark(self) -> list[_Value]:
        taken = self.pop(len(self.stack) - self.marks[-1])
        self.marks.pop()
        return taken

    def get(self, place: object) -> None:
        if not self.memo[place].again:
            raise CheckpointError("holds a container twice, which no file of ours does")
        self.stack.append(self.memo[place])

    def make(self, name: str, parts: list[_Value]) -> None:
        is_tensor = name == "REDUCE" and parts[0].module == "torch._utils"
        self.stack.append(_Value(name, is_tensor))
        self.stack[-1].take(parts)

    def put(self, parts: list[_Value], by_key: bool) -> None:
        if by_key and any(key.made not in _KEYS for key in parts[::2]):
            raise CheckpointError("has keys that are neither text nor numbers")
        self.stack[-1].take(parts)
