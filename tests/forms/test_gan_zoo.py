"""pytorch_GAN_zoo's ProGAN draws and scores what that program did."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import converter
from converter.errors import ConvertError
from stylegan_torch.commands.convert import main
from stylegan_torch.networks.registry import config_from_json, config_to_json
from tests import DATA
from tests.tools.wrappings import WRAPPINGS, assert_close, halved, there_and_back

ZOO = DATA / "wild" / "gan-zoo" / "pytorch_GAN_zoo_pgan.pth"


class _Bag:
    """Settings: whatever attributes they have."""


_Bag.__module__, _Bag.__qualname__, _Bag.__name__ = "models.utils.config", "BaseConfig", "BaseConfig"


class _Reader(pickle.Unpickler):
    """Reads the file, which is ours, with a bag for its settings."""

    def find_class(self, module: str, name: str) -> Any:
        return _Bag if name == "BaseConfig" else super().find_class(module, name)


def _content() -> dict[str, Any]:
    reader = ModuleType("reader")
    reader.__dict__.update(Unpickler=_Reader, load=pickle.load, __name__="pickle")
    return dict(torch.load(ZOO, weights_only=False, pickle_module=reader))


def _write(path: Path, content: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("models", "models.utils", "models.utils.config"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["models.utils.config"], "BaseConfig", _Bag, raising=False)
    torch.save(content, path)
    return path


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
def test_it_draws_and_scores_as_its_program_did(suffix: str, tmp_path: Path) -> None:
    checkpoint = there_and_back(ZOO, tmp_path / f"ours{suffix}")
    with np.load(ZOO.with_name("pgan.npz")) as arrays:
        z = torch.from_numpy(arrays["z"])
        assert_close(checkpoint.network("G_ema")(z), arrays["image"])
        assert_close(checkpoint.network("G")(z), arrays["image_G"])
        assert_close(checkpoint.network("D")(torch.from_numpy(arrays["image"])), arrays["d_scores"])


def test_its_settings_are_read_and_not_passed_over(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(ZOO), str(tmp_path / "ours.pt")])
    assert (result.exit_code, "passed over" in result.stderr) == (0, False), result.stderr


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_wherever_it_stands(wrapping: str, tmp_path: Path) -> None:
    torch.save(WRAPPINGS[wrapping](_content()["avgG"]), tmp_path / "wrapped.pth")
    z = torch.randn(2, 32)
    assert torch.equal(converter.load(tmp_path / "wrapped.pth").network()(z), converter.load(ZOO).network()(z))


def test_without_settings_it_is_taken_for_grown_unless_told(tmp_path: Path) -> None:
    torch.save(_content()["avgG"], tmp_path / "bare.pth")
    result = CliRunner().invoke(main, ["--inspect", str(tmp_path / "bare.pth")])
    assert "assumed.alpha=0" in result.output
    converter.convert(tmp_path / "bare.pth", tmp_path / "told.pt", assumed={"alpha": 0.25})
    assert converter.load(tmp_path / "told.pt").networks["G_ema"].config.lod == 0.25  # type: ignore[union-attr]
    with pytest.raises(ConvertError, match="alpha is 2, and it should be from 0 to 1"):
        converter.convert(tmp_path / "bare.pth", tmp_path / "odd.pt", assumed={"alpha": 2})


def test_half_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = converter.load(_write(tmp_path / "half.pth", halved(_content()), monkeypatch))
    full = converter.load(ZOO)
    for role, network in full.networks.items():
        assert half.networks[role].config == network.config
    bias = full.networks["D"].state_dict["b4.out.bias"]
    assert torch.equal(half.networks["D"].state_dict["b4.out.bias"], bias.half().float())


def test_growing_settings_say_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = _content()
    content["config"].alpha = 0.75
    checkpoint = converter.load(_write(tmp_path / "growing.pth", content, monkeypatch))
    G: Any = checkpoint.network("G_ema")
    z = torch.randn(2, 32)
    x = G.b16(G.b8(G.b4(z / z.square().mean(dim=1, keepdim=True).sqrt())))
    coarse = torch.nn.functional.interpolate(G.b16.torgb(x), scale_factor=2)
    assert_close(G(z), 0.75 * coarse + 0.25 * G.b32.torgb(G.b32(x)))
    assert checkpoint.networks["D"].config.lod == 0.75  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("perChannelNormalization", False),
        ("equalizedlR", False),
        ("leakyReluLeak", 0.1),
        ("categoryVectorDim", 5),
        ("generationActivation", "tanh"),
        ("alpha", 1.5),
        ("alpha", "half"),
    ],
)
def test_settings_that_are_not_known_are_refused(
    name: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = _content()
    setattr(content["config"], name, value)
    with pytest.raises(ConvertError, match=f"its setting {name} is {value}, and what the program does then"):
        converter.load(_write(tmp_path / "other.pth", content, monkeypatch))


@pytest.mark.parametrize(
    ("key", "changes", "message"),
    [
        ("avgG", {"scaleLayers.1.0.module.bias": None}, "variable scaleLayers.1.0.module.bias is missing"),
        ("avgG", {"formatLayer.module.bias": torch.zeros(32)}, r"formatLayer.module.bias has shape \[32\]"),
        ("avgG", {"other": torch.zeros(1)}, "variable other is unknown"),
        ("netD", {"decisionLayer.module.weight": torch.zeros(5, 32)}, r"decisionLayer.module.weight has shape \[5, 32"),
        ("netD", {"fromRGBLayers.0.module.weight": None}, "variable fromRGBLayers.0.module.weight is missing"),
    ],
)
def test_what_is_not_sound_is_named(key: str, changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    state = {name: value for name, value in {**_content()[key], **changes}.items() if value is not None}
    torch.save({key: state}, tmp_path / "broken.pth")
    with pytest.raises(ConvertError, match=message):
        converter.load(tmp_path / "broken.pth")


def test_its_discriminator_may_look_at_the_batch(tmp_path: Path) -> None:
    state = dict(_content()["netD"])
    weight = state["groupScaleZero.0.module.weight"]
    state["groupScaleZero.0.module.weight"] = torch.cat([weight, torch.randn(32, 1, 3, 3)], dim=1)
    torch.save({"netD": state}, tmp_path / "stddev.pth")
    D: Any = converter.load(tmp_path / "stddev.pth").network("D")
    images = torch.randn(4, 3, 32, 32)
    x = D.b8(D.b16(D.b32(D.b32.fromrgb(images))))
    spread = (x.var(dim=0, correction=1) + 1e-8).sqrt().mean().expand(4, 1, 4, 4)
    b4 = D.b4
    assert_close(D(images), b4.out(b4.fc(b4.conv(torch.cat([x, spread], dim=1)).flatten(1))))


def test_configs_of_others_do_not_say_what_only_this_program_does() -> None:
    new = {"first_pixel_bias", "scaled_bias", "mbstd_unbiased"}
    for path, expected in ((DATA / "pg.pkl", False), (ZOO, True)):
        for network in converter.load(path).networks.values():
            data = json.loads(json.dumps(config_to_json(network.config)))
            assert bool(new & data.keys()) == expected
            assert config_from_json(data) == network.config
