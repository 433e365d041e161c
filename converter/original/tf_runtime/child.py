"""The child process: shuts itself in, runs the job in its folder, and says how it went."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

from .advice import advice
from .isolation import isolate


def main() -> None:
    """Do the job in the folder argv[1] with argv[2] bytes of memory.

    Lines of JSON on standard output tell what goes on; what the source prints goes to standard error.
    """
    folder, memory = Path(sys.argv[1]), int(sys.argv[2])
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def report(**what: object) -> None:
        print(json.dumps(what), file=channel, flush=True)

    report(isolation=isolate(folder, memory))
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
