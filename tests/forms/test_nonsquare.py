"""Networks of public forks whose pictures are not square, against what their own programs computed."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch.nn.functional import normalize

import converter
from converter.errors import ConvertError
from converter.foreign import ForeignFile
from converter.forms.tensorflow.stylegan2 import base_size
from converter.reading import open_source
from converter.translate import export_network
from stylegan_torch.commands.convert import main as convert_command
from stylegan_torch.commands.generate import main as generate_command
from stylegan_torch.drawing.seeds import latents_from_seeds, noise_from_seeds
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks import stylegan2
from stylegan_torch.networks.stylegan2 import SpectralConv
from tests import DATA
from tests.tools import oracle
from tests.tools.compare import assert_same_picture
from tests.tools.official import State, build, log2, write_pickle
from tests.tools.there_and_back import comes_back

NONSQUARE = DATA / "nonsquare"
SIZES = {
    "sky-3x5": (24, 40),
    "eps-3x5": (24, 40),
    "eps-ada-3x5": (24, 40),
    "human-sg2": (64, 32),
    "human-sg3r": (64, 32),
    "fork-aydao-sq": (32, 32),
}


@cache
def _case(name: str) -> tuple[Checkpoint, dict[str, np.ndarray[Any, Any]]]:
    with np.load(NONSQUARE / f"{name}.npz") as arrays:
        return converter.load(NONSQUARE / f"{name}.pkl"), dict(arrays)


def _close(actual: torch.Tensor, expected: np.ndarray[Any, Any], image: bool = True) -> None:
    limit = 1e-4 if image else 1e-4 * max(1.0, float(np.abs(expected).max()))
    assert actual.shape == expected.shape
    assert float(np.abs(actual.numpy() - expected).max()) <= limit


@pytest.mark.parametrize("name", SIZES)
def test_generator_and_discriminator(name: str) -> None:
    checkpoint, arrays = _case(name)
    G, D, z = checkpoint.network("G_ema"), checkpoint.network("D"), torch.from_numpy(arrays["z"])
    assert G.img_size == D.img_size == SIZES[name]
    assert G.img_resolution == D.img_resolution == max(SIZES[name])
    _close(G.mapping(z), arrays["w"], image=False)
    _close(G(z), arrays["img"])
    _close(G(z, truncation_psi=0.7), arrays["img_psi0.7"])
    _close(G(z, truncation_psi=0.5, truncation_cutoff=4), arrays["img_psi0.5_cut4"])
    if "w_mixed" in arrays:
        _close(G.synthesis(torch.from_numpy(arrays["w_mixed"])), arrays["img_w_mixed"])
    if "img_none" in arrays:
        _close(G(z, noise_mode="none"), arrays["img_none"])
    _close(checkpoint.network("G")(z, truncation_psi=0.7), arrays["img_G"])
    images = torch.from_numpy(arrays["img"])
    _close(D(images), arrays["d_scores"], image=False)
    _close(D(images[:3]), arrays["d_scores_batch3"], image=False)


def _advance(network: torch.nn.Module) -> None:
    """Do to the spectral norms of self-attention what every evaluation does in the original program."""
    for layer in network.modules():
        if isinstance(layer, SpectralConv):
            matrix = layer.weight.flatten(1)
            layer.u.copy_(normalize(normalize(layer.u @ matrix, eps=1e-6) @ matrix.t(), eps=1e-6))


def test_attention_of_skyflynils_fork() -> None:
    # These arrays were computed one after the other.
    checkpoint, arrays = _case("fork-skyflynil-att")
    G, D, z = checkpoint.network("G_ema"), checkpoint.network("D"), torch.from_numpy(arrays["z"])
    _close(G.mapping(z), arrays["w"], image=False)
    for name, psi, cutoff in (("img", 1, None), ("img_psi0.7", 0.7, None), ("img_psi0.5_cut4", 0.5, 4)):
        _close(G(z, truncation_psi=psi, truncation_cutoff=cutoff), arrays[name])
        _advance(G)
    _close(G(z, truncation_psi=G.config.truncation_psi), arrays["img_default"])
    _advance(G)
    noise = noise_from_seeds([0], G.z_dim, [(each.shape[0], each.shape[1]) for each in G.synthesis.noise_buffers()])
    images = G(latents_from_seeds([0], G.z_dim), truncation_psi=0.7, noise=noise)
    _close(images, arrays["seed0_psi0.7_float"])
    _close(D(torch.from_numpy(arrays["img"])), arrays["d_scores"], image=False)
    _advance(D)
    _close(D(torch.from_numpy(arrays["img"][:3])), arrays["d_scores_batch3"], image=False)


@pytest.mark.parametrize("name", ["sky-3x5", "human-sg2", "human-sg3r", "fork-aydao-sq"])
def test_official_pictures_of_seeds(name: str, tmp_path: Path) -> None:
    _, arrays = _case(name)
    for key in (key for key in arrays if key.startswith("seed") and key.endswith("uint8")):
        seed, psi = key.removeprefix("seed").removesuffix("_uint8").split("_psi")
        options = ["--network", NONSQUARE / f"{name}.pkl", "--seeds", seed, "--truncation", psi, "--outdir", tmp_path]
        result = CliRunner().invoke(generate_command, [str(option) for option in options])
        assert result.exit_code == 0, result.output
        with Image.open(tmp_path / f"seed{int(seed):04d}.png") as image:
            assert_same_picture(image, arrays[key], arrays[key.replace("uint8", "float")])


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
@pytest.mark.parametrize("name", [*SIZES, "fork-skyflynil-att"])
def test_back_to_the_original_tensors(name: str, suffix: str, tmp_path: Path) -> None:
    source = open_source(NONSQUARE / f"{name}.pkl")
    assert isinstance(source, ForeignFile)
    converter.convert(NONSQUARE / f"{name}.pkl", tmp_path / f"ours{suffix}")
    ours = converter.load(tmp_path / f"ours{suffix}")
    for role, network in source.networks.items():
        back = export_network(role, ours.networks[role], ours.provenance["networks"][role]).tensors
        assert list(back) == list(network.tensors)
        assert all(torch.equal(back[key], value) for key, value in network.tensors.items())


def test_inspect_tells_the_size() -> None:
    result = CliRunner().invoke(convert_command, ["--inspect", str(NONSQUARE / "sky-3x5.pkl")])
    assert "24x40x3" in result.output


@pytest.mark.parametrize(
    ("keywords", "size"),
    [
        ({}, (4, 4)),
        ({"init_res": [3, 5]}, (3, 5)),
        ({"min_h": 3, "min_w": 5}, (3, 5)),
        ({"min_h": 8}, (8, 4)),
        ({"square": False}, (4, 2)),
        ({"square": True}, (4, 4)),
    ],
)
def test_the_first_level_of_each_fork(keywords: dict[str, Any], size: tuple[int, int]) -> None:
    assert base_size(keywords) == size


@pytest.mark.parametrize("sides", [3, [3], [3, 0], [3, "5"], [3, 5000]])
def test_an_odd_first_level_is_refused(sides: Any) -> None:
    with pytest.raises(ConvertError, match="as the size of the first level"):
        base_size({"init_res": sides})


# What no samples exist of: official networks of another first level, with the fork's variables, against the formulas.

TINY: dict[str, Any] = {"num_channels": 3, "fmap_base": 256, "fmap_max": 16, "latent_size": 6, "dlatent_size": 7}


def _of_base(state: State, height: int, width: int) -> State:
    """An official network with another first level: what has a size is drawn again in the other one."""
    rng = np.random.RandomState(5)

    def resized(name: str, value: Any) -> Any:
        if name.startswith("noise"):
            scale = value.shape[2] // 4
            return rng.randn(1, 1, height * scale, width * scale).astype(np.float32)
        if name == "4x4/Const/const":
            return rng.randn(1, value.shape[1], height, width).astype(np.float32)
        if name == "4x4/Dense0/weight":
            return rng.randn(value.shape[0] * height * width // 16, value.shape[1]).astype(np.float32)
        return value

    parts = {key: _of_base(part, height, width) for key, part in state.get("components", {}).items()}
    variables = [(name, resized(name, value)) for name, value in state["variables"]]
    return {**state, "variables": variables, **({"components": parts} if "components" in state else {})}


def _skyflynil(state: State, height: int, width: int) -> State:
    """The same as this fork saves it: scopes have real sizes, the keyword `resolution` no meaning."""

    def real(match: re.Match[str]) -> str:
        return f"{height * int(match[1]) // 4}x{width * int(match[1]) // 4}/"

    levels = log2(state["static_kwargs"]["resolution"]) - 2
    own = {"resolution": height << levels, "min_h": height, "min_w": width, "res_log2": levels}
    variables = [(re.sub(r"^(\d+)x\d+/", real, name), value) for name, value in state["variables"]]
    parts = {key: _skyflynil(part, height, width) for key, part in state.get("components", {}).items()}
    keywords = {**state["static_kwargs"], **own}
    return {**state, "static_kwargs": keywords, "variables": variables, **({"components": parts} if parts else {})}


def _aydao(state: State, height: int, width: int) -> State:
    """The same as aydao's fork saves it: two sides in place of `resolution`, noise maps square whatever those are."""
    keywords, rng = dict(state["static_kwargs"]), np.random.RandomState(8)
    factor = keywords.pop("resolution") // 4
    keywords |= {"resolution_h": height * factor, "resolution_w": width * factor}

    def square(name: str, value: Any) -> Any:
        return rng.randn(1, 1, *[min(value.shape[2:])] * 2).astype(np.float32) if name.startswith("noise") else value

    variables = [(name, square(name, value)) for name, value in state["variables"]]
    parts = {key: _aydao(part, height, width) for key, part in state.get("components", {}).items()}
    return {**state, "static_kwargs": keywords, "variables": variables, **({"components": parts} if parts else {})}


