"""Dragging: each term against a case made by hand, every family, and a drawn face whose eye moves."""

from __future__ import annotations

import copy
import json
import shlex
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

import checkpoints
import converter
from stylegan_torch.commands.main import main
from stylegan_torch.drawing.images import Picture
from stylegan_torch.editing.drag import (
    Drag,
    DragError,
    DragSettings,
    Grid,
    adam,
    bilinear,
    disc,
    grid_of,
    mask_loss,
    motion_loss,
    track_points,
)
from stylegan_torch.editing.latents import LatentsError, from_seeds, load
from stylegan_torch.networks import stylegan1
from stylegan_torch.networks.layers import up_to
from tests import DATA, HOME
from tests.tools.long import cases

NETWORKS = ["sg1.pkl", "sg2-skip.pkl", "sg2-resnet.pkl", "sg2-revised.pkl", "ada-cond.pkl", "sg3t_64.pkl"]
NETWORKS += ["nonsquare/human-sg2.pkl", "nonsquare/human-sg3r.pkl", "nonsquare/sky-3x5.pkl"]
NETWORKS += ["wild/lucidrains/model_100.pt"]
FAMILIES = cases(NETWORKS, long=["sg2-resnet.pkl", "sg3t_64.pkl", "nonsquare/sky-3x5.pkl"])
PLAIN = Grid("any", 1.0, (9, 9))
"""Of a layer with one sample a pixel."""
GUIDE = (HOME / "docs" / "guides" / "drag.md").read_text(encoding="utf-8")
LINES = [line for line in GUIDE.splitlines() if line.startswith("stylegan drag ")]


def _network(name: str) -> Any:
    return converter.load(DATA / name, ["G_ema"]).network("G_ema")


@pytest.fixture(scope="module")
def G() -> Any:  # noqa: N802
    return converter.load(checkpoints.DEMO, ["G_ema"]).network("G_ema")


def _begin(G: Any, **more: Any) -> Drag:
    """Begin with the middle of a picture, which shall go to its right edge."""
    height, width = G.img_size
    latents = from_seeds(G, [1], class_index=0 if G.c_dim else None)
    return Drag(G, latents, [(width / 2, height / 2)], targets=[(width - 1, height / 2)], **more)


