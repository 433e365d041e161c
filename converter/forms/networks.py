"""The networks of a file: asks the forms whose they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from converter.contents import Contents, Found, look, roles
from converter.errors import ConvertError, sound, within
from converter.foreign import ForeignFile, ForeignNetwork, described
from converter.form import Form
from converter.forms.others import refuse_around, refuse_known
from converter.forms.registry import FORMS
from converter.safe.stand_ins import CONTAINER_NAMES, NUMPY_NAMES
from converter.safe.torch_file import load_torch
from converter.safe.torch_tensors import TORCH_NAMES
from converter.safe.unpickler import Names, load


def read_pickle(data: memoryview) -> ForeignFile:
    """Read the networks of a pickle; nothing of it is run.

    Raises:
        ConvertError: if it is unsafe, damaged, or holds something else.
    """
    with sound("this pickle"):
        loaded = load(data, _names())
        return read_contents(look(loaded.value, loaded.foreign), "a pickle")


def read_torch(data: memoryview) -> ForeignFile:
    """Read the networks of a file of `torch.save`; nothing of it is run.

    Raises:
        ConvertError: if it is unsafe, damaged, or holds something else.
    """
    with sound("this PyTorch file"):
        loaded = load_torch(data, _names())
        return read_contents(look(loaded.value, loaded.foreign), "a PyTorch file")


def _names() -> Names:
    """Return what any form lets pickles ask for; no form can change what a form before it says."""
    allowed: dict[tuple[str, str], Any] = {}
    for names in (NUMPY_NAMES, TORCH_NAMES, CONTAINER_NAMES, *(form.names() for form in FORMS.values() if form.names)):
        allowed = {**names, **allowed}
    return allowed


def read_contents(contents: Contents, what: str) -> ForeignFile:
    """Return the networks in what a file holds, and notes on what was passed over.

    Args:
        contents: of the file.
        what: kind of file, for errors.

    Raises:
        ConvertError: if there are none that a form knows.
    """
    refuse_around(contents)
    for form in FORMS.values():
        source = form.read_objects(contents) if form.read_objects else None
        if source is None and form.marks:
            found = [one for one in contents.find(form.marks) if form.accepts is None or form.accepts(one)]
            source = _networks(form, contents, found) if found else None
        if source is not None:
            return replace(source, notes=(*source.notes, *_foreign_notes(contents)))
    refuse_known(contents)
    if len(contents.all) == 1:
        raise ConvertError(f"is {what} of {described(contents.top)}, not of networks")
    titles = (form.title for form in FORMS.values() if form.marks and "official" not in form.title)
    *programs, last = dict.fromkeys(title.partition("/")[0] for title in titles)
    raise ConvertError(
        f"is {what} of {described(contents.top)}, in which is no network known here; "
        f"files of the official releases, {', '.join(programs)} and {last} are read, and our own"
    )


_USUAL = ("argparse.", "builtins.", "__builtin__.", "collections.", "numpy.", "torch.")
"""What training programs have in their files, and no note is worth."""


def _foreign_notes(contents: Contents) -> list[str]:
    """Return a note on objects of other programs, which had inert stand-ins."""
    names = [name[:60] for name in contents.foreign if not name.startswith(_USUAL)]
    return [f"objects of {', '.join(names[:8])} passed over"] if names else []


def _networks(form: Form, contents: Contents, found: list[Found]) -> ForeignFile:
    networks: dict[str, ForeignNetwork] = {}
    notes = []
    for one, role in zip(found, roles([(one.path, one.is_discriminator) for one in found]), strict=True):
        if not role:
            notes.append(f"another network at {one.path.removesuffix('.') or 'the top'} passed over")
            continue
        with within(f"network {role}"):
            networks[role] = replace(form.read(one) if form.read else one.network(form.id), role=role)
    others = [key for key in contents.besides([one.path for one in found]) if key.rpartition(".")[2] not in form.beside]
    if others:
        notes.append(f"{', '.join(key[:40] for key in others[:8])} of the training passed over")
    return ForeignFile(form.finish(networks) if form.finish else networks, notes=tuple(notes))
