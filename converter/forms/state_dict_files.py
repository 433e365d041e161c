"""Reader of PyTorch files that hold state dicts, new and old; tells whose they are (docs/spec/COMMUNITY.md 0)."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from converter.errors import ConvertError, UnsafePickleError, sound
from converter.foreign import Source, described
from converter.form import Form
from converter.forms.registry import FORMS
from stylegan_torch.files.atomic import opened_by_name


def read_state_dicts(path: Path) -> Source:
    """Read a PyTorch file, nothing of it is run.

    Raises:
        ConvertError: if it is unsafe, damaged, or of no known kind.
    """
    top = _without_prefix(load_container(path))
    if isinstance(top, dict):
        with sound("this file"):
            for form in FORMS.values():
                networks = form.read(top) if form.read else None
                if networks is not None:
                    _refuse_odd_networks(form, top)
                    return Source(networks, notes=_training_state(form, top))
    if isinstance(top, dict) and {"GAN", "version"} <= set(top):
        raise ConvertError("is of lucidrains' stylegan2-pytorch, whose networks are other ones; it is not read here")
    *programs, last = dict.fromkeys(form.title.partition("/")[0] for form in FORMS.values() if form.read)
    raise ConvertError(
        f"is a PyTorch file of {described(top)}, which is no network known here; "
        f"PyTorch files of {', '.join(programs)} and {last} are read, and our own"
    )


def _without_prefix(value: Any, depth: int = 0) -> Any:
    """Take the prefix off the names in state dicts that parallel training put there."""
    if not isinstance(value, dict) or depth > 2:
        return value
    prefixed = bool(value) and all(str(key).startswith("module.") for key in value)
    return {
        (str(key).removeprefix("module.") if prefixed else key): _without_prefix(inner, depth + 1)
        for key, inner in value.items()
    }


def _refuse_odd_networks(form: Form, top: dict[Any, Any]) -> None:
    for key in form.state_keys:
        if key in top and not isinstance(top[key], dict):
            raise ConvertError(f"its {key} is a {type(top[key]).__name__}, not a state dict")


def _training_state(form: Form, top: dict[str, Any]) -> tuple[str, ...]:
    """Return a note on what a training file holds besides networks: optimisers, arguments, counters."""
    if all(isinstance(value, Tensor) for value in top.values()):
        return ()
    others = [str(key)[:40] for key in top if key not in (*form.state_keys, *form.other_keys)]
    return (f"{', '.join(others[:8])} of the training passed over",) if others else ()


def load_container(path: Path) -> Any:
    """Return what `torch.save` saved: tensors, plain containers and numbers.

    Raises:
        UnsafePickleError: if it holds anything else.
        ConvertError: if it is damaged.
    """
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")
            with path.open("rb") as file:
                mapped = file.read(2) == b"PK"
            with opened_by_name(path) as name:
                return torch.load(name, weights_only=True, mmap=mapped, map_location="cpu")
    except OSError:
        raise
    except Exception as error:  # what torch raises for a damaged file is anything
        refused = str(error).partition("Unsupported global: GLOBAL ")[2].partition(" ")[0]
        if refused:
            raise UnsafePickleError(
                f"asks for {refused}, which no network of a known release needs; refused, nothing was run"
            ) from error
        raise ConvertError("is a PyTorch file that is damaged, or holds more than tensors") from error
