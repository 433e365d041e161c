"""Code written against the official PyTorch modules runs on ours: the loops of their scripts, and of editing programs.

Each loop is written here from the documentation of the script or program that it is named after.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import converter
import stylegan_torch
from stylegan_torch.fast import strips
from tests import DATA
from tests.tools import official_modules

STYLEGAN = ["sg1", "sg1-cond"]
STYLEGAN2 = ["sg2-skip", "sg2-resnet", "sg2-orig", "sg2-cond", "ada", "ada-cond", "ada1_skip64", "ada4_orig_cifar"]
OTHER_STYLEGAN2 = [
    "ada2_cond5.pkl",
    "ada3_resnetG_skipD.pkl",
    "ada5_fp16_nhwc_gray.pkl",
    "sg3repo_sg2.pkl",
    "community/rosinality_sg2_convert.pt",
    "community/rosinality_sg2_train_010000.pt",
    "community/genforce_stylegan2_64.pth",
]
STYLEGAN3 = ["sg3t_64", "sg3r_64"]
WITH_W = [*STYLEGAN, "sg2-revised", *STYLEGAN2, *STYLEGAN3]
EVERY = ["pg", "pg-unfused", *WITH_W]
FORMS = pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])


def open_network(name: str, fast: bool = False, network: str = "G_ema") -> Any:
    return stylegan_torch.load(DATA / f"{name}.pkl", network=network, fast=fast)


def z_of(G: Any, seed: int) -> Tensor:
    """Latents as the official scripts draw them: float64."""
    return torch.from_numpy(np.random.RandomState(seed).randn(1, G.z_dim))


def label_of(G: Any) -> Tensor:
    label = torch.zeros([1, G.c_dim])
    label[:, :1] = 1
    return label


def same(a: Tensor, b: Tensor) -> None:
    scale = max(1.0, float(b.abs().max()))
    torch.testing.assert_close(a, b, rtol=0, atol=2e-5 * scale)


@FORMS
@pytest.mark.parametrize("name", EVERY)
def test_generate(name: str, fast: bool) -> None:
    G = open_network(name, fast)
    psi = 1.0 if name.startswith("pg") else 0.7
    for seed in (0, 1):
        img = G(z_of(G, seed), label_of(G), truncation_psi=psi, noise_mode="const")
        picture = (img.permute(0, 2, 3, 1) * 127.5 + 128).clamp(0, 255).to(torch.uint8)[0].numpy()
        assert img.dtype == torch.float32
        assert picture.shape == (*G.img_size, G.img_channels)
        same(img, G(z_of(G, seed).float(), label_of(G).double(), truncation_psi=psi))


@FORMS
@pytest.mark.parametrize("name", WITH_W)
def test_style_mixing(name: str, fast: bool) -> None:
    G = open_network(name, fast)
    if not G.num_ws > 4:
        pytest.skip("too few layers to mix")
    all_z = np.stack([np.random.RandomState(seed).randn(G.z_dim) for seed in (0, 1)])
    all_w = G.mapping(torch.from_numpy(all_z), label_of(G).repeat(2, 1))
    all_w = G.mapping.w_avg + (all_w - G.mapping.w_avg) * 0.7
    w = all_w[0].clone()
    w[[0, 1, 2]] = all_w[1][[0, 1, 2]]
    image = G.synthesis(w[np.newaxis], noise_mode="const")
    assert not torch.equal(image, G.synthesis(all_w[:1], noise_mode="const"))
    assert not torch.equal(image, G.synthesis(all_w[1:], noise_mode="const"))


@FORMS
@pytest.mark.parametrize("name", WITH_W)
def test_film_through_interpolated_ws(name: str, fast: bool) -> None:
    G = open_network(name, fast)
    ends = torch.cat([G.mapping(z=z_of(G, seed), c=label_of(G), truncation_psi=0.7) for seed in (0, 1)]).numpy()
    for t in np.linspace(0, 1, 3):
        w = torch.from_numpy(ends[0].astype(np.float64) * (1 - t) + ends[1].astype(np.float64) * t)
        image = G.synthesis(ws=w.unsqueeze(0), noise_mode="const")[0]
        same(image, G.synthesis(w.float().unsqueeze(0), noise_mode="const")[0])


def noise_regularization(buffers: dict[str, Tensor]) -> Tensor:
    total = torch.zeros([])
    for buffer in buffers.values():
        noise = buffer[None, None]
        total = total + (noise * torch.roll(noise, 1, dims=3)).mean() ** 2
        total = total + (noise * torch.roll(noise, 1, dims=2)).mean() ** 2
    return total


@pytest.mark.parametrize("name", WITH_W)
def test_projector(name: str) -> None:
    G = copy.deepcopy(open_network(name)).eval().requires_grad_(False)
    z_samples = np.random.RandomState(123).randn(50, G.z_dim)
    w_samples = G.mapping(torch.from_numpy(z_samples), label_of(G).repeat(50, 1))[:, :1, :].numpy().astype(np.float32)
    w_avg = np.mean(w_samples, axis=0, keepdims=True)
    buffers = {name: buffer for name, buffer in G.synthesis.named_buffers() if "noise_const" in name}
    assert bool(buffers) != name.startswith("sg3")
    for buffer in buffers.values():
        buffer[:] = torch.randn_like(buffer)
        buffer.requires_grad = True
    target = G.synthesis(torch.from_numpy(w_samples[:1]).repeat([1, G.mapping.num_ws, 1]), noise_mode="const").detach()
    w_opt = torch.tensor(w_avg, dtype=torch.float32, requires_grad=True)
    optimizer = torch.optim.Adam([w_opt, *buffers.values()], betas=(0.9, 0.999), lr=0.05)
    losses = []
    for _ in range(4):
        ws = (w_opt + torch.randn_like(w_opt) * 1e-4).repeat([1, G.mapping.num_ws, 1])
        loss = (G.synthesis(ws, noise_mode="const") - target).square().mean() + noise_regularization(buffers)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        with torch.no_grad():
            for buffer in buffers.values():
                buffer.sub_(buffer.mean()).mul_(buffer.square().mean().rsqrt())
    assert all(buffer.grad is not None for buffer in buffers.values())
    assert min(losses[1:]) < losses[0]


@FORMS
@pytest.mark.parametrize("name", STYLEGAN3)
def test_gen_images_with_translation_and_rotation(name: str, fast: bool) -> None:
    G = open_network(name, fast)
    ws = G.mapping(z_of(G, 0), None)
    upright = G.synthesis(ws)
    angle, m = 30 / 360 * np.pi * 2, np.eye(3)
    m[0][0], m[0][1], m[0][2] = np.cos(angle), np.sin(angle), 0.1
    m[1][0], m[1][1], m[1][2] = -np.sin(angle), np.cos(angle), -0.2
    assert hasattr(G.synthesis, "input")
    G.synthesis.input.transform.copy_(torch.from_numpy(np.linalg.inv(m)))
    moved = G(z_of(G, 0), label_of(G), truncation_psi=1, noise_mode="const")
    assert not torch.allclose(moved, upright, atol=1e-2)
    G.synthesis.input.transform.copy_(torch.eye(3))
    same(G.synthesis(ws), upright)


@FORMS
@pytest.mark.parametrize("name", [*STYLEGAN, "sg2-revised", *STYLEGAN2])
def test_walk_over_blocks(name: str, fast: bool) -> None:
    G = open_network(name, fast)
    ws = G.mapping(z_of(G, 3), label_of(G))
    hooked: list[tuple[Tensor, Tensor | None]] = []
    x = img = None
    i = 0
    for resolution in G.synthesis.block_resolutions:
        block = getattr(G.synthesis, f"b{resolution}")
        block.register_forward_hook(lambda module, given, result: hooked.append(result))
        some = ws.double().narrow(1, i, block.num_conv + block.num_torgb)
        x, img = block(x, img, some, noise_mode="const", force_fp32=True)
        i += block.num_conv
        assert x.shape[1] == block.out_channels
        assert block.is_last == (resolution == G.synthesis.block_resolutions[-1])
    assert img is not None
    same(img, G.synthesis(ws, noise_mode="const"))
    assert len(hooked) == 2 * len(G.synthesis.block_resolutions)


@FORMS
@pytest.mark.parametrize("name", STYLEGAN2)
def test_walk_over_layers(name: str, fast: bool) -> None:
    """StyleSpace and encoders call convolutions and RGB layers by themselves."""
    G = open_network(name, fast)
    ws = G.mapping(z_of(G, 4), label_of(G))
    walked: dict[str, Tensor] = {}
    block = G.synthesis.b8
    handle = block.register_forward_hook(lambda module, given, result: walked.update(before=given[0], after=result[0]))
    G.synthesis(ws, noise_mode="const")
    handle.remove()
    if block.architecture == "resnet":
        y = block.skip(walked["before"], gain=np.sqrt(0.5))
        x = block.conv0(walked["before"], ws[:, 1], noise_mode="const", fused_modconv=False)
        x = y + block.conv1(x, ws[:, 2], noise_mode="const", fused_modconv=True, gain=np.sqrt(0.5))
    else:
        x = block.conv0(walked["before"], ws[:, 1], noise_mode="const")
        x = block.conv1(x, ws[:, 2], noise_mode="const")
    same(x, walked["after"])
    last = getattr(G.synthesis, f"b{G.img_resolution}").torgb
    assert last(torch.randn(1, last.in_channels, 4, 4), ws[:, -1], fused_modconv=True).shape[1] == G.img_channels


class Shifted(torch.nn.Module):
    """An affine layer with one channel of the style moved."""

    def __init__(self, affine: torch.nn.Module) -> None:
        super().__init__()
        self.affine = affine

    def forward(self, w: Tensor) -> Tensor:
        styles: Tensor = self.affine(w)
        return styles + torch.nn.functional.one_hot(torch.tensor(1), styles.shape[1])


@FORMS
@pytest.mark.parametrize("name", [*STYLEGAN, *STYLEGAN2, *STYLEGAN3])
def test_edits_in_style_space(name: str, fast: bool) -> None:
    G = open_network(name, fast)
    ws = G.mapping(z_of(G, 5), label_of(G))
    layer = G.synthesis.get_submodule(G.synthesis.layer_names[2]) if name in STYLEGAN3 else G.synthesis.b8.conv1
    plain, seen = G.synthesis(ws), []

    def edit(module: Any, given: Any, styles: Tensor) -> Tensor:
        seen.append(styles)
        return styles + torch.nn.functional.one_hot(torch.tensor(1), styles.shape[1])

    handle = layer.affine.register_forward_hook(edit)
    hooked = G.synthesis(ws, noise_mode="const")
    handle.remove()
    original, layer.affine = layer.affine, Shifted(layer.affine)
    replaced = G.synthesis(ws, noise_mode="const")
    layer.affine = original
    assert seen[0].ndim == 2
    assert not torch.equal(hooked, plain)
    same(replaced, hooked)
    same(G.synthesis(ws), plain)


@pytest.mark.parametrize("name", WITH_W)
def test_pivotal_tuning(name: str) -> None:
    G = copy.deepcopy(open_network(name)).train().requires_grad_(True)
    w_pivot = G.mapping(z_of(G, 6), label_of(G)).detach()
    average = G.mapping.w_avg.clone()
    target = torch.zeros(1, G.img_channels, *G.img_size)
    optimizer = torch.optim.Adam(G.parameters(), lr=1e-2)
    losses = []
    for _ in range(3):
        loss = torch.nn.functional.mse_loss(G.synthesis(w_pivot, noise_mode="const", force_fp32=True), target)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert torch.equal(G.mapping.w_avg, average)


@FORMS
@pytest.mark.parametrize("name", EVERY)
def test_every_keyword_is_taken(name: str, fast: bool) -> None:
    G = open_network(name, fast)
    z, c = z_of(G, 7), label_of(G)
    expected = G(z, c)
    same(G(z=z, c=c, truncation_psi=1, truncation_cutoff=None, noise_mode="const", force_fp32=True), expected)
    same(G(z, c, fused_modconv=True, update_emas=False), expected)
    if hasattr(G, "mapping"):
        ws = G.mapping(z, c, truncation_psi=1, truncation_cutoff=2, skip_w_avg_update=True)
        same(G.mapping(z=z, c=c, update_emas=False), ws)
        same(G.synthesis(ws, noise_mode="const", force_fp32=False, fused_modconv=False, update_emas=False), expected)


@pytest.mark.parametrize("name", EVERY)
def test_discriminators(name: str) -> None:
    D = open_network(name, network="D")
    image = torch.randn(2, D.img_channels, *D.img_size)
    c = label_of(D).repeat(2, 1)
    expected = D(image, c)
    same(D(image.double(), c.double(), force_fp32=True, update_emas=False), expected)
    assert list(D.block_resolutions) == sorted(D.block_resolutions, reverse=True)
    if name not in [*STYLEGAN2, *STYLEGAN3]:
        return
    x, img = None, image
    for resolution in D.block_resolutions:
        x, img = getattr(D, f"b{resolution}")(x, img, force_fp32=True)
    cmap = D.mapping(None, c) if hasattr(D, "mapping") else None
    logits = D.b4(x, img, cmap)
    same(logits, expected) if logits.shape == expected.shape else same((logits * c).sum(dim=1, keepdim=True), expected)


@pytest.mark.parametrize("name", WITH_W)
def test_running_averages_follow_when_asked_to(name: str) -> None:
    G = copy.deepcopy(open_network(name))
    z, c = torch.cat([z_of(G, seed) for seed in (1, 2)]), label_of(G).repeat(2, 1)
    before = G.mapping.w_avg.clone()
    mean = G.mapping(z, c)[:, 0].mean(dim=0)
    expected = mean.lerp(before, G.mapping.w_avg_beta)
    G.mapping(z, c, skip_w_avg_update=False)
    assert torch.equal(G.mapping.w_avg, before)  # not in training
    G.train()
    G.mapping(z, c)
    assert torch.equal(G.mapping.w_avg, before)
    G.mapping(z, c, skip_w_avg_update=False)
    torch.testing.assert_close(G.mapping.w_avg, expected)
    G.mapping.w_avg.copy_(before)
    G.eval()(z, c, update_emas=True)
    torch.testing.assert_close(G.mapping.w_avg, expected)


def test_magnitudes_follow_when_asked_to() -> None:
    G = copy.deepcopy(open_network("sg3t_64"))
    layer = G.synthesis.get_submodule(G.synthesis.layer_names[0])
    ws, before = G.mapping(z_of(G, 1), None), layer.magnitude_ema.clone()
    G.synthesis(ws)
    assert torch.equal(layer.magnitude_ema, before)
    power = G.synthesis.input(ws[:, 0]).square().mean()
    G.synthesis(ws, update_emas=True)
    torch.testing.assert_close(layer.magnitude_ema, power.lerp(before, layer.magnitude_ema_beta))


@FORMS
@pytest.mark.parametrize("name", ["pg", "sg1", "sg2-skip", "sg3t_64"])
def test_another_device_is_said(name: str, fast: bool) -> None:
    G = open_network(name, fast)
    with pytest.raises(ValueError, match="z is on meta, the network on cpu"):
        G(z_of(G, 0).to("meta"))
    if not hasattr(G, "mapping"):
        return
    ws = G.mapping(z_of(G, 0))
    with pytest.raises(ValueError, match="ws is on meta, the network on cpu"):
        G.synthesis(ws.to("meta"))
    noise = [torch.zeros(1, 1, *stored.shape, device="meta") for stored in G.synthesis.noise_buffers()]
    if noise:
        with pytest.raises(ValueError, match="noise is on meta, the network on cpu"):
            G.synthesis(ws, noise=noise)


@pytest.mark.parametrize("name", ["pg", "sg1", "sg2-skip", "sg3t_64"])
def test_the_fast_form_says_that_it_has_no_gradients(name: str) -> None:
    G = open_network(name, fast=True)
    z = z_of(G, 0).requires_grad_(True)
    with pytest.raises(ValueError, match=r"draws without gradients: use the plain one \(load\(..., fast=False\)\)"):
        G(z)
    with pytest.raises(ValueError, match="draws without gradients"):
        G.requires_grad_(True)
    with torch.no_grad():
        assert G(z).shape[0] == 1


_SIZES = "z_dim c_dim w_dim num_ws img_resolution img_channels init_args init_kwargs"
_MAPPING = (
    "num_ws w_avg num_layers w_avg_beta z_dim c_dim w_dim fc0.weight fc0.weight_gain fc0.bias_gain fc0.activation"
)
_BLOCK = "in_channels out_channels w_dim resolution img_channels is_last architecture use_fp16 num_conv num_torgb"
_CONV = (
    "weight bias noise_const noise_strength resample_filter up padding act_gain activation use_noise conv_clamp "
    "in_channels out_channels w_dim resolution affine.weight affine.bias affine.weight_gain affine.bias_gain"
)
_LAYER3 = (
    "is_torgb is_critically_sampled use_fp16 in_channels out_channels in_size out_size in_sampling_rate "
    "out_sampling_rate tmp_sampling_rate in_cutoff out_cutoff in_half_width out_half_width conv_kernel conv_clamp "
    "up_factor up_taps down_factor down_taps down_radial padding magnitude_ema magnitude_ema_beta affine.weight_gain"
)


def check_attributes(module: Any, names: str) -> None:
    for path in names.split():
        value = module
        for part in path.split("."):
            value = getattr(value, part)


@pytest.mark.parametrize("name", STYLEGAN2)
def test_attributes_of_stylegan2(name: str) -> None:
    G, D = open_network(name), open_network(name, network="D")
    check_attributes(G, _SIZES)
    check_attributes(G.mapping, _MAPPING)
    check_attributes(G.synthesis, "num_ws w_dim block_resolutions img_resolution img_channels num_fp16_res b4.const")
    for resolution in G.synthesis.block_resolutions:
        block = getattr(G.synthesis, f"b{resolution}")
        check_attributes(block, _BLOCK)
        check_attributes(block.conv1, _CONV)
        assert (block.in_channels == 0) == (resolution == 4)
    assert (block.conv0.up, block.conv1.up, block.conv1.padding) == (2, 1, 1)
    check_attributes(block.torgb, "weight weight_gain in_channels out_channels w_dim conv_clamp affine.weight_gain")
    check_attributes(D, "c_dim img_resolution img_channels block_resolutions init_args init_kwargs")
    check_attributes(getattr(D, f"b{D.img_resolution}"), "in_channels resolution img_channels architecture use_fp16")
    if G.c_dim:
        check_attributes(G.mapping.embed, "weight in_features out_features")


@pytest.mark.parametrize("name", STYLEGAN3)
def test_attributes_of_stylegan3(name: str) -> None:
    G = open_network(name)
    check_attributes(G, _SIZES)
    check_attributes(G.mapping, _MAPPING)
    check_attributes(G.synthesis, "num_ws num_layers num_critical margin_size output_scale num_fp16_res layer_names")
    check_attributes(G.synthesis.input, "w_dim channels size sampling_rate bandwidth transform freqs phases weight")
    for layer in G.synthesis.layer_names:
        check_attributes(getattr(G.synthesis, layer), _LAYER3)
    assert layer == f"L{G.synthesis.num_layers}_{G.img_resolution}_{G.img_channels}"


@pytest.mark.parametrize("file", [f"{name}.pkl" for name in STYLEGAN2 if name != "sg2-cond"] + OTHER_STYLEGAN2)
def test_tensors_and_arguments_are_those_of_the_official_class(file: str) -> None:
    """`Generator(*G.init_args, **G.init_kwargs)` and a strict `load_state_dict`, as scripts that reload modules do.

    Labels of StyleGAN2 proper (`sg2-cond`) have no place in the official class.
    """
    checkpoint = converter.load(DATA / file)
    for role in checkpoint.networks:
        ours = checkpoint.network(role)
        official = official_modules.Discriminator if role == "D" else official_modules.Generator
        theirs = official(*ours.init_args, **ours.init_kwargs).eval().requires_grad_(False)
        theirs.load_state_dict(ours.state_dict(), strict=True)
        if role == "D":
            images, c = torch.randn(4, ours.img_channels, *ours.img_size), torch.eye(max(ours.c_dim, 1))[[0] * 4]
            same(ours(images, c[:, : ours.c_dim]), theirs(images, c[:, : ours.c_dim]))
            continue
        z, c = torch.randn(2, ours.z_dim), label_of(ours).repeat(2, 1)
        same(ours(z, c, truncation_psi=0.5), theirs(z, c, truncation_psi=0.5, noise_mode="const"))
        again = type(ours)(ours.config)
        again.load_state_dict(theirs.state_dict(), strict=True)
        assert torch.equal(again.eval()(z, c), ours(z, c))


@pytest.mark.parametrize("name", ["pg", "sg1", "sg2-skip", "sg2-revised"])
def test_blocks_may_be_wrapped_and_put_back(name: str) -> None:
    G, D = open_network(name), open_network(name, network="D")
    z, image = torch.cat([z_of(G, 0)] * 2), torch.randn(2, D.img_channels, *D.img_size)
    picture, logits = G(z), D(image)
    for network in (getattr(G, "synthesis", G), D):
        block = network.b8
        del network.b8
        network.b8 = block  # now the last of the children
    same(G(z), picture)
    same(D(image), logits)
    if name == "sg2-revised":
        return  # a growing network calls parts of its levels, which a wrapper hides
    for network in (getattr(G, "synthesis", G), D):
        network.b8 = torch.nn.DataParallel(network.b8)
    same(G(z), picture)
    same(D(image), logits)


class Official(torch.nn.Module):
    """A layer with the signature of the official release, in place of one of ours."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, w: Tensor, noise_mode: str = "random", fused_modconv: bool = True) -> Tensor:
        result: Tensor = self.layer(x, w, noise_mode)
        return result


