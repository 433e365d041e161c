"""The modules that a program names, out of a folder of the user's: nothing else of the folder is given to it."""

from __future__ import annotations

import ast
import re
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from converter.errors import ConvertError

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
"""A name in a text, such as "training.networks.G_main", by which programs of this kind find their functions."""

LARGEST, MOST = 1 << 22, 1 << 26
"""Bytes of a module, and of all that are given."""
LONGEST = 8
"""Parts of a dotted name that are looked at."""


def gather(folder: Path, programs: Iterable[str]) -> dict[str, str]:
    """Return the texts of all modules in a folder that programs name, and of those that these name in turn.

    Args:
        folder: has `a.py`, `b/__init__.py`, `b/c.py` and so on.
        programs: Python texts.

    Returns:
        Texts by path relative to the folder, with slashes.

    Raises:
        ConvertError: if the folder or a module in it cannot be read, leads out of the folder, or is too large.
    """
    if not folder.is_dir():
        raise ConvertError(f"{folder} is no folder of modules")
    found: dict[str, str] = {}
    waiting = [(text, "") for text in programs]
    while waiting:
        text, package = waiting.pop()
        for name in _names(text, package):
            for path, inner in _files(name) if name else ():
                if path not in found and (folder / path).is_file():
                    found[path] = _read(folder, path)
                    if sum(map(len, found.values())) > MOST:
                        raise ConvertError(f"the modules of {folder} that the program names are over {MOST >> 20} MB")
                    waiting.append((found[path], inner))
    return found


def _files(name: str) -> Iterator[tuple[str, str]]:
    """Yield what may be imported for a dotted name: relative path and package, of each part of it that is a module."""
    parts = name.split(".", LONGEST)[:LONGEST]
    for count in range(1, len(parts) + 1):
        path = "/".join(parts[:count])
        yield f"{path}.py", ".".join(parts[: count - 1])
        yield f"{path}/__init__.py", ".".join(parts[:count])


def _names(text: str, package: str) -> Iterator[str]:
    """Yield the dotted names in a Python text that may be modules; nothing if it is no Python of today."""
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = [*(part for part in above if part), *([node.module] if node.module else [])]
            yield from (".".join([*origin, alias.name]) for alias in node.names if alias.name != "*")
            yield ".".join(origin)
        elif isinstance(node, ast.Attribute):
            yield from _dotted(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _DOTTED.fullmatch(node.value):
            yield node.value


def _dotted(node: ast.expr) -> Iterator[str]:
    """Yield the name that `a.b.c` is, unless something else than names is in it."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and len(parts) < LONGEST:
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        yield ".".join([node.id, *reversed(parts)])


def _read(folder: Path, name: str) -> str:
    path = folder / name
    try:
        # What a link leads to outside is not of the folder that the user named: it may be a secret.
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ConvertError(f"{path} is a link that leads out of {folder}; put the module itself there")
        if path.stat().st_size > LARGEST:
            raise ConvertError(f"{path} is over {LARGEST >> 20} MB, which no module is")
        with tokenize.open(path) as file:  # heeds a coding line, and a mark of the byte order
            return file.read(LARGEST)
    except (OSError, ValueError, SyntaxError) as error:
        raise ConvertError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from error
