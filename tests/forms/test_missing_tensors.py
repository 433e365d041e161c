"""What is missing or misshapen in a file of any form is named, and `--inspect` and converting agree."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor

from converter.errors import ConvertError
from converter.foreign import ForeignFile
from converter.opened import OpenedNetwork, open_contents
from tests.tools.samples import KINDS, MARKED, Kind, read, sample

CHANGES: dict[str, Callable[[Tensor], Tensor | None]] = {
    "missing": lambda value: None,
    "empty": lambda value: value[:0] if value.ndim else value.new_zeros(0),
    "shorter": lambda value: value[..., :-1] if value.ndim else value.new_zeros(3),
    "of more axes": lambda value: value[None],
}


def _changed(kind: Kind, name: str, change: Callable[[Tensor], Tensor | None]) -> ForeignFile:
    """The network of a sample after a change of one tensor, read anew where tensors tell whose it is."""
    given = sample(kind)
    value = change(given.network.tensors[name])
    changed = {key: value if key == name else old for key, old in given.network.tensors.items()}
    tensors = {key: new for key, new in changed.items() if new is not None}
    if kind not in MARKED:
        return ForeignFile({given.network.role: replace(given.network, tensors=tensors)})
    beside = {key: tensors.get(key, old) for key, old in given.beside.items() if key != name or key in tensors}
    return read({**tensors, **beside})


def _error(make: Callable[[], Any]) -> str:
    """What is wrong, in a line; "" if nothing is."""
    try:
        make()
    except ConvertError as error:
        assert "\n" not in str(error)
        return str(error)
    return ""


def _open(source: ForeignFile) -> OpenedNetwork:
    [network] = open_contents(source, Future()).networks.values()
    return network


def _check(kind: Kind, name: str, how: str) -> None:
    try:
        source = _changed(kind, name, CHANGES[how])
    except ConvertError as error:
        assert re.search(r"variable \S+ |in which is no network known", str(error)), error
        return
    inspected, converted = _error(lambda: _open(source).config), _error(lambda: _open(source).stored)
    assert bool(inspected) == bool(converted), (name, how, inspected, converted)
    assert not converted or "variable " in converted, (name, how, converted)


def _first_ones(kind: Kind) -> Iterator[str]:
    """Of tensors whose names differ by numbers alone, the first."""
    return iter({re.sub(r"\d+", "0", name): name for name in reversed(sample(kind).network.tensors)}.values())


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_the_first_tensor_of_each_sort(kind: Kind) -> None:
    for index, name in enumerate(_first_ones(kind)):
        _check(kind, name, "missing")
        if index % 3 == 0:
            _check(kind, name, list(CHANGES)[1 + index // 3 % (len(CHANGES) - 1)])


@pytest.mark.long
@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_every_tensor(kind: Kind, how: str) -> None:
    names = list(sample(kind).network.tensors)
    for name in random.Random(0).sample(names, min(len(names), 120)):
        _check(kind, name, how)
