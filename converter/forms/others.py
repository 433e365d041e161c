"""Networks that are not read, and how their files are known: they are called by name, not taken for others."""

from __future__ import annotations

import re
from dataclasses import dataclass

from converter.contents import Contents
from converter.errors import ConvertError


@dataclass(frozen=True)
class Other:
    """A program whose networks are other ones.

    name: of the program or the paper.
    tensors: a pattern, with `match`, that the path of some tensor has after any prefix.
    classes: a pattern that the full name of a class in the file has.
    """

    name: str
    tensors: str = "(?!)"
    classes: str = "(?!)"


_OTHERS = (
    Other("EG3D", r"backbone\.synthesis\.|superresolution\.block"),
    Other("SWAGAN", r"(iwt|dwt)\.(ll|lh|hl|hh)|to_rgbs\.\d+\.iwt\."),
    Other("DualStyleGAN", r"res\.\d+\.conv\.|generator\.to_rgb1\..*|style\.\d+\.weight(?!)"),
)


def refuse_known(contents: Contents) -> None:
    """Raise ConvertError, with its name, if a file is of one of these."""
    for other in _OTHERS:
        by_class = any(re.search(other.classes, name) for name in contents.foreign)
        if by_class or any(re.search(rf"(^|\.)({other.tensors})", path) for path in contents.tensors):
            raise ConvertError(f"is of {other.name}, which is another kind of network; it is not read here")
