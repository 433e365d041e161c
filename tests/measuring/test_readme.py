"""The commands of the guide to measures: what needs no download is run, smaller; all are understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from examples.faces.faces import main as faces
from stylegan_torch.commands.main import main
from tests import HOME

GUIDE = (HOME / "docs" / "guides" / "measure.md").read_text(encoding="utf-8")
LINES = [shlex.split(line) for line in GUIDE.partition("```\n")[2].partition("```")[0].splitlines()]


@pytest.mark.long
def test_what_needs_no_download_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STYLEGAN_TORCH_CACHE", str(tmp_path / "cache"))
    (drawing, measuring, remembering) = ([re.sub(r"^(2000|500)$", "12", word) for word in line] for line in LINES[1:4])
    assert drawing[:3] == ["python", "-m", "examples.faces.faces"]
    for command, words in ((faces, drawing[3:]), (main, measuring[1:]), (main, remembering[1:])):
        result = CliRunner().invoke(command, words)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "faces.json").exists() and (tmp_path / "memorisation.html").exists()


@pytest.mark.parametrize("words", [line for line in LINES if line[0] == "stylegan"], ids=" ".join)
def test_all_are_understood(words: list[str]) -> None:
    command = main.get_command(click.Context(main), words[1])
    assert command
    command.make_context(words[1], words[2:])