def _draws(G: Any, state: State, psi: float | None = 1.0, cutoff: int | None = None) -> torch.Tensor:
    """Pictures, held against the formulas."""
    z = np.random.RandomState(6).randn(2, G.z_dim)
    w, images = oracle.generator(state, z, None, psi, cutoff)
    x = torch.from_numpy(z).float()
    _close(G.mapping(x, None, psi, cutoff), w, image=False)
    drawn: torch.Tensor = G(x, None, psi, cutoff)
    _close(drawn, images, image=False)
    return drawn


@pytest.mark.parametrize("options", [{}, {"architecture": "resnet"}])
def test_aydaos_pictures_that_are_not_square_have_random_noise_or_none(options: dict[str, Any], tmp_path: Path) -> None:
    keywords = {**TINY, "resolution": 16, "mapping_layers": 2, **options}
    official = [_of_base(build(function, 1, **keywords), 4, 6) for function in ("G_main", "D_stylegan2", "G_main")]
    write_pickle(tmp_path / "aydao.pkl", [_aydao(state, 4, 6) for state in official])
    checkpoint = comes_back(tmp_path / "aydao.pkl")
    G, D = checkpoint.network("G_ema"), checkpoint.network("D")
    assert G.img_size == D.img_size == (16, 24)
    noise = [torch.randn(1, 1, *buffer.shape) for buffer in G.synthesis.noise_buffers()]
    parts = official[2]["components"]["synthesis"]
    parts["variables"] = [
        (name, noise[int(name[5:])].numpy() if name.startswith("noise") else v) for name, v in parts["variables"]
    ]
    z = np.random.RandomState(6).randn(2, G.z_dim)
    images = G(torch.from_numpy(z).float(), truncation_psi=1.0, noise=noise)
    _close(images, oracle.generator(official[2], z, None)[1], image=False)
    _close(D(images), oracle.discriminator(official[1], images.numpy()).scores, image=False)
    result = CliRunner().invoke(convert_command, ["--inspect", str(tmp_path / "aydao.pkl")])
    assert "16x24x3" in result.output
    assert "stored noise maps are square" in " ".join(result.output.split())


