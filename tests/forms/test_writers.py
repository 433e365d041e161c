"""Files in other programs' forms: what those programs would compute from them, and back to ours bit for bit."""

from __future__ import annotations

import json
import pickle
import pickletools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import converter
from converter.errors import ConvertError
from converter.foreign import ForeignFile, ForeignNetwork
from converter.form import Options
from converter.forms.genforce.write import to_genforce
from converter.forms.rosinality.write import to_rosinality
from converter.forms.tensorflow.write import to_nvidia
from converter.reading import open_source
from stylegan_torch.commands.convert import main
from stylegan_torch.files.checkpoint import Checkpoint
from tests import DATA
from tests.tools import legacy_loader, oracle_torch

TF = ["sg2-skip", "sg2-orig", "sg2-resnet", "ada", "ada-cond"]
TORCH = ["ada1_skip64", "ada2_cond5", "ada3_resnetG_skipD", "ada4_orig_cifar", "ada5_fp16_nhwc_gray", "sg3repo_sg2"]
OTHERS = ["community/rosinality_sg2_convert.pt", "community/genforce_stylegan2_64.pth"]
GENFORCE = ["genforce_pggan32", "genforce_stylegan2_64", "genforce_stylegan32_label"]


def _inputs(G: Any, count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(count, G.z_dim, generator=generator), torch.eye(max(G.c_dim, count))[:count, : G.c_dim]


def _source(path: Path) -> dict[str, ForeignNetwork]:
    source = open_source(path)
    assert isinstance(source, ForeignFile)
    return source.networks


def _close(a: Any, b: Any, limit: float = 1e-4) -> None:
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= limit * max(1.0, float(np.abs(b).max()))


# Official pickles.


@pytest.mark.parametrize("name", [*(f"{name}.pkl" for name in TF + TORCH), *OTHERS])
def test_nvidias_tools_draw_the_same(name: str, tmp_path: Path) -> None:
    converter.convert(DATA / name, tmp_path / "theirs.pkl")
    ours, theirs = converter.load(DATA / name), legacy_loader.load(tmp_path / "theirs.pkl")
    G, D = ours.network("G_ema"), ours.network("D")
    z, c = _inputs(G)
    images = G(z, c, truncation_psi=0.7, truncation_cutoff=4)
    kwargs, tensors = theirs["G_ema"]
    _close(oracle_torch.generator(tensors, kwargs, z, c, psi=0.7, cutoff=4)[1], images)
    _close(oracle_torch.generator(theirs["G"][1], theirs["G"][0], z, c)[1], ours.network("G")(z, c))
    kwargs, tensors = theirs["D"]
    _close(oracle_torch.discriminator(tensors, kwargs, images, c), D(images, c))


@pytest.mark.parametrize("name", TF)
def test_official_pickles_come_back_bit_for_bit(name: str, tmp_path: Path) -> None:
    converter.convert(DATA / f"{name}.pkl", tmp_path / "ours.pt")
    converter.convert(tmp_path / "ours.pt", tmp_path / "theirs.pkl", format="nvidia")
    before, after = _source(DATA / f"{name}.pkl"), _source(tmp_path / "theirs.pkl")
    for role in ("G", "D", "G_ema"):
        assert list(after[role].tensors) == list(before[role].tensors)
        for key, value in before[role].tensors.items():
            assert torch.equal(after[role].tensors[key], value), key
    assert list(after) == ["G", "G_ema", "D"]


@pytest.mark.parametrize("name", TF)
def test_official_tensors_need_no_record(name: str) -> None:
    """A network that lost the record of where it came from is written with the same variables, `lod` excepted."""
    source = _source(DATA / f"{name}.pkl")
    notes: list[str] = []
    networks = to_nvidia(Checkpoint(converter.load(DATA / f"{name}.pkl").networks), notes)
    assert notes == []
    for network in networks:
        tensors = {k: v for k, v in source[network.role].tensors.items() if k != "lod"}
        assert set(network.tensors) == set(tensors)
        assert all(torch.equal(value, tensors[key]) for key, value in network.tensors.items())


def test_pickles_hold_data_only(tmp_path: Path) -> None:
    converter.convert(DATA / "sg2-skip.pkl", tmp_path / "theirs.pkl")
    content = (tmp_path / "theirs.pkl").read_bytes()
    names = {text for code, text, _ in pickletools.genops(content) if code.name == "GLOBAL"}
    assert names == {
        "dnnlib.tflib.network Network",
        "numpy.core.multiarray _reconstruct",
        "numpy.core.multiarray scalar",
    }
    with pytest.raises(ModuleNotFoundError):
        pickle.loads(content.replace(b"dnnlib.tflib", b"dnnlib.tflic"))


def test_a_discriminator_is_made_only_when_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "theirs.pkl"
    with pytest.raises(ConvertError, match=r"has no D, which format nvidia needs; --fresh-d makes an untrained one"):
        converter.convert(DATA / "ada-cond.pkl", target, ["g_ema"])
    assert not target.exists()
    summary = converter.convert(DATA / "ada-cond.pkl", target, ["g_ema"], options=Options(fresh_d=True))
    assert summary.notes == (
        "D is untrained: there was none",
        "G is a copy of G_ema: there was none",
        "keywords of G_ema that those tools don't know are left out: fused_modconv",
        "keywords of G that those tools don't know are left out: fused_modconv",
        "the name theirs.pkl holds neither stylegan2 nor stylegan3, by which DragGAN tells networks apart",
    )
    named = converter.convert(DATA / "ada3_resnetG_skipD.pkl", tmp_path / "StyleGAN2.pkl", format="nvidia").notes
    assert not any("DragGAN" in note for note in named)
    assert any("drawn with noise of their own" in note for note in named)
    assert any("style biases of G_ema is rounded" in note for note in named)
    theirs = legacy_loader.load(target)
    G = converter.load(DATA / "ada-cond.pkl").network("G_ema")
    z, c = _inputs(G)
    images = G(z, c)
    for role in ("G_ema", "G"):
        _close(oracle_torch.generator(theirs[role][1], theirs[role][0], z, c)[1], images)
    scores = oracle_torch.discriminator(theirs["D"][1], theirs["D"][0], images, c)
    _close(scores, converter.load(target).network("D")(images, c))
    assert 0 < np.abs(scores).max() < 100


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sg1.pkl", "network G_ema has no place in format nvidia: it is no StyleGAN2"),
        ("sg3t_64.pkl", "network G_ema has no place in format nvidia: it is no StyleGAN2"),
        ("sg2-cond.pkl", 'its mapping.labels is "concat", and there only "embed"'),
        ("sg2-revised.pkl", "it is one of configs B to D, which those tools do not open"),
        ("nonsquare/eps-3x5.pkl", r"its base_size is \[3, 5\], and there only \[4, 4\]"),
    ],
)
def test_what_official_pickles_cannot_hold_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match=reason):
        converter.convert(DATA / name, tmp_path / "theirs.pkl")
    assert list(tmp_path.iterdir()) == []


