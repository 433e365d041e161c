"""Files that are kept for a while: how many bytes they are, and letting the oldest go."""

from __future__ import annotations

import shutil
import time
from pathlib import Path


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's files; what goes meanwhile doesn't count."""
    total = 0
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except OSError:
            continue
        total += 0 if path.is_dir() else status.st_size
    return total


def trim(paths: list[Path], most_bytes: int, most_seconds: float) -> None:
    """Remove files and folders of more than so many seconds, and the oldest while all have more than so many bytes."""
    dated = []
    for path in paths:
        try:
            dated.append((path.lstat().st_mtime, path, size_of(path) if path.is_dir() else path.lstat().st_size))
        except OSError:
            continue
    total, now = sum(size for _, _, size in dated), time.time()
    for when, path, size in sorted(dated):
        if total <= most_bytes and now - when <= most_seconds:
            return
        total -= size
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
