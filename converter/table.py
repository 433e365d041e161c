"""Mapping tables: rows of source name ↔ our name with an exactly invertible transform, read both ways.

Import and export both walk our names: the row whose pattern matches says what the tensor is called in the source. So
a table cannot import what it could not export, and every tensor on either side is accounted for.
"""

from __future__ import annotations

import functools
import itertools
import mmap
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from converter.errors import ConvertError
from stylegan_torch.files.checkpoint import same_bits
from stylegan_torch.files.streaming import Made

_LARGE = 1 << 20
"""Bytes of a tensor that gets pages of its own."""
Change = Callable[[Tensor], Tensor]
Fields = Callable[[int, int], Mapping[str, object]]
"""What fills the braces of source names, from the fields `{r}` and `{i}` of our name."""


@dataclass(frozen=True)
class Step:
    """A change of layout: `theirs` to `ours` and back.

    reshape: what `to_theirs` does to the shape alone, where `to_theirs` itself does more; None = `to_theirs`.
    rounds: whether the way back may give other bits than there were; a table then keeps those.
    """

    to_ours: Change
    to_theirs: Change
    reshape: Change | None = None
    rounds: bool = False


class Transform:
    """Steps in the order that leads from theirs to ours.

    rounds: whether one of them does. moves: whether they change no more than the order and the number of axes.
    """

    def __init__(self, *steps: Step) -> None:
        self.steps = steps
        self.rounds = any(step.rounds for step in steps)
        self.moves = all(step.reshape is None for step in steps)

    def to_ours(self, x: Tensor) -> Tensor:
        """Import one tensor."""
        for step in self.steps:
            x = step.to_ours(x)
        return x

    def to_theirs(self, x: Tensor) -> Tensor:
        """Export one tensor."""
        for step in reversed(self.steps):
            x = step.to_theirs(x)
        return x

    def placed(self, flags: Tensor) -> Tensor:
        """Move flags of values of our tensor to where those values are in theirs. Nothing that rounds moves any."""
        for step in reversed(self.steps):
            flags = flags if step.rounds else step.to_theirs(flags)
        return flags

    def source_shape(self, shape: torch.Size) -> torch.Size:
        """Return the shape of their tensor, given that of ours."""
        x = torch.empty(shape, device="meta")
        for step in reversed(self.steps):
            x = (step.reshape or step.to_theirs)(x)
        return x.shape


def chain(*transforms: Transform) -> Transform:
    """Join transforms, the first one first."""
    return Transform(*(step for transform in transforms for step in transform.steps))


def permute(*order: int) -> Transform:
    """Reorder the axes."""
    inverse = tuple(order.index(axis) for axis in range(len(order)))
    return Transform(Step(lambda x: x.permute(order), lambda x: x.permute(inverse)))


def flip(*axes: int) -> Transform:
    """Reverse some axes."""
    return Transform(Step(lambda x: x.flip(axes), lambda x: x.flip(axes), reshape=lambda x: x))


def rotated_kernel(*order: int) -> Transform:
    """Reorder the axes of a kernel to [out, in, k, k] and rotate it by 180°."""
    inverse = tuple(order.index(axis) for axis in range(len(order)))
    return Transform(
        Step(
            lambda x: _gather_taps(x.permute(order), rotate=True),
            lambda x: x.flip(2, 3).permute(inverse),
            reshape=lambda x: x.permute(inverse),
        )
    )


SAME = Transform()
TRANSPOSE = permute(1, 0)
FLIP = flip(2, 3)
HWIO = permute(3, 2, 0, 1)
"""TensorFlow convolution kernel [k, k, in, out] to [out, in, k, k]."""
HWIO_FLIPPED = rotated_kernel(3, 2, 0, 1)
HWOI_FLIPPED = rotated_kernel(2, 3, 0, 1)
UNBATCH = Transform(Step(lambda x: x[0], lambda x: x[None]))
"""[1, ...] to [...]."""
CHANNELS = Transform(Step(lambda x: x.reshape(-1), lambda x: x[None, :, None, None]))
"""[1, C, 1, 1] to [C]."""
NOISE = Transform(Step(lambda x: x[0, 0], lambda x: x[None, None]))
"""[1, 1, H, W] to [H, W]."""
PLUS_ONE = Transform(Step(lambda x: x + 1, lambda x: x - 1, reshape=lambda x: x, rounds=True))
"""Style biases around 0, of programs that add 1 to every style, to ours around 1."""


def scaled(factor: float) -> Transform:
    """Multiply by a factor."""
    return Transform(Step(lambda x: x * factor, lambda x: x / factor, reshape=lambda x: x, rounds=True))


def repeated(count: int) -> Transform:
    """Number [1] to the same number `count` times."""
    return Transform(Step(lambda x: x.repeat(count), _only))


