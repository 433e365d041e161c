"""The child process: shuts itself in, runs the job in its folder, and says how it went."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

from .advice import advice
from .isolation import isolate


def main() -> None:
    """Do the job in the folder argv[1] with argv[2] bytes of memory.

    The one line on standard output says which protections are in force; then it is closed, and nothing goes on before
    standard input says so. What else there is to tell are lines of JSON on standard error, between what is printed.
    """
    folder, memory = Path(sys.argv[1]), int(sys.argv[2])
    print(json.dumps(isolate(folder, memory)), flush=True)
    os.dup2(2, 1)
    if not sys.stdin.buffer.read(1):
        os._exit(1)  # the parent is gone, or wants no program run like this
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    tempfile.tempdir = str(folder)  # the usual search makes a file and removes it, which is not allowed

    def report(**what: object) -> None:
        print(f"\n{json.dumps(what)}", file=sys.__stderr__, flush=True)

    try:
        from .work import work

        work(folder, lambda text: report(progress=text))
    except BaseException as error:  # a source may raise anything
        traceback.print_exc()
        report(error=_describe(error))
        sys.exit(1)


def _describe(error: BaseException) -> str:
    """Say in a line what went wrong, and where in the embedded source."""
    embedded = ("<source of", "<module ")
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(embedded)]
    where = f" (line {lines[-1].lineno} of {_place(lines[-1].filename)})" if lines else ""
    text = advice(error) or traceback.format_exception_only(error)[-1].strip()  # survives what cannot be printed
    return " ".join(text.split())[:2000].removeprefix("ValueError: ") + where


def _place(filename: str) -> str:
    label = filename.strip("<>").partition(",")[0]
    return f"its {label}" if label.startswith("source") else label
