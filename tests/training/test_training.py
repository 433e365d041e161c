"""The training loop: shared out over processes, on every family, growing, frozen, interrupted."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM, Signals
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

import converter
import stylegan_torch
from stylegan_torch.drawing.random_streams import RandomStream, Share
from stylegan_torch.errors import CheckpointError, StyleGANError
from stylegan_torch.networks import progan, stylegan3
from stylegan_torch.training.recipes import Networks, networks_of, new_networks
from stylegan_torch.training.run import alone_in
from stylegan_torch.training.settings import Settings, grown_lod, preset
from stylegan_torch.training.trainer import Trainer, faded, freeze, set_lod
from tests import DATA, HOME, TOOLS
from tests.tools.interrupt import run_interrupted
from tests.tools.long import cases
from tests.tools.small_trainer import trainer_of
from tests.tools.train_command import in_classes, train_command
from tests.tools.train_together import beginning, random_pictures, train

ON_ONE_CORE = {**os.environ, "OMP_NUM_THREADS": "1"}
"""The environment of processes whose sums are to be added in the same order as in a test's."""
STOP_IN_STEP_13 = """
from stylegan_torch.training.trainer import Trainer
interrupt_after(13, Trainer, "step", number)
"""
FAMILIES = {
    "progan": "pg.pkl",
    "stylegan1": "sg1.pkl",
    "stylegan2": "sg2-skip.pkl",
    "stylegan2 grown": "sg2-revised.pkl",
    "stylegan2-ada with classes": "ada-cond.pkl",
    "stylegan3-t": "sg3t_64.pkl",
    "stylegan3-r": "sg3r_64.pkl",
}
RECIPE = """
[networks]
family = "{family}"
resolution = 16
z_dim = 8
w_dim = 8
mapping_layers = 2
channel_base = 64
channel_max = 8
c_dim = {c_dim}

[training]
batch = 8
kimg = 0.16
{more}
"""


def _recipe(folder: Path, family: str = "stylegan2", c_dim: int = 0, more: str = "") -> Path:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(family=family, c_dim=c_dim, more=more))
    return path


def _flat(network: Any) -> Tensor:
    return torch.cat([value.detach().flatten() for value in network.parameters()])


def _outputs(network: Any) -> Tensor:
    """What a network makes of fixed inputs.

    Its parameters say less: where nothing depends on one, such as a bias before a normalization, its gradient is but
    rounding, and Adam makes that large.
    """
    generator, c = torch.Generator().manual_seed(0), torch.eye(2).repeat(4, 1)
    if hasattr(network, "z_dim"):
        return network(torch.randn(8, network.z_dim, generator=generator), c).detach()
    return network(torch.randn(8, 3, *network.img_size, generator=generator), c).detach()


def _tensors(network: Any) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@given(st.integers(1, 6), st.integers(1, 5))
def test_shares_make_up_the_batch(of: int, each: int) -> None:
    batch = of * each
    whole = RandomStream((1, 2), batch, Share()).normal(3)
    parts = [RandomStream((1, 2), batch, Share(index, of)).normal(3) for index in range(of)]
    assert torch.equal(torch.stack(parts, dim=1).flatten(0, 1), whole)
    assert not torch.equal(RandomStream((1, 3), batch, Share()).normal(3), whole)


@pytest.mark.parametrize(
    ("family", "more"),
    [
        pytest.param("progan", "", marks=pytest.mark.long),
        pytest.param("stylegan1", "", marks=pytest.mark.long),
        ("stylegan2", 'path_length_interval = 2\nr1_interval = 2\naugment = "ada"\naugment_p = 0.5\nflip = true'),
    ],
)
def test_two_processes_are_as_good_as_one(family: str, more: str, tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, family, c_dim=2, more=more)
    train(recipe, tmp_path / "one.pt")
    train(recipe, tmp_path / "accumulated.pt", at_once=4)
    program = [str(TOOLS / "train_together.py"), str(recipe), str(tmp_path / "two.pt")]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*launcher, *program], check=True, env={**ON_ONE_CORE, "ACCELERATE_USE_CPU": "true"})
    start = beginning(recipe)
    for role in ("G", "D", "G_ema"):
        one, two, accumulated = (
            _outputs(stylegan_torch.load(tmp_path / f"{name}.pt", network=role))
            for name in ("one", "two", "accumulated")
        )
        moved = (one - _outputs(start[role])).norm()
        assert (two - one).norm() < 0.002 * moved
        assert (accumulated - one).norm() < 0.002 * moved


