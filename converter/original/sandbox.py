"""Running the child process that runs embedded source: nothing of the user's goes in but the job's folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import site
import subprocess
import sys
import sysconfig
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from converter.errors import ConvertError
from converter.original.tf_runtime.isolation import LAYERS, SIGNALLED
from converter.original.watch import INTERVAL, Watch
from stylegan_torch.text import one_line

START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); import tf_runtime.child; "
    "sys.path.pop(); tf_runtime.child.main()"
)
_SHOWN, _LOG = 20, 1 << 16
"""How many of the last lines that the child printed are looked at on failure, and bytes of each."""
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


def run_child(folder: Path, memory: int, on_progress: Callable[[str], None], weak: bool = False) -> list[str]:
    """Run the job in a folder, in a process that is shut in.

    Args:
        folder: has the job, and gets the results; the one place the child may write to.
        memory: bytes of memory and files it may hold.
        on_progress: is told what goes on.
        weak: also run it if this system lacks some of the protections.

    Returns:
        What kept the child in, in words.

    Raises:
        ConvertError: saying how it failed, or which protections are missing; then the job's program was not run.
    """
    start = [sys.executable, "-I", "-S", "-c", START, json.dumps([*python_folders(), str(Path(__file__).parent)])]
    process = subprocess.Popen(
        [*start, str(folder), str(memory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(folder),
        cwd=folder,
        close_fds=True,
        start_new_session=True,
    )
    report = _Report()
    listener = Thread(target=_listen, args=(process, report, on_progress))
    listener.start()
    try:
        in_force = _agree(process, weak)
        excess = _wait(process, Watch(process.pid, folder, memory))
    finally:
        _stop(process)
        listener.join(PATIENCE)
    if process.returncode or report.error is not None or in_force is None:
        raise ConvertError(_failure(process.returncode, report.error, excess, report.last_lines(), memory))
    return [layer.words.format(gigabytes=memory / (1 << 30)) for layer in LAYERS if layer.name in in_force]


def python_folders() -> list[str]:
    """Return the folders of this Python's library and of what is installed for it.

    Not those of `PYTHONPATH`, nor of packages that are used from where they are developed.
    """
    library = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    installed = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    known = {Path(path).resolve() for path in (*library, *installed)}
    known |= {Path(path, "lib-dynload").resolve() for path in library}
    return [path for path in sys.path if Path(path).is_absolute() and Path(path).resolve() in known]


def _agree(process: subprocess.Popen[bytes], weak: bool) -> list[str] | None:
    """Hear which protections are in force, and let the child go on; None if it ended before.

    Nothing of the job's was run before it says so, and it cannot say anything here later.
    """
    assert process.stdout is not None
    assert process.stdin is not None
    with process.stdout as channel, process.stdin as answer:
        line = channel.readline(_LOG)
        if not line:
            return None
        in_force: list[str] = json.loads(line)
        missing = [f"{layer.name} ({layer.words})" for layer in LAYERS if layer.name not in in_force]
        if missing and not weak:
            raise ConvertError(
                f"its program was not run: this system lacks {', '.join(missing)}; --weak-isolation runs it without"
            )
        answer.write(b"\n")
    return in_force


def _wait(process: subprocess.Popen[bytes], watch: Watch) -> str | None:
    """Wait for the end of the child, or until it holds too much; return what, in words."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(INTERVAL)
            return None
        if excess := watch.excess():
            return excess


def _environment(folder: Path) -> dict[str, str]:
    """Return all that the child gets to know of the user's environment: nothing, but for what Windows needs."""
    system = {name: os.environ[name] for name in ("SYSTEMROOT", "PATHEXT") if name in os.environ}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1"}
    home = {name: str(folder) for name in ("HOME", "TMPDIR", "TEMP", "TMP", "MPLCONFIGDIR")}
    return {**system, **home, **quiet, "PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass
class _Report:
    """What the child said on standard error: how it failed, and all that is no report."""

    error: str | None = None
    log: deque[bytes] = field(default_factory=lambda: deque(maxlen=_SHOWN))

    def last_lines(self) -> list[str]:
        """Return the last lines that are not empty."""
        return [text for line in tuple(self.log) if (text := line.decode(errors="replace").strip())]


def _listen(process: subprocess.Popen[bytes], report: _Report, on_progress: Callable[[str], None]) -> None:
    """Gather what the child reports, until nobody is left who could; the source can write here too, and only fool us
    about how far it is, and that it failed.
    """
    assert process.stderr is not None
    with process.stderr as lines:
        while line := lines.readline(_LOG):
            message = _message(line)
            if isinstance(message.get("error"), str):
                report.error = message["error"]
            if message:
                on_progress(one_line(str(message.get("progress", "")))[:80])
            elif line.strip():
                report.log.append(line)


def _message(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line) if line.startswith(b"{") else {}
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the child and all it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, OSError):  # no groups on Windows; already gone
        process.kill()
    process.wait()


def _failure(status: int, error: str | None, excess: str | None, log: list[str], memory: int) -> str:
    limit = f"it may hold {memory / (1 << 30):.1f} GB (--memory sets it)"
    hungry = any(sign in line for line in ([error] if error else log) for sign in _OUT_OF_MEMORY)
    if excess or hungry:
        return f"the process that ran its source {excess or 'ran out of memory'}; {limit}"
    if error:
        return f"running its source failed: {one_line(error)}"
    if status < 0 or status > SIGNALLED:
        signal = -status if status < 0 else status - SIGNALLED
        return f"the process that ran its source was ended by signal {signal}; {limit}"
    said = one_line(" / ".join(log[-3:]))[:500] or "it said nothing"
    return f"the process that ran its source ended with status {status}: {said}"


def job_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a new private folder, which is removed at the end of a `with` block."""
    return tempfile.TemporaryDirectory(prefix="stylegan-torch-", ignore_cleanup_errors=True)
