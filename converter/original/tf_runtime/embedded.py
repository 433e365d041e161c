"""Running the text of a source with stand-ins in place of the packages it imports."""

from __future__ import annotations

import builtins
import importlib.util
import itertools
import linecache
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from . import tensorflow1
from .tensorflow1 import StandIn, Value

PACKAGES: dict[str, ModuleType] = dict(tensorflow1.PACKAGES)
"""Stand-ins by name of the package; `packages.install` adds those that need networks."""

_count = itertools.count()
_supplied: dict[str, ModuleType] = {}


def find_module(name: str) -> ModuleType | None:
    """Return the module that an embedded source gets for a dotted name; None where it is neither a stand-in nor the
    user's.

    Raises:
        ModuleNotFoundError: if one of them has no such part.
    """
    top, *parts = name.split(".")
    module = PACKAGES.get(top) or _supply(top)
    for part in parts:
        if module is None:
            break
        try:
            module = getattr(module, part)
        except AttributeError as error:
            whole_name = f"{module.__name__}.{part}"
            part_module = _supply(whole_name) or _try_import(whole_name)
            if part_module is None:
                raise ModuleNotFoundError(str(error), name=whole_name) from None
            module.__dict__[part] = module = part_module
    return module


def load_source(source: str, name: str) -> dict[str, Value]:
    """Run a source, and return the names it defines.

    Args:
        source: Python text.
        name: of the network it belongs to, for tracebacks.
    """
    module = ModuleType(f"_embedded_{next(_count)}_{name}")
    module.__dict__["__embedded_source__"] = source
    sys.modules[module.__name__] = module
    _run(module, source, f"<source of {name}, {next(_count)}>")
    return module.__dict__


def _run(module: ModuleType, source: str, filename: str) -> None:
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    module.__dict__.update(__builtins__={**vars(builtins), "__import__": _import}, __file__=filename)
    exec(compile(source, filename, "exec", dont_inherit=True), module.__dict__)


def take_modules(folder: Path) -> None:
    """Let sources find the modules in a folder, which may also have what stand-ins lack, such as `dnnlib/config.py`."""

    def supply(name: str) -> ModuleType | None:
        if name not in _supplied:
            path = folder.joinpath(*name.split("."))
            package, single = path / "__init__.py", path.with_name(f"{path.name}.py")
            file = next((file for file in (package, single) if file.is_file()), None)
            if file is None and not path.is_dir():
                return None
            _load_module(name, file, path if path.is_dir() else None)
        return _supplied[name]

    StandIn.supplied = supply


def _supply(name: str) -> ModuleType | None:
    return StandIn.supplied(name)


def _load_module(name: str, file: Path | None, folder: Path | None) -> None:
    module = ModuleType(name)
    module.__package__ = name if folder else name.rpartition(".")[0]
    if folder:
        module.__path__ = [str(folder)]
    _supplied[name] = module
    sys.modules.setdefault(name, module)
    if file is None:
        return
    try:
        _run(module, file.read_text("utf-8"), f"<module {name}>")
    except BaseException:
        del _supplied[name]
        if sys.modules[name] is module:
            del sys.modules[name]
        raise


def _import(
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType | None:
    """Import as the `import` statement does: stand-ins first, then the user's modules, then what is installed."""
    package = (globals or {}).get("__package__")
    if level and package:
        name, level = importlib.util.resolve_name("." * level + name, str(package)), 0
    module = find_module(name) if level == 0 else None
    if module is None:
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    for part in fromlist or ():
        if part != "*" and not hasattr(module, part):
            module.__dict__[part] = find_module(f"{name}.{part}")
    return module if fromlist else find_module(name.partition(".")[0])


def find_object(name: str) -> Value:
    """Return what a dotted name stands for: as many parts of it as can be are a module, the rest attributes."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        path = ".".join(parts[:count])
        module = find_module(path) or sys.modules.get(path) or _try_import(path)
        if module is not None:
            found: Value = module
            for part in parts[count:]:
                found = getattr(found, part)
            return found
    raise ImportError(f"there is no module of the name {name}")


def _try_import(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
