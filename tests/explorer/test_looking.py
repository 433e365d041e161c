"""Looking into layers, bending them, and moving StyleGAN3's pictures, in the explorer."""

from __future__ import annotations

import errno
import io
import json
import shlex
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import converter
from stylegan_torch.commands.main import main
from stylegan_torch.drawing.draw import official_noise
from stylegan_torch.drawing.images import to_uint8
from stylegan_torch.editing.bending import bend, parse_bend
from stylegan_torch.editing.composition import Composition
from stylegan_torch.editing.latents import from_seeds
from stylegan_torch.editing.spectra import average_spectrum
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer import looking, renderer, reports
from stylegan_torch.explorer.looking import look
from stylegan_torch.explorer.renderer import Renderer
from stylegan_torch.explorer.studio import NetworkChoice, Studio, frame
from stylegan_torch.fast import optimize
from tests import DATA

BEND = {"layer": "b8.conv1", "channels": "0-3", "move": [0.1, 0], "turn": 20}


def _choice(name: str) -> NetworkChoice:
    def opened() -> tuple[Any, Any, dict[str, Any]]:
        G = converter.load(DATA / name).network("G_ema")
        return G, optimize(G), {}

    return NetworkChoice(opened, ("--network", str(DATA / name)))


@pytest.fixture(scope="module")
def small() -> Iterator[Studio]:
    made = Studio({"second": _choice("sg2-skip.pkl"), "third": _choice("sg3t_64.pkl")})
    yield made
    made.close()


def _looked(made: Studio, asked: object) -> tuple[dict[str, Any], bytes]:
    content = look(made, asked)
    end = 4 + int.from_bytes(content[:4], "big")
    return json.loads(content[4:end]), content[end:]


