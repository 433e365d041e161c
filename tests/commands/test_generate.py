"""`stylegan-generate`: the right pictures, under the right names, and clear words where it can't."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch import Tensor

import converter
from stylegan_torch.commands.generate import main
from stylegan_torch.commands.terminal import parse_seeds
from stylegan_torch.drawing import draw as generate
from stylegan_torch.drawing.draw import DrawSettings, draw
from stylegan_torch.drawing.images import Rounding, to_uint8
from stylegan_torch.drawing.seeds import latents_from_seeds, noise_from_seeds
from tests import DATA
from tests.tools.compare import assert_same_picture


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def picture(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def floats(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The images that are drawn, before they are rounded."""
    images: list[Tensor] = []

    def record(some: Tensor, rounding: Rounding) -> Tensor:
        images.extend(some)
        return to_uint8(some, rounding)

    monkeypatch.setattr(generate, "to_uint8", record)
    return images


def test_default_network_needs_nothing_else(tmp_path: Path) -> None:
    result = run("--seeds", "0-2,7", "--outdir", tmp_path / "new" / "out", "--grid", tmp_path / "sheet.png")
    assert result.exit_code == 0, result.output
    names = ["seed0000.png", "seed0001.png", "seed0002.png", "seed0007.png"]
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == names
    sheet = picture(tmp_path / "sheet.png")
    assert sheet.shape == (128, 128, 3)
    assert (sheet[64:, :64] == picture(tmp_path / "new" / "out" / "seed0002.png")).all()


@pytest.mark.parametrize("name", ["sg2-cond", "sg1-cond", "ada-cond"])
def test_writes_what_the_official_script_writes(name: str, tmp_path: Path) -> None:
    arguments = ["--network", DATA / f"{name}.pkl", "--truncation", 0.7, "--class", 1, "--outdir", tmp_path]
    assert run("--seeds", "0,7", *arguments).exit_code == 0
    with np.load(DATA / f"{name}.npz") as arrays:
        for seed in (0, 7):
            expected, images = (arrays[f"seed{seed}_psi0.7_{kind}"] for kind in ("uint8", "float"))
            assert_same_picture(picture(tmp_path / f"seed{seed:04d}.png"), expected, images)


def test_our_file_and_the_original_give_the_same_bytes(tmp_path: Path) -> None:
    converter.convert(DATA / "sg2-skip.pkl", tmp_path / "net.pt")
    run("--network", tmp_path / "net.pt", "--seeds", 3, "--outdir", tmp_path / "a")
    run("--network", DATA / "sg2-skip.pkl", "--seeds", 3, "--outdir", tmp_path / "b")
    assert (tmp_path / "a" / "seed0003.png").read_bytes() == (tmp_path / "b" / "seed0003.png").read_bytes()


def test_batches_change_nothing_that_shows(floats: list[Tensor], tmp_path: Path) -> None:
    for batch in (1, 4):
        run("--seeds", "0-5", "--batch", batch, "--outdir", tmp_path / str(batch))
    for seed in range(6):
        one, four = (picture(tmp_path / batch / f"seed{seed:04d}.png") for batch in ("1", "4"))
        assert_same_picture(four, one, floats[seed])


def test_metadata_says_how_to_make_the_picture_again(tmp_path: Path) -> None:
    network = DATA / "ada-cond.pkl"
    run(
        "--network",
        network,
        "--seeds",
        5,
        "--truncation",
        0.6,
        "--truncation-cutoff",
        3,
        "--class",
        2,
        "--outdir",
        tmp_path,
    )
    with Image.open(tmp_path / "seed0005.png") as image:
        about = json.loads(image.info["stylegan-torch"])
        assert image.info["Software"].startswith("stylegan-torch ")
    assert about["network"]["name"] == "ada-cond.pkl"
    assert len(about["network"]["sha256"]) == 64
    again = DrawSettings(
        about["truncation_psi"], about["truncation_cutoff"], about["class"], about["noise_mode"], about["dtype"]
    )
    [(_, drawn)] = draw(converter.load(network).network(about["weights"]), [about["seed"]], again)
    assert (drawn == picture(tmp_path / "seed0005.png")).all()


@pytest.mark.parametrize(("option", "value"), [("--noise-mode", "none"), ("--truncation", 0.2), ("--weights", "G")])
def test_options_change_the_picture(option: str, value: object, tmp_path: Path) -> None:
    run("--seeds", 1, "--outdir", tmp_path / "a")
    assert run("--seeds", 1, "--outdir", tmp_path / "b", option, value).exit_code == 0
    a, b = picture(tmp_path / "a" / "seed0001.png"), picture(tmp_path / "b" / "seed0001.png")
    assert a.shape == b.shape
    assert (a != b).any()