def test_sides_without_as_many_levels_are_refused(tmp_path: Path) -> None:
    state = _aydao(_of_base(build("G_main", 1, **TINY, resolution=16), 4, 6), 4, 6)
    state["static_kwargs"]["resolution_w"] = 26
    write_pickle(tmp_path / "odd.pkl", state)
    with pytest.raises(ConvertError, match="resolution_h and resolution_w give 16x26, which 3 levels do not make"):
        converter.load(tmp_path / "odd.pkl")


@pytest.mark.parametrize("function", ["G_paper", "D_paper", "G_style", "D_basic", "G_main", "D_stylegan2", "D_main"])
def test_what_no_keyword_says_is_never_what_the_program_assumes(function: str, tmp_path: Path) -> None:
    state = build(function, 1, **{**TINY, "resolution": 16})
    for part in (state, *state.get("components", {}).values()):
        part["static_kwargs"].pop("resolution", None)
    write_pickle(tmp_path / "silent.pkl", state)
    result = CliRunner().invoke(convert_command, ["--inspect", str(tmp_path / "silent.pkl")])
    assert result.exit_code == 0, result.output
    assert " 16x16x3 " in result.output
    converter.load(tmp_path / "silent.pkl")
    for part in (state, *state.get("components", {}).values()):
        part["variables"] = [item for item in part["variables"] if "x" not in item[0].partition("/")[0]]
    write_pickle(tmp_path / "silent.pkl", state)
    result = CliRunner().invoke(convert_command, ["--inspect", str(tmp_path / "silent.pkl")])
    assert result.exit_code == 1
    assert "neither a keyword nor a variable tells the resolution" in result.output


