"""`stylegan measure` against sets of pictures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from signal import SIGKILL

import pytest
import torch
from click.testing import CliRunner

import converter
from stylegan_torch.commands.main import main
from stylegan_torch.measuring import Collection, Generated, frechet_distance, open_extractor
from tests import DATA
from tests.measuring.pictures import folder_of, random_pictures
from tests.tools.interrupt import run_interrupted

NETWORK = DATA / "sg2-skip.pkl"
FID = "Fréchet distance of random-convolutions features (not FID): distance "
INTERRUPTED = """
from stylegan_torch.measuring import extractors, features, sets
sets.PART = features.PART = 4
interrupt_after({calls}, extractors.RandomFeatures, "forward", number)
"""


def _run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["measure", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def reals(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "reals", random_pictures(12, 32))


@pytest.fixture
def cache(tmp_path: Path) -> tuple[object, ...]:
    return ("--extractor", "random-convolutions", "--cache", tmp_path / "cache")


def test_a_network_against_pictures(reals: Path, cache: tuple[object, ...], tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    options = ("--network", NETWORK, "--reals", reals, "--samples", 10, "--mirror", "--exact", "--seed", 3)
    output = _run("fid", "kid", "fid", *options, *cache, "--out", out)
    assert output.startswith(FID) and output.count("\n") == 2
    report = json.loads(out.read_text())
    G, extractor = converter.load(NETWORK).network("G_ema"), open_extractor("random-convolutions")
    sets = (Generated(G, 10, seed=3), Collection(reals, G.img_size, mirror=True))
    drawn, real = (torch.cat([extractor(batch.pictures)["features"] for batch in each.batches(0, 4)]) for each in sets)
    assert report["measures"][0]["values"]["distance"] == pytest.approx(frechet_distance(drawn, real), rel=1e-6)
    assert report["measures"][1]["settings"]["kid_subset_size"] == 10
    assert report["reals"]["count"] == 24 and report["generated"]["seeds"] == "3-12"
    assert report["generated"]["network"]["name"] == NETWORK.name
    assert set(report["software"]) == {"python", "stylegan-torch", "torch", "torch-fidelity", "numpy", "pillow"}
    assert len(list((tmp_path / "cache").iterdir())) == 1  # what was generated is not kept
    for keep in (["--keep"], []):
        _run("fid", *options, *cache, *keep)
    assert len(list((tmp_path / "cache").iterdir())) == 2  # nor is what was kept forgotten later
    assert "exists; use --force" in _run("fid", *options, *cache, "--out", out, status=1)


def test_pictures_against_pictures(reals: Path, cache: tuple[object, ...], tmp_path: Path) -> None:
    same = _run("fid", "pr", "--generated", reals, "--reals", reals, *cache).splitlines()
    assert float(same[0].removeprefix(FID)) == pytest.approx(0, abs=1e-4)
    assert same[1].endswith("precision 1, recall 1")
    smaller = folder_of(tmp_path / "smaller", random_pictures(6, 16, seed=1))
    assert _run("fid", "--generated", smaller, "--reals", reals, "--resolution", "24x32", *cache) != same[0]


def test_few_path_lengths_have_a_mean_too(tmp_path: Path) -> None:
    out = tmp_path / "ppl.json"
    _run("ppl", "--network", NETWORK, "--samples", 2, "--out", out)
    values = json.loads(out.read_text())["measures"][0]["values"]
    assert values["mean without the outer 2 %"] == pytest.approx(values["mean"])


def test_reals_are_as_gray_as_the_network(reals: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    options = ("--samples", 4, "--extractor", "pixels", "--cache", tmp_path / "cache", "--out", out)
    _run("kid", "--network", DATA / "ada5_fp16_nhwc_gray.pkl", "--reals", reals, *options)
    assert json.loads(out.read_text())["reals"]["channels"] == 1


@pytest.mark.long  # `test_features` interrupts in the same process
def test_killed_it_goes_on_to_the_same_numbers(reals: Path, cache: tuple[object, ...], tmp_path: Path) -> None:
    out = (tmp_path / "a.json", tmp_path / "b.json")
    options = ("measure", "fid", "kid", "--network", NETWORK, "--reals", reals, "--samples", 10, "--batch", 2, *cache)
    killed = run_interrupted(INTERRUPTED.format(calls=9), [*options, "--out", out[0]], SIGKILL)
    assert killed.returncode == -SIGKILL, killed.stderr
    parts = sorted(path.name for path in (tmp_path / "cache").glob("*/part-*"))
    assert parts == ["part-000000.npz"] * 2 + ["part-000001.npz"] + ["part-000002.npz"]
    for path, folder in zip(out, (tmp_path / "cache", tmp_path / "other"), strict=True):
        again = run_interrupted(
            INTERRUPTED.format(calls=99), [*options[:-1], folder, "--out", path], SIGKILL
        )  # which is not reached
        assert again.returncode == 0, again.stderr
    assert json.loads(out[0].read_text()) == json.loads(out[1].read_text())


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("fid",), 2, "give the real pictures with --reals"),
        (("fid", "--generated", "{reals}", "--network", NETWORK, "--reals", "{reals}"), 2, "not both"),
        (
            ("fid", "--network", NETWORK, "--reals", "{reals}", "--resolution", "8"),
            2,
            "--resolution is for --generated",
        ),
        (("eqt", "--generated", "{reals}"), 2, "eqt is measured on a network"),
        (("fid", "--generated", "{reals}", "--reals", "{reals}", "--classes", 1), 2, "what a network draws"),
        (("fid", "--generated", "{reals}", "--reals", "{reals}", "--noise", "none"), 2, "what a network draws"),
        (("fid", "--generated", "{reals}", "--reals", "{reals}", "--truncation-cutoff", 3), 2, "what a network draws"),
        (("is", "--network", NETWORK, "--mirror"), 2, "--mirror and --reals-count are of --reals"),
        (("fid", "--reals", "{reals}", "--classes", "some"), 2, "'some' is neither none, uniform or reals"),
        (("fid", "--reals", "none.zip"), 1, "cannot read none.zip"),
        (("is", "--network", NETWORK, "--extractor", "pixels"), 1, "pixels has no classes"),
        (("eqt", "--network", NETWORK, "--reals", "{reals}"), 2, "eqt takes no --reals"),
        (("ppl", "--network", NETWORK, "--truncation", 0.5), 2, "without truncation"),
        (("eqr", "--network", NETWORK), 1, "only StyleGAN3's networks"),
        (("fid", "--generated", "{reals}", "--reals", "{reals}", "--truncation-cutoff", 1), 2, "a network draws"),
        (("fid", "--reals", "{reals}", "--crop-face"), 2, "--crop-face are for ppl"),
        (("fid", "--reals", "{reals}", "--generated", "{reals}", "--resolution", "0x8"), 2, "'0x8' is not a size"),
        (
            ("fid", "--network", DATA / "pg.pkl", "--reals", "{reals}", "--truncation", 0.5, "--extractor", "pixels"),
            1,
            "ProGAN has no truncation",
        ),
        (
            (
                "fid",
                "--network",
                NETWORK,
                "--reals",
                "{reals}",
                "--extractor",
                "pixels",
                "--features",
                "{reals}/00.png",
            ),
            1,
            "pixels has no weights to read",
        ),
        (("fid", "--network", NETWORK, "--reals", "{reals}", "--features", "{reals}/00.png"), 1, "not a state dict"),
    ],
)
def test_what_cannot_be_measured(
    arguments: tuple[object, ...], status: int, message: str, reals: Path, tmp_path: Path
) -> None:
    given = [str(each).format(reals=reals) for each in arguments]
    assert message in " ".join(_run(*given, "--cache", tmp_path / "cache", status=status).split())


@pytest.mark.parametrize(
    ("what", "network", "more", "message"),
    [
        ("eqt", NETWORK, (), "only StyleGAN3's networks"),
        ("ppl", DATA / "pg.pkl", (), "ProGAN has no W"),
        ("ppl", NETWORK, ("--distance", "lpips"), "pip install lpips"),
    ],
)
def test_what_cannot_be_measured_is_told_before_what_can(
    what: str, network: Path, more: tuple[str, ...], message: str, reals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    monkeypatch.setattr("stylegan_torch.measuring.measure", lambda *_, **__: pytest.fail("it began"))
    given = ("fid", what, "--network", network, "--reals", reals, "--extractor", "random-convolutions", *more)
    assert message in _run(*given, status=1)


def test_of_few_lengths_none_are_outer() -> None:
    said = _run("norms", "--network", NETWORK, "--samples", 2)
    mean, without = (said.split(f"{name} ")[1].split(",")[0].strip() for name in ("mean", "outer 2 %"))
    assert mean == without