@FORMS
def test_layers_of_other_programs_take_the_place_of_ours(fast: bool) -> None:
    G = open_network("sg2-skip", fast)
    z = torch.cat([z_of(G, seed) for seed in (0, 1)])
    expected = G(z)
    G.synthesis.b8.conv1 = Official(G.synthesis.b8.conv1)
    same(G(z), expected)
    G = open_network("sg2-skip", fast)
    seen: list[int] = []
    G.synthesis.b8.conv1.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs)))
    G(z)
    assert seen == [2]  # x, w = inputs
    G.synthesis.b8.conv1.noise_const = None
    assert torch.isfinite(G(z, noise_mode="none")).all()


@pytest.mark.parametrize("name", ["sg1", "sg2-skip", "sg2-resnet", "sg3t_64"])
def test_hooks_on_the_fast_form_see_whole_batches_and_maps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "STRIP", 1)
    plain, fast = open_network(name), open_network(name, fast=True)
    z = torch.cat([z_of(plain, seed) for seed in (0, 1, 2)])
    expected = plain(z)
    seen: dict[bool, dict[str, Tensor]] = {}
    for G in (plain, fast):
        own = seen.setdefault(G is fast, {})
        layers = {key: part for key, part in G.synthesis.named_modules() if hasattr(part, "affine")}
        for key, layer in layers.items():
            layer.affine.register_forward_hook(lambda m, i, o, key=key, own=own: own.__setitem__(key + ".affine", o))
            layer.register_forward_hook(lambda m, i, o, key=key, own=own: own.__setitem__(key, o))
    same(fast(z), expected)
    plain(z)
    assert seen[True].keys() == seen[False].keys()
    for key, value in seen[False].items():
        same(seen[True][key], value)


