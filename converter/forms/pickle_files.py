"""Reader of pickles: builds stand-ins for what is in one, and asks the forms whose it is. Nothing of it is run."""

from __future__ import annotations

from typing import Any

from converter.errors import ConvertError
from converter.foreign import Source, described
from converter.forms.registry import FORMS
from converter.safe.stand_ins import CONTAINER_NAMES, NUMPY_NAMES, TORCH_NAMES
from converter.safe.unpickler import Names, load


def read_pickle(data: memoryview) -> Source:
    """Read the networks of a pickle, and notes on what was passed over.

    Raises:
        ConvertError: if the pickle is unsafe, damaged, or holds something else.
    """
    top = load(data, _names()).value
    for form in FORMS.values():
        source = form.read_pickle(top) if form.read_pickle else None
        if source is not None:
            return source
    raise ConvertError(f"is a pickle of {described(top)}, not of networks")


def _names() -> Names:
    """Return what any form lets pickles ask for; no form can change what a form before it says."""
    allowed: dict[tuple[str, str], Any] = {}
    for names in (NUMPY_NAMES, TORCH_NAMES, CONTAINER_NAMES, *(form.names() for form in FORMS.values() if form.names)):
        allowed = {**names, **allowed}
    return allowed
