"""What the readers of official pickles share."""

from __future__ import annotations

import hashlib

from torch import Tensor

from converter.errors import ConvertError
from converter.safe.stand_ins import Array


def source_hash(source: object, code: dict[str, str] | None = None) -> str | None:
    """Return the sha256 of embedded source text, None if there is none; `code` collects the text by it."""
    if not source:
        return None
    if not isinstance(source, str | memoryview):
        raise ConvertError("build_module_src is not a text")
    content = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else bytes(source)
    sha256 = hashlib.sha256(content).hexdigest()
    if code is not None:
        code[sha256] = content.decode("utf-8", "replace")
    return sha256


def add(tensors: dict[str, Tensor], name: str, value: Tensor) -> None:
    """Add a tensor under a name that must be new."""
    if name in tensors:
        raise ConvertError(f"holds variable {name} twice")
    tensors[name] = value


def number(value: object) -> object:
    """Replace a numpy scalar or short array, which some keywords are, by plain numbers."""
    return value.value.tolist() if isinstance(value, Array) and value.value.size <= 1000 else value
