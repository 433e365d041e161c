"""What installing takes: megabytes on disk of the packages that come along, without any extra and by extra.

    make test    # which installs them all
    .venv/bin/python benchmarks/sizes.py

PyTorch is the one that is installed here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS, NOT_FOR_USERS = PROJECT["name"], {"dev", "docs", "test"}


def needed(lines: Iterable[str], extra: str = "", seen: set[tuple[str, str]] | None = None) -> set[str]:
    """Return the names of the packages that requirements bring; `extra` is the one that they are of."""
    seen = set() if seen is None else seen
    for requirement in map(Requirement, lines):
        if requirement.marker and not any(requirement.marker.evaluate({"extra": each}) for each in ("", extra)):
            continue
        name = str(canonicalize_name(requirement.name))
        for each in {"", *requirement.extras} - {kind for other, kind in seen if other == name}:
            seen.add((name, each))
            ours = PROJECT["optional-dependencies"].get(each, [])
            needed(ours if name == OURS else distribution(name).requires or (), each, seen)
    return {name for name, _ in seen} - {OURS}


def megabytes(names: set[str]) -> float:
    """Return the size of installed packages' files."""
    total = 0
    for name in names:
        paths = (Path(str(file.locate())) for file in distribution(name).files or ())
        total += sum(path.stat().st_size for path in paths if path.is_file())
    return total / 1e6


def main() -> None:
    """Print a line for each extra: what comes on top of what is needed without any."""
    torch, without = needed(["torch"]), needed(PROJECT["dependencies"])
    print(f"none: PyTorch {version('torch')} {megabytes(torch):.0f} MB, all else {megabytes(without - torch):.0f} MB")
    for extra, lines in PROJECT["optional-dependencies"].items():
        if extra in NOT_FOR_USERS:
            continue
        more = needed(lines, extra) - without
        largest = sorted(more, key=lambda name: megabytes({name}), reverse=True)[:3]
        print(f"{extra}: {megabytes(more):.0f} MB in {len(more)} packages ({', '.join(largest)})")


if __name__ == "__main__":
    main()
