"""The explorer's page, served by a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = ("-m", "stylegan_torch.commands.main")


@contextmanager
def serving(files: Path, *program: str) -> Iterator[str]:
    """Give the address of a page that Python serves with these arguments; it must leave nothing behind."""
    command = [sys.executable, *program]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "TMPDIR": str(files)}
    )
    assert server.stdout is not None
    said = server.stdout.readline()
    found = re.fullmatch(r"Open (http://(?:127\.0\.0\.1|localhost):\d+/) \(Ctrl-C ends\)\n", said)
    assert found, said + server.stdout.read()
    try:
        yield found[1]
    finally:
        server.terminate()
        rest = server.communicate(timeout=600)[0]
    assert "Traceback" not in rest, rest
    assert "unexpected" not in rest, rest
    assert not list(files.glob("stylegan-explore-*"))  # of visitors, who may not have left
