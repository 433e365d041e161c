"""The explorer's page, served by a process of its own, and what it answers to others than its page."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

COMMAND = ("-m", "stylegan_torch.commands.main")
UNREADABLE = {"InvalidPathError", "KeyError", "ValueError", "FnIndexInferError"}
"""What is said of requests that no page sends."""


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
    assert set(re.findall(r"unexpected (\w+)", rest)) <= UNREADABLE, rest
    assert not list(files.glob("stylegan-explore-*"))  # of visitors, who may not have left


def answer(url: str, handler: str, data: list[Any], *, raw: bool = False, **more: Any) -> str:
    """Return what the server answers, to an event that did not come from its page: as it is read, or `raw` in HTML."""
    with requests.Session() as session:
        config = session.get(f"{url}config", timeout=600).json()
        index = next(each["id"] for each in config["dependencies"] if each["api_name"] == handler)
        visitor = f"stranger{uuid.uuid4()}"
        call = {"data": data, "fn_index": index, "session_hash": visitor, **more}
        body = json.dumps(call)  # not `json=`, which refuses NaN
        header = {"Content-Type": "application/json"}
        joined = session.post(f"{url}gradio_api/queue/join", data=body, headers=header, timeout=600)
        if not joined.ok:
            return joined.text
        with session.get(
            f"{url}gradio_api/queue/data", params={"session_hash": visitor}, stream=True, timeout=600
        ) as events:
            lines = (json.loads(line[6:]) for line in events.iter_lines() if line.startswith(b"data: "))
            told = "".join(str(each) for each in lines if each["msg"] in ("log", "process_completed"))
            return told if raw else html.unescape(told)
