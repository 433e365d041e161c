"""Network bending: each change against a case made by hand, in every family and form, and by a command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import converter
from stylegan_torch.commands.main import main
from stylegan_torch.drawing.draw import set_transform
from stylegan_torch.editing.bending import Bend, BendError, bend, bent, drawer_of, parse_bend
from stylegan_torch.editing.composition import Composition, channel_numbers
from stylegan_torch.fast import optimize
from stylegan_torch.networks.layers import up_to, with_features
from tests import DATA
from tests.tools.long import cases

FAMILIES = cases(
    ["sg1.pkl", "sg2-skip.pkl", "sg3t_64.pkl", "sg2-resnet.pkl", "wild/lucidrains/model_100.pt"],
    long=["sg2-resnet.pkl", "wild/lucidrains/model_100.pt"],
)
X = torch.arange(12.0).reshape(1, 1, 3, 4)


def _network(name: str) -> Any:
    return converter.load(DATA / name, ["G_ema"]).network("G_ema")


def _ws(G: Any) -> torch.Tensor:
    return torch.randn(1, G.num_ws, G.w_dim, generator=torch.Generator().manual_seed(1))


def test_a_move_is_in_heights_and_mirrors_what_is_beyond() -> None:
    right = bent(X, Bend("a", move=(1 / 3, 0)))
    assert torch.allclose(right[0, 0, 0], torch.tensor([0.0, 0, 1, 2]), atol=1e-5)
    down = bent(X, Bend("a", move=(0, -1 / 3)))
    assert torch.allclose(down[0, 0, :, 0], torch.tensor([4.0, 8, 8]), atol=1e-5)
    half = bent(X, Bend("a", move=(-1 / 6, 0)))
    assert torch.allclose(half[0, 0, 0, :3], torch.tensor([0.5, 1.5, 2.5]), atol=1e-5)


def test_turns_are_counter_clockwise() -> None:
    square = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert torch.allclose(bent(square, Bend("a", turn=90)), torch.rot90(square, 1, (2, 3)), atol=1e-5)
    assert torch.allclose(bent(X, Bend("a", turn=180)), X.flip(2, 3), atol=1e-5)


def test_zoom_and_gain() -> None:
    row = torch.tensor([0.0, 1, 2, 3]).expand(1, 1, 4, 4)
    assert torch.allclose(bent(row, Bend("a", zoom=2))[0, 0, 0], torch.tensor([0.75, 1.25, 1.75, 2.25]))
    assert torch.equal(bent(X, Bend("a", gain=-2)), X * -2)
    assert bent(X, Bend("a")) is X


def test_some_channels() -> None:
    x = torch.ones(2, 4, 2, 2)
    y = bent(x, Bend("a", "1,3", gain=3))
    assert y[:, :, 0, 0].tolist() == [[1, 3, 1, 3]] * 2
    assert torch.equal(x, torch.ones_like(x))
    with pytest.raises(BendError, match="a has the channels 0 to 3, not 4"):
        bent(x, Bend("a", "2-4"))


def test_channels_are_taken_once_whatever_their_order() -> None:
    x = torch.ones(1, 3, 2, 2)
    assert bent(x, Bend("a", "0,0,1", gain=2))[0, :, 0, 0].tolist() == [2, 2, 1]
    assert channel_numbers("5,0-3," * 40 + "2") == [0, 1, 2, 3, 5]
    for text in ("9-3", "0-8192", "0-8000," * 20 + "1"):
        with pytest.raises(ValueError, match=r"is not a channel, or a range|are more than 8192 channels"):
            channel_numbers(text)


def test_order_is_turn_and_zoom_then_move() -> None:
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 3] = 1  # one to the right of the middle; turned, one above it; moved, two to the right of that
    y = bent(x, Bend("a", turn=90, move=(0.4, 0)))
    assert y[0, 0, 1, 4] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_layer_of_every_family_and_form(name: str) -> None:
    G = _network(name)
    ws, fast = _ws(G), optimize(G)
    before, features = with_features(G.synthesis, lambda: G.synthesis(ws))
    for layer in list(features)[::3]:
        change = Bend(layer, "0-1", (0.1, 0.05), 20.0, 1.2, 2.0)
        other = bend(G, [change])
        image = other.synthesis(ws)
        assert not torch.equal(image, before)
        assert torch.equal(up_to(other.synthesis, layer)(ws), features[layer])  # hooks of its own end before it
        assert torch.allclose(bend(fast, [change]).synthesis(ws), image, atol=1e-3)
        assert next(other.parameters()) is next(G.parameters())
    assert torch.equal(G.synthesis(ws), before)
    with pytest.raises(BendError, match=r"there is no layer 'b7'; it has (b4|input)"):
        bend(G, [Bend("b7")])


def test_images_of_stylegan3_are_moved_and_turned() -> None:
    G = _network("sg3t_64.pkl")
    ws, before = _ws(G), G.synthesis(_ws(G))
    moved = drawer_of(G, Composition(0, translate=(0.1, 0.2), rotate=30.0)).synthesis(ws)
    assert torch.equal(G.synthesis(ws), before)
    set_transform(G, (0.1, 0.2), 30.0)
    assert torch.equal(moved, G.synthesis(ws))
    with pytest.raises(BendError, match="only StyleGAN3's"):
        drawer_of(_network("sg1.pkl"), Composition(0, rotate=1.0))
    with pytest.raises(BendError, match="it has none that can be bent"):
        bend(_network("pg.pkl"), [Bend("b4")])


@pytest.mark.parametrize(
    "text", ["b16.conv1:turn=30.0", "L3_52_512@0-3,7:move=0.1,-0.5:zoom=1.5:gain=-2.0", "b4.torgb:gain=1.0"]
)
def test_bends_as_texts(text: str) -> None:
    assert str(parse_bend(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "b16",
            "b16:turn",
            "b16:turn=x",
            "b16:move=1",
            "b16:turn=1,2",
            "b16:turn=1:turn=2",
            "b16:zoom=0",
            "b16:hue=1",
        ),
        *("b16@1-:gain=1", "b16@:gain=1", "b16@-1:gain=1", "b16:gain=nan", ":gain=1"),
    ],
)
def test_texts_that_are_no_bends(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        parse_bend(text)


def _draw(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["draw", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def test_command(tmp_path: Path) -> None:
    network, out = DATA / "sg3t_64.pkl", tmp_path / "a.png"
    asked = ["--bend", "L1_36_32@0-3:turn=45", "--translate", "0.1,0", "--rotate", 5]
    _draw("--network", network, "--seeds", 3, *asked, "--out", out)
    G = _network("sg3t_64.pkl")
    with Image.open(out) as image:
        about, picture = json.loads(image.info["stylegan-torch"]), np.asarray(image)
    assert about["options"] == ["--bend", "L1_36_32@0-3:turn=45.0", "--translate", "0.1,0.0", "--rotate", "5.0"]
    plain = tmp_path / "b.png"
    _draw("--network", network, "--seeds", 3, "--out", plain)
    assert not np.array_equal(picture, np.asarray(Image.open(plain)))
    assert G.img_size == picture.shape[:2]


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["--bend", "b16"], 2, "'b16' is not a layer and what is done to it"),
        (["--bend", "b7:turn=1"], 1, "there is no layer 'b7'; it has b4.conv1"),
        (["--bend", "b4.conv1@999:gain=2"], 1, "b4.conv1 has the channels 0 to"),
        (["--rotate", "5"], 1, "only StyleGAN3's images can be moved and turned"),
        (["--bend", "b4.conv1:gain=2", "--size", "64x128"], 2, "--bend, --translate and --rotate are not for --size"),
    ],
)
def test_command_refuses(arguments: list[str], status: int, line: str, tmp_path: Path) -> None:
    said = _draw("--seeds", 1, *arguments, "--out", tmp_path / "a.png", status=status)
    assert line in " ".join(said.split())
    assert not list(tmp_path.iterdir())