@pytest.mark.parametrize("name", ["pg", "sg1", "sg2-skip", "sg3t_64"])
def test_the_fast_form_stays_what_it_is(name: str, tmp_path: Path) -> None:
    plain, G = open_network(name), open_network(name, fast=True)
    assert next(G.parameters()).device == plain.device == G.device
    for change in (G.double, G.half, G.bfloat16, lambda: G.to(torch.float64)):
        with pytest.raises(ValueError, match="choose it by optimize"):
            change()
    with pytest.raises(stylegan_torch.CheckpointError, match=r"G_ema is in its fast form.* save the plain one"):
        stylegan_torch.save(tmp_path / "fast.pt", {"G_ema": G})
    with pytest.raises(RuntimeError, match="state_dict"):
        plain.load_state_dict(G.state_dict())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["pg", "sg1", "sg2-skip", "sg3t_64"])
def test_what_is_saved_opens(name: str, tmp_path: Path) -> None:
    G = open_network(name)
    z, expected = z_of(G, 0), open_network(name)(z_of(G, 0))
    compiled: Any = torch.compile(open_network(name), backend="eager")
    for i, network in enumerate((G.double(), compiled)):
        stylegan_torch.save(tmp_path / f"{i}.pt", {"G_ema": network})
        same(stylegan_torch.load(tmp_path / f"{i}.pt")(z), expected)
    stylegan_torch.save(tmp_path / "half.pt", {"G_ema": open_network(name).half()})
    rounded = open_network(name).half().float()
    same(stylegan_torch.load(tmp_path / "half.pt")(z), rounded(z))
    next(G.parameters()).add_(1e-12)
    with pytest.raises(stylegan_torch.CheckpointError, match="has digits that float32 has no place for"):
        stylegan_torch.save(tmp_path / "no.pt", {"G_ema": G})
    G = open_network(name)
    G.register_buffer("more", torch.zeros(1))
    with pytest.raises(stylegan_torch.CheckpointError, match=r"tensor more is unknown; .* no layer more or less"):
        stylegan_torch.save(tmp_path / "no.pt", {"G_ema": G})


def test_features_and_pictures_of_any_dtype_are_taken() -> None:
    G, D = open_network("sg2-skip"), open_network("sg2-skip", network="D")
    ws = G.mapping(z_of(G, 0)).double()
    x, img = G.synthesis.b4(None, None, ws[:, :2])
    x, img = G.synthesis.b8(x.double(), img.double(), ws[:, 1:4])
    assert x.dtype == img.dtype == torch.float32
    x, img = D.b32(None, torch.randn(1, D.img_channels, *D.img_size).double())
    assert D.b16(x.half(), img)[0].dtype == torch.float32
    T = open_network("sg3t_64")
    assert T.synthesis.input(T.mapping(z_of(T, 0))[:, 0].double()).dtype == torch.float32
    with pytest.raises(ValueError, match="z is a ndarray, not a tensor"):
        G(np.zeros((1, G.z_dim)))
