"""Community checkpoints against what their own programs computed, and back to their own tensors, bit for bit."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import converter
from converter.errors import ConvertError
from converter.foreign import ForeignFile
from converter.forms.tensorflow.pickler import fresh_network, write_pickle
from converter.reading import open_source
from converter.translate import export_network, import_network
from stylegan_torch.commands.convert import main
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks.registry import assemble
from tests import DATA

COMMUNITY = DATA / "community"
ROSINALITY = ["rosinality_sg2_convert", "rosinality_sg2_train_010000"]
GENFORCE = ["genforce_pggan32", "genforce_stylegan2_64", "genforce_stylegan32_label"]
AKANIMAX = "akanimax_v3_depth_5_epoch_1"
_KINDS = {"ndarray": ".pkl", "state_dict": ".pth"}
YUUHO = {f"yuuho_stylegan{v}_{kind}": end for kind, end in _KINDS.items() for v in (1, 2)}
STYLEGAN1 = "rosinality_sg1_running_100000"
FILES = {
    STYLEGAN1: ".model",
    **YUUHO,
    AKANIMAX: ".bin",
    **dict.fromkeys(ROSINALITY, ".pt"),
    **dict.fromkeys(GENFORCE, ".pth"),
}


@cache
def _case(name: str) -> tuple[Checkpoint, dict[str, np.ndarray[Any, Any]]]:
    arrays_of = re.sub("_(depth_5_epoch_1|running_100000|ndarray|state_dict)", "", name)
    with np.load(COMMUNITY / f"{arrays_of}.npz") as arrays:
        return converter.load(COMMUNITY / f"{name}{FILES[name]}"), dict(arrays)


def _close(actual: torch.Tensor, expected: np.ndarray[Any, Any], image: bool = True) -> None:
    limit = 1e-4 if image else 1e-4 * max(1.0, float(np.abs(expected).max()))
    assert actual.shape == expected.shape
    assert float(np.abs(actual.numpy() - expected).max()) <= limit


@pytest.mark.parametrize("name", ROSINALITY)
def test_rosinality_stylegan2(name: str) -> None:
    checkpoint, arrays = _case(name)
    G, D = checkpoint.network("G_ema"), checkpoint.network("D")
    z, images = torch.from_numpy(arrays["z"]), torch.from_numpy(arrays["D_images8"])
    _close(G.mapping(z)[:, 0], arrays["w"], image=False)
    _close(G(z), arrays["img_buffers"])
    _close(G(z, noise=[torch.from_numpy(arrays[f"noise_{k}"]) for k in range(G.num_ws - 1)]), arrays["img_noise_given"])
    _close(G.synthesis(torch.from_numpy(arrays["latents_mix"])), arrays["img_mix_inject3"])
    _close(checkpoint.network("G")(z), arrays["img_g"])
    average = torch.from_numpy(arrays["truncation_latent"]).reshape(-1)
    if "latent_avg" in arrays:
        torch.testing.assert_close(G.mapping.w_avg, average)
    G.get_buffer("mapping.w_avg").copy_(average)
    _close(G(z, truncation_psi=0.7), arrays["img_trunc0.7"])
    for key, count in {"D_b1": 1, "D_b3": 3, "D_b4": 4, "D_b8_group4": 8}.items():
        _close(D(images[:count]), arrays[key], image=False)


# This one was made with options that its file does not tell: all enlargements fused, groups of 2.
UNTOLD = {
    "genforce_stylegan32_label": {"G_ema": {"fused_from": 8}, "G": {"fused_from": 8}, "D": {"mbstd_group_size": 2}}
}


@pytest.mark.parametrize("name", GENFORCE)
def test_genforce(name: str) -> None:
    _, arrays = _case(name)
    source = open_source(COMMUNITY / f"{name}.pth")
    assert isinstance(source, ForeignFile)
    networks: dict[str, Any] = {}
    for role, network in source.networks.items():
        assumed = {**network.header["assumed"], **UNTOLD.get(name, {}).get(role, {})}
        networks[role] = import_network(replace(network, header={**network.header, "assumed": assumed}))
    modules: Any = [assemble(networks[role].config, networks[role].state_dict) for role in ("G_ema", "G", "D")]
    G, raw, D = modules
    z = torch.from_numpy(arrays["z"])
    labels = torch.from_numpy(arrays["label4"]) if "label4" in arrays else torch.zeros(4, 0)
    c = labels[:3]
    _close(G(z, c), arrays["image"])
    count = len(arrays["image_generator"])
    _close(raw(z[:count], c[:count]), arrays["image_generator"])
    if "w" in arrays:
        _close(G.mapping(z, c)[:, 0], arrays["w"], image=False)
        _close(G.mapping(z, c, 0.7, 8), arrays["wp_trunc0.7_layers8"], image=False)
        _close(G(z, c, 0.7, 8), arrays["image_trunc0.7_layers8"])
        _close(G(z[:1], c[:1], 0.5, 4), arrays["image_trunc0.5_layers4"])
    for key in (key for key in arrays if key.startswith("image_lod")):
        grown = assemble(replace(networks["G_ema"].config, lod=float(key[9:])), networks["G_ema"].state_dict)
        _close(grown(z[: len(arrays[key])], c[: len(arrays[key])]), arrays[key])
    images = torch.from_numpy(arrays["D_images4"])
    images = torch.cat([images, images.flip(3) / 2])
    for key in (key for key in arrays if key.startswith("D_b")):
        n = int(key[3:])
        _close(D(images[:n], labels.repeat(2, 1)[:n]), arrays[key], image=False)


@pytest.mark.parametrize("name", YUUHO)
def test_yuuho(name: str) -> None:
    checkpoint, arrays = _case(name)
    G, z = checkpoint.network(), torch.from_numpy(arrays["z"])
    own: dict[str, Any] = {"truncation_psi": G.config.truncation_psi, "truncation_cutoff": G.config.truncation_cutoff}
    _close(G.mapping(z)[:, 0], arrays["w_untruncated"], image=False)
    _close(G.mapping(z, **own), arrays["styles"][:, : G.num_ws], image=False)
    _close(G(z), arrays["image_psi1"])
    _close(G(z, **own), arrays["image"])


def _at(network: Any, lod: float) -> Any:
    return assemble(replace(network.config, lod=lod), network.state_dict)


def test_rosinality_stylegan(tmp_path: Path) -> None:
    _, arrays = _case(STYLEGAN1)
    z, noise = torch.from_numpy(arrays["z"]), [torch.from_numpy(arrays[f"noise_{i}"]) for i in range(6)]
    networks = {}
    for side in (4, 32, 128):
        converter.convert(COMMUNITY / f"{STYLEGAN1}.model", tmp_path / f"{side}.pt", assumed={"img_resolution": side})
        networks[side] = converter.load(tmp_path / f"{side}.pt").networks["G_ema"]
    G = _at(networks[32], 0.0)
    _close(G.mapping(z)[:, 0], arrays["w"], image=False)
    _close(G(z, noise=noise[:4]), arrays["img_step3_alpha1"])
    _close(_at(networks[32], 0.6)(z, noise=noise[:4]), arrays["img_step3_alpha0.4"])
    _close(G(z, noise_mode="none"), arrays["img_step3_zero_noise"])
    _close(_at(networks[4], 0.0)(z, noise=noise[:1]), arrays["img_step0"])
    _close(_at(networks[128], 0.0)(z[:2], noise=[maps[:2] for maps in noise]), arrays["img_step5_alpha1"])
    G.mapping.w_avg.copy_(torch.from_numpy(arrays["mean_style"][0]))
    _close(G(z, truncation_psi=0.7, noise=noise[:4]), arrays["img_step3_trunc0.7"])


def test_the_resolution_that_was_trained(tmp_path: Path) -> None:
    assert _case(STYLEGAN1)[0].network().img_size == (1024, 1024)
    path = str(COMMUNITY / f"{STYLEGAN1}.model")
    for side, status in (("32", 0), ("48", 1), ("2048", 1)):
        result = CliRunner().invoke(main, [path, str(tmp_path / f"{side}.pt"), "--resolution", side])
        assert result.exit_code == status, result.output
    assert "has levels to 1024x1024, and none of 2048x2048" in result.output
    result = CliRunner().invoke(
        main, [str(COMMUNITY / f"{AKANIMAX}.bin"), str(tmp_path / "a.pt"), "--resolution", "16"]
    )
    assert "leaves nothing open, not img_resolution" in result.output


def test_akanimax_version_3() -> None:
    checkpoint, arrays = _case(AKANIMAX)
    networks = checkpoint.networks
    z, images = torch.from_numpy(arrays["z"]), torch.from_numpy(arrays["D_images8"])
    _close(checkpoint.network("G_ema")(z), arrays["img_depth5_alpha1.0"])
    _close(checkpoint.network("G")(z), arrays["img_generator_depth5"])
    _close(_at(networks["G_ema"], 0.65)(z), arrays["img_depth5_alpha0.35"])
    _close(_at(networks["G_ema"], 1.0)(z)[:, :, ::2, ::2], arrays["img_depth4_alpha1.0"])
    _close(_at(networks["G_ema"], 3.0)(z)[:, :, ::8, ::8], arrays["img_depth2_alpha1.0"])
    D = checkpoint.network("D")
    for name, count in {"b1": 1, "b3": 3, "b4": 4, "b8_group4": 8}.items():
        _close(D(images[:count])[:, 0], arrays[f"D_depth5_alpha1_{name}"], image=False)
    _close(_at(networks["D"], 0.65)(images[:4])[:, 0], arrays["D_depth5_alpha0.35_b4"], image=False)
    small = torch.nn.functional.interpolate(torch.from_numpy(arrays["D_depth2_b3_images"]), scale_factor=8.0)
    _close(_at(networks["D"], 3.0)(small)[:, 0], arrays["D_depth2_b3"], image=False)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_akanimax_version_2_differs_as_its_program_does(prefix: str, tmp_path: Path) -> None:
    content = torch.load(COMMUNITY / f"{AKANIMAX}.bin", weights_only=True)
    G = {prefix + _old_name(name, 0): value for name, value in content["shadow_generator"]["state_dict"].items()}
    D = {prefix + _old_name(name, 3): value for name, value in content["discriminator"]["state_dict"].items()}
    torch.save(G, tmp_path / "GAN_GEN_SHADOW_3.pth")
    torch.save(D, tmp_path / "GAN_DIS_3.pth")
    new = _case(AKANIMAX)[0]
    z, images = torch.randn(2, 32), torch.randn(2, 3, 32, 32)
    normalised = z / z.norm(dim=1, keepdim=True) * 32**0.5
    old = converter.load(tmp_path / "GAN_GEN_SHADOW_3.pth").network()
    torch.testing.assert_close(old(normalised), new.network("G_ema")(z), atol=1e-4, rtol=0)
    ours = converter.load(tmp_path / "GAN_DIS_3.pth").networks["D"]
    config: Any = new.networks["D"].config
    assert ours.config == replace(config, mbstd_group_size=None, rgb_activation=False)
    same = assemble(config, ours.state_dict)
    torch.testing.assert_close(same(images), new.network("D")(images))


def _old_name(name: str, last: int) -> str:
    """What version 2 calls a tensor of version 3; `last` is the number of the block at 4x4."""
    part, _, rest = name.partition(".")
    number, _, rest = rest.partition(".")
    if part == "rgb_converters":
        return name
    if part == "from_rgb":
        return f"rgb_to_features.{last - int(number)}.{rest.removeprefix('0.')}"
    if int(number) == last:
        return f"{'final_block' if last else 'initial_block'}.{rest}"
    return f"layers.{last - 1 - int(number) if last else int(number) - 1}.{rest}"


def test_a_training_file_gets_the_average_its_sampler_would_take() -> None:
    G = converter.load(COMMUNITY / "rosinality_sg2_train_010000.pt").network("G_ema")
    many = G.mapping(torch.randn(40_000, G.z_dim))[:, 0]
    deviations = (G.get_buffer("mapping.w_avg") - many.mean(dim=0)) / (many.std(dim=0) / 64)  # 64² samples
    assert float(deviations.abs().max()) < 5


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
@pytest.mark.parametrize("name", FILES)
def test_back_to_its_own_tensors(name: str, suffix: str, tmp_path: Path) -> None:
    path = COMMUNITY / f"{name}{FILES[name]}"
    source = open_source(path)
    assert isinstance(source, ForeignFile)
    converter.convert(path, tmp_path / f"ours{suffix}")
    ours = converter.load(tmp_path / f"ours{suffix}")
    for role, network in source.networks.items():
        record = ours.provenance["networks"][role]
        back = export_network(role, ours.networks[role], record).tensors
        assert list(back) == list(network.tensors)
        assert all(torch.equal(back[key], value) for key, value in network.tensors.items())


def test_files_from_before_there_were_noise_maps_get_some(tmp_path: Path) -> None:
    content = torch.load(COMMUNITY / "rosinality_sg2_convert.pt", weights_only=True)
    for state in (content["g_ema"], content["g"]):
        for name in [name for name in state if name.startswith("noises.")]:
            del state[name]
    torch.save(content, tmp_path / "old.pt")
    first, second = (converter.load(tmp_path / "old.pt").network() for _ in range(2))
    complete = _case("rosinality_sg2_convert")[0].network()
    z = torch.randn(1, 32)
    assert torch.equal(first(z), second(z))
    assert not torch.equal(first(z), complete(z))
    torch.testing.assert_close(first(z, noise_mode="none"), complete(z, noise_mode="none"))


def test_converted_networks_of_stylegan_human_are_half_as_wide(tmp_path: Path) -> None:
    content = torch.load(COMMUNITY / "rosinality_sg2_convert.pt", weights_only=True)
    state = content["g_ema"]
    for name in state:
        if name.startswith("noises.") or name == "input.input":
            state[name] = state[name][..., : state[name].shape[-1] // 2].clone()
    torch.save({"g_ema": state, "latent_avg": content["latent_avg"]}, tmp_path / "human.pth")
    G = converter.load(tmp_path / "human.pth").network()
    assert (G.img_size, G(torch.randn(1, 32)).shape) == ((64, 32), (1, 3, 64, 32))


def _changed(tmp_path: Path, changes: dict[str, torch.Tensor | None]) -> Path:
    """A rosinality file with some tensors of its average changed, or taken out, and no noise or average w."""
    state = torch.load(COMMUNITY / "rosinality_sg2_convert.pt", weights_only=True)["g_ema"]
    state = {name: value for name, value in state.items() if not name.startswith("noises.")} | changes
    torch.save({"g_ema": {k: v for k, v in state.items() if v is not None}}, tmp_path / "changed.pt")
    return tmp_path / "changed.pt"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"style.2.bias": None}, "variable style.2.bias is missing"),
        ({"style.3.weight": torch.zeros(3, 32)}, r"variable style.3.weight has shape \[3, 32\]"),
        ({"input.input": torch.zeros(1, 32, 4, 50_000)}, "has levels to 64x800000, which no network of this kind has"),
    ],
)
def test_nothing_is_made_for_a_file_that_is_not_sound(changes: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match=message):
        converter.load(_changed(tmp_path, changes))


def test_containers_of_old_torch_are_read(tmp_path: Path) -> None:
    content = torch.load(COMMUNITY / "rosinality_sg2_convert.pt", weights_only=True)
    torch.save(content, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    z = torch.randn(2, 32)
    old, new = converter.load(tmp_path / "legacy.pt").network(), _case("rosinality_sg2_convert")[0].network()
    assert torch.equal(old(z), new(z))


class Stranger:
    """What no file of networks needs."""


@pytest.mark.parametrize("new", [True, False])
def test_other_pytorch_files_are_refused_in_a_line(new: bool, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    for content, kind, message in (
        (
            {"model": {"a": torch.zeros(1)}, "args": argparse.Namespace(x=1)},
            ConvertError,
            "a dict with keys model, args",
        ),
        ([torch.zeros(1)], ConvertError, "is a PyTorch file of a list"),
        ({"g_ema": Stranger()}, ConvertError, "in which is no network known here"),
        ({"g_ema": {"to_rgb1.conv.weight": torch.zeros(1)}}, ConvertError, "in which is no network known here"),
    ):
        torch.save(content, path, _use_new_zipfile_serialization=new)
        with pytest.raises(kind, match=message):
            converter.load(path)
    path.write_bytes(path.read_bytes()[:-150])
    with pytest.raises(ConvertError, match=r"damaged|cut off"):
        converter.load(path)


# The way out.


@pytest.mark.parametrize("name", ROSINALITY)
def test_format_rosinality_gives_the_file_back(name: str, tmp_path: Path) -> None:
    path = COMMUNITY / f"{name}{FILES[name]}"
    with torch.serialization.safe_globals([argparse.Namespace]):
        original = torch.load(path, weights_only=True)
    converter.convert(path, tmp_path / "ours.safetensors")
    converter.convert(tmp_path / "ours.safetensors", tmp_path / "back.pt", format="rosinality")
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    assert list(back) == [key for key in ("g_ema", "latent_avg", "g", "d") if key in original]
    for key, state in back.items():
        pairs = (
            [(state, original[key])] if key == "latent_avg" else [(state[n], original[key][n]) for n in original[key]]
        )
        assert len(pairs) == (1 if key == "latent_avg" else len(state))
        assert all(torch.equal(a, b) for a, b in pairs)


WIDE = {"num_channels": 3, "resolution": 16, "label_size": 0, "mapping_layers": 2}
PARTS = [("synthesis", "G_synthesis_stylegan2"), ("mapping", "G_mapping")]


def _wide(path: Path, **keywords: Any) -> Path:
    """A StyleGAN2 pickle of TensorFlow, small but as wide as the form wants it."""
    torch.manual_seed(0)

    def unsettle(module: torch.nn.Module) -> None:
        with torch.no_grad():
            for name, value in module.named_parameters():
                if name.endswith(("bias", "noise_strength")):
                    value.add_(torch.randn_like(value) * 0.1)

    networks = [
        fresh_network("G", "G", "G_main", {**WIDE, **keywords}, components=PARTS, finish=unsettle),
        fresh_network("D", "D", "D_stylegan2", {**WIDE, **keywords}, finish=unsettle),
        fresh_network("G_ema", "Gs", "G_main", {**WIDE, **keywords}, components=PARTS, finish=unsettle),
    ]
    write_pickle(path, networks)
    return path


def test_an_official_network_draws_the_same_in_format_rosinality(tmp_path: Path) -> None:
    path = _wide(tmp_path / "official.pkl")
    converter.convert(path, tmp_path / "theirs.pt", format="rosinality")
    official, theirs = converter.load(path), converter.load(tmp_path / "theirs.pt")
    assert set(torch.load(tmp_path / "theirs.pt", weights_only=True)) == {"g_ema", "latent_avg", "g", "d"}
    z = torch.randn(4, 512)
    for role in ("G_ema", "G"):
        a, b = official.network(role), theirs.network(role)
        images = a(z, truncation_psi=0.7)
        torch.testing.assert_close(b(z, truncation_psi=0.7), images, atol=1e-4, rtol=0)
    torch.testing.assert_close(theirs.network("D")(images), official.network("D")(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("keywords", "reason"),
    [
        ({"label_size": 3}, "it has 3 classes"),
        ({"num_channels": 1}, "its images have 1 channels, not 3"),
        ({"architecture": "orig"}, "its architecture is orig, not skip"),
        ({"resample_kernel": [1, 2, 1]}, r"its filter is \[1.0, 2.0, 1.0\]"),
        ({"fmap_max": 64}, r"its levels have \[64, 64, 64\] feature maps"),
        ({"dlatent_size": 64}, "its w is 64 wide, not 512"),
        ({"nonlinearity": "relu"}, "its activation is relu, not lrelu"),
    ],
)
def test_what_format_rosinality_cannot_hold_is_refused(keywords: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = _wide(tmp_path / "official.pkl", **keywords)
    with pytest.raises(ConvertError, match=f"network G_ema has no place in format rosinality: {reason}"):
        converter.convert(path, tmp_path / "theirs.pt", format="rosinality")
    assert not (tmp_path / "theirs.pt").exists()


def test_the_command_knows_the_format(tmp_path: Path) -> None:
    path = str(COMMUNITY / "rosinality_sg2_convert.pt")
    for name, expected in (("out.npz", 2), ("out.pt", 0), ("out.pt", 1)):
        result = CliRunner().invoke(main, [path, str(tmp_path / name), "--format", "rosinality"])
        assert result.exit_code == expected, result.output
    assert "use --force" in result.output
