"""Files in other programs' forms: what those programs would compute from them, and back to ours bit for bit."""

from __future__ import annotations

import pickle
import pickletools
from pathlib import Path
from typing import Any

import legacy_loader
import numpy as np
import oracle_torch
import pytest
import torch
from click.testing import CliRunner

import converter
from converter.cli import main
from converter.errors import ConvertError
from converter.formats import Options
from converter.opening import open_source
from converter.source import Network, Source
from converter.to_genforce import to_genforce
from converter.to_nvidia import to_nvidia
from stylegan_torch.checkpoint import Checkpoint

DATA = Path(__file__).parent / "data"
TF = ["sg2-skip", "sg2-orig", "sg2-resnet", "ada", "ada-cond"]
TORCH = ["ada1_skip64", "ada2_cond5", "ada3_resnetG_skipD", "ada4_orig_cifar", "ada5_fp16_nhwc_gray", "sg3repo_sg2"]
OTHERS = ["community/rosinality_sg2_convert.pt", "community/genforce_stylegan2_64.pth"]
GENFORCE = ["genforce_pggan32", "genforce_stylegan2_64", "genforce_stylegan32_label"]


def _inputs(G: Any, count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(count, G.z_dim, generator=generator), torch.eye(max(G.c_dim, count))[:count, : G.c_dim]


def _source(path: Path) -> dict[str, Network]:
    source = open_source(path)
    assert isinstance(source, Source)
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
    networks, notes = to_nvidia(Checkpoint(converter.load(DATA / f"{name}.pkl").networks))
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
    assert summary.notes == ("D is untrained: there was none", "G is a copy of G_ema: there was none")
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
        ("sg1.pkl", "network G has no place in format nvidia: it is no StyleGAN2"),
        ("sg3t_64.pkl", "network G has no place in format nvidia: it is no StyleGAN2"),
        ("sg2-cond.pkl", 'its mapping.labels is "concat", and there only "embed"'),
        ("sg2-revised.pkl", "keyword architecture is 'revised', which is not one of skip, resnet, orig"),
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
        ("sg2-resnet.pkl", "this form has no name for our tensor synthesis.b8.skip.weight"),
        ("sg2-revised.pkl", 'its architecture is "revised", and there only "skip"'),
        ("pg-unfused.pkl", "its normalize_z_first is false, and there only true"),
        ("nonsquare/sky-3x5.pkl", r"its base_size is \[3, 5\], and there only \[4, 4\]"),
        ("community/akanimax_v3_depth_5_epoch_1.bin", "its first_gain is 1.41"),
        ("community/yuuho_stylegan2_ndarray.pkl", 'its image_upsampling is "bilinear", and there only "filter"'),
        ("community/yuuho_stylegan1_ndarray.pkl", "feature maps, and there they halve from level to level"),
    ],
)
def test_what_genforce_files_cannot_hold_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match=reason):
        converter.convert(DATA / name, tmp_path / "theirs.pth", format="genforce")
    assert list(tmp_path.iterdir()) == []
