"""`stylegan bulk`, its files of options, its sub-commands, and how it ends."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

import stylegan_torch
from stylegan_torch.commands.main import main
from tests.tools.small_set import hashes, network_file, networks

SMALL = ["--count", "6", "--shard-size", "4", "--engine", "none", "--device", "cpu"]


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, ["bulk", *map(str, words)])


def test_a_set_is_drawn_gone_on_with_and_verified(tmp_path: Path) -> None:
    words = ["--network", network_file(tmp_path), "--out", tmp_path / "set", *SMALL]
    assert invoke(*words).output == f"6 pictures drawn; 2 of 2 shards are in {tmp_path / 'set'}\n"
    assert invoke(*words).output == f"0 pictures drawn; 2 of 2 shards are in {tmp_path / 'set'}\n"
    (tmp_path / "set" / "00001.tar").unlink()
    found = invoke("verify", tmp_path / "set")
    assert (found.exit_code, found.output.splitlines()[0]) == (1, "00001.tar is missing")
    assert invoke("resume", tmp_path / "set", "--engine", "none").output.startswith("2 pictures drawn")
    good = invoke("verify", tmp_path / "set", "--redraw", 1)
    assert (good.exit_code, good.output) == (0, "6 pictures looked at, 6 drawn again: all as planned\n")


def test_truncation_by_layers_and_towards_centres_is_that_of_draw(tmp_path: Path) -> None:
    network, centres = network_file(tmp_path), tmp_path / "centres.npz"
    how = ["--network", network, "--truncation", 0.7, "--truncation", "0.2@0-1", "--truncation-centres", centres]
    runner = CliRunner()
    words = ["centres", "--network", network, "--count", 2, "--samples", 64, "--out", centres]
    assert runner.invoke(main, list(map(str, words))).exit_code == 0
    said = invoke(*how, "--out", tmp_path / "set", *SMALL, "--format", "folder")
    assert said.exit_code == 0, said.output
    drawn = runner.invoke(main, ["draw", *map(str, how), "--seeds", "5", "--out", str(tmp_path / "5.png")])
    assert drawn.exit_code == 0, drawn.output
    with Image.open(tmp_path / "set" / "00001" / "000000005.png") as mine, Image.open(tmp_path / "5.png") as theirs:
        assert mine.tobytes() == theirs.tobytes()
        about = json.loads(mine.info["stylegan-torch"])
    assert (about["truncation_layers"], about["truncation_centres"]) == (["0.2@0-1"], "centres.npz")
    assert invoke("verify", tmp_path / "set", "--redraw", 1).exit_code == 0


def test_a_file_of_options(tmp_path: Path) -> None:
    config = tmp_path / "set.toml"
    config.write_text(f"""
        network = ["{network_file(tmp_path, 5)}"]
        count = 7
        shard_size = 4
        truncation = "0.5-1"
        tf32 = true
        classes = "0:3,4:1"
        engine = "none"
        device = "cpu"
        columns = "phash"
        best = 0.9
        distinct = 1
        mark = false
    """)
    assert invoke("--config", config, "--out", tmp_path / "one").exit_code == 0
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text())["plan"]
    assert (manifest["count"], manifest["shard_size"], manifest["encoding"]["marked"]) == (7, 4, False)
    assert (manifest["recipe"]["truncation"], manifest["tf32"]) == ([0.5, 1.0], True)
    assert manifest["recipe"]["classes"] == {"indices": [0, 4], "weights": [3.0, 1.0]}
    assert [each["kind"] for each in manifest["filters"]] == ["best", "distinct"]
    assert invoke("--config", config, "--count", 8, "--out", tmp_path / "two").output.startswith("8 pictures")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("colour = 1", "there is no option colour"),
        ("count = ", "set.toml"),
        ('count = "many"', "Invalid value for '--count'"),
        ('truncation = "high"', "Invalid value for '--truncation'"),
    ],
)
def test_files_of_options_that_make_no_sense(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "set.toml").write_text(content)
    told = invoke("--config", tmp_path / "set.toml", "--out", tmp_path / "set")
    assert told.exit_code == 2 and words in told.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--count", "5"], "Missing option '--out'"),
        (["--out", "x"], "Missing option '--count'"),
        (["--count", "0", "--out", "x"], "count is 0"),
        (["--count", "5", "--out", "x", "--vary", "pca"], "'pca' is not directions"),
        (["--count", "5", "--out", "x", "--side", "pca:0>much"], "is not a direction"),
        (["--count", "5", "--out", "x", "--classes", "balanced"], "classes can be balanced in conditional networks"),
        (["--count", "5", "--out", "nosuch://x"], "cannot open nosuch://x"),
        (["resume", "nowhere"], "nowhere holds no set: it has no manifest.json"),
        (["verify", "nowhere"], "nowhere holds no set: it has no manifest.json"),
        (["resume", "nowhere", "--shards", "4-2"], "'4-2' is not a range of shards"),
    ],
)
def test_what_makes_no_sense_is_told_in_a_line(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = invoke(*words, *(["--device", "cpu"] if words[0].startswith("--") else []))
    assert found.exit_code in (1, 2) and told in found.output
    assert "unexpected" not in found.output and list(tmp_path.iterdir()) == []


def test_a_network_that_is_not_finite_is_drawn_if_asked_for(tmp_path: Path) -> None:
    network: dict[str, Any] = dict(networks(0))
    network["G_ema"] = copy.deepcopy(network["G_ema"])
    next(network["G_ema"].synthesis.parameters()).data.flatten()[0] = math.nan
    stylegan_torch.save(tmp_path / "nan.pt", network)
    words = ["--network", tmp_path / "nan.pt", "--out", tmp_path / "set", *SMALL]
    assert "--allow-nonfinite" in invoke(*words).output
    assert invoke(*words, "--allow-nonfinite").output.startswith("6 pictures drawn")
    assert invoke("verify", tmp_path / "set", "--redraw", 1).exit_code == 0


def test_progress_for_programs(tmp_path: Path) -> None:
    told = invoke("--network", network_file(tmp_path), "--out", tmp_path / "set", *SMALL, "--json-lines")
    lines: list[dict[str, Any]] = [json.loads(line) for line in told.stderr.splitlines()]
    assert [(line["shards"], line["of"], line["pictures"]) for line in lines] == [(1, 2, 4), (2, 2, 6)]
    assert all(line["per_second"] > 0 and line["rejected"] == 0 for line in lines)


def test_a_cluster_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray.data")
    monkeypatch.setenv("RAY_ADDRESS", "")  # as it will be again
    words = ["--network", network_file(tmp_path), "--out", tmp_path / "set", *SMALL, "--engine", "ray"]
    said = invoke(*words, "--address", "127.0.0.1:1")
    assert said.output == "Error: no Ray cluster answers at 127.0.0.1:1: Connection refused\n"


@pytest.mark.long
def test_a_script_for_slurm_draws_all_shards_once(tmp_path: Path) -> None:
    words = ["--network", network_file(tmp_path), "--out", tmp_path / "set", "--count", 22, "--shard-size", 3]
    script = invoke(*words, "--engine", "slurm", "--workers", 2, "--device", "cpu").output
    assert "#SBATCH --array=0-1\n" in script and not list((tmp_path / "set").glob("*.tar"))
    (tmp_path / "bin").mkdir()
    stylegan = tmp_path / "bin" / "stylegan"
    stylegan.write_text(f'#!/bin/sh\nexec {sys.executable} -m stylegan_torch.commands.main "$@"\n')
    stylegan.chmod(0o755)
    for task in range(2):
        paths = f"{tmp_path / 'bin'}:/usr/bin:/bin"
        environment = {"SLURM_ARRAY_TASK_ID": str(task), "PATH": paths, "HOME": str(tmp_path)}
        subprocess.run(["bash", "-c", script], env=environment, check=True, capture_output=True, cwd=Path.cwd())
    assert invoke("verify", tmp_path / "set").output == "22 pictures looked at: all as planned\n"


def test_stopped_by_a_signal(tmp_path: Path) -> None:
    """The shard in hand is dropped, nothing is left of it, and the same command goes on."""
    (tmp_path / "stops.py").write_text(
        "import os, signal\n"
        "def at_the_fifth(picture, what):\n"
        "    if what['index'] == 5 and not os.path.exists('stopped'):\n"
        "        open('stopped', 'w').close()\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return 1\n"
    )
    words = ["--network", str(network_file(tmp_path)), "--out", "set", *SMALL, "--filter", "stops:at_the_fifth"]
    command = [sys.executable, "-m", "stylegan_torch.commands.main", "bulk", *words]
    paths = {"PYTHONPATH": f"{tmp_path}:{Path.cwd()}", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    ends = [subprocess.run(command, cwd=tmp_path, env=paths, capture_output=True, text=True, check=False) for _ in "ab"]
    assert (ends[0].returncode, ends[0].stderr) == (1, "Error: stopped; the same command goes on\n")
    assert (ends[1].returncode, ends[1].stdout) == (0, "2 pictures drawn, 0 rejected; 2 of 2 shards are in set\n")
    assert not [name for name in hashes(tmp_path / "set") if "part" in name]
