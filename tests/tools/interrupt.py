"""Processes that are interrupted at a certain moment, however fast the machine: they do it themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from signal import Signals
from typing import Any

from tests import HOME


def interrupt_after(calls: int, owner: Any, name: str, number: int) -> None:
    """Send this process a signal when `owner.name` has been called so many times."""
    function, count = getattr(owner, name), 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        result = function(*args, **kwargs)
        count += 1
        if count == calls:
            os.kill(os.getpid(), number)
        return result

    setattr(owner, name, counted)


def run_interrupted(setting_up: str, arguments: Iterable[object], number: Signals) -> subprocess.CompletedProcess[str]:
    """Run `stylegan` in a process of its own, on one core, after a program text that may call `interrupt_after`.

    It finds the signal as `number`.
    """
    program = (
        "from tests.tools.interrupt import interrupt_after; from stylegan_torch.commands.main import main\n"
        f"number = {int(number)}\n"
        f"{setting_up}\nmain()"
    )
    folders = [str(HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(folders)}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