# genforce.


@pytest.mark.parametrize("name", GENFORCE)
def test_genforce_files_come_back_bit_for_bit(name: str, tmp_path: Path) -> None:
    path = DATA / "community" / f"{name}.pth"
    converter.convert(path, tmp_path / "ours.pt")
    converter.convert(tmp_path / "ours.pt", tmp_path / "theirs.pth", format="genforce")
    _same_content(torch.load(tmp_path / "theirs.pth", weights_only=True), torch.load(path, weights_only=True))


@pytest.mark.parametrize("name", GENFORCE[:2])
def test_genforce_files_need_no_record(name: str) -> None:
    """The same tensors, stored filters included, are made for a network that lost the record of where it came from."""
    path = DATA / "community" / f"{name}.pth"
    content, notes = to_genforce(Checkpoint(converter.load(path).networks))
    _same_content(content, torch.load(path, weights_only=True))
    assert notes == []


def _same_content(content: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(content) == set(expected)
    for key, state in expected.items():
        assert set(content[key]) == set(state)
        for name, value in state.items():
            assert torch.equal(content[key][name], value), name


@pytest.mark.parametrize("name", ["sg1", "sg1-cond", "sg1-fused", "sg2-skip", "sg2-cond", "sg2-orig", "ada-cond", "pg"])
def test_official_networks_in_format_genforce(name: str, tmp_path: Path) -> None:
    converter.convert(DATA / f"{name}.pkl", tmp_path / "theirs.pth", format="genforce")
    ours = converter.load(DATA / f"{name}.pkl")
    told: dict[str, Any] = {"pg": {"fused_scale": True, "mbstd_group_size": 4}, "ada-cond": {"mbstd_group_size": None}}
    converter.convert(tmp_path / "theirs.pth", tmp_path / "again.pt", assumed=told.get(name))
    again = converter.load(tmp_path / "again.pt")
    G, D = ours.network("G_ema"), ours.network("D")
    z, c = _inputs(G, 4)
    images = G(z, c)
    _close(again.network("G_ema")(z, c), images)
    _close(again.network("G")(z, c), ours.network("G")(z, c))
    _close(again.network("D")(images, c), D(images, c))


def test_what_genforce_files_leave_open_is_told(tmp_path: Path) -> None:
    target = str(tmp_path / "theirs.pth")
    result = CliRunner().invoke(main, [str(DATA / "pg.pkl"), target, "--format", "genforce"])
    assert result.exit_code == 0
    assert "Note: genforce must be told that fused_scale of D is True; the file can't say so." in result.stderr
    for assumption, status, words in (
        ("fused_scale=true", 0, "assumed.fused_scale=true"),
        ("group=3", 1, "label_size, mbstd_group_size open, not group"),
        ("fused_scale", 2, "is not like mbstd_group_size=8 or fused_scale=true"),
    ):
        result = CliRunner().invoke(main, ["--inspect", target, "--assume", assumption])
        assert (result.exit_code, words in result.output) == (status, True), result.output


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sg3t_64.pkl", "network G has no place in format genforce: it is of the family stylegan3"),
        ("sg2-resnet.pkl", "its architecture is resnet, which that program can't make a generator with"),
        ("sg2-revised.pkl", 'its architecture is "revised", and there only "skip"'),
        ("pg-unfused.pkl", "its normalize_z_first is false, and there only true"),
        ("nonsquare/sky-3x5.pkl", r"its base_size is \[3, 5\], and there only \[4, 4\]"),
        ("community/akanimax_v3_depth_5_epoch_1.bin", "its first_gain is 1.41"),
        ("community/yuuho_stylegan2_ndarray.pkl", 'its image_upsampling is "bilinear", and there only "filter"'),
        ("community/yuuho_stylegan1_ndarray.pkl", "feature maps, and there min"),
    ],
)
def test_what_genforce_files_cannot_hold_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match=reason):
        converter.convert(DATA / name, tmp_path / "theirs.pth", format="genforce")
    assert list(tmp_path.iterdir()) == []