ATTENTIVE: list[tuple[tuple[int, int], int, dict[str, Any]]] = [
    ((3, 4), 64, {}),
    ((3, 4), 128, {"architecture": "resnet"}),
    ((4, 4), 64, {"architecture": "orig"}),
    ((3, 5), 32, {}),
]
"""First level, side of a square network with as many levels, options. The last has no level for attention."""


@pytest.mark.parametrize(("base", "resolution", "options"), ATTENTIVE)
def test_attention(base: tuple[int, int], resolution: int, options: dict[str, Any], tmp_path: Path) -> None:
    keywords = {**TINY, "resolution": resolution, "mapping_layers": 2, "use_attention": True, **options}
    official = [_of_base(build(function, 1, **keywords), *base) for function in ("G_main", "D_stylegan2", "G_main")]
    write_pickle(tmp_path / "attentive.pkl", [_skyflynil(state, *base) for state in official])
    checkpoint = comes_back(tmp_path / "attentive.pkl")
    G, D = checkpoint.network("G_ema"), checkpoint.network("D")
    assert isinstance(G.config, stylegan2.GeneratorConfig)
    assert isinstance(D.config, stylegan2.DiscriminatorConfig)
    assert [G.config.attention, D.config.attention] == [resolution >= 64] * 2
    for _ in range(2):  # u is not advanced
        images = _draws(G, official[2])
        _close(D(images), oracle.discriminator(official[1], images.numpy()).scores, image=False)


def _attentive(path: Path, without: str = "", **keywords: Any) -> Path:
    """A discriminator with attention, of which some variables may be missing."""
    state = _skyflynil(build("D_stylegan2", 1, **TINY, resolution=64, use_attention=True), 4, 4)
    state["static_kwargs"] |= keywords
    state["variables"] = [(name, value) for name, value in state["variables"] if not without or without not in name]
    write_pickle(path, state)
    return path