def test_double_precision_draws_the_same(floats: list[Tensor], tmp_path: Path) -> None:
    run("--seeds", 1, "--outdir", tmp_path / "a")
    assert run("--seeds", 1, "--outdir", tmp_path / "b", "--dtype", "float64").exit_code == 0
    a, b = (picture(tmp_path / name / "seed0001.png") for name in "ab")
    assert_same_picture(a, b, floats[1])


def test_half_precision_draws_nearly_the_same(tmp_path: Path) -> None:
    run("--seeds", 1, "--outdir", tmp_path / "a")
    assert run("--seeds", 1, "--outdir", tmp_path / "b", "--dtype", "bfloat16").exit_code == 0
    a, b = (picture(tmp_path / name / "seed0001.png").astype(int) for name in "ab")
    assert np.abs(a - b).max() <= 24


def test_gray_and_progan_pictures(tmp_path: Path) -> None:
    assert run("--network", DATA / "ada5_fp16_nhwc_gray.pkl", "--seeds", 0, "--outdir", tmp_path).exit_code == 0
    assert picture(tmp_path / "seed0000.png").shape == (64, 64)
    assert run("--network", DATA / "pg.pkl", "--seeds", 1, "--outdir", tmp_path).exit_code == 0
    assert picture(tmp_path / "seed0001.png").shape == (32, 32, 3)


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    (tmp_path / "seed0001.png").write_text("mine")
    result = run("--seeds", "0-1", "--outdir", tmp_path)
    assert result.exit_code == 1
    assert "seed0001.png exists" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["seed0001.png"]
    assert run("--seeds", "0-1", "--outdir", tmp_path, "--force").exit_code == 0
    assert picture(tmp_path / "seed0001.png").shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds", "3-1"], "runs backwards"),
        (["--seeds", "x"], "not a seed"),
        (["--seeds", "1,,2"], "not a seed"),
        (["--seeds", "-5"], "not a seed"),
        (["--seeds", str(1 << 32)], "largest seed"),
        (["--seeds", "0-99999999"], "more than a million"),
        ([], "--seeds"),
        (["--seeds", "0", "--class", "1"], "no classes"),
        (["--seeds", "0", "--class", "10", "--network", str(DATA / "ada-cond.pkl")], "classes 0 to 9"),
        (["--seeds", "0", "--truncation", "0.5", "--network", str(DATA / "pg.pkl")], "ProGAN has no truncation"),
        (["--seeds", "0", "--grid", "sheet.jpg"], ".png"),
        (["--seeds", "0", "--columns", "3"], "--columns goes with --grid"),
        (["--seeds", "0", "--truncation", "much"], "not a finite number"),
        (["--seeds", "0", "--device", "meta"], "no device meta"),
        (["--seeds", "0", "--dtype", "int8"], "int8"),
    ],
)
def test_unusable_arguments_end_with_2(arguments: list[str], words: str, tmp_path: Path) -> None:
    result = run(*arguments, "--outdir", tmp_path / "out")
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (tmp_path / "out").exists()


def test_sheet_and_picture_cannot_be_one_file(tmp_path: Path) -> None:
    result = run("--seeds", "0", "--outdir", tmp_path / "out", "--grid", tmp_path / "out" / "seed0000.png")
    assert result.exit_code == 2
    assert "one of the pictures" in result.stderr
    assert not (tmp_path / "out").exists()


def test_missing_network_is_one_line(tmp_path: Path) -> None:
    result = run("--seeds", "0", "--network", tmp_path / "nothing.pkl")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


def test_parse_seeds() -> None:
    assert parse_seeds("0-3") == [0, 1, 2, 3]
    assert parse_seeds("1,5-7, 9") == [1, 5, 6, 7, 9]


def test_latents_are_those_of_numpy() -> None:
    z = latents_from_seeds([3, 4], 8)
    assert z.dtype == torch.float32
    assert (z[1].numpy() == np.random.RandomState(4).randn(1, 8).astype(np.float32)[0]).all()
    assert latents_from_seeds([], 8).shape == (0, 8)


def test_noise_follows_the_latent() -> None:
    stream = np.random.RandomState(4).randn(8 + 16 + 64).astype(np.float32)
    small, large = noise_from_seeds([9, 4], 8, [(4, 4), (8, 8)])
    assert small.shape == (2, 1, 4, 4)
    assert (small[1].flatten().numpy() == stream[8:24]).all()
    assert (large[1].flatten().numpy() == stream[24:]).all()
