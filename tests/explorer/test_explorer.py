"""The explorer without its page: previews, renderers, and what a visitor keeps."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from torch import Tensor

import checkpoints
import converter
from stylegan_torch.commands.main import main
from stylegan_torch.editing import latents
from stylegan_torch.editing.composition import Composition
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer import reports
from stylegan_torch.explorer.fields import choice, number, text, whole
from stylegan_torch.explorer.preview import Preview
from stylegan_torch.explorer.renderer import OvertakenError, Renderer
from stylegan_torch.fast import optimize
from tests import DATA


@pytest.fixture(scope="module")
def demo() -> Any:
    return converter.load(checkpoints.DEMO).network("G_ema")


@torch.inference_mode()
def test_previews_resemble_the_pictures(demo: Any) -> None:
    G = optimize(demo)
    preview = Preview(G, side=32)
    ws = latents.from_seeds(demo, range(10), 0.7).ws[:, None]
    for each in ws[:8]:
        assert torch.equal(preview.learn(lambda each=each: G.synthesis(each)), G.synthesis(each))  # type: ignore[misc]
    for each in ws[8:]:
        sketch = preview.sketch(lambda each=each: G.synthesis(each))  # type: ignore[misc]
        assert sketch.shape == (1, 3, 32, 32)
        small = F.interpolate(G.synthesis(each), (32, 32), mode="area")
        assert 10 * torch.log10(4 / (sketch - small).square().mean()) > 20  # dB


@torch.inference_mode()
def test_odd_pictures_spoil_previews_for_a_while_only(demo: Any) -> None:
    preview = Preview(demo, side=16)
    ws = latents.from_seeds(demo, range(40), 0.7).ws

    def error(each: Tensor) -> float:
        sketch = preview.sketch(lambda: demo.synthesis(each[None]))
        small = F.interpolate(demo.synthesis(each[None]), (16, 16), mode="area")
        return float((sketch - small).square().mean())

    for each in ws[:10]:
        preview.learn(lambda each=each: demo.synthesis(each[None]))  # type: ignore[misc]
    good = error(ws[39])
    for factor in (1e5, 1e30, float("nan")):
        preview.learn(lambda factor=factor: demo.synthesis(ws[:1] * factor))  # type: ignore[misc]
    for each in ws[10:39]:
        preview.learn(lambda each=each: demo.synthesis(each[None]))  # type: ignore[misc]
    assert error(ws[39]) < 2 * good


@pytest.mark.parametrize("name", ["sg1.pkl", "sg2-resnet.pkl", "sg3t_64.pkl", "ada5_fp16_nhwc_gray.pkl"])
@torch.inference_mode()
def test_a_preview_stops_early_in_every_family(name: str) -> None:
    G = converter.load(DATA / name).network("G_ema")
    ws = latents.from_seeds(G, [0]).ws
    side = G.img_resolution // 4
    preview, drawn = Preview(G, side), list[str]()
    with pytest.raises(ValueError, match="nothing has been drawn"):
        preview.sketch(lambda: G.synthesis(ws))
    preview.learn(lambda: G.synthesis(ws))
    for child, module in G.synthesis.named_children():
        module.register_forward_hook(lambda _, __, ___, child=child: drawn.append(child))
    sketch = preview.sketch(lambda: G.synthesis(ws))
    assert sketch.shape == (1, G.img_channels, side, side)
    assert 0 < len(drawn) < len(list(G.synthesis.children()))


def test_a_slow_network_gets_previews(demo: Any) -> None:
    slow = Renderer(demo, demo, preview_side=16, quick_seconds=0.0)
    wanted = slow.compose(Composition(3, 0.7))
    assert not slow.quick
    assert slow.draw(wanted).shape == (64, 64, 3)
    assert slow.glimpse(wanted).shape == (16, 16, 3)
    slow.quick_seconds = 1e9
    assert np.array_equal(slow.glimpse(wanted), slow.draw(wanted))


def test_learning_a_preview_does_not_count_as_drawing(demo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("stylegan_torch.explorer.renderer.time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(Preview, "_fit", lambda self, image: clock.append(clock.pop() + 10))
    renderer = Renderer(demo, demo)
    assert clock[0] == 10
    assert renderer.quick


def test_a_picture_that_is_overtaken_is_given_up(demo: Any) -> None:
    renderer = Renderer(demo, demo)
    wanted, asked = renderer.compose(Composition(3)), list[int]()
    picture = renderer.draw(wanted)

    def enough() -> bool:
        asked.append(1)
        demo.synthesis(wanted.ws)  # as a projection does meanwhile: it is not overtaken
        return len(asked) == 3

    with pytest.raises(OvertakenError):
        renderer.draw(wanted, enough)
    assert len(asked) == 3
    assert np.array_equal(renderer.draw(wanted), picture)
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("checked", "said"),
    [
        (lambda: number("Psi", 2, low=-1, high=1.5), "Psi: 2 is not a number from -1 to 1.5"),
        (lambda: number("Psi", float("nan"), low=-1, high=1.5), "Psi: nan is not a number from -1 to 1.5"),
        (lambda: whole("Seed", 10**400, low=0, high=9), f"Seed: 1{'0' * 39} is not a whole number from 0 to 9"),
        (lambda: whole("Seed", True, low=0, high=9), "Seed: True is not a whole number from 0 to 9"),
        (lambda: whole("Seed", None, low=0, high=9), "Seed is empty: it takes a whole number from 0 to 9"),
        (lambda: choice("Noise", ["none"], ["none"]), "Noise: ['none'] is not one of none"),
        (lambda: text("Layers", "x" * 201), f"Layers: '{'x' * 39} is not a text of at most 200 characters"),
    ],
)
def test_fields_say_what_they_take(checked: Callable[[], Any], said: str) -> None:
    with pytest.raises(StyleGANError) as error:
        checked()
    assert str(error.value) == said


def test_fields_that_hold_what_they_should() -> None:
    assert (number("", 1, low=0, high=1), whole("", 3.0, low=0, high=3)) == (1.0, 3)
    assert (choice("", "a", "ab"), text("", "")) == ("a", "")


def test_an_error_that_nobody_expected_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    assert reports.report(TypeError("a\nb")) == "unexpected TypeError: a b"
    with caplog.at_level("DEBUG", reports.LOG.name):  # as --debug has it
        reports.report(TypeError("a"))
    assert [bool(each.exc_info) for each in caplog.records] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--network", "no.pkl"], "no.pkl"),
        (["--network", str(DATA / "pg.pkl")], "ProGAN has no W"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
    ],
)
def test_what_cannot_be_explored(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, ["explore", *arguments])
    assert result.exit_code == 1
    assert said in result.output
    assert len(result.output.splitlines()) == 1
