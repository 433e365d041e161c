"""The README's table of formats is what the code can do."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from converter.form import Later
from converter.formats import writers
from converter.forms.registry import FORMS
from converter.forms.table import BEGIN, END, markdown, renewed, rows
from tests import HOME

README = HOME / "README.md"


def test_the_readme_is_up_to_date() -> None:
    text = README.read_text(encoding="utf-8")
    assert renewed(text) == text, "run: python -m converter.forms.table README.md"


def test_the_table_has_every_form_and_writer() -> None:
    table = markdown()
    assert len(rows()) == len(FORMS)
    for name, writer in writers().items():
        assert f"`--format {name}`" in table or f"`{writer.suffixes[0]}`" in table
    assert "| genforce | yes | `--format genforce` | G, D | progan, stylegan1, stylegan2 |" in table


def test_what_is_imported_later_is_there() -> None:
    def found(value: Any) -> Iterator[Later]:
        if isinstance(value, Later):
            yield value
        elif isinstance(value, Mapping):
            yield from itertools.chain.from_iterable(map(found, value.values()))
        elif dataclasses.is_dataclass(value):
            yield from itertools.chain.from_iterable(map(found, vars(value).values()))

    later = list(found(FORMS))
    assert len(later) > len(FORMS)
    assert all(callable(function.__wrapped__) for function in later)


def test_a_stale_table_is_renewed() -> None:
    assert renewed(f"a{BEGIN}old{END}b") == f"a{BEGIN}\n\n{markdown()}\n\n{END}b"
    with pytest.raises(ValueError, match="no marks"):
        renewed("nothing")
