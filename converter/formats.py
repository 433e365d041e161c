"""What `--format` and the suffixes of names choose from: derived from the forms."""

from __future__ import annotations

from converter.form import Writer
from converter.forms.registry import FORMS


def writers() -> dict[str, Writer]:
    """Return the writers of other programs' forms by the name that `--format` takes."""
    return {form.writer.format: form.writer for form in FORMS.values() if form.writer}


def our_suffixes() -> tuple[str, ...]:
    """Return what the names of our own files end in."""
    return tuple(form.suffix for form in FORMS.values() if form.suffix)


def suffixes_of(name: str | None) -> tuple[str, ...]:
    """Return what names of files may end in: those of a format, or of all that need no `--format`."""
    if name is not None:
        return writers()[name].suffixes
    return our_suffixes() + tuple(s for writer in writers().values() for s in writer.suffixes if by_suffix(s))


def by_suffix(suffix: str) -> str | None:
    """Return the format that a name decides by itself, None if it is ours or there are several."""
    found = (form.writer for form in FORMS.values() if form.writer and suffix in form.own_suffixes)
    return next((writer.format for writer in found), None)


def heeding(option: str) -> list[str]:
    """Return the formats to which one of the `Options` matters."""
    return [name for name, writer in writers().items() if option in writer.heeds]


def programs() -> list[str]:
    """Return the programs whose files of state dicts are read."""
    return list(dict.fromkeys(form.title for form in FORMS.values() if form.marks))


def assumable() -> list[str]:
    """Return what `--assume` takes for some file."""
    return sorted({name for form in FORMS.values() for name in form.assumable})
