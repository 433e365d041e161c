"""The forms for cards, held on a CPU: what they draw, how they round, and how much they draw at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor
from torch.overrides import TorchFunctionMode

import converter
from stylegan_torch.commands.generate import main
from stylegan_torch.commands.networks import open_generator
from stylegan_torch.drawing import draw as drawing
from stylegan_torch.drawing.devices import has_fast_form
from stylegan_torch.fast import choices, folding, memory, optimize, progan, strips, stylegan1, stylegan2
from stylegan_torch.fast.graphs import Graphed
from stylegan_torch.fast.precision import card_float32
from stylegan_torch.networks import layers
from stylegan_torch.networks.registry import build
from stylegan_torch.networks.stylegan1 import SynthesisLayer
from tests import DATA

ROOT = Path(__file__).parents[2]
EACH_FAMILY = ["pg.pkl", "sg1.pkl", "sg2-skip.pkl", "sg2-resnet.pkl", "ada5_fp16_nhwc_gray.pkl", "sg3t_64.pkl"]


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a CPU work as a card does."""
    monkeypatch.setattr(strips, "in_pieces", lambda x: False)


def _plain(name: str) -> Any:
    return converter.load(DATA / name).network("G_ema")


def _inputs(G: Any, count: int) -> tuple[Tensor, Tensor]:
    z = torch.randn(count, G.z_dim, generator=torch.Generator().manual_seed(3))
    return z, torch.eye(max(G.c_dim, count))[:count, : G.c_dim]


def _decibels(found: Tensor, expected: Tensor) -> float:
    return float(10 * torch.log10(4 * expected.abs().max() ** 2 / (found - expected).square().mean()))


# What is drawn.


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize(
    ("name", "turned", "count"),
    [
        ("sg1.pkl", {"layout": torch.channels_last}, 3),
        ("sg2-skip.pkl", {"phases": True}, 1),
        ("sg2-skip.pkl", {"phases": True}, 3),
        ("sg2-resnet.pkl", {"phases": True, "layout": torch.channels_last}, 1),
        ("sg2-resnet.pkl", {"phases": True, "layout": torch.channels_last}, 3),
        ("sg3t_64.pkl", {"filtered": torch.channels_last, "matrices": 0}, 2),
        ("sg3t_64.pkl", {"matrices": 64}, 1),
        ("sg3r_64.pkl", {"matrices": 64}, 2),
        ("nonsquare/human-sg3r.pkl", {"matrices": 64}, 2),
    ],
    ids=str,
)
def test_every_choice_draws_the_same(name: str, turned: Any, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "CARD", replace(choices.CARD, **turned))
    G = _plain(name)
    z, c = _inputs(G, count)
    torch.testing.assert_close(optimize(G)(z, c), G(z, c), rtol=0, atol=1e-4)


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("dtype", choices.HALF, ids=str)
@pytest.mark.parametrize(("name", "count"), [*((name, 2) for name in EACH_FAMILY), ("ada5_fp16_nhwc_gray.pkl", 1)])
def test_half_precision(name: str, count: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (progan, stylegan1, stylegan2):
        monkeypatch.setattr(module, "SMALL", 16)  # else these networks are small enough for float32
    G = _plain(name)
    z, c = _inputs(G, count)
    images = optimize(G, dtype)(z, c)
    assert images.dtype == torch.float32
    assert _decibels(images, G(z, c)) >= 40


@pytest.mark.parametrize("taps", [(1.0,), (1.0, 1.0), (1.0, 3.0, 3.0, 1.0), (1.0, 4.0, 2.0), tuple(range(1, 7))])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_an_enlarging_convolution_to_four_kinds_of_pixels(k: int, taps: tuple[float, ...]) -> None:
    x, weight, f = torch.randn(2, 3, 5, 4), torch.randn(4, 3, k, k), layers.make_filter(taps)
    kernel = strips.phase_kernel(weight, (f * 4).flip(0, 1), k // 2 + (len(f) + 1) // 2 - (k - 1))
    expected = layers.conv2d_up(x, weight, f)
    for layout in (torch.contiguous_format, torch.channels_last):
        stage = strips.PhaseUpConv(kernel.contiguous(memory_format=layout), None, lambda y, start: y)
        for rows in (1, 3, 10):
            found = torch.cat([part for *_, part in strips.run([stage], x.contiguous(memory_format=layout), rows)], 2)
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
            assert rows < 10 or found.is_contiguous(memory_format=layout)


def test_the_usual_kernel_is_as_small_as_it_can_be() -> None:
    f = layers.make_filter((1.0, 3.0, 3.0, 1.0))
    assert strips.phase_kernel(torch.randn(4, 3, 3, 3), f, 1).shape == (16, 3, 3, 3)


def test_pixel_normalisation_neither_overflows_nor_vanishes_in_float16() -> None:
    x = torch.randn(1, 64, 2, 2)
    for size in (1e-6, 1.0, 3e3):
        y = (x * size).half()
        found = folding.normalized(lambda y, start: y, 1e-8)(y.clone(), 0)
        torch.testing.assert_close(found.float(), layers.pixel_norm(y.float()), rtol=2e-3, atol=2e-3)


@pytest.mark.usefixtures("card")
def test_constant_maps_and_large_styles_in_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stylegan1, "SMALL", 4)
    plain = _plain("sg1.pkl")
    G: Any = build(replace(plain.config, use_pixel_norm=True, activation="relu")).eval().requires_grad_(False)
    G.load_state_dict(plain.state_dict())
    for layer in G.synthesis.modules():
        if isinstance(layer, SynthesisLayer):
            layer.noise_strength.zero_()
            layer.affine.weight.mul_(30)
            if layer.bias is not None:
                layer.bias[:2] = -1e3  # nothing is left by the ReLU
    z, c = _inputs(G, 2)
    assert _decibels(optimize(G, torch.float16)(z, c), G(z, c)) >= 40


def test_cards_get_the_fast_form_and_others_the_plain_one() -> None:
    assert [has_fast_form(name) for name in ("cpu", "cuda", "cuda:1", "mps")] == [True, True, True, False]


def test_a_graph_is_its_function_on_a_cpu() -> None:
    H = optimize(_plain("sg2-skip.pkl"))
    ws = torch.randn(2, H.num_ws, H.w_dim)
    assert torch.equal(Graphed(H.synthesis)(ws), H.synthesis(ws))


# How it rounds.


class _Switches(TorchFunctionMode):
    """Notes whether convolutions and products may be rounded."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[bool, bool]] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.conv2d:
            self.seen.add(_switches())
        return func(*args, **(kwargs or {}))


def _switches() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.fixture(params=[(True, False), (False, True), (True, True)], ids=str)
def switches(request: pytest.FixtureRequest) -> Iterator[tuple[bool, bool]]:
    """Set PyTorch's switches, and see that they are put back."""
    before = _switches()
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = request.param
    yield request.param
    assert _switches() == request.param
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.parametrize("tf32", [False, True])
@pytest.mark.parametrize("name", ["pg.pkl", "sg2-skip.pkl"])
def test_float32_is_exact_on_a_card_unless_asked_for_less(name: str, tf32: bool, switches: tuple[bool, bool]) -> None:
    ghost = memory._ghost(optimize(_plain(name), tf32=tf32))  # not on a CPU
    with _Switches() as mode:
        ghost(torch.empty(2, ghost.z_dim, device="meta"))
    assert mode.seen == {(tf32, tf32)}
    assert _switches() == switches


@pytest.mark.usefixtures("switches")
def test_switches_are_put_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), card_float32(tf32=True):
        assert _switches() == (True, True)
        raise ZeroDivisionError


