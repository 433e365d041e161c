"""Reader of PyTorch files that hold state dicts, new and old containers; tells whose they are (spec COMMUNITY.md 0)."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from converter import akanimax, genforce, rosinality1, rosinality2, yuuho
from converter.errors import ConvertError, UnsafePickleError, sound
from converter.source import Network, Source
from stylegan_torch.files import opened_by_name

READERS: tuple[Callable[[dict[str, Any]], dict[str, Network] | None], ...] = (
    rosinality2.read,
    rosinality1.read,
    genforce.read,
    akanimax.read,
    yuuho.read,
)
"""Each returns the networks of a file of its own kind, None for other files."""
_MADE_UP: dict[Any, Callable[[dict[str, Network]], list[str]]] = {
    rosinality2.read: rosinality2.made_up,
    rosinality1.read: rosinality1.made_up,
}
"""Notes on what files of a kind lack, and is made for them."""
_NETWORK_KEYS = {
    *("g_ema", "g", "d", "latent_avg", "g_running", "generator", "discriminator", "generator_smooth"),
    *("shadow_generator", "models"),
}


def read_state_dicts(path: Path) -> Source:
    """Read a PyTorch file, nothing of it is run.

    Raises:
        ConvertError: if it is unsafe, damaged, or of no known kind.
    """
    top = _without_prefix(load_container(path))
    if isinstance(top, dict):
        with sound("this file"):
            for read in READERS:
                networks = read(top)
                if networks is not None:
                    _refuse_odd_networks(top)
                    notes = _MADE_UP[read](networks) if read in _MADE_UP else []
                    return Source(networks, notes=(*notes, *_training_state(top)))
    if isinstance(top, dict) and {"GAN", "version"} <= set(top):
        raise ConvertError("is of lucidrains' stylegan2-pytorch, whose networks are other ones; it is not read here")
    raise ConvertError(
        f"is a PyTorch file of {_describe(top)}, which is no network known here; "
        "PyTorch files of rosinality, genforce, akanimax and yuuho are read, and our own"
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


def _refuse_odd_networks(top: dict[Any, Any]) -> None:
    for key in _NETWORK_KEYS - {"latent_avg"}:
        if key in top and not isinstance(top[key], dict):
            raise ConvertError(f"its {key} is a {type(top[key]).__name__}, not a state dict")


def _training_state(top: dict[str, Any]) -> tuple[str, ...]:
    """Return a note on what a training file holds besides networks: optimisers, arguments, counters."""
    if all(isinstance(value, Tensor) for value in top.values()):
        return ()
    others = [str(key)[:40] for key in top if key not in _NETWORK_KEYS]
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


def _describe(top: Any) -> str:
    if isinstance(top, dict):
        return "a dict with keys " + ", ".join(str(key)[:40] for key in list(top)[:8])
    return f"a {type(top).__name__}"
