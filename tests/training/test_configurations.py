"""The official trainers' configurations and options: their numbers, subsets, fixed probability, and dry runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from PIL import Image

from stylegan_torch.commands.train import train
from stylegan_torch.errors import StyleGANError
from stylegan_torch.files import checkpoint
from stylegan_torch.networks.registry import count_parameters, decode, shapes
from stylegan_torch.networks.stylegan3 import layer_specs
from stylegan_torch.pictures.decode import DataError
from stylegan_torch.training import preview
from stylegan_torch.training.configurations import configurations, configured
from stylegan_torch.training.recipes import Networks
from stylegan_torch.training.settings import Settings
from stylegan_torch.training.settings import preset as preset_of
from tests import HOME
from tests.tools.small_trainer import trainer_of
from tests.tools.train_command import in_classes, train_command
from tests.tools.train_together import random_pictures

SMALL = [f"--set={name}" for name in ("channel_base=64", "channel_max=8", "z_dim=8", "w_dim=8")]


@pytest.mark.parametrize(
    ("resolution", "processes", "batch", "gamma", "ema", "rate", "base", "group"),
    [
        (1024, 8, 32, 6.5536, 10, 0.002, 32768, 4),
        (512, 1, 8, 6.5536, 2.5, 0.0025, 32768, 4),
        (256, 1, 16, 0.8192, 5, 0.0025, 16384, 4),
        (128, 2, 64, 0.0512, 20, 0.0025, 16384, 4),
        (32, 1, 32, 0.0064, 10, 0.0025, 16384, 4),
        (32, 100, 100, 0.002048, 31.25, 0.0025, 16384, 1),
    ],
)
def test_auto_follows_the_formulas(
    resolution: int, processes: int, batch: int, gamma: float, ema: float, rate: float, base: int, group: int
) -> None:
    networks, training = configured("auto", resolution, processes=processes)
    assert (training["batch"], training["ema_kimg"], training["ema_rampup"]) == (batch, ema, 0.05)
    assert training["r1_gamma"] == pytest.approx(gamma)
    assert training["g_lr"] == training["d_lr"] == rate
    assert (networks["channel_base"], networks["mbstd_group_size"], networks["mapping_layers"]) == (base, group, 2)


@pytest.mark.parametrize("name", configurations())
def test_every_configuration_makes_networks_and_settings(name: str) -> None:
    about = configurations()[name]
    assert about["release"] in ("StyleGAN2-ADA", "StyleGAN3")
    assert about["source"]
    networks, training = configured(name, 64)
    recipe = decode(Networks, networks)
    assert isinstance(preset_of(recipe.family, recipe.settings | training), Settings)
    assert all(shapes(config) for config in recipe.configs())
    assert configured(name, 64, batch=16)[1]["batch"] == 16


@pytest.mark.parametrize(
    ("name", "base", "mapping", "group"),
    [  # docs/spec/TF.md 1.5, whose fmap_base is half of channel_base
        ("stylegan2", 16384, 8, 4),
        ("paper256", 8192, 8, 8),
        ("paper512", 16384, 8, 8),
        ("paper1024", 16384, 8, 4),
        ("cifar", 8192, 2, 32),
    ],
)
def test_networks_are_those_that_files_of_a_configuration_hold(name: str, base: int, mapping: int, group: int) -> None:
    networks, training = configured(name, 32)
    G, D = decode(Networks, networks).configs()
    settings = preset_of("stylegan2", training)
    assert networks["channel_base"] == 2 * base
    assert G.mapping.num_layers == mapping  # type: ignore[union-attr]
    assert D.mbstd_group_size == group  # type: ignore[union-attr]
    assert (D.architecture == "orig") == (settings.style_mixing == 0) == (name == "cifar")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "fifth", "last", "D_last"),
    [("stylegan3-t", "L7_276_323", "L13_1024_32", 32), ("stylegan3-r", "L7_276_645", "L13_1024_64", 32)],
)
def test_stylegan3_has_the_published_layers(name: str, fifth: str, last: str, D_last: int) -> None:
    networks, _ = configured(name, 1024)
    G, D = decode(Networks, networks).configs()
    specs: Any = layer_specs(G)  # type: ignore[arg-type]
    assert (specs[7].name, specs[13].name) == (fifth, last)  # docs/spec/SG3_LAYERS.md 1
    assert G.magnitude_ema_beta == pytest.approx(0.9988915792636801)  # type: ignore[union-attr]
    assert D.channels[-1] == D_last  # type: ignore[union-attr]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return in_classes(tmp_path / "photos", random_pictures(24, 16), "012")


def _about(run: Path) -> Any:
    (path,) = run.glob("network-*.pt")
    return checkpoint.read(path)


def test_a_configuration_is_trained_by_command(photos: Path, tmp_path: Path) -> None:
    common = (*SMALL, "--cache", tmp_path / "cache", "--kimg", 0.008)
    options = ("--batch", 8, "--gamma", 3, "--aug", "fixed", "--p", 0.3, "--augpipe", "bgcfnc", "--subset", 10)
    run = tmp_path / "run"
    train_command(photos, "--cfg", "auto", "--cond", "--mirror", "--outdir", run, *common, *options)
    content = _about(run)
    about = content.provenance["training"]
    settings = about["settings"]
    assert about["start"] == "auto"
    assert (settings["batch"], settings["r1_gamma"], settings["ema_kimg"], settings["flip"]) == (8, 3, 2.5, True)
    assert (settings["augment"], settings["augment_p"], settings["subset"]) == ("fixed", 0.3, 10)
    assert settings["augment_groups"] == ["blit", "geometric", "color", "filter", "noise", "cutout"]
    config = content.networks["G_ema"].config
    assert (config.c_dim, config.img_size, config.mapping.num_layers) == (3, (16, 16), 2)
    assert about["found"]["pictures"] == 24
    assert about["found"]["subset"] == [10, 0]
    said = train_command(photos, "--resume", "--outdir", run, "--cache", tmp_path / "cache", "--subset", 12, status=1)
    assert "has 24 pictures in 3 classes, of which 12 are taken, the run in" in said
    said = train_command(photos, "--resume", "--outdir", run, "--cache", tmp_path / "cache", "--seed", 1, status=1)
    assert "of which 10 are taken with another seed: to go on with other pictures" in said


def test_a_network_is_fine_tuned_with_a_configuration(photos: Path, tmp_path: Path) -> None:
    from tests.tools.small_set import network_file

    run = tmp_path / "run"
    common = ("--cache", tmp_path / "cache", "--outdir", run, "--kimg", 0.008, "--batch", 8)
    train_command(photos, "--network", network_file(tmp_path), "--cfg", "paper256", "--aug", "noaug", *common)
    settings = _about(run).provenance["training"]["settings"]
    assert (settings["g_lr"], settings["r1_gamma"], settings["ema_kimg"]) == (0.0025, 1, 20)
    assert (settings["batch"], settings["augment"]) == (8, "none")


def test_a_dry_run_says_all_and_writes_nothing(photos: Path, tmp_path: Path) -> None:
    there = sorted(tmp_path.rglob("*"))
    run, cache = tmp_path / "run", tmp_path / "cache"
    arguments = (photos, "--cfg", "stylegan3-r", *SMALL, "--set=g_channel_base=128", "--outdir", run, "--cache", cache)
    said = train_command(*arguments, "--dry-run", "--subset", 9)
    assert sorted(tmp_path.rglob("*")) == there
    lines = [" ".join(line.split()) for line in said.splitlines()]
    G, D = Networks(
        "stylegan3", 16, z_dim=8, w_dim=8, channel_base=64, channel_max=8, g_channel_base=128, radial=True
    ).configs()
    for line in (
        "r1_gamma 0.0016",
        "blur_sigma 10",
        "pictures 9 of 24",
        "size 16×16, 3 channels",
        "labels 3 classes, not used",
        f"G stylegan3 {count_parameters(G):,} parameters",
        f"D stylegan2 {count_parameters(D):,} parameters",
        "Nothing was written: this was a dry run.",
    ):
        assert line in lines, said
    assert "a batch of 30 cannot be shared" in train_command(*arguments, "-n", "--batch", 30, status=1)


@pytest.mark.parametrize(
    "name", ["sg2-skip.pkl", "pg.pkl", pytest.param("sg3t_64.pkl", marks=pytest.mark.long), "ada-cond.pkl"]
)
def test_memory_is_what_a_graph_keeps(name: str) -> None:
    trainer = trainer_of(name)
    kept = preview.memory(trainer)
    G, D, count = trainer.G.requires_grad_(True), trainer.D.requires_grad_(True), trainer.most_at_once
    z, c = torch.randn(count, G.z_dim), torch.zeros(count, G.c_dim)
    own = [value.untyped_storage()._cdata for network in (G, D) for value in network.parameters()]
    real = preview._saved(lambda: D(G(z, c), c if D.c_dim else None), own)
    assert preview._kept(trainer)["g"] == pytest.approx(real, rel=0.02)
    assert kept["activations"] >= real * 0.98
    assert kept["together"] == kept["numbers"] + kept["activations"]
    weights = sum(value.numel() for network in (G, D) for value in network.parameters())
    assert kept["numbers"] > 16 * weights


def test_a_subset_is_so_many_of_the_pictures() -> None:
    data = random_pictures(20, 8, classes=4)
    some = data.subset(7, seed=3)
    assert len(some) == 7
    assert some.rows is not None
    assert np.array_equal(some.rows, np.sort(np.random.RandomState(3).permutation(20)[:7]))
    assert torch.equal(some.images(np.arange(7)), data.images(some.rows))
    assert torch.equal(some.labels(np.arange(7), 4), data.labels(some.rows, 4))
    assert not np.array_equal(data.subset(7, seed=4).rows, some.rows)  # type: ignore[arg-type]
    assert torch.equal(data.subset(20, seed=9).images(np.arange(20)), data.images(np.arange(20)))
    assert len(data.subset(7, seed=1 << 40)) == 7  # beyond what numpy takes
    with pytest.raises(DataError, match="a subset of 21 pictures is wanted, and there are 20"):
        data.subset(21, seed=0)


def test_a_fixed_probability_stays() -> None:
    trainer = trainer_of("sg2-skip.pkl", augment="fixed", augment_p=0.25)
    for _ in range(2):
        assert "augment_p" not in trainer.step()
    assert trainer.overfitting.p == 0.25
    another = trainer_of("sg2-skip.pkl", augment="fixed", augment_p=0.5)  # as --resume --p 0.5 has it
    another.restore(trainer.state())
    assert another.overfitting.p == 0.5


def test_what_is_not_there_is_said(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(StyleGANError, match="there is no configuration 'x', only auto, stylegan2, "):
        configured("x", 64)
    common = ("--outdir", tmp_path / "run", "--cache", tmp_path / "cache")
    assert "are of new networks by --cfg" in train_command(photos, "--resume", "--cond", *common, status=2)
    odd = tmp_path / "odd"
    odd.mkdir()
    Image.new("L", (24, 16)).save(odd / "0.png")
    said = train_command(odd, "--cfg", "auto", *common, status=1)
    assert "the first picture is 24×16, not square with a power of two: give --resolution" in said
    assert "--cond: the pictures of" in train_command(
        odd, "--cfg", "auto", "--cond", "--resolution", 16, *common, status=1
    )
    said = train_command(odd, "--cfg", "auto", "--resolution", 16, *SMALL, *common, "-n")
    assert "16×16, 1 channel\n" in said
    (odd / "0.png").write_bytes(b"no picture")
    assert "0.png is broken, or not a picture" in train_command(odd, "--cfg", "auto", *common, status=1)
    Image.new("RGB", (16, 16)).save(odd / "1.png")
    train_command(odd, "--cfg", "auto", "--bad", "skip", *SMALL, *common, "-n")
    assert "batch has the unknown value 'many'" in train_command(
        photos, "--cfg", "auto", "--set", "batch=many", *SMALL, *common, status=1
    )
    said = train_command(photos, "--cfg", "auto", "--set", "resolution=8", *SMALL, *common, "-n")
    assert "0.0004" in said  # R1's weight for that size


def test_documentation_names_what_there_is() -> None:
    text = (HOME / "docs" / "guides" / "official-training.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    tables = [row for row in rows if row[0].startswith("`--") and row[0] != "`--cfg`"]
    named = [name.strip("`") for row in rows[1 : rows.index(tables[0])] for name in row[0].split(", ")]
    assert named == list(configurations())
    theirs_and_ours = {option for row in tables for option in re.findall(r"--[a-z_-]+", row[1])}
    same = {option for row in tables if row[1].startswith("the same") for option in re.findall(r"--[a-z-]+|-n", row[0])}
    there = {name for parameter in train.params for name in parameter.opts}
    assert theirs_and_ours | same <= there | {"--num_processes"}
    (cfg,) = (each for each in train.params if isinstance(each, click.Option) and each.name == "cfg")
    assert all(name in str(cfg.help) for name in configurations())