# What is lost, or made up, is said; what makes no sense is refused.


def test_an_average_w_of_its_own_is_missed(tmp_path: Path) -> None:
    path = DATA / "community" / "rosinality_sg2_convert.pt"
    networks = dict(converter.load(path).networks)
    state = {**networks["G"].state_dict, "mapping.w_avg": networks["G"].state_dict["mapping.w_avg"] + 1}
    networks["G"] = replace(networks["G"], state_dict=state)
    records = converter.load(path).provenance
    notes = to_rosinality(Checkpoint(networks, records))[1]
    assert notes == ["the average w of G is lost: that form has one for all, which is that of G_ema"]
    assert to_rosinality(converter.load(path))[1] == []


def test_what_readers_make_up_is_said(tmp_path: Path) -> None:
    content = torch.load(DATA / "community" / "rosinality_sg2_convert.pt", weights_only=True)
    old = {key: value for key, value in content["g_ema"].items() if not key.startswith("noises.")}
    torch.save({"g_ema": old}, tmp_path / "old.pt")
    average, noise = converter.inspect(tmp_path / "old.pt").notes
    assert "no average w" in average and "no noise maps" in noise
    assert converter.inspect(DATA / "community" / "rosinality_sg2_convert.pt").notes == ()


def _changed(change: Any, path: Path) -> Path:
    content = torch.load(DATA / "community" / "rosinality_sg2_convert.pt", weights_only=True)
    change(content)
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.update(latent_avg=c["latent_avg"].double() / 3), "latent_avg is float64 and loses precision"),
        (lambda c: c.update(latent_avg=[1.0]), "latent_avg is no array"),
        (lambda c: c["g"].update({"module.conv1.noise.weight": torch.ones(1)}), "module.conv1.noise.weight is unknown"),
        (lambda c: c["g"].update({"conv1.noise.weight": torch.ones(1).to_sparse()}), "is sparse, not a plain tensor"),
    ],
)
def test_odd_state_dicts_are_refused(change: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match=reason):
        converter.load(_changed(change, tmp_path / "odd.pt"))