@pytest.mark.parametrize("family", cases(FAMILIES, long=["stylegan1", "stylegan3-t", "stylegan3-r"]))
def test_fine_tuning_lowers_the_losses_on_a_fixed_batch(family: str, tmp_path: Path) -> None:
    name = FAMILIES[family]
    steps: list[tuple[dict[str, Any], str]] = [
        ({"g_lr": 0.003, "d_lr": 0.0}, "_g_loss"),
        ({"g_lr": 0.0, "d_lr": 0.003}, "_d_loss"),
    ]
    for rates, objective in steps:
        trainer = trainer_of(name, style_mixing=0.0, r1_gamma=0.0, path_length_weight=0.0, **rates)

        def loss(trainer: Trainer = trainer, objective: str = objective) -> float:
            trainer.steps = trainer.shown = 0  # so that latents and pictures are always the same
            return float(getattr(trainer, objective)(Share())[0].detach())

        before = loss()
        for _ in range(20):
            trainer.step()
        assert loss() < before

    networks = {"G_ema": trainer.G_ema, "G": trainer.G, "D": trainer.D}
    stylegan_torch.save(tmp_path / "tuned.pt", networks)
    converter.convert(tmp_path / "tuned.pt", tmp_path / "again.safetensors")
    for role, network in networks.items():
        again = stylegan_torch.load(tmp_path / "again.safetensors", network=role).state_dict()
        assert all(torch.equal(value, again[key]) for key, value in network.state_dict().items())


