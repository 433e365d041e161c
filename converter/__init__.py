"""Foreign checkpoints in, foreign checkpoints out: the only place that knows other projects' names and file formats."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from converter.errors import ConvertError, DownloadError, UnsafePickleError

if TYPE_CHECKING:
    from converter.conversion import Summary, convert, inspect, load
    from converter.forms.registry import register

__all__ = ["ConvertError", "DownloadError", "Summary", "UnsafePickleError", "convert", "inspect", "load", "register"]


def __getattr__(name: str) -> Any:
    # Only when used: with these comes PyTorch, which takes a second.
    if name in __all__:
        home = "converter.forms.registry" if name == "register" else "converter.conversion"
        return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
