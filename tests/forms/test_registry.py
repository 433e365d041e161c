"""The tables of forms in the documents are what the code can do."""

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

DOCUMENTS = ["docs/FORMS.md"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_documents_are_up_to_date(document: str) -> None:
    text = (HOME / document).read_text(encoding="utf-8")
    assert renewed(text) == text, f"run: python -m converter.forms.table {' '.join(DOCUMENTS)}"


def test_the_table_has_every_form_and_writer() -> None:
    table = markdown(rows())
    assert len(rows()) == len(FORMS) + 1
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
    begin, end = BEGIN.format("formats"), END.format("formats")
    assert renewed(f"a{begin}old{end}b") == f"a{begin}\n\n{markdown(rows())}\n\n{end}b"
    with pytest.raises(ValueError, match="no marks"):
        renewed("nothing")
