"""Watching what a process and all it started hold together: memory, threads and files. Linux tells it; others less."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.1
"""Seconds between two looks."""
MOST_FILES, MOST_THREADS = 10_000, 4096
_HELD = re.compile(r"^(?:RssAnon|RssShmem|VmSwap|VmPTE):\s*(\d+) kB$", re.MULTILINE)
"""What is in memory for this process and cannot be dropped, and the tables for it."""
_THREADS = re.compile(r"^Threads:\s*(\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Watch:
    """Of the process with a number, the folder it may write to, and the bytes it may hold in memory and files."""

    process: int
    folder: Path
    memory: int

    def excess(self) -> str | None:
        """Return what there is too much of, in words; None if all is well."""
        states = list(_states(self.process))
        threads = sum(int(count) for state in states for count in _THREADS.findall(state))
        if threads > MOST_THREADS:
            return f"started over {MOST_THREADS:,} threads"
        held = sum(int(size) << 10 for state in states for size in _HELD.findall(state))
        try:
            sizes = list(_sizes(self.folder))
        except FileNotFoundError:  # one that was just removed
            return None
        except OSError:
            return "hid files from the look at them"
        if len(sizes) > MOST_FILES:
            return f"made over {MOST_FILES:,} files"
        if held + sum(sizes) > self.memory:
            return "ran out of memory"
        return None


def _states(process: int) -> Iterator[str]:
    """Yield the kernel's words on a process and its descendants."""
    with contextlib.suppress(OSError):
        folder = Path("/proc", str(process))
        yield (folder / "status").read_text()
        for child in (folder / "task" / str(process) / "children").read_text().split():
            yield from _states(int(child))


def _sizes(folder: Path) -> Iterator[int]:
    """Yield the bytes that files and folders in a folder take, of a few more than may be there."""
    waiting, left = [str(folder)], MOST_FILES + 1
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                yield getattr(entry.stat(follow_symlinks=False), "st_blocks", 0) * 512
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                left -= 1
                if not left:
                    return