def test_attention_is_recognised_by_its_variables_and_missing_ones_are_named(tmp_path: Path) -> None:
    D = converter.load(_attentive(tmp_path / "a.pkl", use_attention=False)).network("D")
    assert isinstance(D.config, stylegan2.DiscriminatorConfig)
    assert D.config.attention
    with pytest.raises(ConvertError, match="network D: variable 64x64/attention_d/h_conv/u is missing"):
        converter.load(_attentive(tmp_path / "b.pkl", without="h_conv/u"))
    with pytest.raises(ConvertError, match=r"network D: variable 64x64/attention_d/.* is missing"):
        converter.load(_attentive(tmp_path / "c.pkl", without="attention_d"))


def test_attention_has_no_place_in_format_rosinality(tmp_path: Path) -> None:
    write_pickle(tmp_path / "a.pkl", build("G_main", 1, **TINY, resolution=64, use_attention=True))
    with pytest.raises(ConvertError, match="network G_ema has no place in format rosinality: it has self-attention"):
        converter.convert(tmp_path / "a.pkl", tmp_path / "theirs.pt", format="rosinality")


HUMAN: list[dict[str, Any]] = [
    {},
    {"lod": 0.6, "num_channels": 1},
    {"resolution": 128, "fmap_base": 64},  # 128x64: by its smaller side nothing is fused yet
    {"fused_scale": True, "blur_filter": None},
]


@pytest.mark.parametrize("options", HUMAN)
def test_stylegan_1_of_stylegan_human(options: dict[str, Any], tmp_path: Path) -> None:
    keywords = {**TINY, "resolution": 16, "mapping_layers": 2, "mapping_fmaps": 5, **options}
    states = [_of_base(build(function, 1, **keywords), 4, 2) for function in ("G_style", "D_basic", "G_style")]
    write_pickle(tmp_path / "human.pkl", states)
    checkpoint = comes_back(tmp_path / "human.pkl")
    G, D = checkpoint.network("G_ema"), checkpoint.network("D")
    assert G.img_size == D.img_size == (keywords["resolution"], keywords["resolution"] // 2)
    assert G.img_resolution == G.synthesis.img_resolution == D.img_resolution == keywords["resolution"]
    images = _draws(G, states[2])
    _draws(G, states[2], 0.7, 3)
    _close(D(images), oracle.discriminator(states[1], images.numpy()).scores, image=False)


def test_stylegan_1_of_another_first_level(tmp_path: Path) -> None:
    state = _of_base(build("G_style", 1, **TINY, resolution=16), 3, 5)
    write_pickle(tmp_path / "wide.pkl", state)
    _draws(comes_back(tmp_path / "wide.pkl").network(), state)
    for part in state["components"].values():
        part["variables"] = [(name, v[..., :-1] if name == "noise3" else v) for name, v in part["variables"]]
    write_pickle(tmp_path / "odd.pkl", state)
    with pytest.raises(
        ConvertError, match=r"noise3 has shape \[1, 1, 6, 9\]; by the keywords it should be \[1, 1, 6, 10"
    ):
        converter.load(tmp_path / "odd.pkl")


def test_official_pictures_of_stylegan_1_of_stylegan_human(tmp_path: Path) -> None:
    # The script neither truncates nor draws noise anew.
    state = _of_base(build("G_style", 1, **TINY, resolution=16), 4, 2)
    write_pickle(tmp_path / "human.pkl", state)
    command = ["--network", tmp_path / "human.pkl", "--seeds", "3", "--outdir", tmp_path]
    result = CliRunner().invoke(generate_command, [str(option) for option in command])
    assert result.exit_code == 0, result.output
    _, images = oracle.generator(state, np.random.RandomState(3).randn(1, TINY["latent_size"]))
    with Image.open(tmp_path / "seed0003.png") as image:
        assert_same_picture(image, oracle.to_uint8(images), images)
