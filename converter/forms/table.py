"""Which forms are read and written, and how they are known: tables of the documents, made from the forms themselves.

python -m converter.forms.table docs/FORMS.md      (puts the tables between their marks)
"""

from __future__ import annotations

import inspect
import sys
import typing
from pathlib import Path

from converter.form import STATE_DICTS, Form, Writer
from converter.forms.registry import FORMS
from stylegan_torch.files.checkpoint import ROLES
from stylegan_torch.networks.registry import FAMILIES, kind_of_type

Rows = list[tuple[str, ...]]
BEGIN, END = "<!-- {}: python -m converter.forms.table docs/FORMS.md -->", "<!-- end of {} -->"


def rows() -> Rows:
    """Return the lines of the table of what is read and written: format, read, write, networks, families."""
    return [("format", "read", "write", "networks", "families"), *(_row(form) for form in FORMS.values())]


def details() -> Rows:
    """Return the lines of the table of how forms are known, what they leave open, and who opens what is written."""
    return [("form", "known by", "left open", "opens what we write"), *(_detail(form) for form in FORMS.values())]


def _detail(form: Form) -> tuple[str, ...]:
    opens = form.writer.opens if form.writer else "this package" if form.suffix else ""
    return _title(form, form.more), _known_by(form), ", ".join(f"`{name}`" for name in form.assumable), opens


def _known_by(form: Form) -> str:
    classes = [f"`{module}.{name}`" for module, name in (form.names() if form.names else {})]
    if classes:
        return f"objects of {', '.join(classes)}"
    if form.suffix:
        return "the record in it"
    if not form.marks:
        return "objects of official pickles, by their functions and tensors" if form.kinds else ""
    return "<br>".join(f"{kind}: {', '.join(f'`{name}`' for name in names)}" for kind, *names in form.marks)


TABLES = {"formats": rows, "how forms are known": details}
"""The tables by what their marks call them."""


def _row(form: Form) -> tuple[str, ...]:
    if form.suffix:
        return _title(form, form.more), "yes", f"`{form.suffix}`", ", ".join(ROLES), "all"
    networks, families = _held(form)
    if form.kinds:
        option = _option(form.writer, families) if form.writer else "no"
        return _title(form, form.more), "yes", option, networks, _list(families)
    assert form.writer
    families = form.writer.families
    return _title(form, f"for {form.writer.opens}"), "no", _option(form.writer, families), "G", _list(families)


def _title(form: Form, more: str) -> str:
    return f"{form.title}, {more}" if more else form.title


def _held(form: Form) -> tuple[str, tuple[str, ...]]:
    configs = [typing.get_type_hints(inspect.unwrap(kind.config))["return"] for kind in form.kinds.values()]
    found = [kind_of_type(config) for config in configs]
    kinds = {kind for _, kind in found}
    return ", ".join(sorted({kind[0] for kind in kinds}, reverse=True)), _ordered({family for family, _ in found})


def _ordered(families: set[str]) -> tuple[str, ...]:
    return tuple(family for family in FAMILIES if family in families)


def _list(families: tuple[str, ...]) -> str:
    return "all" if families == tuple(FAMILIES) else ", ".join(families)


def _option(writer: Writer, readable: tuple[str, ...]) -> str:
    by_name = [suffix for suffix in writer.suffixes if suffix not in STATE_DICTS]
    option = f"`{by_name[0]}`" if by_name else f"`--format {writer.format}`"
    return option if writer.families == readable else f"{option} ({_list(writer.families)})"


def markdown(rows: Rows) -> str:
    """Return a table."""
    head, *body = rows
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *body))


def renewed(text: str) -> str:
    """Return a document with the tables between their marks made anew.

    Raises:
        ValueError: if there are no marks.
    """
    found = {name: make for name, make in TABLES.items() if BEGIN.format(name) in text and END.format(name) in text}
    if not found:
        raise ValueError("there are no marks for a table of forms")
    for name, make in found.items():
        before, begin, rest = text.partition(BEGIN.format(name))
        _, end, after = rest.partition(END.format(name))
        text = f"{before}{begin}\n\n{markdown(make())}\n\n{end}{after}"
    return text


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
