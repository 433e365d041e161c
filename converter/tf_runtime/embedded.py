"""Running the text of a source with stand-ins in place of the packages it imports."""

from __future__ import annotations

import builtins
import importlib
import itertools
import linecache
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from . import tensorflow1

PACKAGES: dict[str, Any] = dict(tensorflow1.PACKAGES)
"""Stand-ins by name of the package; `packages.install` adds those that need networks."""

_count = itertools.count()


def find_module(name: str) -> Any:
    """Return the module that an embedded source gets for a dotted name; None where it is no stand-in.

    Raises:
        ModuleNotFoundError: if a stand-in has no such part.
    """
    top, *parts = name.split(".")
    module: Any = PACKAGES.get(top)
    for part in parts if module is not None else []:
        try:
            module = getattr(module, part)
        except AttributeError as error:
            module = _try_import(f"{module.__name__}.{part}")
            if module is None:
                raise ModuleNotFoundError(str(error)) from None
    return module


def load_source(source: str, name: str) -> dict[str, Any]:
    """Run a source, and return the names it defines.

    Args:
        source: Python text.
        name: of the network it belongs to, for tracebacks.
    """
    filename = f"<source of {name}, {next(_count)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    module = ModuleType(f"_embedded_{next(_count)}_{name}")
    module.__dict__.update(
        __builtins__={**vars(builtins), "__import__": _import}, __embedded_source__=source, __file__=filename
    )
    sys.modules[module.__name__] = module
    exec(compile(source, filename, "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def _import(
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    """Import as the `import` statement does, stand-ins first."""
    module = find_module(name) if level == 0 else None
    if module is None:
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    return module if fromlist else find_module(name.partition(".")[0])


def find_object(name: str) -> Any:
    """Return what a dotted name stands for: as many parts of it as can be are a module, the rest attributes."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        path = ".".join(parts[:count])
        module = find_module(path) or sys.modules.get(path) or _try_import(path)
        if module is not None:
            found: Any = module
            for part in parts[count:]:
                found = getattr(found, part)
            return found
    raise ImportError(f"there is no module of the name {name}")


def _try_import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