def test_what_is_in_a_picture(small: Studio) -> None:
    G = small.renderer("second").G
    about, image = _looked(small, {"state": {"seed": 3}})
    _, features = G.synthesis(from_seeds(G, [3], 0.7).ws, return_features=True)
    shapes = {each["name"]: (each["channels"], each["height"], each["width"]) for each in about["layers"]}
    assert shapes == {name: tuple(each.shape[1:]) for name, each in features.items()}
    shares = [each["share"] for each in about["layers"] if each["share"] is not None]
    assert len(shares) == 4 and sum(shares) == pytest.approx(1)
    assert image == b""
    about, image = _looked(small, {"layer": "b16.conv1", "first": 2})
    assert (about["channels"], about["first"], about["count"]) == (16, 2, 14)
    assert len(about["spectrum"]) > 4
    with Image.open(io.BytesIO(image)) as sheet:
        assert sheet.size == (8 * 16, 2 * 16)
    assert _looked(small, {"layer": "b4.conv1"})[0]["spectrum"] == []
    assert _looked(small, {"state": {"network": "third"}, "layer": "L14_64_3"})[0]["channels"] == 3


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (7, "layers: 7 is not an object of state, layer, first"),
        ({"layer": "b7"}, "Layer: 'b7' is not one of b4.conv1"),
        ({"layer": "b4.conv1", "first": 16}, "Channel: 16 is not a whole number from 0 to 15"),
        ({"state": {"bends": [{"layer": "b7"}]}}, "Layer: 'b7' is not one of b4.conv1"),
        ({"state": {"bends": [{"layer": "b4.conv1", "channels": "x"}]}}, "b4.conv1 channels: 'x' is not channels such"),
        ({"state": {"bends": [{"layer": "b4.conv1", "channels": "9-3"}]}}, "b4.conv1 channels: '9-3' is not channels"),
        ({"state": {"bends": [{"layer": "b4.conv1", "channels": "0-9999"}]}}, "b4.conv1 channels: '0-9999' is not"),
        ({"state": {"bends": [{"layer": "b4.conv1", "zoom": 0}]}}, "b4.conv1 zoom: 0 is not a number from 0.1"),
        ({"state": {"bends": [{"layer": "b4.conv1", "move": [1]}]}}, "b4.conv1 move: [1] is not two numbers"),
        ({"state": {"bends": [{}] * 33}}, "Bends: "),
        (
            {"state": {"bends": [{"layer": "b4.conv1", "channels": "999", "gain": 2}]}},
            "b4.conv1 has the channels 0 to 15",
        ),
        ({"state": {"rotate": 5}}, "only StyleGAN3's images can be moved"),
        ({"state": {"translate": [9, 0]}}, "Place: 9 is not a number from -2"),
    ],
)
def test_what_cannot_be_looked_at(small: Studio, asked: object, said: str) -> None:
    with pytest.raises(StyleGANError) as told:
        look(small, asked)
    assert str(told.value).startswith(said)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"bends": [BEND]}, "--bend b8.conv1@0-3:move=0.1,0.0:turn=20.0 "),
        ({"network": "third", "translate": [0.1, 0], "rotate": 5}, "--translate 0.1,0.0 --rotate 5.0 "),
    ],
)
def test_command_lines_make_it_again(
    small: Studio, state: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = small.read(state)
    assert words in small.commands(read)
    png, plain = small.picture_file(read, state), small.picture_file(small.read({"network": read.network}), {})
    monkeypatch.chdir(tmp_path)
    again = CliRunner().invoke(main, shlex.split(small.commands(read))[1:])
    assert again.exit_code == 0, again.output
    picture = Image.open(io.BytesIO(png.content)).tobytes()
    assert picture == Image.open(png.name).tobytes()
    assert picture != Image.open(io.BytesIO(plain.content)).tobytes()


def test_previews_are_bent_too(small: Studio) -> None:
    G = small.renderer("second").G
    renderer = Renderer(G, optimize(G), preview_side=16, quick_seconds=0.0)
    read = small.read({"bends": [BEND]}).picture
    latents = renderer.compose(read)
    plain, bent = renderer.glimpse(latents), renderer.glimpse(latents, read)
    assert plain.shape == bent.shape == (16, 16, 3)
    assert not np.array_equal(plain, bent)
    expected = to_uint8(
        bend(G, [parse_bend(str(read.bends[0]))]).synthesis(latents.ws, noise=latents.noise), "truncate"
    )
    assert np.abs(renderer.draw(latents, picture=read).astype(int) - expected[0].numpy()).max() <= 1


def test_spectra_are_of_all_channels_though_some_are_looked_at_at_once() -> None:
    features = torch.randn(21, 16, 16, generator=torch.Generator().manual_seed(1)) + torch.arange(21.0)[:, None, None]
    spread = features.std().expand(21)
    whole = average_spectrum([features[None]], mean=features.mean(dim=(1, 2)), std=spread)
    assert looking._spectrum(features) == pytest.approx(whole.profile_decibels.tolist(), abs=0.006)


def test_what_is_nan_is_told_as_browsers_read_it(small: Studio) -> None:
    G = converter.load(DATA / "sg2-skip.pkl").network("G_ema")
    G.get_parameter("synthesis.b16.conv1.bias").data.fill_(float("nan"))
    broken = Studio({"broken": NetworkChoice(lambda: (G, G, {}))})
    about, _ = _looked(broken, {})
    assert {each["share"] for each in about["layers"]} == {None}
    assert _looked(broken, {"layer": "b16.conv1"})[0]["spectrum"] == []
    broken.close()
    with pytest.raises(ValueError, match="JSON"):
        frame({"share": float("nan")})


def test_layers_are_looked_into_exactly_and_with_noise_where_the_network_is(
    small: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    G = small.renderer("second").G
    made = Renderer(G, G)
    latents = from_seeds(G, [3])
    latents = replace(latents, noise=tuple(official_noise(G, [3])))
    told: dict[str, Any] = {}

    def up_to(*_: object) -> Callable[..., torch.Tensor]:
        def call(ws: torch.Tensor, noise: list[torch.Tensor]) -> torch.Tensor:
            told["tf32"] = torch.backends.cudnn.allow_tf32
            told["devices"] = {each.device.type for each in (ws, *noise)}
            return torch.zeros(1, 1, 1, 1)

        return call

    monkeypatch.setattr(renderer, "up_to", up_to)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(made, "G", types.SimpleNamespace(device=torch.device("meta")))
    made.features(latents, Composition(3), "b16.conv1")
    assert told == {"tf32": False, "devices": {"meta"}}


def test_a_full_disk_is_told_in_plain_words() -> None:
    assert (
        reports.told(OSError(errno.ENOSPC, "No space left")) == "the disk of the computer that serves this page is full"
    )
