"""A file form: all there is to know of one, in one object. What the house knows of forms derives from such objects.

Importing a form imports no PyTorch, so that options and help texts can be told at once: its functions are given by
`Later`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from converter.header import Header

if TYPE_CHECKING:
    from converter.contents import Contents, Found, Mark
    from converter.foreign import ForeignFile, ForeignNetwork, Keywords
    from converter.safe.unpickler import Names
    from converter.table import Table
    from stylegan_torch.files.checkpoint import Checkpoint
    from stylegan_torch.networks.registry import Config

NOISES = ("const", "inputs", "none")
"""Where the noise of a graph comes from: the stored maps, its inputs, or nowhere."""
OPSETS = (18, 23)
"""The lowest and the highest version of ONNX's operators that graphs may use."""
DTYPES = ("float32", "float16")
"""What weights of a graph are, and what it calculates with where that is enough."""
STATE_DICTS = (".pt", ".pth")
"""What names of PyTorch files end in, whatever program they are for."""


@dataclass(frozen=True)
class Later:
    """A function that is imported when it is first called.

    place: "package.module:function".
    """

    place: str

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(module), name)

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        return self.__wrapped__(*arguments)


def _unchanged(network: ForeignNetwork) -> ForeignNetwork:
    return network


@dataclass(frozen=True)
class Kind:
    """How one kind of network of a form is read, and turned back into what it came from.

    config: its config, from header and tensors; the annotation of what it returns is the class of the config.
    table: the rows of its tensors, given the config too.
    complete: makes what some files of this form lack.
    """

    config: Callable[[ForeignNetwork], Config]
    table: Callable[[ForeignNetwork, Any], Table]
    complete: Callable[[ForeignNetwork], ForeignNetwork] = _unchanged


def kind(module: str, name: str, completed: bool = False) -> Kind:
    """Return the kind whose functions are `<name>_config`, `<name>_table` and, if `completed`, `complete`."""
    config, table = (Later(f"{module}:{name}_{part}") for part in ("config", "table"))
    return Kind(config, table, Later(f"{module}:complete")) if completed else Kind(config, table)


@dataclass(frozen=True)
class Options:
    """What the user may choose.

    fresh_d: format nvidia makes an untrained discriminator where there is none.
    noise: where the noise of a graph comes from, one of `NOISES`.
    opset: the version of the operators of an ONNX model, within `OPSETS`.
    dtype: one of `DTYPES`.
    name: what the file will be called; `convert` knows.
    """

    fresh_d: bool = False
    noise: str = NOISES[0]
    opset: int = OPSETS[0]
    dtype: str = DTYPES[0]
    name: str = ""


class Written(NamedTuple):
    """What was written, and notes on what is not as it was.

    beside: what belongs into more files, by what their names have behind that of the file.
    """

    checkpoint: Checkpoint
    notes: list[str]
    beside: Mapping[str, bytes | bytearray] = MappingProxyType({})


@dataclass(frozen=True)
class Writer:
    """How networks are written in a form.

    format: what `--format` calls it.
    suffixes: what the name of such a file may end in. One that no other form has says by itself what to write.
    opens: who opens it.
    families: those it may have a place for.
    write: given an open file, a `Checkpoint` and `Options`, writes, reads back, compares and returns `Written`; raises
        ConvertError, saying why, if the form can't hold a network.
    heeds: the `Options` that matter to it.
    names: words of which a file's name should have one, as programs that open such files go by it.
    """

    format: str
    suffixes: tuple[str, ...]
    opens: str
    families: tuple[str, ...]
    write: Callable[[IO[bytes], Checkpoint, Options], Written]
    heeds: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def name_notes(self, name: str) -> list[str]:
        """Return what to say of a file's name."""
        if not self.names or any(word in name.lower() for word in self.names):
            return []
        return [f"the name {name} holds neither {' nor '.join(self.names)}, by which DragGAN tells networks apart"]


@dataclass(frozen=True)
class Form:
    """One form of files.

    id: what records in our files call it; it stays as it is once files have it.
    title: what messages and the documents call it, such as the program's "author/name".
    more: what else the table of files says of it.
    kinds: by build function or class, which the header of every network gives as `build_func_name`.
    marks: kinds that are known by their tensors, each with the names of some that no other program's network has all
        of. Such networks are found wherever in a file they stand, and under whatever prefix.
    accepts: given a network that was `Found` by its marks, tells whether it is of this form; None = it is.
    read: given a network that was `Found` by its marks, returns it; None = its tensors as they are.
    beside: what it reads beside the network in the file.
    finish: given the networks by role, returns them with what only the one shows of the other.
    read_objects: given the `Contents` of a file, returns its networks and notes, if they are objects of `names` and
        these are of this form; else None.
    header: the `TypedDict` of its networks' headers; those in records of files are checked by it.
    names: returns the classes that such pickles may ask for, and what stands in for each.
    notes: given the networks by role, returns what is made for them since the file lacks it.
    assumable: what `--assume` may say of its files, by name: a header gives what is assumed of it as `assumed`. Each
        checks what the user says, and returns it.
    suffix: of a form of ours, what names of files end in.
    scopes: what dumps call its networks, by role, where it is not the role.
    runnable: whether its files may carry a TensorFlow program that `original/` runs.
    writer: how it is written, if it is one of other programs.
    """

    id: str
    title: str
    more: str = ""
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()
    accepts: Callable[[Found], bool] | None = None
    read: Callable[[Found], ForeignNetwork] | None = None
    beside: tuple[str, ...] = ()
    finish: Callable[[dict[str, ForeignNetwork]], dict[str, ForeignNetwork]] | None = None
    read_objects: Callable[[Contents], ForeignFile | None] | None = None
    header: type = Header
    names: Callable[[], Names] | None = None
    notes: Callable[[dict[str, ForeignNetwork]], list[str]] | None = None
    assumable: Mapping[str, Callable[[Keywords, str], Any]] = field(default_factory=dict)
    suffix: str | None = None
    scopes: Mapping[str, str] = field(default_factory=dict)
    runnable: bool = False
    writer: Writer | None = None

    @property
    def own_suffixes(self) -> frozenset[str]:
        """The suffixes that say by themselves what to write."""
        if self.suffix:
            return frozenset({self.suffix})
        return frozenset(self.writer.suffixes if self.writer else ()).difference(STATE_DICTS)
