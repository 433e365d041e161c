"""The fast form draws what the plain form draws, whatever the family, options, size of strips and batch."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import converter
import stylegan_torch
from stylegan_torch import fast
from stylegan_torch.commands.generate import main
from stylegan_torch.fast import bands, folding, room, strips
from stylegan_torch.networks import layers, progan
from stylegan_torch.networks.registry import build
from tests import DATA
from tests.tools.compare import assert_same_picture

NETWORKS = [
    *(f"{name}.pkl" for name in ("pg", "pg-unfused", "sg1", "sg1-cond", "sg1-fused", "sg2-skip", "sg2-cond")),
    *(f"{name}.pkl" for name in ("sg2-resnet", "sg2-orig", "sg2-revised", "ada", "ada-cond", "ada5_fp16_nhwc_gray")),
    *(f"{name}.pkl" for name in ("ada3_resnetG_skipD", "sg3t_64", "sg3r_64", "sg3repo_sg2")),
    *(f"nonsquare/{name}.pkl" for name in ("eps-3x5", "human-sg2", "human-sg3r", "sky-3x5")),
    *(f"community/{name}.pth" for name in ("genforce_pggan32", "genforce_stylegan32_label", "genforce_stylegan2_64")),
    *(f"community/yuuho_stylegan{v}_ndarray.pkl" for v in (1, 2)),
    "community/akanimax_v3_depth_5_epoch_1.bin",
    "community/rosinality_sg2_convert.pt",
    "wild/gan-zoo/pytorch_GAN_zoo_pgan.pth",
]


def _plain(name: str) -> Any:
    return converter.load(DATA / name).network("G_ema")


def _inputs(G: Any, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, G.z_dim, generator=generator), torch.eye(max(G.c_dim, count))[:count, : G.c_dim]


def _allowed(images: torch.Tensor) -> float:
    return 1e-4 * max(1.0, float(images.abs().max()))


@pytest.mark.parametrize(("strip", "rows"), [(256, 8), (strips.STRIP, bands.ROWS)], ids=["thin strips", "usual strips"])
@pytest.mark.parametrize("name", NETWORKS)
def test_same_images(name: str, strip: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "STRIP", strip)
    monkeypatch.setattr(bands, "ROWS", rows)
    G = _plain(name)
    H = fast.optimize(G)
    for count in (1, 3):
        z, c = _inputs(G, count)
        if isinstance(G, progan.Generator):
            images = G(z, c)
            assert (H(z, c) - images).abs().max() <= _allowed(images)
            continue
        for mode in ("const", "none", "random"):
            options: Any = {"truncation_psi": 0.7, "truncation_cutoff": 3, "noise_mode": mode}
            torch.manual_seed(1)
            images = G(z, c, **options)
            torch.manual_seed(1)
            assert (H(z, c, **options) - images).abs().max() <= _allowed(images)
    assert (H.img_size, H.c_dim, H.z_dim) == (G.img_size, G.c_dim, G.z_dim)


@pytest.mark.parametrize("name", NETWORKS)
def test_whole_maps_and_batches_as_on_a_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "in_pieces", lambda x: False)
    G = _plain(name)
    z, c = _inputs(G, 4)
    images = G(z, c)
    assert (fast.optimize(G)(z, c) - images).abs().max() <= _allowed(images)


@pytest.mark.parametrize("name", ["sg1.pkl", "sg2-skip.pkl"])
def test_explicit_noise_and_latents(name: str) -> None:
    G = _plain(name)
    H = fast.optimize(G)
    ws = torch.randn(2, G.num_ws, G.w_dim)
    for count in (1, 2):
        noise = [torch.randn(count, 1, *stored.shape) for stored in G.synthesis.noise_buffers()]
        images = G.synthesis(ws, noise=noise)
        assert (H.synthesis(ws, noise=noise) - images).abs().max() <= _allowed(images)
    with pytest.raises(ValueError, match="noisy layers"):
        H.synthesis(ws, noise=noise[1:])
    with pytest.raises(ValueError, match="ws must be"):
        H.synthesis(ws[:, 1:])


@pytest.mark.parametrize("lod", [0.4, 1.0, 1.7])
@pytest.mark.parametrize("name", ["pg.pkl", "sg1.pkl", "sg2-revised.pkl"])
def test_networks_saved_in_the_middle_of_growing(name: str, lod: float) -> None:
    plain = _plain(name)
    G: Any = build(replace(plain.config, lod=lod))
    G.load_state_dict(plain.state_dict())
    G.eval().requires_grad_(False)
    z, c = _inputs(G, 2)
    images = G(z, c)
    assert (images - plain(z, c)).abs().max() > 0.01
    assert (fast.optimize(G)(z, c) - images).abs().max() <= _allowed(images)


OPTIONS: list[tuple[str, dict[str, Any]]] = [
    *(
        ("sg2-skip.pkl", {"resample_filter": taps})
        for taps in ((1.0,), (1.0, 2.0), (1.0, 4.0, 2.0), tuple(range(1, 10)))
    ),
    *(("sg2-skip.pkl", {"activation": name, "conv_clamp": 0.4}) for name in ("relu", "swish", "tanh", "linear")),
    ("sg2-resnet.pkl", {"resample_filter": tuple(range(1, 9))}),
    ("sg2-skip.pkl", {"use_noise": False}),
    ("sky", {"attention": True}),
    *(("sg1.pkl", {"blur_filter": taps}) for taps in (None, (1.0, 2.0), tuple(range(1, 10)))),
    *(
        ("sg1.pkl", {name: False})
        for name in ("use_styles", "const_input", "use_noise", "use_instance_norm", "equalized")
    ),
    *(("sg1.pkl", {name: True}) for name in ("use_pixel_norm", "bias_first", "shared_noise", "equalized_noise")),
    *(("sg1.pkl", {"activate_before_blur": True, "blur_filter": taps}) for taps in (None, (1.0, 2.0, 1.0))),
    ("sg1.pkl", {"average_from": 16, "const_bias": False, "activation": "relu"}),
    *(("pg.pkl", {name: False}) for name in ("use_pixel_norm", "growing", "first_pixel_norm", "normalize_z")),
    ("pg.pkl", {"weight_scale": "stored", "activation": "relu"}),
    *(
        ("sg3t_64.pkl", {name: value})
        for name, value in (("lrelu_upsampling", 4), ("filter_size", 4), ("conv_kernel", 1))
    ),
    ("sg3t_64.pkl", {"conv_clamp": 0.3, "num_critical": 0, "margin_size": 4}),
]


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=lambda value: str(value)[:50])
def test_every_option(name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "STRIP", 256)
    config: Any = _plain("sg2-skip.pkl" if name == "sky" else name).config
    if name == "sky":
        options = {**options, "img_resolution": 64, "channels": (16,) * 5, "const_channels": 16}
    torch.manual_seed(0)
    G: Any = build(replace(config, **options)).eval().requires_grad_(False)
    for parameter in G.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    z, c = _inputs(G, 2)
    images = G(z, c)
    assert (fast.optimize(G)(z, c) - images).abs().max() <= _allowed(images)


@pytest.mark.parametrize("name", ["pg.pkl", "sg1-fused.pkl", "sg2-skip.pkl", "sg3t_64.pkl"])
def test_untrained_networks(name: str) -> None:
    torch.manual_seed(0)
    G: Any = build(_plain(name).config).eval().requires_grad_(False)  # some of its feature maps are constant
    z, c = _inputs(G, 1)
    images = G(z, c)
    assert (fast.optimize(G)(z, c) - images).abs().max() <= _allowed(images)


@pytest.mark.parametrize("name", ["pg.pkl", "sg1-fused.pkl", "ada1_skip64.pkl", "sg3t_64.pkl", "sg3r_64.pkl"])
def test_bfloat16(name: str) -> None:
    G = _plain(name)
    z, c = _inputs(G, 2)
    images, coarse = G(z, c), fast.optimize(G, torch.bfloat16)(z, c)
    assert coarse.dtype == torch.float32
    error = (coarse - images).square().mean()
    assert 10 * torch.log10(4 * images.abs().max() ** 2 / error) >= 40  # dB


@pytest.mark.parametrize("name", ["pg.pkl", "sg1.pkl", "ada1_skip64.pkl", "sg2-resnet.pkl", "sg3t_64.pkl"])
def test_it_shares_nothing_with_the_plain_form(name: str) -> None:
    G = _plain(name)
    H = fast.optimize(G)
    z, _ = _inputs(G, 1)
    before = H(z)
    with torch.no_grad():
        for tensor in (*G.parameters(), *G.buffers()):
            tensor.zero_()
    assert torch.equal(H(z), before)


@pytest.mark.parametrize("count", [1, 2])
def test_float16_does_not_overflow(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    G = _plain("ada1_skip64.pkl")
    with torch.no_grad():
        for block in G.synthesis.blocks():
            for layer in block.layers():  # demodulation undoes such factors
                for value in (layer.weight, layer.affine.weight, layer.affine.bias):
                    value.mul_(3000)
    ws = torch.randn(count, G.num_ws, G.w_dim, generator=torch.Generator().manual_seed(1))
    images = G.synthesis(ws)
    H = fast.optimize(G, torch.float16)
    monkeypatch.setattr(folding, "one_by_one", lambda ws: False)  # a batch at once, as on a GPU
    error = (H.synthesis(ws) - images).square().mean()
    assert 10 * torch.log10(4 * images.abs().max() ** 2 / error) >= 40  # dB


def test_threads_share_it() -> None:
    H = fast.optimize(_plain("sg2-skip.pkl"))
    z, _ = _inputs(H, 8)
    expected = [H(z[i : i + 1]) for i in range(8)]
    found: dict[int, torch.Tensor] = {}
    threads = [threading.Thread(target=lambda i=i: found.update({i: H(z[i : i + 1])})) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[i], expected[i]) for i in range(8))


def test_from_a_file(tmp_path: Path) -> None:
    converter.convert(DATA / "ada.pkl", tmp_path / "net.pt")
    G, H = (stylegan_torch.load(tmp_path / "net.pt", fast=quick) for quick in (False, True))
    z, _ = _inputs(G, 1)
    torch.testing.assert_close(H(z), G(z), atol=1e-4, rtol=0)
    assert type(H.synthesis) is not type(G.synthesis)
    with pytest.warns(UserWarning, match="Discriminator has no fast form"):
        stylegan_torch.load(tmp_path / "net.pt", network="D", fast=True)


def test_the_command_draws_the_same_with_and_without(tmp_path: Path) -> None:
    for folder, more in (("fast", []), ("exact", ["--exact"])):
        arguments = ["--network", str(DATA / "sg1.pkl"), "--seeds", "0,7", "--truncation", "0.7", *more]
        result = CliRunner().invoke(main, [*arguments, "--outdir", str(tmp_path / folder)])
        assert result.exit_code == 0, result.output
    with np.load(DATA / "sg1.npz") as arrays:
        for seed in (0, 7):
            exact, quick = (Image.open(tmp_path / folder / f"seed{seed:04d}.png") for folder in ("exact", "fast"))
            assert_same_picture(quick, exact, arrays[f"seed{seed}_psi0.7_float"])


# Strips.


@settings(max_examples=60)
@given(
    height=st.integers(1, 17),
    width=st.integers(1, 9),
    rows=st.integers(1, 40),
    taps=st.sampled_from([(1.0,), (1.0, 1.0), (1.0, 2.0, 1.0), (1.0, 3.0, 3.0, 1.0), (1.0, 2.0, 3.0, 4.0, 5.0)]),
)
def test_strips_of_a_chain_make_the_whole(height: int, width: int, rows: int, taps: tuple[float, ...]) -> None:
    generator = torch.Generator().manual_seed(height * 31 + width)
    x = torch.randn(1, 3, height, width, generator=generator)
    enlarge, keep = torch.randn(4, 3, 3, 3, generator=generator), torch.randn(2, 4, 3, 3, generator=generator)
    f, bias = layers.make_filter(taps), torch.randn(4, generator=generator)
    n = f.shape[-1]
    expected = F.conv2d(layers.conv2d_up(x, enlarge, f) + bias[:, None, None], keep, padding=1)
    blur = (f * 4).flip(0, 1).expand(4, 1, n, n)
    stages: list[strips.Stage] = [
        strips.UpConv(enlarge.transpose(0, 1), blur, bias, 1 + (n + 1) // 2 - 2, lambda y, start: y),
        strips.Conv(keep, None, lambda y, start: y),
    ]
    found = torch.cat([part for _, _, part in strips.run(stages, x, rows)], dim=2)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@settings(max_examples=40)
@given(height=st.integers(1, 17), width=st.integers(1, 9), rows=st.integers(1, 40), taps=st.integers(1, 5))
def test_strips_of_a_blurred_enlargement(height: int, width: int, rows: int, taps: int) -> None:
    generator = torch.Generator().manual_seed(height * 31 + width)
    x = torch.randn(1, 3, height, width, generator=generator)
    weight, f = torch.randn(4, 3, 3, 3, generator=generator), torch.randn(taps, taps, generator=generator)
    expected = layers.blur2d(layers.conv2d_nearest_up(x, weight), f)
    stages: list[strips.Stage] = [
        strips.NearestUpConv(layers.nearest_up_kernel(weight), None, lambda y, start: y),
        strips.Depthwise(f.expand(4, 1, taps, taps), lambda y, start: y),
    ]
    found = torch.cat([part for _, _, part in strips.run(stages, x, rows)], dim=2)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("taps", [(1.0,), (1.0, 1.0), (1.0, 2.0, 1.0), (1.0, 3.0, 3.0, 1.0), (1.0, 2.0, 3.0, 4.0, 5.0)])
def test_enlargement_of_pictures(taps: tuple[float, ...]) -> None:
    image, f = torch.randn(2, 3, 5, 6), layers.make_filter(taps)
    torch.testing.assert_close(folding.Enlargement(f)(image), layers.upsample2d(image, f))


@settings(max_examples=60)
@given(up=st.integers(1, 5), reach=st.integers(1, 7), before=st.integers(-9, 9))
def test_band_matrices_enlarge_as_convolutions_do(up: int, reach: int, before: int) -> None:
    generator = torch.Generator().manual_seed(up * 31 + reach)
    x, f = torch.randn(40, 3, generator=generator), torch.randn(up * reach, generator=generator)
    matrix, low = bands.enlarging(f, up, before)
    found = bands.banded(matrix, F.pad(x, (0, 0, -low, 40)), bands.BLOCK, room.Room(), "")
    full = F.conv_transpose1d(x.t()[:, None], f[None, None], stride=up)[:, 0]
    expected = F.pad(full, (before + 1 - len(f), 0)).t()
    count = min(len(found), len(expected))
    torch.testing.assert_close(found[:count], expected[:count], atol=1e-4, rtol=1e-4)


@settings(max_examples=40)
@given(down=st.integers(1, 4), taps=st.integers(1, 13))
def test_band_matrices_reduce_as_convolutions_do(down: int, taps: int) -> None:
    generator = torch.Generator().manual_seed(down * 31 + taps)
    x, f = torch.randn(70, 3, generator=generator), torch.randn(taps, generator=generator)
    found = bands.banded(bands.reducing(f, down), x, down * bands.BLOCK, room.Room(), "")
    expected = F.conv1d(x.t()[:, None], f[None, None], stride=down)[:, 0].t()
    assert len(found) > len(expected) - bands.BLOCK
    torch.testing.assert_close(found, expected[: len(found)], atol=1e-4, rtol=1e-4)


def test_moments_of_strips_are_those_of_the_whole() -> None:
    x = torch.randn(1, 5, 40, 8) * 1e-3 + 100.0  # squares of it would lose the variance
    moments = strips.Moments()
    for rows in (slice(16), slice(16, 32), slice(32, 40)):
        moments.add(x.contiguous(memory_format=torch.channels_last)[:, :, rows])
    whole = x.double()
    for found, expected in zip(moments.total(), (whole.mean(dim=(2, 3)), whole.var(dim=(2, 3))), strict=True):
        torch.testing.assert_close(found.double(), expected[0], rtol=1e-2, atol=0)


@pytest.mark.parametrize("name", ["sg1.pkl", "sg2-skip.pkl", "sg3t_64.pkl", "sg3r_64.pkl"])
def test_whole_batches_where_somebody_watches(name: str) -> None:
    G = _plain(name)
    H: Any = fast.optimize(G)
    seen: list[torch.Tensor] = []
    list(H.synthesis.children())[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    z, c = _inputs(G, 2)
    images = G(z, c)
    assert (H(z, c) - images).abs().max() <= _allowed(images)
    assert [len(x) for x in seen] == [2]