def _run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["drag", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def test_bilinear() -> None:
    features = torch.tensor([[[0.0, 4.0], [8.0, 16.0]], [[1.0, 1.0], [1.0, 1.0]]])
    places = torch.tensor([[[0.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.5, 0.5]], [[0.25, 0.0], [-3.0, 7.0]]])
    found = bilinear(features, places)
    assert torch.allclose(found[..., 0], torch.tensor([[0.0, 4.0], [8.0, 7.0], [1.0, 8.0]]))
    assert torch.allclose(found[..., 1], torch.ones(3, 2))


def test_patches() -> None:
    assert disc(1).tolist() == [[0, 0]]
    assert sorted(disc(2).tolist()) == [[-1, -1], [-1, 0], [-1, 1], [0, -1], [0, 0], [0, 1], [1, -1], [1, 0], [1, 1]]
    assert len(disc(3)) == 25  # of the 5×5 pixels, the corners are at 2.83


def test_samples_lie_between_pixels() -> None:
    """A layer of half the size has its first sample in the middle of four pixels; a margin shifts it."""
    features = torch.arange(16.0).reshape(1, 4, 4)
    at = Grid("any", 0.5, (8, 8)).sampler(features)
    assert torch.allclose(at(torch.tensor([[0.5, 0.5], [2.5, 0.5], [0.5, 2.5]]))[:, 0], torch.tensor([0.0, 1.0, 4.0]))
    at = Grid("any", 0.5, (4, 2)).sampler(features)  # a picture of 2×1 samples, in the middle of 4×4
    assert at(torch.tensor([[0.5, 0.5]])).item() == pytest.approx((features[0, 1, 1] + features[0, 1, 2]).item() / 2)


def test_motion_supervision() -> None:
    x = torch.arange(9.0)
    features = (2 * x[None, :] + x[:, None] ** 2)[None].requires_grad_()
    points, targets = torch.tensor([[3.0, 3.0]]), torch.tensor([[8.0, 3.0]])
    loss = motion_loss(PLAIN.sampler(features), points, targets, 1)
    assert loss.item() == pytest.approx(2)  # a pixel on, to the right
    [gradient] = torch.autograd.grad(loss, [features])
    wanted = torch.zeros(1, 9, 9)
    wanted[0, 3, 4] = 1  # where the point is, is a constant
    assert torch.allclose(gradient, wanted, atol=1e-5)
    # To 6,7 the step is 0.6,0.8, where the features are 2·3.6 + (9 + 0.8·7), between those of the rows 3 and 4.
    loss = motion_loss(PLAIN.sampler(features), points, torch.tensor([[6.0, 7.0]]), 1)
    assert loss.item() == pytest.approx(2 * 3.6 + 9 + 0.8 * 7 - (2 * 3 + 9), rel=1e-5)
    # Half a pixel away, the step is half a pixel; there, none is left.
    halfway = torch.tensor([[3.5, 3.0], [3.0, 3.0]])
    both = motion_loss(PLAIN.sampler(features), points.expand(2, -1), halfway, 3)
    assert both.item() == pytest.approx(1, rel=1e-5)


def test_what_a_mask_holds() -> None:
    start = torch.zeros(2, 2, 2)
    features = start + torch.tensor([[1.0, -2.0], [3.0, 5.0]])
    assert mask_loss(features, start, torch.tensor([[1.0, 1.0], [0.5, 0.0]])).item() == pytest.approx((1 + 2 + 1.5) / 4)
    mask = torch.zeros(4, 4)
    mask[:2, :2] = 1
    assert Grid("any", 0.5, (4, 4)).held(mask, (2, 2)).tolist() == [[0, 1], [1, 1]]
    with_margin = Grid("any", 0.5, (4, 4)).held(mask, (4, 4))
    assert with_margin.sum() == 3 and with_margin[1:3, 1:3].tolist() == [[0, 1], [1, 1]]


def test_tracking_finds_what_was_shifted() -> None:
    features = torch.randn(4, 9, 9)
    points = torch.tensor([[4.0, 4.0], [2.0, 6.0]])
    wanted = PLAIN.sampler(features)(points)
    shifted = PLAIN.sampler(features.roll((-1, 2), (1, 2)))
    assert track_points(shifted, points, wanted, radius=3, picture=(9, 9)).tolist() == [[6, 3], [4, 5]]
    same = PLAIN.sampler(torch.ones(4, 9, 9))
    assert track_points(same, points, wanted, radius=3, picture=(9, 9)).tolist() == points.tolist()  # the nearest


def test_points_stay_in_the_picture() -> None:
    rising = PLAIN.sampler(torch.arange(9.0).expand(1, 9, 9))
    found = track_points(rising, torch.tensor([[7.0, 0.0]]), torch.tensor([[99.0]]), radius=6, picture=(9, 9))
    assert found.tolist() == [[8, 0]]


def test_adam() -> None:
    x, gradient = torch.zeros(3), torch.tensor([0.5, -3.0, 0.0])
    means = (torch.zeros(3), torch.zeros(3))
    x, means = adam(x, gradient, means, 1, 0.1)
    assert x.tolist() == pytest.approx([-0.1, 0.1, 0], abs=1e-6)
    # The mean is 0.9·0.1 - 0.1 of the gradient, over 1 - 0.81; that of the squares is as it was.
    x, means = adam(x, -gradient, means, 2, 0.1)
    back = 0.1 * 0.01 / 0.19
    assert x.tolist() == pytest.approx([back - 0.1, 0.1 - back, 0], abs=1e-6)


def test_a_network_that_ends_early() -> None:
    G = _network("sg2-skip.pkl")
    ws = from_seeds(G, [3]).ws
    drawn: list[Tensor] = []
    G.synthesis.b32.register_forward_hook(lambda _, __, output: drawn.append(output))
    features = up_to(G.synthesis, "b16")(ws)
    assert not drawn
    image, every = G.synthesis(ws, return_features=True)
    assert torch.equal(features, every["b16.conv1"])
    assert len(drawn) == 1 and image.shape[2:] == (32, 32)  # the network itself goes on


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family(name: str) -> None:
    G = _network(name)
    with torch.inference_mode():  # in which a page may draw
        drag = _begin(G, settings=DragSettings(learning_rate=0.05))
        before = drag.now.ws
        moment = drag.step()
        drag.step()
    changed = (moment.ws != before).any(dim=2)[0]
    rows = 3 if "lucidrains" in name else 6  # which has one a level, not two
    assert changed.any() and not changed[rows:].any()
    assert moment.taken == 1 and drag.now.taken == 2
    assert drag.picture().shape[:2] == G.img_size
    assert grid_of(G).rate == 0.5


def test_stylegan3s_margins_lie_evenly() -> None:
    """A picture that is turned half around has the features of each point at the opposite one."""
    G = _network("nonsquare/human-sg3r.pkl")
    height, width = G.img_size
    points = [(20.0, 25.0), (13.5, 30.0)]
    here = _wanted(G, points)
    G.synthesis.input.transform.copy_(torch.diag(torch.tensor([-1.0, -1.0, 1.0])))
    there = _wanted(G, [(width - 1 - x, height - 1 - y) for x, y in points])
    assert (here - there).abs().max() < 1e-3 * here.abs().max()


def _wanted(G: Any, points: list[tuple[float, float]]) -> Tensor:
    drag = Drag(G, from_seeds(G, [1]), points, targets=points)
    return drag.grid.sampler(drag._features)(torch.tensor(points))


@pytest.mark.parametrize(("lod", "layer"), [(0, "b32"), (1, "b32"), (2.5, "b16"), (9, "b4")])
def test_a_network_saved_in_the_middle_of_growing(lod: float, layer: str) -> None:
    mapping = stylegan1.MappingConfig(4, 0, 4, num_layers=1)
    G: Any = stylegan1.Generator(stylegan1.GeneratorConfig(mapping, 64, 3, (4,) * 5, lod=lod)).requires_grad_(False)
    drag = _begin(G)
    assert drag.grid.layer == layer
    drag.step()


def test_undo_and_copies(G: Any) -> None:
    drag = _begin(G)
    begun = drag.now
    first = drag.step()
    other = copy.copy(drag)
    second = drag.step()
    assert torch.equal(other.step().ws, second.ws)  # a copy goes its own way, which is the same
    drag.step()
    drag.now = first
    again = drag.step()
    assert torch.equal(again.ws, second.ws) and torch.equal(again.points, second.points) and again.taken == 2
    drag.now = begun
    assert torch.equal(drag.latents().ws, from_seeds(G, [1]).ws)
    drag.aim([(1.0, 1.0)])
    assert drag.now.distance == pytest.approx(31 * 2**0.5)


def test_it_ends(G: Any) -> None:
    at = (26.0, 32.0)
    there = Drag(G, from_seeds(G, [1]), [at], targets=[(26.5, 32.0)])
    assert there.arrived and there.done and not list(there)
    far = Drag(G, from_seeds(G, [1]), [at], targets=[(60.0, 32.0)], settings=DragSettings(steps=2))
    assert [moment.taken for moment in far] == [1, 2] and far.done and not far.arrived
    assert Drag(G, from_seeds(G, [1]), [at] * 6, targets=[(28.0, 32.0)] * 6).arrived


def _shift(before: Picture, after: Picture, point: tuple[int, int]) -> tuple[int, int]:
    """Return by how much the pixels around a point have moved: where they correlate best."""
    gray = [picture.mean(axis=2) for picture in (before, after)]
    x, y = point
    patch = gray[0][y - 4 : y + 5, x - 4 : x + 5].ravel()
    steps = [(across, down) for across in range(-8, 9) for down in range(-8, 9)]

    def likeness(step: tuple[int, int]) -> float:
        left, top = x + step[0] - 4, y + step[1] - 4
        return float(np.corrcoef(patch, gray[1][top : top + 9, left : left + 9].ravel())[0, 1])

    return max(steps, key=likeness)


def test_an_eye_moves(G: Any) -> None:
    drag = Drag(G, from_seeds(G, [1], 0.7), [(26, 32)], targets=[(21, 32)], settings=DragSettings(learning_rate=0.01))
    before = drag.picture()
    for moment in drag:
        assert moment.distance < 8
    assert drag.arrived and drag.now.taken < 60
    across, down = _shift(before, drag.picture(), (26, 32))
    assert -6 <= across <= -3 and abs(down) <= 1
    latents = drag.latents()
    assert torch.equal(latents.ws[:, 6:], from_seeds(G, [1], 0.7).ws[:, 6:])  # the layers of looks


def test_a_mask_holds_the_rest(G: Any) -> None:
    mask = torch.zeros(64, 64)
    mask[24:40, 16:48] = 1
    changes = []
    for given in (None, mask):
        settings = DragSettings(steps=12, learning_rate=0.01)
        drag = Drag(G, from_seeds(G, [9], 0.7), [(24, 32)], targets=[(24, 27)], mask=given, settings=settings)
        before = drag.picture().astype(float)
        for _ in drag:
            pass
        changes.append(np.abs(drag.picture() - before)[mask.numpy() == 0].mean())
    assert changes[1] < changes[0] / 2


def test_what_cannot_be_dragged(G: Any) -> None:
    with pytest.raises(LatentsError, match="ProGAN has no W"):
        Drag(_network("pg.pkl"), from_seeds(G, [1]), [(1, 1)], targets=[(2, 2)])
    one, at = from_seeds(G, [1]), [(1.0, 1.0)]
    with pytest.raises(DragError, match="these latents are of 2"):
        Drag(G, from_seeds(G, [1, 2]), at, targets=at)
    with pytest.raises(DragError, match="the target 64,1 is not in the picture: 0,0 to 63,63"):
        Drag(G, one, at, targets=[(64, 1)])
    with pytest.raises(DragError, match="1 points have 2 targets"):
        Drag(G, one, at, targets=at * 2)
    with pytest.raises(DragError, match="at least one point"):
        Drag(G, one, [], targets=[])
    with pytest.raises(DragError, match="the mask has 3x2 pixels, the picture 64x64"):
        Drag(G, one, at, targets=at, mask=torch.ones(2, 3))
    with pytest.raises(DragError, match="the mask lets nothing move"):
        Drag(G, one, at, targets=at, mask=torch.zeros(64, 64))
    drag = _begin(G, settings=DragSettings(learning_rate=float("inf")))
    with pytest.raises(DragError, match="diverged"):
        drag.step()
    assert drag.now.taken == 0  # which it still can go on from


def test_command(tmp_path: Path) -> None:
    out, film, result, mask = (tmp_path / name for name in ("a.png", "a.gif", "a.npz", "mask.png"))
    Image.new("L", (64, 64), 255).save(mask)
    asked = ["--seed", 1, "--points", "26,32:21,32", "--points", "30, 50:30,50", "--steps", 2, "--out", out]
    said = _run(*asked, "--mask", mask, "--film", film, "--save-latents", result)
    assert "after 2 steps not all points are there" in said and "2 points within 5.0 pixels after 2 steps" in said
    with Image.open(out) as image:
        about, picture = json.loads(image.info["stylegan-torch"]), np.asarray(image)
    assert about["seed"] == 1 and about["points"] == [[[26, 32], [21, 32]], [[30, 50], [30, 50]]]
    assert about["mask"] == "mask.png" and about["steps"] == 2
    assert film.read_bytes().startswith(b"GIF89a")
    latents = load(result, converter.load(checkpoints.DEMO, ["G_ema"]).network("G_ema"))
    assert len(latents) == 1 and latents.noise  # the release's own for this seed
    again = tmp_path / "again.png"
    drawn = CliRunner().invoke(main, ["draw", "--latents", str(result), "--out", str(again)])
    assert drawn.exit_code == 0, drawn.output
    with Image.open(again) as image:
        assert np.array_equal(picture, np.asarray(image))
    assert "exists" in _run(*asked, status=1)


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["--points", "1,1:2,2"], 2, "give one of --seed and --latents"),
        (["--seed", 1], 2, "Missing option '--points'"),
        (["--seed", 1, "--points", "1,1>2,2"], 2, "'1,1>2,2' is not a point and its target"),
        (["--seed", 1, "--points", "1,1:2,2", "--row", 0], 2, "--row is of --latents"),
        (["--seed", 1, "--points", "1,1:2,2", "--mask", HOME / "README.md"], 1, "is broken, or not a picture"),
        (["--seed", 1, "--points", "1,1:2,64"], 1, "the target 2,64 is not in the picture"),
        (["--seed", 1, "--points", "1,1:2,2", "--network", DATA / "pg.pkl"], 1, "ProGAN has no W"),
    ],
)
def test_command_refuses(arguments: list[object], status: int, line: str, tmp_path: Path) -> None:
    assert line in _run(*arguments, "--out", tmp_path / "a.png", status=status)
    assert not list(tmp_path.iterdir())


def test_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("L", (64, 64), 255).save("face.png")
    commands = [shlex.split(line, comments=True)[2:] for line in LINES]
    assert commands
    command = main.get_command(click.Context(main), "drag")
    assert command
    for words in commands:
        command.make_context("drag", list(words))
        if "--network" not in words:
            _run(*words, "--steps", 1, "--force")
    assert Path("drag.png").exists()
