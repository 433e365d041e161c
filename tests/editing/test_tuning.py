"""Pivotal tuning: the photograph is drawn more closely, other pictures stay, the result is a network as any other."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from signal import SIGKILL
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

import checkpoints
import converter
import stylegan_torch
from examples.faces.tuning import measured
from stylegan_torch.commands.main import main
from stylegan_torch.drawing.draw import labels_of
from stylegan_torch.drawing.images import to_uint8
from stylegan_torch.editing import latents
from stylegan_torch.editing.latents import Latents, LatentsError, drawn, from_seeds
from stylegan_torch.editing.targets import psnr
from stylegan_torch.editing.tuning import Tuning, TuningError, TuningSettings, tune
from stylegan_torch.files import checkpoint
from stylegan_torch.networks.registry import network_hash
from tests import DATA
from tests.tools.interrupt import run_interrupted

TINY = DATA / "sg2-skip.pkl"
QUICK = ("--network", TINY, "--steps", "12", "--tune", "--tune-steps", "8", "--tune-rate", "0.003")


def network(name: str = "sg2-skip.pkl") -> Any:
    return converter.load(DATA / name).network("G_ema")


def picture(G: Any, seed: int = 5) -> Tensor:
    """Return soft random colours [C, H, W] in [-1, 1], of the size of a network's pictures."""
    coarse = torch.rand(1, G.img_channels, 4, 4, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, G.img_size, mode="bilinear")[0]


def quality(G: Any, at: Latents, target: Tensor) -> float:
    with torch.no_grad():
        return psnr(to_uint8(G.signed(G.synthesis(at.ws, noise=at.noise or None)))[0].numpy(), bytes_of(target))


def bytes_of(image: Tensor) -> Any:
    return to_uint8(image[None])[0].numpy()


def moved(one: Any, other: Any) -> float:
    """Return by how much, of 255, pictures of eight seeds differ on average."""
    at = from_seeds(one, range(8))
    pairs = zip(drawn(one, at), drawn(other, at), strict=True)
    return float(np.mean([np.abs(a.astype(float) - b).mean() for a, b in pairs]))


def test_the_target_is_drawn_and_other_pictures_stay() -> None:
    G = network()
    before = {name: value.clone() for name, value in G.state_dict().items()}
    target, pivot = picture(G), from_seeds(G, [5])
    tuned, free = (
        tune(G, target, pivot, settings=TuningSettings(steps=20, learning_rate=0.004, locality_weight=weight))
        for weight in (0.3, 0)
    )
    assert quality(tuned, pivot, target) > quality(G, pivot, target) + 5
    assert moved(G, tuned) < 0.85 * moved(G, free)
    assert all(torch.equal(value, before[name]) for name, value in G.state_dict().items())
    changed = {name for name, value in tuned.state_dict().items() if not torch.equal(value, before[name])}
    assert all(name.startswith("synthesis.") and not name.endswith("noise_const") for name in changed)
    assert not any(value.requires_grad for value in tuned.parameters())


def test_a_tuning_follows_its_seed() -> None:
    G = network("ada.pkl")
    one, again, other = (
        network_hash(tune(G, picture(G), from_seeds(G, [5]), settings=TuningSettings(steps=2, seed=seed)))
        for seed in (0, 0, 1)
    )
    assert one == again != other


@pytest.mark.parametrize(
    ("name", "class_index", "steps"),
    [
        ("ada-cond.pkl", 2, 8),
        ("sg1.pkl", None, 6),
        pytest.param("sg3t_64.pkl", None, 3, marks=pytest.mark.long),
        pytest.param("sg3r_64.pkl", None, 3, marks=pytest.mark.long),
        ("sg2-revised.pkl", None, 8),
        pytest.param("ada5_fp16_nhwc_gray.pkl", None, 8, marks=pytest.mark.long),
        pytest.param("nonsquare/human-sg2.pkl", None, 8, marks=pytest.mark.long),
        pytest.param("wild/lucidrains/model_100.pt", None, 8, marks=pytest.mark.long),
    ],
)
def test_every_family_is_tuned(name: str, class_index: int | None, steps: int, tmp_path: Path) -> None:
    G = network(name)
    target, pivot = picture(G), from_seeds(G, [5], class_index=class_index)
    assert pivot.c is None or torch.equal(pivot.c, labels_of(G, class_index, 1))
    tuned = tune(G, target, pivot, settings=TuningSettings(steps=steps, learning_rate=0.003))
    assert quality(tuned, pivot, target) > quality(G, pivot, target) + 0.2
    checkpoint.save(tmp_path / "tuned.pt", {"G_ema": tuned})
    assert network_hash(stylegan_torch.load(tmp_path / "tuned.pt")) == network_hash(tuned)


def test_pictures_around_the_pivot_are_as_far_as_asked() -> None:
    G = network("ada.pkl")
    pivot = from_seeds(G, [5])
    tuning = Tuning(G, picture(G), pivot, settings=TuningSettings(alpha=30))
    for _ in range(2):
        away = (tuning._around() - pivot.ws).norm(dim=2)
        torch.testing.assert_close(away, torch.full_like(away, 30 * math.sqrt(G.w_dim / 512)))
        assert tuning.step() > 0
    assert not tuning.done


