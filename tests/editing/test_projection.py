"""Projection: the paper's optimiser, distances, going on after any interruption, photographs of every kind."""

from __future__ import annotations

import io
import json
import math
import sys
import types
import warnings
from pathlib import Path
from signal import SIGKILL
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from torch import Tensor

import checkpoints
import converter
from stylegan_torch.commands.main import main
from stylegan_torch.drawing.draw import labels_of
from stylegan_torch.drawing.images import to_uint8
from stylegan_torch.drawing.seeds import latents_from_seeds
from stylegan_torch.editing import latents as latents_module
from stylegan_torch.editing.distances import DistanceError
from stylegan_torch.editing.latents import Latents, LatentsError, drawn, w_statistics
from stylegan_torch.editing.perceptual import (
    LpipsDistance,
    PyramidDistance,
    ScriptDistance,
    open_distance,
    reduced,
)
from stylegan_torch.editing.projection import (
    Projection,
    ProjectionError,
    ProjectionSettings,
    learning_rate,
    load_state,
    noise_penalty,
    normalize,
    save_state,
    w_noise,
)
from stylegan_torch.editing.targets import psnr, read_target
from stylegan_torch.errors import NoClassError
from stylegan_torch.fast import optimize
from stylegan_torch.networks.registry import network_hash
from stylegan_torch.pictures.decode import DataError
from tests import DATA
from tests.tools.interrupt import run_interrupted

TINY = DATA / "sg2-skip.pkl"
QUICK = ("--network", TINY, "--steps", "12")
STOP_IN_STEP_25 = """
import stylegan_torch.commands.project
from stylegan_torch.editing.projection import Projection
stylegan_torch.commands.project.SAVE_SECONDS = 0
interrupt_after(25, Projection, "step", number)
"""


def network(name: str = "sg2-skip") -> Any:
    return converter.load(DATA / f"{name}.pkl").network("G_ema")


def own_picture(G: Any, seed: int = 5, class_index: int | None = None) -> Tensor:
    """Return what a network draws for a seed, as it comes out of an 8-bit picture."""
    with torch.no_grad():
        images = G(latents_from_seeds([seed], G.z_dim), labels_of(G, class_index, 1))
    return to_uint8(images)[0].permute(2, 0, 1).float() / 127.5 - 1


def finished(projection: Projection) -> Projection:
    while not projection.done:
        projection.step()
    return projection


def quality(projection: Projection) -> float:
    """Return the PSNR of a projection's result, in dB."""
    found = projection.latents()
    [picture] = drawn(projection.G, found)
    return psnr(picture, to_uint8(projection.target[:1])[0].numpy())


def same(one: Latents, other: Latents) -> bool:
    return all(torch.equal(a, b) for a, b in zip([one.ws, *one.noise], [other.ws, *other.noise], strict=True))


