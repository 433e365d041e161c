"""What a process and all it started hold together is seen, however it is held."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from converter.original import watch
from converter.original.watch import Watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems tell less")

MB = 1 << 20
START = """
import mmap, os, sys, threading, time
MB = 1 << 20
def wait():
    print(flush=True)
    sys.stdin.read()
"""
PRIVATE = """
held = mmap.mmap(-1, 300 * MB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 3)
held.write(bytes(300 * MB))
"""
HOARDS = {
    "private": PRIVATE + "wait()",
    "shared": PRIVATE.replace("PRIVATE", "SHARED") + "wait()",
    "in a child": f"if os.fork() == 0:\n    {PRIVATE.strip().replace(chr(10), '; ')}; wait()\nelse: os.wait()",
    "in a file": "open('large', 'wb').write(bytes(300 * MB)); wait()",
    "in a folder": "os.mkdir('a'); os.mkdir('a/b'); open('a/b/large', 'wb').write(bytes(300 * MB)); wait()",
    "in tables": """
held = mmap.mmap(-1, 32 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ)
held.madvise(mmap.MADV_NOHUGEPAGE)
for at in range(0, 32 << 30, 2 * MB): held[at]
wait()
""",
}


@contextmanager
def running(code: str, folder: Path) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-c", START + code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        assert process.stdout.readline() == b"\n"
        yield process.pid
    process.wait()


@pytest.mark.parametrize("kind", HOARDS)
def test_memory_counts_wherever_it_is(kind: str, tmp_path: Path) -> None:
    with running(HOARDS[kind], tmp_path) as process:
        assert Watch(process, tmp_path, (60 if kind == "in tables" else 300) * MB).excess() == "ran out of memory"
        assert Watch(process, tmp_path, 900 * MB).excess() is None


def test_files_and_threads_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        (tmp_path / name).touch()
    threads = "for _ in range(9): threading.Thread(target=time.sleep, args=(9999,), daemon=True).start()\nwait()"
    with running(threads, tmp_path) as process:
        guard = Watch(process, tmp_path, 900 * MB)
        assert guard.excess() is None
        with monkeypatch.context() as patch:
            patch.setattr(watch, "MOST_FILES", 1)
            assert guard.excess() == "made over 1 files"
        monkeypatch.setattr(watch, "MOST_THREADS", 9)
        assert guard.excess() == "started over 9 threads"


def test_what_cannot_be_looked_into_is_too_much(tmp_path: Path) -> None:
    (tmp_path / "no folder").touch()
    with running("wait()", tmp_path) as process:
        assert Watch(process, tmp_path / "no folder", 900 * MB).excess() == "hid files from the look at them"