def test_what_cannot_be_tuned() -> None:
    G = network()
    pivot = from_seeds(G, [5])
    with pytest.raises(LatentsError, match="ProGAN has no W"):
        tune(network("pg.pkl"), picture(G), pivot)
    with pytest.raises(TuningError, match=r"the target is \[3, 8, 8\], this network draws \[3, 32, 32\]"):
        tune(G, torch.zeros(3, 8, 8), pivot)
    with pytest.raises(TuningError, match=r"the pivot is \[1, 4\], this network takes"):
        tune(G, picture(G), Latents(torch.zeros(1, 1, 4)))
    for steps in (1, 20):
        with pytest.raises(TuningError, match="diverged: lower its learning rate"):
            tune(G, picture(G), pivot, settings=TuningSettings(steps=steps, learning_rate=math.inf))


def run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(bytes_of(picture(network()))).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_the_command_writes_a_network_to_work_with(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = run("project", photo, *QUICK, "--outdir", out, "--film", out / "photo.gif")
    names = ["photo-pivot.png", "photo-target.png", "photo.gif", "photo.npz", "photo.png", "photo.pt"]
    assert sorted(path.name for path in out.iterdir()) == names
    G = stylegan_torch.load(out / "photo.pt")
    found = latents.load(out / "photo.npz", G)
    assert found.network == network_hash(G)
    assert bool((found.ws == found.ws[:, :1]).all())
    images = {name: np.asarray(Image.open(out / f"photo{name}.png")) for name in ("", "-pivot", "-target")}
    assert (next(drawn(G, found)) == images[""]).mean() > 0.99
    assert (next(drawn(network(), found)) == images["-pivot"]).mean() > 0.99
    dbs = [psnr(images[name], images["-target"]) for name in ("-pivot", "")]
    assert dbs[1] > dbs[0]
    assert f"Projected into W at a PSNR of {dbs[0]:.1f} dB, tuned to {dbs[1]:.1f} dB: {out / 'photo.pt'}" in said
    about = checkpoint.read(out / "photo.pt").provenance["tuning"]
    assert about["network"]["sha256"] == hashlib.sha256(TINY.read_bytes()).hexdigest()
    assert about["photo_sha256"] == hashlib.sha256(photo.read_bytes()).hexdigest()
    assert (about["photo"], about["tuning"]["steps"], about["tuning"]["alpha"]) == ("photo.png", 8, 30)
    with Image.open(out / "photo.png") as image:
        assert json.loads(image.info["stylegan-torch"])["tuning"]["learning_rate"] == 0.003
    run("draw", "--network", out / "photo.pt", "--latents", out / "photo.npz", "--out", tmp_path / "again.png")
    with Image.open(tmp_path / "again.png") as image:
        assert (np.asarray(image) == images[""]).all()


@pytest.mark.long
def test_killed_while_it_tunes_it_goes_on(photo: Path, tmp_path: Path) -> None:
    in_step_3 = """
from stylegan_torch.editing.tuning import Tuning
interrupt_after(3, Tuning, "step", number)
"""
    arguments = ["project", photo, *QUICK, "--outdir"]
    process = run_interrupted(in_step_3, [*map(str, arguments), str(tmp_path / "out")], SIGKILL)
    assert process.returncode == -SIGKILL, process.stderr
    assert not (tmp_path / "out" / "photo.pt").exists()
    run(*arguments, tmp_path / "out", "--resume")
    run(*arguments, tmp_path / "whole")
    one, other = (network_hash(stylegan_torch.load(tmp_path / name / "photo.pt")) for name in ("out", "whole"))
    assert one == other


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--tune-steps", "3"), 2, "go with --tune"),
        (("--tune", "--locality", "-1"), 2, "not in the range"),
        (("--tune", "--tune-rate", "0"), 2, "not in the range"),
        (("--tune", "--tune-rate", "nan"), 2, "not a finite number"),
        (("--tune", "--locality-alpha", "inf"), 2, "not a finite number"),
        (("--tune", "--tune-steps", "0"), 2, "not in the range"),
        (("--tune", "--network", str(DATA / "pg.pkl")), 1, "ProGAN has no W"),
        (("--tune", "--network", "{folder}/photo.pt"), 2, "the network itself would be replaced"),
        (("--tune", "--tune-rate", "1e30"), 1, "the tuning diverged"),
    ],
)
def test_bad_wishes_get_one_line(arguments: tuple[str, ...], status: int, words: str, photo: Path) -> None:
    (photo.parent / "out").mkdir()
    (photo.parent / "out" / "photo.pt").touch()
    given = [argument.format(folder=photo.parent / "out") for argument in arguments]
    options = ["--steps", 2, "--outdir", photo.parent / "out", "--force"]
    said = run("project", photo, "--network", TINY, *options, *given, status=status)
    assert words in said
    assert said.count("Error") == 1


def test_a_network_in_the_way_is_not_overwritten(photo: Path) -> None:
    mine = photo.parent / "out" / "photo.pt"
    mine.parent.mkdir()
    mine.write_text("mine")
    assert "photo.pt exists; use --force" in run("project", photo, *QUICK, "--outdir", mine.parent, status=1)
    assert mine.read_text() == "mine"


@pytest.mark.long
def test_an_unseen_face_gains_5_db() -> None:
    G = converter.load(checkpoints.DEMO).network("G_ema")
    found = measured(G, 20001, steps=400)
    assert found.tuned > found.pivot + 5
    assert found.mean_move < 4
    assert found.largest_move < 8