def _only(x: Tensor) -> Tensor:
    if not x.is_meta and not bool((x == x[0]).all()):
        raise ConvertError("has numbers for every feature map where its program has one for all")
    return x[:1]


@dataclass(frozen=True)
class Row:
    """Our name ↔ their name. Fields in braces: `{r}` a resolution, `{i}` an index, `{name}` anything."""

    ours: str
    theirs: str
    transform: Transform = SAME


@dataclass(frozen=True)
class Kept:
    """Source tensors that no picture depends on, carried along so that an export is complete.

    pattern: regular expression for the whole source name.
    default: makes the tensor for an export where the source is not at hand; None if it can't.
    check: raises if the tensor contradicts the config.
    """

    pattern: str
    default: Callable[[str], Tensor | None] = lambda name: None
    check: Callable[[str, Tensor], None] = lambda name, value: None


@dataclass(frozen=True)
class Table:
    """All rows of one network. Rows are tried in order; `fields` fill further braces of source names from `{r}`, `{i}`.

    optional: regular expression for source names that a file may lack; an export makes only those the file had.
    """

    rows: Sequence[Row]
    kept: Sequence[Kept] = ()
    fields: Fields = lambda r, i: {}
    optional: str = "(?!)"

    def renamed(self, rename: Callable[[str], str]) -> Table:
        """Return the table of a program that calls the same tensors otherwise."""
        rows = [replace(row, theirs=rename(row.theirs)) for row in self.rows]
        return replace(self, rows=rows, optional=rename(self.optional))

    def source_name(self, ours: str) -> tuple[str, Transform]:
        """Return what one of our tensors is called in the source, and the transform."""
        for row in self.rows:
            match = _regex(row.ours).fullmatch(ours)
            if match:
                found = match.groupdict()
                fields = self.fields(int(found.get("r", 4)), int(found.get("i", 0)))
                return row.theirs.format(**found, **fields), row.transform
        raise ConvertError(f"this form has no name for our tensor {ours}")

    def check(
        self, shapes: Mapping[str, torch.Size], tensors: Mapping[str, Tensor], may_lack: str = "(?!)"
    ) -> dict[str, tuple[str, Transform]]:
        """Return source name and transform of each of our tensors.

        Args:
            shapes: name and shape of every tensor our network has.
            tensors: the source's.
            may_lack: regular expression for source names that need not be there.

        Raises:
            ConvertError: naming a missing or misshapen source tensor.
        """
        plan = {ours: self.source_name(ours) for ours in shapes}
        for ours, (theirs, transform) in plan.items():
            if theirs not in tensors:
                if re.fullmatch(may_lack, theirs):
                    continue
                raise ConvertError(f"variable {theirs} is missing")
            expected = transform.source_shape(shapes[ours])
            if tensors[theirs].shape != expected:
                found = list(tensors[theirs].shape)
                raise ConvertError(
                    f"variable {theirs} has shape {found}; by the keywords it should be {list(expected)}"
                )
        return plan

    def check_all(
        self, shapes: Mapping[str, torch.Size], tensors: Mapping[str, Tensor], may_lack: str | None = None
    ) -> tuple[dict[str, tuple[str, Transform]], dict[str, Tensor]]:
        """Return what `check` does, and the source tensors that are kept; arguments and errors as there.

        Args:
            shapes: as of `check`.
            tensors: as of `check`.
            may_lack: None = what a file may lack.

        Raises:
            ConvertError: also for extra tensors, and kept ones that contradict the config.
        """
        plan = self.check(shapes, tensors, self.optional if may_lack is None else may_lack)
        used = {theirs for theirs, _ in plan.values()}
        kept = {name: value for name, value in tensors.items() if name not in used}
        for name, value in kept.items():
            rule = self._kept(name)
            if rule is None:
                raise ConvertError(f"variable {name} is unknown to this kind of network")
            rule.check(name, value)
        return plan, kept

    def import_tensors(
        self, shapes: Mapping[str, torch.Size], tensors: Mapping[str, Tensor]
    ) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        """Return our tensors, contiguous, and the kept ones; each is made whenever it is asked for.

        Where the way back would round, the original bits are kept too, under the name of our tensor.

        Args:
            shapes: name and shape of every tensor our network has.
            tensors: the source's.

        Raises:
            ConvertError: naming a missing, extra or misshapen source tensor.
        """
        plan, kept = self.check_all(shapes, tensors, may_lack="(?!)")
        state = _Imported(plan, shapes, tensors)
        beside = {name: (name, SAME) for name in kept}
        for ours, (theirs, transform) in plan.items():
            if transform.rounds and not same_bits(transform.to_theirs(state[ours]), tensors[theirs]):
                beside[ours] = theirs, SAME
        return state, _Imported(beside, {ours: tensors[theirs].shape for ours, (theirs, _) in beside.items()}, tensors)

    def export_tensors(
        self, state: Mapping[str, Tensor], kept: Mapping[str, Tensor], order: Iterable[str]
    ) -> dict[str, Tensor]:
        """Return the source's tensors in the given order of names.

        Raises:
            ConvertError: naming a tensor that is in the order but can't be made, or the reverse.
        """
        exported = dict(kept)
        for ours, value in state.items():
            theirs, transform = self.source_name(ours)
            made, original = transform.to_theirs(value), exported.pop(ours, None) if transform.rounds else None
            if original is not None and original.shape == made.shape:
                # Value by value: what was changed since is not what was kept.
                unchanged = transform.placed(_bits(transform.to_ours(original)) == _bits(value))
                made = torch.where(unchanged, original, made)
            exported[theirs] = _usual_strides(made.contiguous())
        result: dict[str, Tensor] = {}
        for name in order:
            value_ = exported.pop(name, None)
            if value_ is None:
                rule = self._kept(name)
                value_ = rule.default(name) if rule else None
            if value_ is None:
                raise ConvertError(f"variable {name} of the original form is not in this file")
            result[name] = value_
        for name in exported:
            if not re.fullmatch(self.optional, name):
                raise ConvertError(f"variable {name} has no place in the original form")
        return result

    def _kept(self, name: str) -> Kept | None:
        return next((rule for rule in self.kept if re.fullmatch(rule.pattern, name)), None)


