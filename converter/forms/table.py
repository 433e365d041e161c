"""Which forms are read and written, as the README's table: made from the forms themselves.

python -m converter.forms.table README.md      (puts the table between its marks)
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

BEGIN, END = "<!-- formats: python -m converter.forms.table README.md -->", "<!-- end of formats -->"


def rows() -> list[tuple[str, ...]]:
    """Return the lines of the table: format, read, write, networks, families."""
    return [_row(form) for form in FORMS.values()]


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


def markdown() -> str:
    """Return the table."""
    table = [("format", "read", "write", "networks", "families"), ("---",) * 5, *rows()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table)


def renewed(text: str) -> str:
    """Return a document with the table between its marks made anew.

    Raises:
        ValueError: if the marks are not there.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("there are no marks for the table of formats")
    return f"{before}{begin}\n\n{markdown()}\n\n{end}{after}"


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    readme.write_text(renewed(readme.read_text(encoding="utf-8")), encoding="utf-8")
