"""Runs a notebook where it is, and writes it with its outputs elsewhere.

python -m tests.tools.notebook NOTEBOOK COPY
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def run(notebook: Path, copy: Path) -> None:
    """Run a notebook.

    Raises:
        nbclient.exceptions.CellExecutionError: with what failed; a shell's command that fails is a failure too.
    """
    content = nbformat.read(notebook, as_version=4)
    content.cells.insert(0, nbformat.v4.new_code_cell(_SHELL))
    NotebookClient(content, timeout=None, resources={"metadata": {"path": str(notebook.parent)}}).execute()
    nbformat.write(content, copy)


_SHELL = """
def _checked(command, run=get_ipython().system_piped):
    run(command)
    if code := get_ipython().user_ns.get("_exit_code"):
        raise RuntimeError(f"{command} ended with {code}")

get_ipython().system = _checked
"""
"""A line that begins with ! does not fail by itself."""

if __name__ == "__main__":
    run(*map(Path, sys.argv[1:]))
