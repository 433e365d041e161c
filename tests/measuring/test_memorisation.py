"""Memorisation: by hand on a line, copies among pictures, and the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from stylegan_torch.commands.main import main
from stylegan_torch.measuring import MeasureError, memorisation
from tests import DATA
from tests.measuring.pictures import folder_of, random_pictures


def _line(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None]


def test_authenticity_by_hand() -> None:
    reals = _line(0, 1, 3, 7)  # their nearest others are 1, 1, 2 and 4 away
    found = memorisation(_line(0.25, 5.5, 3, 12), reals, k=2)
    assert found.neighbours.tolist() == [[0, 1], [3, 2], [2, 1], [3, 2]]
    assert found.distances.tolist() == [[0.25, 0.75], [1.5, 2.5], [0, 2], [5, 9]]
    assert found.own.tolist() == [1, 4, 2, 4]
    assert found.authentic.tolist() == [False, False, False, True] and found.authenticity == 0.25
    assert found.ratios.tolist() == [0.25, 0.375, 0, 1.25] and found.worst_first == [2, 0, 1, 3]


def test_reals_that_repeat() -> None:
    found = memorisation(_line(0, 0.5), _line(0, 0, 4), k=1)
    assert found.own.tolist() == [0, 0]
    assert found.authentic.tolist() == [False, True]  # only the copy is not
    assert found.ratios.tolist() == [0, float("inf")]


def test_a_mirror_image_is_no_other_picture() -> None:
    reals, same = _line(0, 10, 0.1, 10.1), np.array([0, 1, 0, 1])
    assert memorisation(_line(1), reals, k=1).own[0] == pytest.approx(0.1)
    assert memorisation(_line(1), reals, k=1, same=same).own[0] == pytest.approx(9.9)
    with pytest.raises(MeasureError, match="only one training picture"):
        memorisation(_line(1), _line(0, 1), k=1, same=np.array([0, 0]))
    with pytest.raises(MeasureError, match="3 neighbours need more training pictures than 3"):
        memorisation(_line(1), _line(0, 1, 2))


def test_many_features_as_brute_force() -> None:
    torch.manual_seed(0)
    generated, reals = torch.randn(300, 8), torch.randn(500, 8)
    found = memorisation(generated, reals, k=4)
    all_distances = (generated[:, None].double() - reals.double()).norm(dim=2)
    expected, numbers = all_distances.sort(dim=1)
    assert torch.equal(found.neighbours, numbers[:, :4])
    torch.testing.assert_close(found.distances, expected[:, :4])
    among = (reals[:, None].double() - reals.double()).norm(dim=2).fill_diagonal_(torch.inf).amin(dim=1)
    torch.testing.assert_close(found.own, among[numbers[:, 0]])


def _run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["memorisation", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def test_a_copy_is_found_and_shown(tmp_path: Path) -> None:
    reals, generated = random_pictures(8), random_pictures(5, seed=1)
    generated[3] = reals[2][:, ::-1]
    there = folder_of(tmp_path / "reals", reals)
    (there / "02.png").rename(there / "<b>&.png")
    (there / "03.png").rename(there / "\x1b[31m\u202e.png")
    here = folder_of(tmp_path / "drawn", generated)
    page, out = tmp_path / "page.html", tmp_path / "report.json"
    cache = ("--cache", tmp_path / "cache")
    files = ("--page", page, "--out", out, "--pairs", 2)
    output = _run(there, "--generated", here, "--mirror", "--neighbours", 2, *files, *cache)
    assert "1 copies; nearest is 03.png to <b>&.png (mirrored), ratio 0" in output
    report = json.loads(out.read_text())
    assert report["copies"] == 1 and report["pairs"][0]["authentic"] is False
    assert [len(pair["nearest"]) for pair in report["pairs"]] == [2] * 5
    assert report["reals"]["mirrored"] is True and report["extractor"]["name"] == "pixels"
    text = page.read_text()
    assert "\x1b" not in text and "\u202e" not in text
    assert "&lt;b&gt;&amp;.png (mirrored)" in text and "<b>&.png" not in text
    assert text.count("data:image/png") == 2 * 3 and 'src="http' not in text
    assert "0 copies" in _run(there, "--generated", here, *cache)  # without its mirror image it is none
    assert "exists; use --force" in _run(there, "--generated", here, *files, status=1)


def test_of_a_network(tmp_path: Path) -> None:
    there = folder_of(tmp_path / "reals", random_pictures(6))
    arguments = ("--network", DATA / "sg2-skip.pkl", "--samples", 3, "--extractor", "random-convolutions")
    output = _run(there, *arguments, "--page", tmp_path / "page.html", "--cache", tmp_path / "cache")
    assert output.startswith("authenticity (random-convolutions): ") and " of 3, 0 copies; nearest is seed " in output
    assert len(list((tmp_path / "cache").iterdir())) == 1  # of the reals