def run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["project", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Return a photograph that is neither square nor of any network's size."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)
    Image.fromarray(noise).resize((90, 60), Image.Resampling.BICUBIC).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def _as_image(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1


def test_distance_grows_with_blur_and_shift(photo: Path) -> None:
    distance = PyramidDistance()
    with Image.open(photo) as picture:
        image = _as_image(picture)
        blurred = torch.cat([_as_image(picture.filter(ImageFilter.GaussianBlur(r))) for r in (0, 1, 2, 4, 8)])
    shifted = torch.cat([image.roll(k, 3) for k in range(5)])
    for others in (blurred, shifted):
        distances = distance(others, image.expand(5, -1, -1, -1))
        assert distances[0] == 0
        assert (distances.diff() > 0).all()


@given(st.integers(3, 20), st.integers(3, 20), st.integers(1, 4))
def test_distance_is_of_each_pair(height: int, width: int, channels: int) -> None:
    a, b = torch.randn(2, 3, channels, height, width, generator=torch.Generator().manual_seed(height))
    distances = PyramidDistance()(a, b)
    assert distances.shape == (3,)
    assert (distances > 0).all()
    torch.testing.assert_close(distances[1:2], PyramidDistance()(a[1:2], b[1:2]))
    torch.testing.assert_close(distances, PyramidDistance()(b, a))


def test_distance_has_gradients() -> None:
    a, b = torch.randn(2, 2, 1, 8, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    distance = PyramidDistance()
    assert torch.autograd.gradcheck(lambda x: distance(x, b), a.requires_grad_())
    assert torch.autograd.grad(distance(a, a.detach()).sum(), a)[0].abs().max() == 0


def test_large_pictures_are_reduced() -> None:
    image = torch.arange(1024.0).expand(1, 1, 512, 1024)
    assert reduced(image).shape == (1, 1, 128, 256)
    assert reduced(image)[0, 0, 0, 1] == 5.5
    assert reduced(image[..., :511, :511]).shape[2:] == (511, 511)


class Features(torch.nn.Module):
    """A stand-in for `vgg16.pt`: what it was asked for is in what it returns."""

    def forward(self, x: Tensor, resize_images: bool = True, return_lpips: bool = False) -> Tensor:
        return x.mean(dim=(2, 3)) * (100 if resize_images else 1) * (1 if return_lpips else 10)


def _script(path: Path) -> Path:
    scripting: Any = torch.jit
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit")
        scripting.script(Features()).save(path)
    return path


def test_distance_of_a_script(tmp_path: Path) -> None:
    distance = ScriptDistance(_script(tmp_path / "net.pt"))
    a, b = torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), 2 / 127.5)
    for _ in range(2):
        torch.testing.assert_close(distance(a, b), torch.full((2,), 3 * 2.0**2))
    torch.testing.assert_close(distance(a[:, :1], a[:, :1] + 1 / 127.5), torch.full((2,), 3.0))
    assert distance.name != ScriptDistance(_script(tmp_path / "other_name.pt")).name
    with pytest.raises(DistanceError, match="not 4 channels"):
        distance(torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 8, 8))