def test_parameters_and_prefixes_are_read(tmp_path: Path) -> None:
    def wrap(content: dict[str, Any]) -> None:
        for key in ("g_ema", "g", "d"):
            content[key] = {f"module.{name}": torch.nn.Parameter(value) for name, value in content[key].items()}

    expected = converter.load(DATA / "community" / "rosinality_sg2_convert.pt")
    found = converter.load(_changed(wrap, tmp_path / "parallel.pt"))
    for role, network in expected.networks.items():
        assert all(torch.equal(found.networks[role].state_dict[k], v) for k, v in network.state_dict.items())
    converter.convert(tmp_path / "parallel.pt", tmp_path / "out.npz")


def test_nan_is_written_as_it_is(tmp_path: Path) -> None:
    def spoil(content: dict[str, Any]) -> None:
        content["g_ema"]["conv1.activate.bias"][3] = float("nan")

    path = _changed(spoil, tmp_path / "nan.pt")
    for name, format in (("a.pkl", "nvidia"), ("b.pth", "genforce"), ("c.pt", "rosinality")):
        converter.convert(path, tmp_path / name, format=format)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('mbstd_group_size="abc"', "mbstd_group_size is 'abc', which is not a whole number from 1"),
        ("mbstd_group_size=0", "which is not a whole number from 1"),
        ("mbstd_group_size=1e30", "which is not a whole number from 1"),
        ("mbstd_group_size=NaN", "which is not a whole number from 1"),
        ("fused_scale=3", "fused_scale is 3, which is not one of True, False"),
        ("label_size=-3", "label_size is -3, which is not a whole number from 0"),
    ],
)
def test_assumptions_that_make_no_sense(said: str, reason: str, tmp_path: Path) -> None:
    path = str(DATA / "community" / "genforce_pggan32.pth")
    result = CliRunner().invoke(main, [path, str(tmp_path / "a.pt"), "--assume", said])
    assert result.exit_code == 1
    assert reason in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.pt", "--fresh-d"], "--fresh-d goes with an official .pkl"),
        (["a.pt", "--noise", "none"], "--noise goes with .onnx and .pt2"),
        (["a.pth"], ".pth goes with --format"),
    ],
)
def test_options_that_would_do_nothing(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, [str(DATA / "pg.pkl"), *arguments])
    assert (result.exit_code, words in result.stderr) == (2, True)


def test_the_summary_is_of_what_was_written(tmp_path: Path) -> None:
    summary = converter.convert(DATA / "ada.pkl", tmp_path / "a.pkl", ["g_ema"], options=Options(fresh_d=True))
    assert set(summary.configs) == {"G_ema", "G", "D"}


def test_other_sizes_than_a_program_makes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match="its images are 64x32, not square"):
        converter.convert(DATA / "nonsquare" / "human-sg3r.pkl", tmp_path / "a.pt", format="stylegan3")
    networks = converter.load(DATA / "sg2-skip.pkl").networks
    config: Any = networks["D"].config
    pooled = replace(networks["D"], config=replace(config, average_pooling=True))
    with pytest.raises(ConvertError, match="its average_pooling is true, and there only false"):
        to_nvidia(Checkpoint({**networks, "D": pooled}), [])


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"assumed": ["mbstd_group_size"]}, "network G_ema: field assumed of its record is a list, not a dict"),
        ({"assumed": {"size": 1}}, "leaves nothing open, not mbstd_group_size"),
        ({"form": "onnx"}, "is of the form onnx, which nothing installed here reads"),
        ({"form": "none"}, "is of the form none, which nothing installed here reads"),
    ],
)
def test_records_that_leave_odd_points_open(header: dict[str, Any], words: str, tmp_path: Path) -> None:
    converter.convert(DATA / "community" / "genforce_pggan32.pth", tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file)
    record = json.loads(str(arrays["stylegan_torch"]))
    for network in record["networks"].values():
        network.update(header)
    np.savez(tmp_path / "a.npz", **{**arrays, "stylegan_torch": np.array(json.dumps(record))})
    with pytest.raises(ConvertError, match=words):
        converter.inspect(tmp_path / "a.npz", {"mbstd_group_size": 4})
