"""The benchmark of training: ours and the formulas taken literally train the same."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "train.py"


def test_ours_and_the_literal_formulas_have_the_same_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "train.json"
    sizes = ["--resolution", "16", "--batch", "4", "--channel-base", "64", "--channel-max", "8", "--steps", "1"]
    monkeypatch.setattr("sys.argv", [str(BENCHMARK), *sizes, "--json", str(out)])
    runpy.run_path(str(BENCHMARK), run_name="__main__")
    found = json.loads(out.read_text(encoding="utf-8"))["families"]
    assert [each["family"] for each in found] == [
        line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith(("| pro", "| style"))
    ]
    for each in found:
        assert each["losses"]["ours"] == pytest.approx(each["losses"]["literal"], rel=1e-3, abs=1e-4), each["family"]