def test_what_a_picture_is_compared_with_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if other targets come in between, as when a network is tuned."""
    distance, looked = ScriptDistance(_script(tmp_path / "net.pt")), list[Tensor]()
    features = distance._features

    def look(images: Tensor) -> Tensor:
        looked.append(images)
        return features(images)

    monkeypatch.setattr(distance, "_features", look)
    image, photo = torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)
    others = [torch.full((1, 3, 8, 8), float(i)) for i in range(3)]
    for other in others:
        distance(image, photo)
        distance(image, other)
    assert sum(each is photo for each in looked) == 1
    assert sum(each is image for each in looked) == 6


def test_no_program_runs_unless_it_is_trusted(tmp_path: Path) -> None:
    path = str(_script(tmp_path / "net.pt"))
    with pytest.raises(DistanceError, match="a program that runs when it is loaded and used; --trust-distance"):
        open_distance(path)
    assert isinstance(open_distance(path, trust=True), ScriptDistance)
    (tmp_path / "half.pt").write_bytes(b"half")
    for name, message in (("half.pt", "damaged, or not TorchScript"), ("no.pt", "cannot read .*No such file")):
        with pytest.raises(DistanceError, match=message):
            open_distance(str(tmp_path / name), trust=True)


def test_lpips_is_used_if_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stand(torch.nn.Module):
        def __init__(self, net: str, verbose: bool) -> None:
            super().__init__()
            assert (net, verbose) == ("vgg", False)

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            assert a.shape[1] == b.shape[1] == 3
            return (a - b).abs().mean(dim=(1, 2, 3), keepdim=True)

    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(DistanceError, match="pip install lpips"):
        open_distance("lpips")
    monkeypatch.setitem(sys.modules, "lpips", types.SimpleNamespace(LPIPS=Stand))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DistanceError, match="VGG16 weights"):
        open_distance("lpips")
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "vgg16-397923af.pth").touch()
    distance = open_distance("lpips")
    assert isinstance(distance, LpipsDistance)
    assert torch.equal(distance(torch.ones(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)), torch.ones(2))


def test_schedules_at_their_ends() -> None:
    chosen = ProjectionSettings()
    rates = {0.0: 0, 0.025: 0.05, 0.05: 0.1, 0.5: 0.1, 0.75: 0.1, 0.875: 0.05, 1.0: 0}
    for t, rate in rates.items():
        assert learning_rate(chosen, t) == pytest.approx(rate, abs=1e-12)
    for t, deviations in {0.0: 0.05, 0.375: 0.0125, 0.75: 0, 0.9: 0}.items():
        assert w_noise(chosen, t) == pytest.approx(deviations)


def test_noise_penalty_by_hand() -> None:
    stripes = torch.ones(1, 1, 16, 16)
    stripes[..., ::2] = -1  # neighbours in x are opposite, in y equal; nothing is left of it at half the size
    flat = torch.ones(1, 1, 16, 16)  # all are equal, at 16 and at 8
    assert noise_penalty([torch.cat([stripes, flat])]).tolist() == [2, 4]
    assert noise_penalty([flat[..., :4, :4], flat[..., :8, :8], flat]).tolist() == [2 + 2 + 4]
    white = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    assert noise_penalty([white]) < 0.01


def test_noise_maps_are_normalized() -> None:
    maps = [torch.randn(3, 1, side, side) * 5 + 2 for side in (4, 32)]
    normalize(maps)
    for each in maps:
        assert each.mean(dim=(1, 2, 3)).abs().max() < 1e-6
        torch.testing.assert_close(each.square().mean(dim=(1, 2, 3)), torch.ones(3))
    zeros = torch.zeros(1, 1, 4, 4)
    normalize([zeros])
    assert (zeros == 0).all()


def test_statistics_of_w() -> None:
    G = network("ada-cond")
    c = labels_of(G, 3, 1)
    mean, deviation = w_statistics(G, c)
    z = np.random.RandomState(123).randn(10000, G.z_dim).astype(np.float32)
    with torch.no_grad():
        w = G.mapping(torch.from_numpy(z), c.expand(10000, -1))[:, 0].double()
    torch.testing.assert_close(mean.double(), w.mean(dim=0), rtol=0, atol=1e-5)
    assert deviation == pytest.approx(math.sqrt(float((w - w.mean(dim=0)).square().sum()) / 10000), rel=1e-5)


@pytest.mark.long  # `test_a_networks_own_picture_is_found` is the same of a smaller network
def test_a_picture_of_the_bundled_network_is_found() -> None:
    G = converter.load(checkpoints.DEMO).network("G_ema")
    assert quality(finished(Projection(G, own_picture(G), ProjectionSettings("w+", steps=300)))) > 30


@pytest.mark.parametrize("space", ["w", "w+"])
def test_a_networks_own_picture_is_found(space: Any) -> None:
    G = network("ada")
    projection = finished(Projection(G, own_picture(G), ProjectionSettings(space, steps=150)))
    assert quality(projection) > 30
    found = projection.latents()
    assert found.ws.shape == (1, G.num_ws, G.w_dim)
    assert bool((found.ws == found.ws[:, :1]).all()) == (space == "w")
    for each in found.noise:
        assert each.mean().abs() < 1e-5
        assert each.square().mean() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "class_index", "steps"),
    [
        ("ada-cond", 2, 20),
        ("sg1", None, 20),
        ("sg1-fused", None, 20),
        ("sg3t_64", None, 8),
        ("sg2-revised", None, 20),
        ("ada5_fp16_nhwc_gray", None, 20),
        ("nonsquare/human-sg2", None, 20),
        ("nonsquare/human-sg3r", None, 8),
    ],
)
def test_every_family_comes_nearer(name: str, class_index: int | None, steps: int) -> None:
    G = network(name)
    before = {key: value.clone() for key, value in G.state_dict().items()}
    target = own_picture(G, class_index=class_index)
    projection = Projection(G, target, ProjectionSettings(steps=steps), class_index=class_index)
    first = quality(projection)
    assert quality(finished(projection)) > first + 1
    found = projection.latents()
    assert len(found.noise) == len(G.synthesis.noise_buffers())
    assert found.c is None or torch.equal(found.c, labels_of(G, class_index, 1))
    assert all(torch.equal(value, before[key]) for key, value in G.state_dict().items())


def test_the_best_start_point_is_taken() -> None:
    G = network()
    chosen = ProjectionSettings(steps=15, starts=3)
    projection = finished(Projection(G, own_picture(G), chosen))
    assert projection.w.shape == (3, G.num_ws, G.w_dim)
    assert not torch.equal(projection.path[0, 0], projection.path[0, 1])
    with torch.no_grad():
        images = G.synthesis(projection.w, noise=projection.noise)
    best = int(PyramidDistance()(images, projection.target).argmin())
    found = projection.latents()
    assert torch.equal(found.ws[0], projection.w[best])
    assert all(torch.equal(mine[0], all_[best]) for mine, all_ in zip(found.noise, projection.noise, strict=True))
    film = projection.film()
    assert film.ws.shape == (16, G.num_ws, G.w_dim)
    assert torch.equal(film.ws[-1:], found.ws)


@pytest.mark.parametrize("space", ["w", "w+"])
def test_what_begins_at_the_answer_stays_there(space: Any) -> None:
    G = network()
    noise = tuple(torch.randn(2, 1, *stored.shape) for stored in G.synthesis.noise_buffers())
    normalize(noise)
    answer = Latents(latents_module.from_seeds(G, [5, 6]).ws, noise=noise)
    with torch.no_grad():
        image = G.synthesis(answer.ws[:1], noise=[each[:1] for each in noise])[0].clamp(-1, 1)
    usual = ProjectionSettings(space, steps=10, starts=2)
    projection = Projection(G, image, usual, begin=answer)
    for mine, theirs in zip(projection.noise, noise, strict=True):
        assert torch.equal(mine, theirs[:1].expand(2, -1, -1, -1))
    torch.testing.assert_close(projection.w[0], answer.ws[0, : projection.w.shape[1]])
    elsewhere = Projection(G, image, usual)
    assert torch.equal(projection.w[1], elsewhere.w[1])
    assert projection.step() < 0.5 * elsewhere.step()
    assert quality(finished(projection)) > quality(finished(elsewhere)) + 3


def test_a_beginning_in_w_is_the_mean_of_its_rows() -> None:
    G = network()
    begin = Latents(torch.randn(1, G.num_ws, G.w_dim))
    projection = Projection(G, own_picture(G), ProjectionSettings("w"), begin=begin)
    torch.testing.assert_close(projection.w.detach(), begin.ws.mean(dim=1, keepdim=True))
    assert all(torch.equal(a[0, 0], b) for a, b in zip(projection.noise, G.synthesis.noise_buffers(), strict=True))


@pytest.mark.parametrize(("name", "steps"), [("sg2-skip", 6), ("sg3t_64", 2)])
def test_gone_on_with_is_as_if_never_interrupted(name: str, steps: int, tmp_path: Path) -> None:
    G = network(name)
    target, usual = own_picture(G), ProjectionSettings(steps=steps, starts=2)
    whole = finished(Projection(G, target, usual))
    for stop in range(steps + 1):
        part = Projection(G, target, usual)
        for _ in range(stop):
            part.step()
        save_state(tmp_path / "state", part)
        again = finished(Projection(G, target, usual, state=load_state(tmp_path / "state")))
        assert same(again.latents(), whole.latents())
        assert torch.equal(again.path, whole.path)


def test_a_state_stays_what_it_was() -> None:
    G = network()
    projection = Projection(G, own_picture(G), ProjectionSettings(steps=4))
    projection.step()
    state = projection.state()
    found = finished(projection).latents()
    assert state["taken"] == 1
    assert same(finished(Projection(G, own_picture(G), ProjectionSettings(steps=4), state=state)).latents(), found)


def test_a_state_must_fit(tmp_path: Path) -> None:
    G = network()
    target, usual = own_picture(G), ProjectionSettings(steps=3)
    projection = Projection(G, target, usual)
    projection.step()
    save_state(tmp_path / "state", projection)
    state = load_state(tmp_path / "state")
    script = ScriptDistance(_script(tmp_path / "net.pt"))
    changed: dict[str, dict[str, Any]] = {
        "network": {"G": network("ada")},
        "picture": {"target": -target},
        "settings": {"settings": ProjectionSettings(steps=4)},
        "distance": {"distance": script},
    }
    for name, other in changed.items():
        with pytest.raises(ProjectionError, match=f"another {name}"):
            Projection(**{"G": G, "target": target, "settings": usual, **other}, state=state)
    for broken in ({**state, "w": torch.zeros(3)}, {**state, "optimizer": {}}, {**state, "path": None}):
        with pytest.raises(ProjectionError, match="damaged"):
            Projection(G, target, usual, state=broken)


def test_a_state_is_of_one_beginning() -> None:
    G = network()
    target, usual = own_picture(G), ProjectionSettings(steps=3)
    one, other = latents_module.singles(latents_module.from_seeds(G, [1, 2]))
    noisy = Latents(one.ws, noise=tuple(torch.randn(1, 1, *stored.shape) for stored in G.synthesis.noise_buffers()))
    for mine in (None, one, noisy):
        projection = Projection(G, target, usual, begin=mine)
        projection.step()
        state = projection.state()
        for theirs in (None, one, other, noisy):
            if theirs is not mine:
                with pytest.raises(ProjectionError, match="another beginning"):
                    Projection(G, target, usual, state=state, begin=theirs)
        again = Projection(G, target, usual, state=state, begin=mine)
        assert same(finished(again).latents(), finished(projection).latents())


def test_what_cannot_be_projected() -> None:
    with pytest.raises(LatentsError, match="ProGAN has no W"):
        Projection(network("pg"), torch.zeros(3, 32, 32))
    with pytest.raises(ProjectionError, match=r"the target is \[3, 8, 8\], this network draws \[3, 32, 32\]"):
        Projection(network(), torch.zeros(3, 8, 8))
    with pytest.raises(NoClassError, match="there is no class 1"):
        Projection(network(), torch.zeros(3, 32, 32), class_index=1)
    diverging = Projection(
        network(), torch.zeros(3, 32, 32), ProjectionSettings(steps=9, rampup=0.1, learning_rate=1e30)
    )
    with pytest.raises(ProjectionError, match="diverged"):
        finished(diverging)


def test_the_command_writes_what_it_says(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = run(photo, *QUICK, "--outdir", out, "--starts", 2, "--film", tmp_path / "films" / "film.gif")
    assert "90×60 pixels, cut to the middle, resized to 32×32" in said
    assert "Projected into W+ at a PSNR of " in said
    assert sorted(path.name for path in out.iterdir()) == ["photo-target.png", "photo.npz", "photo.png"]
    G = network()
    found = latents_module.load(out / "photo.npz", G)
    assert found.network == network_hash(G)
    [picture] = drawn(optimize(G), found)
    with Image.open(out / "photo.png") as image, Image.open(out / "photo-target.png") as target:
        assert (np.asarray(image) == picture).all()
        assert f"{psnr(picture, np.asarray(target)):.1f} dB" in said
        about = json.loads(image.info["stylegan-torch"])
    assert about["network"]["name"] == TINY.name
    assert about["projection"]["starts"] == 2
    with Image.open(tmp_path / "films" / "film.gif") as film:
        assert film.size == (64, 32)
        assert getattr(film, "n_frames", 1) > 5


def test_the_command_begins_at_latents(photo: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    run(photo, *QUICK, "--outdir", first)
    run(photo, *QUICK, "--outdir", second, "--begin", first / "photo.npz")
    with Image.open(second / "photo.png") as image:
        assert json.loads(image.info["stylegan-torch"])["begin"] == "photo.npz"
    dbs = []
    for folder in (first, second):
        with Image.open(folder / "photo.png") as found, Image.open(folder / "photo-target.png") as target:
            dbs.append(psnr(np.asarray(found), np.asarray(target)))
    assert dbs[1] > dbs[0]
    np.savez(tmp_path / "other.npz", ws=np.zeros((1, 3, 4)))
    said = run(photo, *QUICK, "--outdir", tmp_path / "out", "--begin", tmp_path / "other.npz", status=1)
    assert "other.npz: ws are [1, 3, 4], this network takes" in said


def test_killed_it_goes_on_as_if_nothing_had_happened(photo: Path, tmp_path: Path) -> None:
    arguments = [photo, "--network", TINY, "--steps", "60", "--starts", "2"]
    run(*arguments, "--outdir", tmp_path / "whole")
    killed = tmp_path / "killed"
    process = run_interrupted(STOP_IN_STEP_25, ["project", *arguments, "--outdir", killed], SIGKILL)
    assert process.returncode == -SIGKILL, process.stderr
    state = killed / "photo.state"
    assert [path.name for path in killed.iterdir()] == ["photo.state"]
    assert load_state(state)["taken"] == 24
    assert "is of an unfinished projection: go on with --resume" in run(*arguments, "--outdir", killed, status=2)
    run(*arguments, "--outdir", killed, "--resume")
    for name in ("photo.png", "photo-target.png"):
        assert (killed / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    one, other = (latents_module.load(tmp_path / name / "photo.npz", network()) for name in ("whole", "killed"))
    assert same(one, other)
    assert not state.exists()


def test_begun_anew_it_leaves_no_state_of_the_run_before(photo: Path, tmp_path: Path) -> None:
    state = tmp_path / "out" / "photo.state"
    state.parent.mkdir()
    state.write_bytes(b"of another run")
    arguments = [photo, *QUICK, "--outdir", state.parent]
    in_step_1 = STOP_IN_STEP_25.replace("25", "1")
    assert run_interrupted(in_step_1, ["project", *arguments, "--force"], SIGKILL).returncode == -SIGKILL
    assert not state.exists()
    assert "to resume from" in run(*arguments, "--resume", status=1)


def test_nothing_is_overwritten_without_force(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "photo.npz").write_text("mine")
    arguments = (photo, *QUICK, "--outdir", tmp_path / "out")
    assert "photo.npz exists; use --force" in run(*arguments, status=1)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo.npz"]
    run(*arguments, "--force")
    assert latents_module.load(tmp_path / "out" / "photo.npz", network()).ws.shape[0] == 1


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--film", "film.txt"), 2, "film.txt does not end in .mp4, .webm or .gif"),
        (("--outdir", "{folder}", "--force"), 2, "the photograph itself would be replaced"),
        (("--resume",), 1, "to resume from"),
        (("--class", "1"), 1, "there is no class 1: this network has no classes"),
        (("--network", str(DATA / "pg.pkl")), 1, "ProGAN has no W"),
        (("--distance", "vgg16.pt"), 1, "--trust-distance says that you trust whoever made it"),
        (("--distance", "vgg16.pt", "--trust-distance"), 1, "cannot read vgg16.pt"),
        (("--network", "nothing.pkl"), 1, "nothing.pkl"),
        (("--space", "z"), 2, "'z' is not one of"),
        (("--steps", "0"), 2, "0 is not in the range"),
    ],
)
def test_bad_requests_get_one_line(arguments: tuple[str, ...], status: int, words: str, photo: Path) -> None:
    given = [argument.format(folder=photo.parent) for argument in arguments]
    said = run(photo, "--network", TINY, "--outdir", photo.parent / "out", *given, status=status)
    assert words in said
    assert said.count("\n") == 1 or status == 2
    assert [path.name for path in photo.parent.iterdir()] == ["photo.png"]


@pytest.mark.parametrize("data", [None, b"", b"no picture at all", "half"])
def test_bad_photographs_get_one_line(data: Any, photo: Path) -> None:
    path = photo.with_name("bad.jpg")
    if data is not None:
        path.write_bytes(photo.read_bytes()[:500] if data == "half" else data)
    said = run(path, *QUICK, "--outdir", photo.parent / "out", status=1)
    assert said.startswith(f"Error: {'cannot read ' if data is None else ''}{path}")
    assert said.count("\n") == 1
    assert not (photo.parent / "out").exists()


def test_a_damaged_state_gets_one_line(photo: Path, tmp_path: Path) -> None:
    state = tmp_path / "out" / "photo.state"
    state.parent.mkdir()
    for data, words in (
        (b"half", "damaged; remove it"),
        (b"", "damaged; remove it"),
        (_saved([1]), "is not the state"),
    ):
        state.write_bytes(data)
        assert words in run(photo, *QUICK, "--outdir", tmp_path / "out", "--resume", status=1)
        assert [path.name for path in state.parent.iterdir()] == ["photo.state"]


def _saved(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def _photograph(path: Path, mode: str, color: Any, size: tuple[int, int] = (40, 40), **more: Any) -> Path:
    Image.new(mode, size, color).save(path, **more)
    return path


@pytest.mark.parametrize(
    ("mode", "color", "rgb"),
    [
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("RGBA", (9, 8, 7, 0), (255, 255, 255)),
        ("RGBA", (9, 8, 7, 255), (9, 8, 7)),
        ("L", 77, (77, 77, 77)),
        ("LA", (77, 0), (255, 255, 255)),
        ("P", 0, (0, 0, 0)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 257 * 50, (50, 50, 50)),
    ],
)
def test_photographs_of_every_mode(mode: str, color: Any, rgb: tuple[int, ...], tmp_path: Path) -> None:
    G, path = network(), tmp_path / "photo.png"
    target = read_target(_photograph(path, mode, color), G)
    assert target.picture.shape == (32, 32, 3)
    assert (target.picture == rgb).all()
    assert target.image().shape == (3, 32, 32)
    gray = read_target(path, network("ada5_fp16_nhwc_gray"))
    assert gray.picture.shape == (64, 64, 1)
    with_alpha: Any = types.SimpleNamespace(img_size=(32, 32), img_channels=4)
    with_two: Any = types.SimpleNamespace(img_size=(32, 32), img_channels=2)
    assert read_target(path, with_alpha).picture[0, 0, 3] == (color[-1] if "A" in mode else 255)
    with pytest.raises(DataError, match="draws 2 channels"):
        read_target(path, with_two)


@pytest.mark.parametrize("values", [0.5, 128.0, 128], ids=["unit floats", "floats", "32-bit integers"])
def test_photographs_of_numbers(values: float, tmp_path: Path) -> None:
    array = np.full((40, 40), values, np.float32 if isinstance(values, float) else np.int32)
    Image.fromarray(array).save(tmp_path / "photo.tif")
    assert (read_target(tmp_path / "photo.tif", network()).picture == 128).all()
    Image.fromarray(array * 1000).save(tmp_path / "beyond.tif")
    with pytest.raises(DataError, match=r"beyond\.tif has .*: save it with 8 or 16 bits"):
        read_target(tmp_path / "beyond.tif", network())


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (32, 32), (700, 500), (1, 30)])
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_photographs_of_every_size(size: tuple[int, int], fit: Any, tmp_path: Path) -> None:
    path = _photograph(tmp_path / "photo.png", "RGB", (0, 0, 99), size)
    for name in ("sg2-skip", "nonsquare/human-sg2"):
        G = network(name)
        target = read_target(path, G, fit)
        assert target.picture.shape == (*G.img_size, 3)
        assert tuple(target.picture[G.img_size[0] // 2, G.img_size[1] // 2]) == (0, 0, 99)
        white = (target.picture[0, 0] == 255).all()
        assert white == ("padded with white" in target.story)
        assert ("cut to the middle" in target.story) == (
            fit == "crop" and size[0] * G.img_size[0] != size[1] * G.img_size[1]
        )


def test_too_narrow_to_pad(tmp_path: Path) -> None:
    path = _photograph(tmp_path / "photo.png", "RGB", 0, (1, 900))
    assert read_target(path, network()).picture.shape == (32, 32, 3)
    with pytest.raises(DataError, match="too narrow to pad, 1×900"):
        read_target(path, network(), "pad")


def test_photographs_are_turned_as_exif_says(tmp_path: Path) -> None:
    picture, exif = Image.new("RGB", (64, 32), "black"), Image.Exif()
    picture.paste("white", (0, 0, 64, 16))
    exif[0x0112] = 6  # to be turned a quarter clockwise: white is on the right then
    picture.save(tmp_path / "photo.png", exif=exif)
    target = read_target(tmp_path / "photo.png", network(), "pad")
    assert target.story == "32×64 pixels, padded with white, resized to 32×32"
    assert target.picture[16, [9, 22], 0].tolist() == [0, 255]
