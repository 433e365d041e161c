"""Set-up shared by tests of programs that are shut in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that is everybody's, with a secret beside the folder of a job."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "job").mkdir()
        (folder / "secret").write_text("secret")
        for path, mode in ((folder, 0o777), (folder / "job", 0o777), (folder / "secret", 0o666)):
            path.chmod(mode)
        yield folder