def test_threads_do_not_undo_what_others_set(switches: tuple[bool, bool]) -> None:
    with ThreadPoolExecutor(1) as pool:
        other = card_float32(tf32=True)
        pool.submit(other.__enter__).result()
        assert _switches() == (True, True)
        with card_float32():
            assert _switches() == (False, False)
            with card_float32(tf32=True):
                assert _switches() == (True, True)
            assert _switches() == (False, False)
            pool.submit(other.__exit__, None, None, None).result()
            assert _switches() == (False, False)
    assert _switches() == switches


@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="PyTorch has had the newer names since 2.9")
def test_the_newer_names_of_the_switches() -> None:
    backends: Any = torch.backends

    def names() -> tuple[str, str]:
        return backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision

    every, before = backends.fp32_precision, names()
    backends.fp32_precision = backends.cudnn.conv.fp32_precision = "tf32"
    try:
        given = names()
        with card_float32():
            assert names() == ("ieee", "ieee")
        assert names() == given
    finally:
        backends.fp32_precision = every
        backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision = before


def test_the_command_says_in_its_pictures_that_it_rounds(tmp_path: Path) -> None:
    for more in ([], ["--tf32"]):
        result = CliRunner().invoke(main, ["--seeds", "1", "--outdir", str(tmp_path / "".join(more)), *more])
        assert result.exit_code == 0, result.output
        with Image.open(tmp_path / "".join(more) / "seed0001.png") as picture:
            assert ("tf32" in str(picture.info)) == bool(more)
    assert [open_generator(None, "cpu", tf32=tf32).drawer.synthesis.tf32 for tf32 in (None, True)] == [False, True]
    result = CliRunner().invoke(main, ["--seeds", "1", "--outdir", str(tmp_path / "no"), "--tf32", "--exact"])
    assert result.exit_code == 2
    assert "--tf32 is the fast form's: it goes without --exact" in result.output