class _Imported(Made):
    """Tensors of a source by our names, as its `plan` says: what they are called there, and the transform."""

    def __init__(
        self, plan: Mapping[str, tuple[str, Transform]], shapes: Mapping[str, torch.Size], tensors: Mapping[str, Tensor]
    ) -> None:
        self._plan, self._shapes, self._tensors = plan, shapes, tensors

    def __getitem__(self, name: str) -> Tensor:
        theirs, transform = self._plan[name]
        return _compact(transform.to_ours(self._tensors[theirs]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._plan)

    def __len__(self) -> int:
        return len(self._plan)

    def blank(self, name: str) -> Tensor | None:
        theirs, transform = self._plan[name]
        if transform.moves and _is_compact(transform.to_ours(self._tensors[theirs])):
            return None
        return torch.empty(self._shapes[name])


def _bits(x: Tensor) -> Tensor:
    return x.contiguous().view(torch.int32)


def _is_compact(x: Tensor) -> bool:
    # Views into a pickle may start at odd addresses, which is no place for a parameter.
    return x.is_contiguous() and x.data_ptr() % x.element_size() == 0


def _compact(x: Tensor) -> Tensor:
    if _is_compact(x):
        return _usual_strides(x)
    return _gather_taps(x) if x.ndim == 4 else _room(x.shape).copy_(x)


def _gather_taps(x: Tensor, rotate: bool = False) -> Tensor:
    # Tap by tap in blocks that stay in cache: several times faster than copying all four axes at once, and small enough
    # for torch not to start threads, which would compete with the one that hashes the file.
    kernel = _room(x.shape)
    height, width = x.shape[2:]
    step = max(1, 16384 // max(1, len(x)))
    for start in range(0, x.shape[1], step):
        block = slice(start, start + step)
        for i, j in itertools.product(range(height), range(width)):
            source = (height - 1 - i, width - 1 - j) if rotate else (i, j)
            kernel[:, block, i, j] = x[:, block, source[0], source[1]]
    return kernel


def _room(shape: torch.Size) -> Tensor:
    size = 4 * shape.numel()
    if size < _LARGE:
        return torch.empty(shape)
    # Pages of its own, which go back to the system with the tensor: malloc keeps pieces of many.
    memory = mmap.mmap(-1, size, access=mmap.ACCESS_COPY)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.float32).view(shape)


def _usual_strides(x: Tensor) -> Tensor:
    # Strides of axes of length 1 are free, but a file records them.
    return x.view(-1).view(x.shape)


@functools.lru_cache(1 << 12)
def _regex(pattern: str) -> re.Pattern[str]:
    def group(match: re.Match[str]) -> str:
        return f"(?P<{match[1]}>{'.+' if match[1] == 'name' else '[0-9]+'})"

    return re.compile(re.sub(r"\\{(\w+)\\}", group, re.escape(pattern)))


def product(scopes: Mapping[str, str], leaves: Mapping[str, tuple[str, Transform]], separator: str = "/") -> list[Row]:
    """Return the rows of several layers alike: our scope → their scope, times our leaf → their leaf."""
    return [
        Row(f"{ours}.{leaf}", f"{theirs}{separator}{their_leaf}", transform)
        for ours, theirs in scopes.items()
        for leaf, (their_leaf, transform) in leaves.items()
    ]
