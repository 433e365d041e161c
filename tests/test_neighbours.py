"""A module of the user's that is called like a package of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import DATA, HOME

_COMMAND = "from stylegan_torch.commands.main import main; main(['generate', '--seeds', '0', '--outdir', 'out'])"
_LIBRARY = f"import stylegan_torch; stylegan_torch.load({str(DATA / 'sg2-cond.pkl')!r})"


@pytest.mark.parametrize("name", ["converter.py", "checkpoints/__init__.py"])
@pytest.mark.parametrize("program", [_COMMAND, _LIBRARY], ids=["command", "library"])
def test_it_is_named(name: str, program: str, tmp_path: Path) -> None:
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine = True\n")
    paths = os.pathsep.join([str(tmp_path), str(HOME)])
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert (
        f"{mine.resolve()} is in the way of stylegan-torch's own {mine.stem if '/' not in name else 'checkpoints'}"
        in last
    )
    if program is _COMMAND:
        assert len(done.stderr.splitlines()) == 1
