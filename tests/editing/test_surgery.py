"""Surgery: what stays the same of pictures and scores, and that the result can be trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from click.testing import CliRunner
from torch import Tensor
from torch.nn import functional as F

import checkpoints
import converter
import stylegan_torch
from stylegan_torch.commands.main import main
from stylegan_torch.drawing.seeds import latents_from_seeds
from stylegan_torch.editing.surgery import SurgeryError, operate
from stylegan_torch.files import checkpoint
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks.layers import downsample2d, pixel_norm
from stylegan_torch.networks.registry import kind_of
from stylegan_torch.training.dataset import Dataset
from stylegan_torch.training.recipes import networks_of
from stylegan_torch.training.settings import preset
from stylegan_torch.training.trainer import Trainer
from tests import DATA
from tests.tools.long import cases

SKIP, RESNET, PROGAN, STYLEGAN, GROWN = "sg2-skip", "ada", "pg", "sg1", "sg2-revised"
FAMILIES = [PROGAN, STYLEGAN, SKIP, RESNET, GROWN, "sg3t_64"]


def content(name: str) -> Checkpoint:
    return converter.load(DATA / f"{name}.pkl")


def drawn(of: Checkpoint, label: int | None = None) -> Tensor:
    G = of.network("G_ema")
    c = None if label is None else F.one_hot(torch.tensor([label] * 4), G.c_dim)
    with torch.no_grad():
        return G(latents_from_seeds(range(4), G.z_dim), c)


def scored(by: Checkpoint, images: Tensor, label: int | None = None) -> Tensor:
    D = by.network("D")
    c = None if label is None else F.one_hot(torch.tensor([label] * len(images)), D.c_dim)
    with torch.no_grad():
        return D(images, c)


def photographs(of: Checkpoint) -> Tensor:
    D = of.network("D")
    return torch.randn(4, D.img_channels, *D.img_size, generator=torch.Generator().manual_seed(0))


def same(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))


@pytest.mark.parametrize("name", cases(FAMILIES, [RESNET, GROWN, "sg3t_64"]))
def test_alpha_is_opaque_and_the_rest_stays(name: str) -> None:
    before = content(name)
    after = operate(before, channels=4).checkpoint
    images, reals = drawn(after), photographs(before)
    same(images[:, :3], drawn(before))  # how sums of four channels are rounded is a kernel's own affair
    torch.testing.assert_close(images[:, 3], torch.ones_like(images[:, 3]))
    alpha = torch.rand(4, 1, *reals.shape[2:])
    same(scored(after, torch.cat([reals, alpha], dim=1)), scored(before, reals))
    again = operate(after, channels=3).checkpoint
    assert torch.equal(drawn(again), drawn(before))
    same(scored(again, reals), scored(before, reals))


def test_dropped_alpha_counts_as_opaque() -> None:
    rgba = operate(content(SKIP), channels=4).checkpoint
    for network in rgba.networks.values():  # as if it had been trained
        for name, value in network.state_dict.items():
            if "rgb" in name:
                network.state_dict[name] = value + torch.randn(value.shape, generator=torch.Generator().manual_seed(1))
    reals = photographs(rgba)
    reals[:, 3] = 1
    rgb = operate(rgba, channels=3).checkpoint
    same(drawn(rgb), drawn(rgba)[:, :3])
    same(scored(rgb, reals[:, :3]), scored(rgba, reals))


@pytest.mark.parametrize("name", cases([PROGAN, STYLEGAN, SKIP, "sg3t_64"], [STYLEGAN, "sg3t_64"]))
def test_grey_is_the_luma_and_rgb_of_grey_is_grey(name: str) -> None:
    before = content(name)
    grey = operate(before, channels=1).checkpoint
    luma = (drawn(before) * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1, keepdim=True)
    same(drawn(grey), luma)
    reals = photographs(grey)
    same(scored(grey, reals), scored(before, reals.expand(-1, 3, -1, -1)))
    rgb = operate(grey, channels=3).checkpoint
    same(drawn(rgb), luma.expand(-1, 3, -1, -1))
    same(scored(rgb, reals.expand(-1, 3, -1, -1)), scored(grey, reals))
    assert drawn(operate(grey, channels=4).checkpoint).shape[1] == 4


@pytest.mark.parametrize("name", cases([*FAMILIES, "sg1-fused", "sg2-resnet"], ["sg3t_64", "sg1-fused", RESNET]))
def test_every_class_draws_and_scores_what_was_before(name: str) -> None:
    before = content(name)
    after = operate(before, labels=5).checkpoint
    reals = photographs(before)
    for label in (0, 4):
        same(drawn(after, label), drawn(before))
        same(scored(after, reals, label), scored(before, reals))
    assert {network.config.c_dim for network in after.networks.values()} == {5}


@pytest.mark.parametrize("name", [SKIP, GROWN, PROGAN, STYLEGAN])
@pytest.mark.parametrize("side", [4, 16])
def test_a_cut_network_draws_its_own_picture_of_that_size(name: str, side: int) -> None:
    before = content(name)
    after = operate(before, resolution=side).checkpoint
    images = drawn(after)
    assert images.shape[2:] == (side, side)
    assert torch.equal(images, _own(before, side))
    assert torch.isfinite(scored(after, images)).all()


@torch.no_grad()
def _own(of: Checkpoint, side: int) -> Tensor:
    """Return what a network draws of itself at a level, before that is enlarged."""
    G: Any = of.network("G_ema")
    z, family = latents_from_seeds(range(4), G.z_dim), kind_of(G.config)[0]
    ws = G.mapping(z) if G.has_w else None
    x = img = None
    if family == "progan":
        x = pixel_norm(z)
    for level, resolution in enumerate(G.block_resolutions if ws is None else G.synthesis.block_resolutions):
        block = getattr(G if ws is None else G.synthesis, f"b{resolution}")
        if ws is None:
            x = block(x)
        else:
            own = ws[:, 2 * level : 2 * level + 2] if family == "stylegan1" else G.synthesis._rows_of(ws, level)
            x, img = block(x, img, own)
        if resolution == side:
            break
    if img is not None:
        return img
    return block.torgb(x) if ws is None or family != "stylegan2" else block.torgb(x, ws[:, 2 * level + 1])


def test_a_skip_network_grows_by_what_adds_nothing_yet() -> None:
    before = content(SKIP)
    after = operate(before, resolution=64).checkpoint
    small, large = drawn(before), drawn(after)
    G: Any = after.network("G_ema")
    same(large, G.synthesis.b64.enlarged(small))
    assert torch.equal(drawn(operate(after, resolution=32).checkpoint), small)
    assert G.config.channels[-1] == max(G.config.channels[-2] // 2, 1)


def test_a_skip_discriminator_scores_as_it_did_half_the_size() -> None:
    before = Checkpoint({"D": content("sg2-resnet").networks["D"]})
    after = operate(before, resolution=32).checkpoint
    reals = photographs(after)
    D: Any = after.network("D")
    same(scored(after, reals), scored(before, downsample2d(reals, D.b32.resample_filter)))


@pytest.mark.parametrize("name", [PROGAN, STYLEGAN, GROWN])
def test_growing_networks_begin_at_the_former_size(name: str) -> None:
    before = content(name)
    after = operate(before, resolution=2 * before.network("D").img_resolution).checkpoint
    assert torch.equal(drawn(after), F.interpolate(drawn(before), scale_factor=2, mode="nearest"))
    reals = photographs(before)
    same(scored(after, F.interpolate(reals, scale_factor=2, mode="nearest")), scored(before, reals))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        (SKIP, (3, 5)),
        pytest.param(RESNET, (4, 2), marks=pytest.mark.long),
        (STYLEGAN, (3, 5)),
        pytest.param("sg3t_64", (4, 2), marks=pytest.mark.long),
    ],
)
def test_other_shapes(name: str, size: tuple[int, int]) -> None:
    before = content(name)
    outcome = operate(before, base_size=size)
    images = drawn(outcome.checkpoint)
    G = before.network("G_ema")
    scale = G.img_resolution // 4
    assert images.shape[2:] == (size[0] * scale, size[1] * scale)
    assert torch.isfinite(scored(outcome.checkpoint, images)).all()
    old, new = (each.networks["G_ema"].state_dict for each in (before, outcome.checkpoint))
    if name != "sg3t_64":
        changed = [key for key in old if not torch.equal(old[key], new[key])]
        assert all(key.endswith((".const", ".noise_const")) for key in changed)


@pytest.mark.parametrize(
    ("name", "wish", "words"),
    [
        (SKIP, {"resolution": 48}, "G_ema: pictures of this network can be 4, 8, 16, 32, 64 … a side, not 48"),
        (SKIP, {"resolution": 0}, "not 0"),
        (SKIP, {"resolution": 1 << 20}, "not 1048576"),
        ("sg3t_64", {"resolution": 32}, "all layers of StyleGAN3 follow from its resolution"),
        ("sg2-resnet", {"resolution": 8}, "only its last level draws a picture"),
        (PROGAN, {"base_size": (3, 5)}, "ProGAN has no other shape"),
        ("sg3t_64", {"base_size": (3, 5)}, "give a shape such as 4x2"),
        (SKIP, {"base_size": (0, 5)}, "not 0×5"),
        (SKIP, {"channels": 2}, "1, 3 or 4 channels here, not 2"),
        (SKIP, {"labels": 0}, "no 0 classes"),
        ("ada-cond", {"labels": 3}, "classes already"),
    ],
)
def test_what_cannot_be_done(name: str, wish: dict[str, Any], words: str) -> None:
    with pytest.raises(SurgeryError, match=words):
        operate(content(name), **wish)


def test_what_became_of_the_tensors_is_told() -> None:
    before = content(SKIP)
    outcome = operate(before, channels=4)
    assert outcome.changes["G_ema"] == {
        "kept": len(before.networks["G_ema"].state_dict) - 8,
        "changed": 8,  # weight and bias of an RGB layer a level
        "new": 0,
        "gone": 0,
    }
    assert operate(before, resolution=16).changes["G_ema"]["gone"] > 0
    assert outcome.checkpoint.provenance["surgery"]["of"]["name"] == "sg2-skip.pkl"
    assert operate(content("sg3t_64"), channels=4).changes["G_ema"]["new"] == 0
    same_again = operate(before).checkpoint
    assert all(torch.equal(drawn(each), drawn(before)) for each in (same_again, operate(before, channels=3).checkpoint))


def test_numbers_that_are_none_are_refused() -> None:
    broken = content(SKIP).networks["D"]
    broken.state_dict["b4.fc.bias"] = torch.full_like(broken.state_dict["b4.fc.bias"], torch.inf)
    with pytest.raises(SurgeryError, match=r"D: tensor b4.fc.bias has .* NaN or infinite"):
        operate(Checkpoint({"D": broken}), channels=4)


def test_new_tensors_follow_the_seed_and_are_the_same_in_g_and_its_average() -> None:
    one, again, other = (operate(content(SKIP), resolution=64, seed=seed).checkpoint for seed in (0, 0, 1))
    name = "synthesis.b64.conv0.weight"
    first = one.networks["G_ema"].state_dict[name]
    assert torch.equal(first, again.networks["G_ema"].state_dict[name])
    assert torch.equal(first, one.networks["G"].state_dict[name])
    assert not torch.equal(first, other.networks["G_ema"].state_dict[name])


WISHES: dict[str, tuple[str, dict[str, Any]]] = {
    "skip alpha": (SKIP, {"channels": 4}),
    "skip all": (SKIP, {"resolution": 16, "base_size": (3, 5), "channels": 4, "labels": 3}),
    "skip larger": (SKIP, {"resolution": 64}),
    "resnet labels": (RESNET, {"labels": 3}),
    "stylegan larger": (STYLEGAN, {"resolution": 64}),
    "stylegan labels": (STYLEGAN, {"labels": 3, "base_size": (4, 6)}),
    "progan labels": (PROGAN, {"labels": 3, "channels": 1}),
    "stylegan3 wide": ("sg3t_64", {"base_size": (4, 2), "channels": 4, "labels": 2}),
}


@pytest.mark.parametrize("case", cases(WISHES, [case for case in WISHES if case != "skip all"]))
def test_the_result_is_trained(case: str) -> None:
    name, wish = WISHES[case]
    networks = networks_of(operate(content(name), **wish).checkpoint)
    G = networks["G"]
    before = _used(G, networks["D"])
    pictures = np.random.default_rng(0).integers(0, 255, (24, G.img_channels, *G.img_size), np.uint8)
    classes = [str(number) for number in range(G.c_dim)]
    data = Dataset(pictures, np.arange(24) % len(classes) if classes else np.full(24, -1), tuple(classes))
    family, _ = kind_of(G.config)  # type: ignore[arg-type]
    grown = {"grow_from": 32, "grow_kimg": 0.0, "fade_kimg": 0.1} if case == "stylegan larger" else {}
    settings = preset(family, {"batch": 8, **grown})
    trainer = Trainer(G, networks["D"], networks["G_ema"], data, settings, accelerator=Accelerator(cpu=True))
    losses = [trainer.step()["loss_D"] for _ in range(20)]
    assert sum(losses[-3:]) < sum(losses[:3])
    assert not any(torch.equal(value, before[name]) for name, value in _used(G, networks["D"]).items())


def _used(*networks: torch.nn.Module) -> dict[str, Tensor]:
    """Return the parameters but for RGB layers, some of which are for smaller pictures only."""
    return {
        f"{i}.{name}": value.detach().clone()
        for i, network in enumerate(networks)
        for name, value in network.named_parameters()
        if "rgb" not in name
    }


@pytest.mark.long
def test_the_bundled_network_under_all_knives() -> None:
    before = converter.load(checkpoints.DEMO)
    after = operate(before, resolution=32, channels=4, labels=2).checkpoint
    images = drawn(after, 1)
    same(images[:, :3], _own(before, 32))
    assert torch.equal(images[:, 3], torch.ones_like(images[:, 3]))


def run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["surgery", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def test_the_command_writes_what_it_says(tmp_path: Path) -> None:
    wishes = ["--add-alpha", "--labels", 3, "--resolution", 16, "--aspect", "3x5", "--out", tmp_path / "out.pt"]
    said = run(DATA / "sg2-skip.pkl", *wishes)
    rows = {row[0]: row[1:] for row in map(str.split, said.splitlines())}
    assert rows["G_ema"][0] == rows["D"][0] == "12×20×4"
    assert int(rows["G_ema"][4]) > 0
    found = checkpoint.read(tmp_path / "out.pt")
    assert list(found.networks) == ["G_ema", "G", "D"]
    assert found.provenance["surgery"]["base_size"] == [3, 5]
    assert found.provenance["surgery"]["of"]["name"] == "sg2-skip.pkl"
    run(tmp_path / "out.pt", "--channels", 3, "--out", tmp_path / "again.pt")
    assert checkpoint.read(tmp_path / "again.pt").provenance["surgery"]["of"]["name"] == "out.pt"
    G = stylegan_torch.load(tmp_path / "out.pt")
    assert (G.img_size, G.img_channels, G.c_dim) == ((12, 20), 4, 3)
    draw = ["draw", "--network", tmp_path / "out.pt", "--seeds", 1, "--class", 2, "--out", tmp_path / "picture.png"]
    assert CliRunner().invoke(main, list(map(str, draw))).exit_code == 0
    assert "exists; use --force" in run(DATA / "sg2-skip.pkl", *wishes, status=1)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("{net}", "--out", "out.pt"), 2, "say what to change"),
        (("{net}", "--add-alpha", "--out", "out.onnx"), 2, "does not end in .pt or .safetensors"),
        (("{net}", "--add-alpha", "--channels", "1", "--out", "out.pt"), 2, "--add-alpha or --channels, not both"),
        (("{net}", "--channels", "2", "--out", "out.pt"), 1, "1, 3 or 4 channels here, not 2"),
        (("{net}", "--labels", "0", "--out", "out.pt"), 2, "0 is not in the range"),
        (("{net}", "--resolution", "20", "--out", "out.pt"), 1, "can be 4, 8, 16, 32, 64 … a side, not 20"),
        (("{net}", "--aspect", "3", "--out", "out.pt"), 2, "'3' is not a height and a width such as 3x5"),
        (("{net}", "--aspect", "0x3", "--out", "out.pt"), 1, "1×1 to 64×64, not 0×3"),
        (("missing.pkl", "--add-alpha", "--out", "out.pt"), 1, "missing.pkl"),
        (("{lucid}", "--add-alpha", "--out", "out.pt"), 1, "lucidrains are drawn with, but not operated on"),
        (("net.pt", "--add-alpha", "--out", "net.pt", "--force"), 2, "net.pt itself would be replaced"),
    ],
)
def test_bad_requests_get_one_line(
    arguments: tuple[str, ...], status: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pt").touch()
    files = {"net": DATA / "sg2-skip.pkl", "lucid": DATA / "wild" / "lucidrains" / "model_100.pt"}
    said = run(*(each.format(**files) for each in arguments), status=status)
    assert words in " ".join(said.split())
    assert status == 2 or said.count("\n") == 1
    assert not (tmp_path / "out.pt").exists()
