"""Measures while training: in the log, as reports, and the best network kept."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from threading import Event

import pytest
import torch

import stylegan_torch
from stylegan_torch.errors import StyleGANError
from stylegan_torch.training.metrics import Metrics
from stylegan_torch.training.trainer import Trainer
from stylegan_torch.types import JsonObject
from tests.measuring.pictures import folder_of, random_pictures
from tests.tools.train_command import train_command

RECIPE = """
[networks]
family = "stylegan2"
resolution = 16
z_dim = 8
w_dim = 8
mapping_layers = 2
channel_base = 64
channel_max = 8
{networks}

[training]
batch = 8
{training}
"""


MEASURING = ["--metrics", "fid,pr", "--extractor", "random-convolutions", "--metrics-samples", "10"]
MEASURING += ["--metrics-kimg", "0.016", "--snapshot-kimg", "1"]


def _recipe(folder: Path, networks: str = "", training: str = "kimg = 0.048") -> Path:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(networks=networks, training=training))
    return path


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLEGAN_TORCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "photos", random_pictures(24))


def test_measures_while_training(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_command(photos, "--config", _recipe(tmp_path), "--outdir", run, *MEASURING, "--tensorboard")
    names = ["fid@random-convolutions", "precision@random-convolutions", "recall@random-convolutions"]
    with (run / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["kimg"] for row in rows] == ["0.016", "0.032", "0.048"] and all(
        row[name] for row in rows for name in names
    )
    reports = [json.loads(path.read_text()) for path in sorted(run.glob("metrics-*.json"))]
    distances = [report["measures"][0]["values"]["distance"] for report in reports]
    assert [f"{distance:.5g}" for distance in distances] == [row[names[0]] for row in rows]
    best = json.loads((run / "best.json").read_text())
    assert best == min(reports, key=lambda report: report["measures"][0]["values"]["distance"])
    snapshot, kept = (
        stylegan_torch.files.checkpoint.read(path).networks["G_ema"].state_dict
        for path in (run / f"network-{round(best['kimg'] * 1000):09d}.pt", run / "best.pt")
    )
    assert all(torch.equal(value, kept[name]) for name, value in snapshot.items())


@pytest.mark.long
def test_measuring_changes_nothing_of_the_training(photos: Path, tmp_path: Path) -> None:
    run, plain = tmp_path / "run", tmp_path / "plain"
    train_command(photos, "--config", _recipe(tmp_path), "--outdir", run, *MEASURING)
    train_command(photos, "--config", _recipe(tmp_path), "--outdir", plain, "--snapshot-kimg", 0.016)
    last = [stylegan_torch.load(folder / "network-000000048.pt") for folder in (run, plain)]
    for one, other in zip(last[0].parameters(), last[1].parameters(), strict=True):
        assert torch.equal(one, other)
    train_command(photos, "--resume", "--outdir", run, "--kimg", 0.056)
    with (run / "log.csv").open(newline="") as file:
        assert [row["fid@random-convolutions"] != "" for row in csv.DictReader(file)] == [True] * 3 + [False]


def _rows(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if "seconds" not in name} for row in csv.DictReader(file)]


def test_a_run_that_ends_while_it_measures_goes_on_with_that(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether measuring fails or the process is killed then: nothing of the training is lost."""

    def fail(*_arguments: object) -> None:
        raise StyleGANError("out of something")

    run, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    begin = (photos, "--config", _recipe(tmp_path, training="kimg = 0.024"), *MEASURING)
    train_command(*begin, "--outdir", undisturbed)
    with monkeypatch.context() as patch:
        patch.setattr(Metrics, "take", fail)
        assert "out of something" in train_command(*begin, "--outdir", run, status=1)
    assert (run / "network-000000016.pt").exists() and not list(run.glob("metrics-*"))
    train_command(photos, "--outdir", run, "--resume", *MEASURING)
    assert _rows(run) == _rows(undisturbed)
    for name in ("metrics-000000016.json", "metrics-000000024.json", "best.json"):
        assert (run / name).read_text() == (undisturbed / name).read_text()


def test_measuring_ends_when_the_process_is_asked_to_stop(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Metrics.take

    def stopped(metrics: Metrics, trainer: Trainer, stop: Event) -> JsonObject | None:
        stop.set()
        return take(metrics, trainer, stop)

    monkeypatch.setattr(Metrics, "take", stopped)
    run = tmp_path / "run"
    begin = (photos, "--config", _recipe(tmp_path), "--outdir", run, *MEASURING)
    assert "Aborted!" in train_command(*begin, status=1)
    assert [path.name for path in sorted(run.glob("network-*.pt"))] == ["network-000000016.pt", "network-000000024.pt"]
    assert not list(run.glob("metrics-*"))


def test_labels_are_those_of_the_reals(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        folder_of(tmp_path / "photos" / name, random_pictures(12, seed=len(name)))
    run, recipe = tmp_path / "run", _recipe(tmp_path, "c_dim = 2", "kimg = 0.008\nflip = true")
    measuring = ("--metrics", "fid", "--extractor", "random-convolutions", "--metrics-samples", 10)
    mine = tmp_path / "mine"
    train_command(tmp_path / "photos", "--config", recipe, "--outdir", run, *measuring, "--cache", mine)
    assert len(list(mine.glob("*/part-*.npz"))) == 1 and not (tmp_path / "cache").exists()
    (report,) = (json.loads(path.read_text()) for path in run.glob("metrics-*.json"))
    assert report["generated"]["classes"] == "reals" and report["reals"]["count"] == 48  # mirrored too


def test_what_is_missing_is_told_before_the_work_begins(photos: Path, tmp_path: Path) -> None:
    begin = (photos, "--config", _recipe(tmp_path), "--outdir", tmp_path / "run")
    assert "go with --metrics" in train_command(*begin, "--extractor", "pixels", status=2)
    assert "there is no measure 'fod'" in train_command(*begin, "--metrics", "fod", status=2)
    weights = train_command(*begin, "--metrics", "fid", "--features", photos / "00.png", status=1)
    assert "is damaged, or not a state dict of tensors" in weights
    assert "pixels has no classes" in train_command(*begin, "--metrics", "is", "--extractor", "pixels", status=1)
    assert not (tmp_path / "run").exists()
