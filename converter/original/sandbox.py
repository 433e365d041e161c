"""Running the child process that runs embedded source: nothing of the user's goes in but the job's folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from converter.errors import ConvertError
from converter.original.tf_runtime.isolation import SIGNALLED
from stylegan_torch.text import one_line

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); import tf_runtime.child; "
    "sys.path.pop(); tf_runtime.child.main()"
)
_SHOWN, _LOG = 20, 1 << 16
"""How many of the last lines, and bytes, of what the child printed are looked at on failure."""
PATIENCE = 5.0
"""Seconds in which those that outlive the child, against all odds, may still hold the line."""
_OUT_OF_MEMORY = (
    "MemoryError",
    "bad_alloc",
    "OOM when allocating",
    "can't start new thread",
    "Cannot allocate memory",
    "OpenBLAS",
)


def memory_of_machine() -> int:
    """Return the bytes of memory this machine has; 16 GB where it doesn't say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 16 << 30


def run_child(folder: Path, memory: int, on_progress: Callable[[str], None]) -> list[str]:
    """Run the job in a folder, in a process that is shut in as far as this system can.

    Args:
        folder: has the job, and gets the results; the one place the child may write to.
        memory: bytes of data it may hold.
        on_progress: is told what goes on.

    Returns:
        What kept the child in, in words.

    Raises:
        ConvertError: saying how it failed.
    """
    # Folders of the running Python only, then the one that has tf_runtime, which the child takes off again.
    here = sys.path[1:] if sys.path[:1] == [_folder()] else sys.path
    paths = [str(path) for path in here if Path(path).is_absolute()]
    start = [sys.executable, "-I", "-c", _START, json.dumps([*paths, str(Path(__file__).parent)])]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*start, str(folder), str(memory)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=_environment(folder),
            cwd=folder,
            close_fds=True,
            start_new_session=True,
        )
        report = _Report()
        listener = Thread(target=_listen, args=(process, report, on_progress))
        listener.start()
        try:
            process.wait()
        finally:
            _stop(process)
            listener.join(PATIENCE)
        if process.returncode or report.error is not None:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG))
            lines = log.read().decode(errors="replace").strip().splitlines()
            raise ConvertError(_failure(process.returncode, report.error, lines[-_SHOWN:], memory))
    return report.isolation or []


def _environment(folder: Path) -> dict[str, str]:
    """Return all that the child gets to know of the user's environment: nothing, but for what Windows needs."""
    system = {name: os.environ[name] for name in ("SYSTEMROOT", "PATHEXT") if name in os.environ}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1"}
    home = {name: str(folder) for name in ("HOME", "TMPDIR", "TEMP", "TMP")}
    return {**system, **home, **quiet, "PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass
class _Report:
    """What the child said: how it is shut in, and how it failed."""

    isolation: list[str] | None = None
    error: str | None = None


def _listen(process: subprocess.Popen[bytes], report: _Report, on_progress: Callable[[str], None]) -> None:
    """Gather what the child reports, until nobody is left who could."""
    assert process.stdout is not None
    with process.stdout as lines:
        while line := lines.readline(1 << 16):
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                continue  # the source can write here too, if it tries
            if not isinstance(message, dict):
                continue
            if isinstance(message.get("error"), str):
                report.error = message["error"]
            # The first to say it is not the source, which isn't run yet.
            if report.isolation is None and isinstance(message.get("isolation"), list):
                report.isolation = [one_line(str(words)) for words in message["isolation"]]
            on_progress(one_line(str(message.get("progress", "")))[:80])


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the child and all it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, OSError):  # no groups on Windows; already gone
        process.kill()
    process.wait()


def _failure(status: int, error: str | None, log: list[str], memory: int) -> str:
    hungry = any(sign in line for line in ([error] if error else log) for sign in _OUT_OF_MEMORY)
    if error and not hungry:
        return f"running its source failed: {one_line(error)}"
    if hungry or status < 0 or status > SIGNALLED:
        signal = -status if status < 0 else status - SIGNALLED
        how = "ran out of memory" if hungry else f"was ended by signal {signal}"
        return f"the process that ran its source {how}; it may hold {memory / (1 << 30):.1f} GB (--memory sets it)"
    said = one_line(" / ".join(log[-3:]))[:500] or "it said nothing"
    return f"the process that ran its source ended with status {status}: {said}"


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def job_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a new private folder, which is removed at the end of a `with` block."""
    return tempfile.TemporaryDirectory(prefix="stylegan-torch-", ignore_cleanup_errors=True)
