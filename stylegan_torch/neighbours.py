"""The packages that come with this one, and what may be in their way."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_NAMES = ("converter", "checkpoints")


def in_the_way() -> str | None:
    """Return a line on a module of the user's that Python finds in place of one of ours; None if there is none."""
    home = Path(__file__).resolve().parents[1]
    for name in _NAMES:
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve() if spec and spec.origin else None
        if found is None:
            return f"the package {name} that belongs to stylegan-torch is not installed; install it again"
        if found.parent != home / name:
            return f"{found} is in the way of stylegan-torch's own {name}: rename it, or start from another folder"
    return None