# How much at once.


@pytest.mark.parametrize(
    ("free", "features", "fits"),
    [(0, 10**6, 1), (8 * 10**9, 273 * 10**6, 18), (80 * 10**9, 0, 1483), (10**9, 10**10, 1)],
)
def test_batch_that_fits(free: int, features: int, fits: int) -> None:
    assert memory.batch_that_fits(free, (3, 1024, 1024), features) == fits


def _bytes(G: Any) -> int:
    found = memory.bytes_a_picture(G)
    assert found is not None
    return found


@pytest.mark.parametrize("name", EACH_FAMILY)
def test_what_a_picture_takes(name: str) -> None:
    G = optimize(_plain(name))
    assert 3 <= _bytes(G) / 4 / (G.img_size[0] * G.img_size[1]) <= 2000
    assert G.device.type == "cpu"


def test_what_a_picture_takes_is_counted() -> None:
    class Two(torch.nn.Module):
        has_w, z_dim = False, 256

        def forward(self, z: Tensor) -> Tensor:
            big = torch.cat([z, z], dim=1)
            small = big[:, :1] + 1
            del big
            return torch.cat([small.expand(-1, 64), small], dim=1)

    G: Any = Two()
    assert memory.bytes_a_picture(G) == 4 * (512 + 1)


def test_layers_of_somebody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(torch.nn.Module):
        def forward(self, x: Tensor, *rest: Any, **others: Any) -> Tensor:
            return x * torch.ones(2, 1, 1, 1)  # a tensor of the device that it is used on

    G = _plain("pg.pkl")
    seen: list[str] = []
    G.b8.register_forward_hook(lambda module, inputs, output: seen.append(output.device.type))
    assert memory.bytes_a_picture(G)
    assert not seen
    G = _plain("pg.pkl")
    G.b8.conv0 = Own()
    assert memory.bytes_a_picture(G) is None
    monkeypatch.setattr(type(G), "device", torch.device("cuda"))
    assert [memory.batch_for(G, wanted) for wanted in (None, 5)] == [1, 5]


def test_a_cpu_draws_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    G = _plain("sg2-skip.pkl")
    assert (memory.batch_for(G), memory.batch_for(G, 7)) == (1, 7)
    monkeypatch.setattr(type(G), "device", torch.device("cuda"))
    monkeypatch.setattr(memory, "free_bytes", lambda device: 8 * (_bytes(G) + 3 * 4 * 3 * 32 * 32) / 0.7)
    assert [memory.batch_for(G, wanted) for wanted in (None, 1, 2, 1000)] == [8, 1, 2, 8]
    monkeypatch.setattr(memory, "free_bytes", lambda device: 10**12)
    assert [memory.batch_for(G, wanted) for wanted in (None, 1000)] == [memory.MOST, 1000]


@pytest.mark.parametrize("name", ["pg.pkl", "sg1-cond.pkl", "ada-cond.pkl"])
def test_what_does_not_fit_is_drawn_in_parts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    G = _plain(name)
    z, c = _inputs(G, 5)
    latents = G.mapping(z, c) if G.has_w else z
    noise = [torch.randn(5, 1, *size) for size in drawing.noise_sizes(G)]
    options: Any = {"c": c, "noise": noise}
    whole, pictures = drawing.synthesize(G, latents, **options), list(drawing.draw_latents(G, latents, **options))
    monkeypatch.setattr(drawing, "batch_for", lambda G, wanted=None: min(wanted or 4, 2))
    torch.testing.assert_close(drawing.synthesize(G, latents, **options), whole, rtol=0, atol=1e-5)
    for found, expected in zip(drawing.draw_latents(G, latents, **options), pictures, strict=True):
        assert abs(found.astype(int) - expected).max() <= 1


# The script for cards.


@pytest.mark.long
def test_the_benchmark_runs_on_a_cpu(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--device", "cpu", "--quick", "--out", str(out)]
    result = subprocess.run([*command, "--minutes", "600"], check=False, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    found = json.loads(out.read_text())
    assert {each["network"] for each in found["parity"]} == {"pg.pkl", "sg2-skip.pkl"}
    assert all(each["good"] for each in found["parity"])
    failed = [each for part in ("speed", "training") for each in found[part] if "failed" in each]
    assert not [each for each in failed if each.get("form") != "compiled"]  # which takes a C++ compiler
    assert {each.get("form", "memory") for each in found["speed"]} == {"plain", "fast", "graph", "compiled", "memory"}
    assert result.stdout.startswith("| pictures a second |")
