"""Two thousand changed sample files are read or refused; and the fuzzer that reads them notices what fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import HOME
from tests.tools.long import cases


def fuzz(folder: Path, *args: str, before: str = "") -> subprocess.CompletedProcess[str]:
    program = f"import os, time, tests.tools.fuzz as fuzz\n{before}\nfuzz.main({[*args, '--keep', str(folder)]!r})"
    return subprocess.run([sys.executable, "-c", program], cwd=HOME, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_changed_files_are_read_or_refused(seed: int, tmp_path: Path) -> None:
    done = fuzz(tmp_path / "failed", "--seed", str(seed), "--count", "1000", "--largest", "250000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failed" in done.stdout


FAILURES = {
    "raise KeyError('a')": "KeyError: 'a'",
    "os.kill(os.getpid(), 11)": "died of SIGSEGV",
    "os._exit(3)": "ended with 3",
    "any(iter(int, 1))": "takes over 1 s",
    "bytearray(600 << 20)": "memory: ",
    "raise fuzz.StyleGANError('wrong')": "unclear: wrong",
}


@pytest.mark.parametrize("way", cases(FAILURES, long=list(FAILURES)[2:]))
def test_failures_are_noticed(way: str, tmp_path: Path) -> None:
    before = f"def way(path):\n    {way}\nfuzz.WAYS, fuzz.SECONDS = {{'way': (way, 1)}}, 1"
    done = fuzz(tmp_path / "failed", "--count", "2", "--files", "version1.pt", before=before)
    assert done.returncode == 1, done.stderr
    assert done.stdout.count(FAILURES[way]) == 2, done.stdout
    assert "2 failed" in done.stdout
    assert sorted(path.name for path in (tmp_path / "failed").iterdir()) == ["0-0.pt", "0-0.txt", "0-1.pt", "0-1.txt"]
