"""All file forms, in the order in which they are asked whether a file is theirs."""

from __future__ import annotations

import importlib.metadata
import threading
import warnings
from collections.abc import Iterator, Mapping

from converter.form import Form
from converter.forms import (
    akanimax,
    basicsr,
    gan_zoo,
    genforce,
    graph,
    hammer,
    huangzh13,
    interfacegan,
    lernapparat,
    lucidrains,
    mmgen,
    ours,
    paddlegan,
    pytorch,
    rosinality,
    tensorflow,
    yuuho,
)

GROUP = "stylegan_torch.forms"
"""Entry points by which an installed package brings forms of its own; each is a `Form`."""


class Forms(Mapping[str, Form]):
    """Forms by id: the given ones, then those of installed packages (looked up on first use) and registered ones."""

    def __init__(self, *forms: Form) -> None:
        self._forms: dict[str, Form] = {}
        self._lock = threading.RLock()
        self._asked = True  # not while the given ones are put in
        for form in forms:
            self.register(form)
        self._asked = False

    def register(self, form: Form) -> None:
        """Add a form, which is asked after all others.

        Raises:
            ValueError: if another form has its id, its name of a format, or a suffix that decides by itself.
        """
        with self._lock:
            for other in self.values():
                if other.id == form.id:
                    raise ValueError(f"there is a form {form.id} already")
                if form.writer and other.writer and other.writer.format == form.writer.format:
                    raise ValueError(f"form {form.id}: form {other.id} has the format {form.writer.format} already")
                for suffix in sorted(form.own_suffixes & other.own_suffixes):
                    raise ValueError(f"form {form.id}: names in {suffix} are those of form {other.id}")
            self._forms[form.id] = form

    def unregister(self, id: str) -> None:
        """Take a form away."""
        with self._lock:
            del self._forms[id]

    def _all(self) -> dict[str, Form]:
        with self._lock:
            if not self._asked:
                self._asked = True
                for entry in importlib.metadata.entry_points(group=GROUP):
                    self._add(entry)
            return self._forms

    def _add(self, entry: importlib.metadata.EntryPoint) -> None:
        package = entry.dist.name if entry.dist else "a package"
        try:
            form = entry.load()
            if not isinstance(form, Form):
                raise TypeError(f"it is a {type(form).__name__}, not a Form")
            self.register(form)
        except Exception as error:  # another's package must not keep ours from working
            reason = f"{type(error).__name__}: {error}"
            warnings.warn(f"form {entry.name} of {package} is left out ({reason})", RuntimeWarning, stacklevel=2)

    def __getitem__(self, id: str) -> Form:
        return self._all()[id]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._all()))

    def __len__(self) -> int:
        return len(self._all())


FORMS = Forms(
    ours.PT,
    ours.SAFETENSORS,
    ours.NPZ,
    tensorflow.THEANO,
    tensorflow.TF,
    pytorch.STYLEGAN2,
    pytorch.STYLEGAN3,
    paddlegan.FORM,
    pytorch.STATE,
    pytorch.STYLEGAN3_STATE,
    rosinality.STYLEGAN2,
    rosinality.STYLEGAN1,
    hammer.FORM,
    basicsr.FORM,
    mmgen.FORM,
    genforce.FORM,
    interfacegan.FORM,
    akanimax.FORM,
    gan_zoo.FORM,
    yuuho.ARRAYS,
    yuuho.STATE,
    lernapparat.FORM,
    huangzh13.FORM,
    lucidrains.FORM,
    pytorch.MAKE_PICKLE,
    graph.ONNX,
    graph.PT2,
)


def register(form: Form) -> None:
    """Add a form of your own to `FORMS`: its files are read, written and told of as all others are.

    Raises:
        ValueError: if another form has its id, its name of a format, or a suffix that decides by itself.
    """
    FORMS.register(form)