def test_a_fine_tuned_network_becomes_an_official_pickle(tmp_path: Path) -> None:
    trainer = trainer_of("sg2-skip.pkl")
    trainer.step()
    stylegan_torch.save(tmp_path / "tuned.pt", {"G_ema": trainer.G_ema, "G": trainer.G, "D": trainer.D})
    converter.convert(tmp_path / "tuned.pt", tmp_path / "official.pkl")
    z = stylegan_torch.latents_from_seeds([0], trainer.G_ema.z_dim)
    image = converter.load(tmp_path / "official.pkl").network("G_ema")(z)
    torch.testing.assert_close(image, trainer.G_ema(z), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", FAMILIES.values(), ids=FAMILIES)
def test_a_step_of_everything(name: str) -> None:
    trainer = trainer_of(name, augment="ada", augment_p=0.5, flip=True)
    before = {role: _tensors(getattr(trainer, role)) for role in ("G", "D", "G_ema")}
    values = trainer.step()
    assert values["loss_G"] != 0
    assert trainer.shown == trainer.settings.batch
    for role, tensors in before.items():
        after = getattr(trainer, role).state_dict()
        assert any(not torch.equal(value, after[key]) for key, value in tensors.items()), role


def _moved_by_regularizers(interval: int, steps: int, weight: float) -> Tensor:
    """Return how far a generator goes for its regulariser, on latents that are always the same."""
    given: dict[str, Any] = {"r1_gamma": 0.0, "path_length_weight": weight, "d_lr": 0.0}
    trainer = trainer_of("sg2-skip.pkl", path_length_interval=interval, **given)
    _make_linear(trainer, rate=1e-4)
    trainer._draws = lambda purpose, share, batch=None: RandomStream((7,), batch or trainer.batch, share)  # type: ignore[method-assign]
    before = _flat(trainer.G)
    for step in range(steps):
        trainer.steps = step % interval  # a lazy one looks at every interval-th step
        trainer.path_mean.zero_()
        trainer.step()
    return _flat(trainer.G) - before


def _make_linear(trainer: Trainer, rate: float) -> None:
    """Let a trainer take plain gradient steps, whose sum shows the sum of the gradients."""
    trainer._schedule = lambda: None  # type: ignore[method-assign]
    trainer.g_optimizer = torch.optim.SGD(trainer.g_parameters, lr=rate)
    trainer.d_optimizer = torch.optim.SGD(trainer.d_parameters, lr=rate)


def test_lazy_regularizers_are_the_eager_ones_in_expectation() -> None:
    lazy, eager = (
        _moved_by_regularizers(interval, 8, weight=50.0) - _moved_by_regularizers(interval, 8, weight=0.0)
        for interval in (4, 1)
    )
    assert (lazy - eager).norm() < 0.05 * eager.norm()
    trainer = trainer_of("sg2-skip.pkl", r1_interval=4, r1_gamma=3.0)
    loss, values = trainer._r1_loss(Share())
    torch.testing.assert_close(loss, 4 * 3.0 / 2 * values["r1"])  # every fourth time, four times as much


def test_the_average_follows() -> None:
    trainer = trainer_of("sg2-skip.pkl", ema_kimg=0.008)  # half of it is renewed by a batch of 8
    before = _tensors(trainer.G_ema)
    trainer.step()
    for name, value in trainer.G.named_parameters():
        torch.testing.assert_close(trainer.G_ema.get_parameter(name), (before[name] + value) / 2)
    assert torch.equal(trainer.G_ema.get_buffer("mapping.w_avg"), trainer.G.get_buffer("mapping.w_avg"))


def test_mean_w_follows() -> None:
    trainer = trainer_of("sg2-skip.pkl", w_avg_beta=0.9, g_lr=0.0)
    average = trainer.G.get_buffer("mapping.w_avg")
    before = average.clone()
    z = trainer._draws("d", Share()).normal(trainer.G.z_dim)
    mean = trainer.G.mapping(z)[:, 0].mean(dim=0).detach()
    trainer.step()
    torch.testing.assert_close(average, 0.9 * before + 0.1 * mean)


def test_magnitudes_of_stylegan3_follow() -> None:
    trainer = trainer_of("sg3t_64.pkl", g_lr=0.0)
    G = trainer.G
    assert isinstance(G, stylegan3.Generator)
    beta, layer = G.config.magnitude_ema_beta, getattr(G.synthesis, G.synthesis.layer_names[0])
    before = layer.magnitude_ema.clone()
    z = trainer._draws("d", Share()).normal(G.z_dim)
    power = G.synthesis.input(G.mapping(z)[:, 0]).square().mean().detach()
    trainer.step()
    torch.testing.assert_close(layer.magnitude_ema, beta * before + (1 - beta) * power)


def test_frozen_layers_stay() -> None:
    trainer = trainer_of("sg2-skip.pkl", freeze_d=4)
    before = _tensors(trainer.D)
    for _ in range(2):
        trainer.step()
    same = {name.rpartition(".")[0] for name, value in trainer.D.named_parameters() if torch.equal(before[name], value)}
    assert same == {"b32.fromrgb", "b32.conv0", "b32.conv1", "b32.skip"}


def test_freezing_counts_layers_that_are_used() -> None:
    D = networks_of(converter.load(DATA / "sg1.pkl"))["D"]
    assert {name.rpartition(".")[0] for name in freeze(D, 4)} == {"b32.fromrgb", "b32.conv0", "b32.conv1", "b16.conv0"}
    with pytest.raises(StyleGANError, match="cannot freeze 99 layers of a discriminator that has 10"):
        freeze(D, 99)


@given(st.floats(0, 5000))
def test_growing_takes_the_time_it_is_given(kimg: float) -> None:
    settings = Settings(grow_from=8, grow_kimg=600, fade_kimg=400)
    lod = grown_lod(settings, 32, int(kimg * 1000))
    expected = np.interp(int(kimg * 1000) / 1000, [0, 600, 1000, 1600, 2000], [2, 2, 1, 1, 0])
    assert lod == pytest.approx(float(expected), abs=1e-9)
    assert grown_lod(Settings(), 32, int(kimg * 1000)) == 0.0


@pytest.mark.parametrize("name", ["pg.pkl", "sg1.pkl", "sg2-revised.pkl"])
def test_fading_in_joins_neighbouring_sizes(name: str) -> None:
    networks = networks_of(converter.load(DATA / name))
    G, D = networks["G"], networks["D"]
    z = torch.randn(4, G.z_dim)
    real = random_pictures(4, G.img_resolution).images(np.arange(4))

    def at(lod: float) -> tuple[Tensor, ...]:
        set_lod(G, lod)
        set_lod(D, lod)
        seen = faded(real, lod)
        return G(z).detach(), D(seen).detach(), seen

    for smaller, larger in ((2.0, 1.0), (1.0, 0.0)):
        for whole, begun in ((smaller, smaller - 1e-6), (larger, larger + 1e-6)):
            for a, b in zip(at(whole), at(begun), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
        half, ends = at((smaller + larger) / 2), (at(smaller), at(larger))
        torch.testing.assert_close(half[0], (ends[0][0] + ends[1][0]) / 2, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(half[2], (ends[0][2] + ends[1][2]) / 2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["progan", "stylegan1"])
def test_progressive_growing(family: str) -> None:
    recipe = Networks(family, 16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=64, channel_max=8)  # type: ignore[arg-type]
    networks = new_networks(recipe)
    given = {
        "grow_from": 4,
        "grow_kimg": 0.016,
        "fade_kimg": 0.016,
        "batches": {"4": 16},
        "learning_rates": {"16": 1e-4},
    }
    settings = preset(family, {"batch": 8, **given})
    trainer = Trainer(networks["G"], networks["D"], networks["G_ema"], random_pictures(24, 16), settings)
    seen = []
    while trainer.shown < 80:
        trainer.step()
        seen.append((trainer.shown, trainer.lod, trainer.batch, trainer.g_optimizer.param_groups[0]["lr"]))
    assert [lod for _, lod, _, _ in seen] == [2.0, 2.0, 1.0, 1.0, 1.0, 0.5, 0.0, 0.0]
    assert [batch for _, _, batch, _ in seen][:3] == [16, 16, 8]
    assert [rate for _, _, _, rate in seen][-1] == 1e-4
    assert [vars(network.config)["lod"] for network in (trainer.G_ema, trainer.D)] == [0.0, 0.0]


@pytest.mark.parametrize("name", ["sg2-skip.pkl", "sg1.pkl", "pg.pkl"])
def test_gradients_are_those_of_the_whole_batch(name: str) -> None:
    given: dict[str, Any] = {"r1_interval": 1, "path_length_interval": 1} if name == "sg2-skip.pkl" else {}
    moves = []
    for at_once in (8, 4):
        trainer = trainer_of(name, at_once=at_once, **given)
        _make_linear(trainer, rate=0.01)
        before = torch.cat([_flat(trainer.D), _flat(trainer.G)])
        trainer.step()
        moves.append(torch.cat([_flat(trainer.D), _flat(trainer.G)]) - before)
    assert (moves[0] - moves[1]).norm() < 1e-3 * moves[0].norm()


def test_a_share_is_never_less_than_a_group() -> None:
    trainer = trainer_of("sg2-skip.pkl")
    for batch, at_once, sizes in ((32, 12, 8), (32, 32, 32), (24, 5, 4), (8, 7, 4)):
        trainer.at_once = at_once
        assert [batch // share.of for share in trainer._split(batch, 4)] == [sizes] * (batch // sizes)
    trainer.at_once = 2
    with pytest.raises(
        StyleGANError, match=r"a batch of 8 cannot be shared by 1 process in groups of 4 .* of 2 pictures"
    ):
        trainer._split(8, 4)
    trainer.at_once = 4
    with pytest.raises(StyleGANError, match="in groups of 8"):
        trainer._split(8, None)  # all of a batch is one group


def test_magnitudes_follow_once_a_batch() -> None:
    magnitudes = []
    for at_once in (4, None):
        trainer = trainer_of("sg3t_64.pkl", batch=8, g_lr=0.0, at_once=at_once)
        trainer.step()
        assert isinstance(trainer.G, stylegan3.Generator)
        name = trainer.G.synthesis.layer_names[0]
        magnitudes.append(trainer.G.get_buffer(f"synthesis.{name}.magnitude_ema"))
    torch.testing.assert_close(*magnitudes)


def test_half_precision_by_command(photos: Path, tmp_path: Path) -> None:
    arguments = ["--config", _recipe(tmp_path), "--outdir", tmp_path / "run", "--cache", tmp_path / "cache"]
    arguments += ["--precision", "bfloat16", "--augment", "ada", "--set", "augment_p=0.8", "--kimg", "0.016"]
    program = [sys.executable, "-c", "from stylegan_torch.commands.main import main; main()", "train", str(photos)]
    subprocess.run([*program, *map(str, arguments)], check=True, env=ON_ONE_CORE)
    about = stylegan_torch.files.checkpoint.read(tmp_path / "run" / "network-000000016.pt").provenance["training"]
    assert about["precision"] == "bfloat16"


def test_mixed_precision(tmp_path: Path) -> None:
    program = (
        "from tests.tools.small_trainer import trainer_of\n"
        "for name in ('sg2-skip.pkl', 'sg1.pkl', 'pg.pkl', 'sg3t_64.pkl'):\n"
        "    t = trainer_of(name, augment='ada', augment_p=0.8, blur_sigma=3.0)\n"
        "    print(all(v == v for v in t.step().values()), t.accelerator.mixed_precision)\n"
    )
    environment = {**ON_ONE_CORE, "ACCELERATE_MIXED_PRECISION": "bf16", "PYTHONPATH": str(HOME)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["True", "bf16"] * 4


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of pictures in two classes."""
    return in_classes(tmp_path / "photos", random_pictures(24, 16), ("dogs", "cats"))


def _log(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds_per_kimg"} for row in csv.DictReader(file)]


def test_a_run_from_the_beginning_to_the_end(photos: Path, tmp_path: Path) -> None:
    run, cache = tmp_path / "run", ("--cache", tmp_path / "cache")
    recipe = _recipe(tmp_path, c_dim=2, more="flip = true")
    output = train_command(
        photos, "--config", recipe, "--outdir", run, "--snapshot-kimg", 0.08, "--tensorboard", *cache
    )
    assert output == f"0.16 kimg shown; the last snapshot is {run / 'network-000000160.pt'}\n"
    names = ["fakes-000000080.png", "fakes-000000160.png", "log.csv", "network-000000080.pt"]
    names += ["network-000000080.state", "network-000000160.pt", "network-000000160.state", "reals.png", "tensorboard"]
    assert sorted(path.name for path in run.iterdir()) == names
    content = stylegan_torch.files.checkpoint.read(run / "network-000000160.pt")
    assert list(content.networks) == ["G_ema", "G", "D"]
    about = content.provenance["training"]
    assert (about["family"], about["start"], about["data"], about["kimg"]) == (
        "stylegan2",
        "recipe.toml",
        "photos",
        0.16,
    )
    assert about["settings"]["flip"] is True
    assert [row["kimg"] for row in _log(run)] == ["0.080", "0.160"]
    with Image.open(run / "fakes-000000160.png") as sheet:
        assert sheet.size == (8 * 16, 8 * 16)
    longer = train_command(photos, "--resume", "--outdir", run, "--kimg", 0.24, *cache)  # and further than planned
    assert "0.24 kimg" in longer
    assert not (run / "network-000000080.state").exists()  # only the newest can be gone on from
    assert stylegan_torch.load(run / "network-000000240.pt").c_dim == 2


def _official(path: Path, labels: list[Any] | None) -> Path:
    """Write a zip in the official form, of 30 pictures in 3 shards; the red of a picture is 8 times its number."""
    names = [f"{i // 10:05d}/img{i // 10 * 1000 + i % 10:08d}.png" for i in range(30)]
    with zipfile.ZipFile(path, "w") as archive:
        for i, name in enumerate(names):
            with archive.open(name, "w") as file:
                Image.new("RGB", (16, 16), (8 * i, 0, 0)).save(file, format="PNG")
        entries = labels and [list(entry) for entry in zip(names, labels, strict=True)]
        archive.writestr("dataset.json", json.dumps({"labels": entries}))
    return path


@pytest.mark.parametrize(
    "labels",
    [[(7 * i + i // 10) % 10 for i in range(30)], [[float(i % 4 == j) * i for j in range(10)] for i in range(30)]],
    ids=["classes", "vectors"],
)
def test_every_picture_is_shown_with_its_official_label(
    labels: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[int, list[float]] = {}
    real = Trainer._reals

    def watched(trainer: Trainer, share: Share) -> tuple[Tensor, Tensor]:
        images, c = real(trainer, share)
        numbers = ((images[:, 0, 0, 0] + 1) * 127.5 / 8).round().int().tolist()
        shown.update(zip(numbers, c.tolist(), strict=True))
        return images, c

    monkeypatch.setattr(Trainer, "_reals", watched)
    recipe = _recipe(tmp_path, c_dim=10, more="flip = true")
    data = _official(tmp_path / "set.zip", labels)
    output = train_command(data, "--config", recipe, "--outdir", tmp_path / "run", "--cache", tmp_path / "cache")
    assert output.startswith("0.16 kimg shown")
    one_hot = [label if isinstance(label, list) else np.eye(10)[label].tolist() for label in labels]
    assert shown == dict(enumerate(one_hot))


def test_labels_and_networks_that_do_not_fit(tmp_path: Path) -> None:
    classes = _official(tmp_path / "classes.zip", [i % 4 for i in range(30)])
    null = _official(tmp_path / "null.zip", None)
    vectors = _official(tmp_path / "vectors.zip", [[i, 1.5] for i in range(30)])
    common = ("--cache", tmp_path / "cache", "--kimg", 0.008)

    def tried(data: Path, c_dim: int, name: str, status: int = 1) -> str:
        recipe = _recipe(tmp_path, c_dim=c_dim)
        return train_command(data, "--config", recipe, "--outdir", tmp_path / name, *common, status=status)

    assert "has 3 classes, the data set 4: begin with a network for them (a recipe with c_dim = 4)" in tried(
        classes, 3, "a"
    )
    assert "has 3 classes, the data set none: label the pictures in a dataset.json" in tried(null, 3, "b")
    assert "takes labels of 3 numbers, the data set has vectors of 2" in tried(vectors, 3, "c")
    assert "Note: the labels of the pictures (4 classes) are not used" in tried(classes, 0, "d", status=0)
    assert "Note: this network has 5 classes, the data set only the first 4" in tried(classes, 5, "e", status=0)
    assert tried(null, 0, "f", status=0).startswith("0.008 kimg shown")


def test_killed_at_any_moment_it_goes_on_as_if_nothing_had_happened(photos: Path, tmp_path: Path) -> None:
    more = 'augment = "ada"\naugment_kimg = 0.1\nr1_interval = 3\npath_length_interval = 2\nflip = true'
    recipe = _recipe(tmp_path, more=more)
    common = ("--cache", tmp_path / "cache", "--snapshot-kimg", 0.04)
    train_command(photos, "--config", recipe, "--outdir", tmp_path / "whole", *common)

    killed = tmp_path / "killed"
    process = run_interrupted(
        STOP_IN_STEP_13, ["train", photos, "--config", recipe, "--outdir", killed, *common], SIGKILL
    )
    assert process.returncode == -SIGKILL, process.stderr
    assert [path.name for path in sorted(killed.glob("*.pt"))] == ["network-000000040.pt", "network-000000080.pt"]
    train_command(photos, "--resume", "--outdir", killed, *common)

    assert _log(killed) == _log(tmp_path / "whole")
    for role in ("G", "D", "G_ema"):
        one, other = (
            stylegan_torch.load(tmp_path / name / "network-000000160.pt", network=role).state_dict()
            for name in ("whole", "killed")
        )
        assert all(torch.equal(value, other[key]) for key, value in one.items()), role


@pytest.mark.parametrize("number", [SIGINT, pytest.param(SIGTERM, marks=pytest.mark.long)])
def test_asked_to_stop_it_ends_the_step_and_writes_a_snapshot(number: Signals, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    start = ("--config", _recipe(tmp_path), "--outdir", folder, "--cache", tmp_path / "cache", "--kimg", 1000)
    process = run_interrupted(STOP_IN_STEP_13, ["train", photos, *start], number)
    assert process.returncode == 1
    assert "Aborted" in process.stderr
    assert [path.name for path in folder.glob("network-*.pt")] == ["network-000000104.pt"]
    assert (folder / "network-000000104.state").exists()
    assert "0.112 kimg" in train_command(photos, "--resume", *start[2:-1], 0.112)


def test_a_growing_run_goes_on(photos: Path, tmp_path: Path) -> None:
    more = "grow_from = 4\ngrow_kimg = 0.03\nfade_kimg = 0.03\nbatches = {4 = 16}"
    start = ("--outdir", tmp_path / "run", "--cache", tmp_path / "cache")
    train_command(photos, "--config", _recipe(tmp_path, "progan", more=more), *start, "--kimg", 0.05)
    config = stylegan_torch.load(tmp_path / "run" / "network-000000056.pt").config
    assert isinstance(config, progan.GeneratorConfig)
    assert config.lod == 1.4
    train_command(photos, "--resume", *start, "--kimg", 0.09)
    train_command(
        photos, "--config", tmp_path / "recipe.toml", "--outdir", tmp_path / "whole", *start[2:], "--kimg", 0.09
    )
    for role in ("G", "D", "G_ema"):  # the smaller network's moments are dropped at the right moment
        one, other = (
            stylegan_torch.load(tmp_path / name / "network-000000096.pt", network=role).state_dict()
            for name in ("run", "whole")
        )
        assert all(torch.equal(value, other[key]) for key, value in one.items()), role
    rows = _log(tmp_path / "run")
    assert [row["lod"] for row in rows] == ["1.4", "1"]
    assert all(row["slope_penalty"] for row in rows)


def test_fine_tuning_by_command(tmp_path: Path) -> None:
    for number, picture in enumerate(random_pictures(8, 32).pictures):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(picture.transpose(1, 2, 0)).save(tmp_path / "photos" / f"{number}.png")
    start = ("--network", DATA / "sg2-skip.pkl", "--outdir", tmp_path / "run", "--cache", tmp_path / "cache")
    train_command(tmp_path / "photos", *start, "--kimg", 0.016, "--batch", 8, "--freeze-d", 3, "--set", "r1_gamma=1")
    about = stylegan_torch.files.checkpoint.read(tmp_path / "run" / "network-000000016.pt").provenance["training"]
    assert about["start"] == "sg2-skip.pkl"
    assert (about["settings"]["freeze_d"], about["settings"]["r1_gamma"]) == (3, 1.0)


def test_a_checkpoint_without_a_discriminator(tmp_path: Path) -> None:
    content = converter.load(DATA / "sg2-skip.pkl", ["G_ema"])
    with pytest.raises(StyleGANError, match="no discriminator in it; --fresh-d"):
        networks_of(content)
    for name in FAMILIES.values():
        networks = networks_of(converter.load(DATA / name, ["G_ema"]), fresh_d=True)
        scores = networks["D"](torch.zeros(4, 3, *networks["G"].img_size), torch.zeros(4, networks["G"].c_dim))
        assert scores.shape == (4, 1)
        assert networks["G"] is not networks["G_ema"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give one of --network, --config, --cfg and --resume"),
        (("--config", "{recipe}", "--resume"), "give one of --network, --config, --cfg and --resume"),
        (("--config", "{recipe}", "--cfg", "auto"), "give one of --network, --config, --cfg and --resume"),
        (("--cfg", "best"), "there is no configuration 'best', only auto, stylegan2, paper256"),
        (("--cfg", "auto", "--resolution", "20"), "img_resolution must be a power of two"),
        (
            ("--cfg", "stylegan3-t", "--network", "{data}/sg2-skip.pkl"),
            "--cfg stylegan3-t is for networks of the family",
        ),
        (("--cfg", "auto", "--augment", "fixed"), "setting augment is fixed, but augment_p is 0"),
        (("--config", "{recipe}", "--subset", "25"), "a subset of 25 pictures is wanted, and there are 24"),
        (("--config", "nowhere.toml"), "cannot read nowhere.toml: No such file"),
        (("--config", "{recipe}", "--set", "speed=3"), "config key speed is unknown to Settings"),
        (("--config", "{recipe}", "--aug", "none", "--p", "0.3"), "--p, --target and --augpipe go with --aug"),
        (("--config", "{recipe}", "--metrics-samples", "30"), "--metrics-samples goes with --metrics"),
        (("--config", "{recipe}", "--set", "r1_gamma"), "'r1_gamma' is not NAME=VALUE"),
        (("--config", "{recipe}", "--set", "r1_gama=3"), "r1_gama is unknown to Settings; did you mean r1_gamma?"),
        (("--config", "{recipe}", "--set", "r1_gamma=much"), "r1_gamma has the unknown value 'much'"),
        (("--config", "{recipe}", "--batch", "6"), "a batch of 6 cannot be shared by 1 process in groups of 4"),
        (("--config", "{recipe}", "--set", "augment_p=1.5"), "setting augment_p is 1.5; it must be from 0 to 1"),
        (("--config", "{recipe}", "--set", "kimg=inf"), "setting kimg is inf; it must be from 0 to 1e+12"),
        (("--config", "{recipe}", "--set", "betas=[0.5]"), "setting number of betas is 1"),
        (("--config", "{recipe}", "--set", "learning_rates={{x=1}}"), "learning_rates has the unknown value"),
        (("--config", "{recipe}", "--set", "augment_groups=['colour']"), "augment_groups has 'colour'; there are blit"),
        (("--config", "{recipe}", "--set", "grow_from=6"), "grow_from is 6, not a power of two"),
        (("--network", "{data}/pg.pkl", "--set", "path_length_weight=1.0"), "ProGAN has no W"),
        (("--config", "{recipe}", "--outdir", "{photos}/run"), "run is inside "),
        (("--config", "{recipe}", "--freeze-d", "40"), "cannot freeze 40 layers"),
        (("--config", "{recipe}", "--set", "grow_from=4"), "grow_from: these networks cannot grow"),
        (("--resume",), "has no snapshot to resume from"),
        (("--network", "{data}/ada-cond.pkl"), "this network has 10 classes, the data set 2"),
    ],
)
def test_bad_requests_get_one_line(arguments: Any, message: str, photos: Path, tmp_path: Path) -> None:
    recipe = _recipe(tmp_path)
    given = [argument.format(recipe=recipe, data=DATA, photos=photos) for argument in arguments]
    common = ("--outdir", tmp_path / "run", "--cache", tmp_path / "cache")
    output = train_command(
        photos, *common, *given, status=2 if "give" in message or "NAME" in message or "goes" in message else 1
    )
    assert message in output
    assert "Traceback" not in output
    assert not list((tmp_path / "run").glob("*"))


def test_a_run_is_not_overwritten(photos: Path, tmp_path: Path) -> None:
    start = (
        "--config",
        _recipe(tmp_path),
        "--outdir",
        tmp_path / "run",
        "--cache",
        tmp_path / "cache",
        "--kimg",
        0.008,
    )
    train_command(photos, *start)
    assert "has a run in it: go on with --resume" in train_command(photos, *start, status=1)
    (tmp_path / "run" / "network-000000008.state").write_bytes(b"half")
    output = train_command(photos, "--resume", *start[2:], status=1)
    assert "network-000000008.state is damaged" in output


def test_a_folder_in_which_another_process_trains_is_refused(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    start = ("--config", _recipe(tmp_path), "--outdir", run, "--cache", tmp_path / "cache", "--kimg", 0.008)
    program = f"from pathlib import Path; from stylegan_torch.training.run import alone_in; folder = Path({str(run)!r})"
    program += "\nwith alone_in(folder):\n    print('in', flush=True)\n    input()"
    environment = {**os.environ, "PYTHONPATH": str(HOME)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        for arguments in (start, ("--resume", *start[2:])):
            said = train_command(photos, *arguments, status=1)
            assert said == f"Error: {run}: another process trains here, number {other.pid}\n"
        assert sorted(path.name for path in run.iterdir()) == ["training.lock", "training.pid"]
        other.kill()
    train_command(photos, *start)  # the lock has gone with it
    assert not list(run.glob("training.*"))


def test_a_folder_is_kept_by_the_first_of_several_processes(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with alone_in(run):
        monkeypatch.setenv("RANK", "1")
        said = train_command(photos, "--resume", "--outdir", run, "--cache", tmp_path / "cache", status=1)
        assert "has no snapshot to resume from" in said  # it came past the lock
    assert not run.exists() or not list(run.iterdir())


def test_a_run_goes_on_with_the_labels_it_was_begun_with(tmp_path: Path) -> None:
    common = ("--outdir", tmp_path / "run", "--cache", tmp_path / "cache")
    data = _official(tmp_path / "set.zip", [i % 2 for i in range(30)])
    train_command(data, "--config", _recipe(tmp_path, c_dim=2), *common, "--kimg", 0.008)
    _official(data, [(i + 1) % 2 for i in range(30)])
    output = train_command(data, "--resume", *common, "--kimg", 0.016, status=1)
    assert "was on 30 pictures in 2 classes with other labels: to go on with other pictures" in output
    _official(data, [i % 2 for i in range(30)])
    assert "0.016 kimg" in train_command(data, "--resume", *common, "--kimg", 0.016)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are UTF-8 here")
def test_names_that_are_not_utf8(photos: Path, tmp_path: Path) -> None:
    photos = photos.rename(tmp_path / "photos\udcff")
    recipe = _recipe(tmp_path).rename(tmp_path / "recipe\udcff.toml")
    common = ("--outdir", tmp_path / "run\udcff", "--cache", tmp_path / "cache")
    train_command(photos, "--config", recipe, *common, "--kimg", 0.008)
    assert "0.016 kimg" in train_command(photos, "--resume", *common, "--kimg", 0.016)
    content = stylegan_torch.files.checkpoint.read(tmp_path / "run\udcff" / "network-000000016.pt")
    about = content.provenance["training"]
    assert (about["start"], about["data"]) == ("recipe\\udcff.toml", "photos\\udcff")


def test_labels_are_told_before_pictures_are_prepared(tmp_path: Path) -> None:
    data = _official(tmp_path / "set.zip", [i % 4 for i in range(30)])
    common = ("--outdir", tmp_path / "run", "--cache", tmp_path / "cache", "--kimg", 0.008)
    assert "has 3 classes, the data set 4" in train_command(
        data, "--config", _recipe(tmp_path, c_dim=3), *common, status=1
    )
    assert not (tmp_path / "cache").exists()
    with zipfile.ZipFile(data, "a") as archive, archive.open("00000/more.png", "w") as file:
        Image.new("RGB", (16, 16)).save(file, format="PNG")
    output = train_command(data, "--config", _recipe(tmp_path), *common)
    assert "Note: the labels of the pictures are not used, as this network takes none" in output
    assert "has no label for 00000/more.png" in output
    assert "0.016 kimg" in train_command(data, "--resume", *common[:-1], 0.016)


def test_a_run_goes_on_as_it_was_begun(photos: Path, tmp_path: Path) -> None:
    common = ("--outdir", tmp_path / "run", "--cache", tmp_path / "cache")
    train_command(photos, "--config", _recipe(tmp_path, c_dim=2), *common, "--kimg", 0.008)
    output = train_command(photos, "--resume", *common, "--freeze-d", 2, status=1)
    assert "--freeze-d: this run has 0 frozen layers, which cannot be changed" in output
    (photos / "cats").rename(photos / "zebras")
    assert train_command(photos, "--resume", *common, "--kimg", 0.016, status=1).startswith("Error: ")
    (photos / "zebras").rename(photos / "cats")
    (photos / "cats" / "01.png").unlink()
    output = train_command(photos, "--resume", *common, "--kimg", 0.016, status=1)
    assert "photos has 23 pictures in 2 classes, the run in " in output
    with (tmp_path / "run" / "log.csv").open("a") as file:
        file.write("0.0")  # a row that a kill cut off


def test_divergence_is_said(photos: Path, tmp_path: Path) -> None:
    start = ("--config", _recipe(tmp_path), "--outdir", tmp_path / "run", "--cache", tmp_path / "cache")
    output = train_command(photos, *start, "--set", "d_lr=1e12", "--set", "g_lr=1e12", status=1)
    assert "training diverged after" in output


def test_recipes_say_what_is_wrong(tmp_path: Path) -> None:
    from stylegan_torch.training.recipes import read_recipe

    path = tmp_path / "recipe.toml"
    for text, message in (
        ("[networks]\nfamily = 'biggan'\nresolution = 16", "family has the unknown value 'biggan'"),
        ("[networks]\nfamily = 'progan'", "config key resolution is missing"),
        ("[network]\n", "has network; only the tables networks and training"),
        ("training = 3", "has training; only the tables"),
        ("[networks]\nfamily = 'progan'\nresolution = 64\nchannel_base = 8", "channel_base is 8: the level of 64"),
        ("[networks]\nfamily = 'progan'\nresolution = 64\nz_dim = 0", "z_dim is 0; it must be at least 1"),
        ("[networks\n", "recipe.toml: "),
    ):
        path.write_text(text)
        with pytest.raises(StyleGANError, match=message):
            read_recipe(path)
    with pytest.raises(StyleGANError, match="power of two"):
        new_networks(Networks("stylegan2", 20))
    with pytest.raises(CheckpointError, match="kimg"):
        preset("stylegan2", {"kimg": "long"})


@pytest.mark.parametrize("family", ["progan", "stylegan1", "stylegan2", "stylegan3"])
@pytest.mark.parametrize("c_dim", [0, 3])
def test_new_networks_of_every_family(family: Any, c_dim: int) -> None:
    recipe = Networks(family, 16, c_dim=c_dim, z_dim=8, w_dim=8, channel_base=128, channel_max=16)
    networks = new_networks(recipe, seed=3)
    images = networks["G"](torch.randn(4, 8), torch.eye(4)[:, :c_dim])
    assert images.shape == (4, 3, 16, 16)
    assert networks["D"](images, torch.eye(4)[:, :c_dim]).shape == (4, 1)
    again = new_networks(recipe, seed=3)["G"].state_dict()
    assert all(torch.equal(value, again[key]) for key, value in networks["G"].state_dict().items())
