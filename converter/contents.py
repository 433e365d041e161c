"""What a file holds, however it is wrapped: every tensor and every object by the path of keys that leads to it.

Programs put the same networks under all kinds of keys and prefixes. A form says by which tensors its networks are known
(`Form.marks`); they are found here wherever they stand, with what stands beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor

from converter.errors import ConvertError
from converter.foreign import ForeignNetwork
from converter.safe.budget import check_depth, spend
from converter.safe.stand_ins import Array, to_tensor
from converter.safe.torch_tensors import NotPlain, StoredTensor, exact_float32
from converter.safe.unpickler import Foreign

Mark = tuple[str, ...]
"""A kind of network, and the names of tensors that it has and nothing else has all of."""
MOST_NETWORKS = 100
_TENSORS = (Array, StoredTensor, NotPlain, Tensor)
_MODULE = ("_parameters", "_buffers", "_modules")
"""Where an `nn.Module` has what its state dict is of."""
_AVERAGED = re.compile(
    r"(?i)(^|[._])([gs]e|gs|g_?ema|ema|averaged?|\w*_ema|ema_\w+|\w*_smooth|g_running|shadow\w*|avg_?g)(?=[._]|$)"
)
"""In a path, what programs call the moving average of a generator."""


@dataclass(frozen=True)
class Found:
    """One network among the tensors of a file.

    kind: which of the kinds of its form it is.
    path: what stands before the names of its tensors.
    contents: all of the file.
    """

    kind: str
    path: str
    contents: Contents
    values: Mapping[str, Any]

    @property
    def is_discriminator(self) -> bool:
        """Whether it scores pictures; else it draws them."""
        return "Discriminator" in self.kind

    def tensors(self) -> dict[str, Tensor]:
        """Return its tensors as float32.

        Raises:
            ConvertError: naming one that cannot be had.
        """
        return {name: plain_tensor(value, name) for name, value in self.values.items()}

    def network(self, form: str, **more: Any) -> ForeignNetwork:
        """Return it as a network whose role is yet to be told.

        Args:
            form: id of its form.
            more: what its header says besides.

        Raises:
            ConvertError: naming a tensor that cannot be had as float32.
        """
        tensors = self.tensors()
        return ForeignNetwork("", form, {"build_func_name": self.kind, "variables": list(tensors), **more}, tensors)

    def beside(self, name: str) -> Any:
        """Return what stands under a name beside the network, or beside what it is in; None if there is nothing."""
        parts = self.path.split(".")[:-1]
        for count in range(len(parts), -1, -1):
            found = self.contents.all.get(".".join([*parts[:count], name]))
            if found is not None:
                return found
        return None


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    top: as it is.
    all: everything in it that has a path: tensors, numbers, objects, and what holds them.
    foreign: names of programs' classes in it that have inert stand-ins.
    """

    top: Any
    all: dict[str, Any] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()

    @cached_property
    def tensors(self) -> dict[str, Any]:
        """Tensors by path, not yet plain ones."""
        return {path: value for path, value in self.all.items() if isinstance(value, _TENSORS)}

    def of(self, kind: type) -> list[tuple[str, Any]]:
        """Return the objects of a class, each with its path, in the order of the file."""
        return [(path, value) for path, value in self.all.items() if type(value) is kind]

    def find(self, marks: Iterable[Mark]) -> list[Found]:
        """Return the networks that have the tensors by which kinds of a form are known; of several kinds, the first."""
        tensors = self.tensors
        places: dict[str, str] = {}
        for kind, *wanted in marks:
            for path in tensors:
                if path == wanted[0] or path.endswith("." + wanted[0]):
                    start = path.removesuffix(wanted[0])
                    if all(start + name in tensors for name in wanted):
                        places.setdefault(start, kind)
        if len(places) > MOST_NETWORKS:
            raise ConvertError(f"holds over {MOST_NETWORKS} networks, which no program writes")
        found = []
        for start, kind in places.items():
            inner = tuple(other for other in places if other != start and other.startswith(start))
            values = {
                path.removeprefix(start): value
                for path, value in tensors.items()
                if path.startswith(start) and not (inner and path.startswith(inner))
            }
            found.append(Found(kind, start, self, values))
        return found

    def besides(self, paths: list[str]) -> list[str]:
        """Return the keys that lead to none of the networks at some paths."""
        return list(dict.fromkeys(_besides(self.top, "", tuple(paths))))


def look(top: Any, foreign: tuple[str, ...] = ()) -> Contents:
    """Return what is in an object of a file.

    Raises:
        ConvertError: if it is more, or deeper, than any network needs.
    """
    contents = Contents(top, {}, foreign)
    for path, value in _walk(top, "", 0):
        contents.all.setdefault(path, value)
    return contents


def plain_tensor(value: Any, name: str) -> Tensor:
    """Return a tensor of a file as float32; raises ConvertError, naming it, if that is not exact."""
    return exact_float32(value, name) if isinstance(value, Tensor) else to_tensor(value, name)


def inner(value: Any) -> dict[Any, Any] | None:
    """Return what is in a container of a file, by key; None if it is none."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    if isinstance(value, Foreign):
        parts = {**dict(enumerate(value.elements)), **value.entries}
        state = value.state if isinstance(value.state, dict) else {}
        modules = [state[key] for key in _MODULE if isinstance(state.get(key), dict)]
        for part in modules or [state]:
            parts.update(part)
        return parts
    return None


def _walk(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    check_depth(depth)
    yield path, value
    for key, part in (inner(value) or {}).items():
        spend("values")
        if key is None or not isinstance(key, str | int):
            continue
        name = str(key)
        if len(name) > 500:
            raise ConvertError("holds a name of over 500 characters, which no network does")
        spend("bytes", len(path))
        yield from _walk(part, f"{path}.{name}" if path else name, depth + 1)


def _besides(value: Any, path: str, used: tuple[str, ...]) -> Iterator[str]:
    for key, part in (inner(value) or {}).items():
        here = f"{path}{key}."
        if here.startswith(used):
            continue
        if any(start.startswith(here) for start in used):
            yield from _besides(part, here, used)
        else:
            yield path + str(key).partition(".")[0]


def roles(places: list[tuple[str, bool]]) -> list[str]:
    """Return the role of each network of a file: "G_ema", "G", "D", or "" for one too many.

    A generator that is alone is the one to draw with, whatever it is called.

    Args:
        places: for each network, its path and whether it is a discriminator.
    """
    generators = [path for path, is_d in places if not is_d]
    averaged = [path for path in generators if _AVERAGED.search(path)] or generators
    raw = [path for path in generators if path not in averaged]
    first = {"G_ema": averaged[:1], "G": raw[:1], "D": [path for path, is_d in places if is_d][:1]}
    return [next((role for role, paths in first.items() if path in paths), "") for path, _ in places]
