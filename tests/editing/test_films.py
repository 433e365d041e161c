"""`stylegan film`: loops that close, films that hold what was drawn, and clear words where there can be none."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence
from torch import Tensor

import converter
from stylegan_torch import StyleGANError, latents_from_seeds
from stylegan_torch.commands.main import main
from stylegan_torch.drawing.draw import DrawSettings, draw, draw_latents
from stylegan_torch.drawing.images import Picture
from stylegan_torch.drawing.marks import SOURCE_TYPE
from stylegan_torch.editing import latents
from stylegan_torch.editing.films.encoding import FilmError, encoding_for, write_film
from stylegan_torch.editing.films.frames import draw_loops, latents_cells
from stylegan_torch.editing.films.trajectories import (
    arcs,
    loop_noise,
    noise_arcs,
    slerp,
    spline,
    turns,
)
from stylegan_torch.networks.registry import network_hash
from tests import DATA

SUFFIXES = [".mp4", ".webm", ".gif"]


def vectors(dim: int) -> st.SearchStrategy[Tensor]:
    numbers = st.lists(st.floats(-3, 3, width=32), min_size=dim, max_size=dim).filter(lambda v: math.hypot(*v) > 1e-3)
    return numbers.map(lambda values: torch.tensor(values, dtype=torch.float64))


def unit(x: Tensor) -> Tensor:
    return x / x.norm()


def angle(a: Tensor, b: Tensor) -> float:
    return float(2 * torch.atan2((unit(a) - unit(b)).norm(), (unit(a) + unit(b)).norm()))


@given(vectors(4), vectors(4), st.floats(0, 1))
def test_slerp_stays_on_the_sphere(a: Tensor, b: Tensor, t: float) -> None:
    assert float(slerp(unit(a), unit(b), t).norm()) == pytest.approx(1, abs=1e-12)
    assert float(slerp(a, b, t).norm()) == pytest.approx(float(torch.lerp(a.norm(), b.norm(), t)), rel=1e-12)


@given(vectors(4), vectors(4))
def test_slerp_has_both_ends(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(slerp(a, b, 0), a, rtol=0, atol=1e-11)
    torch.testing.assert_close(slerp(a, b, 1), b, rtol=0, atol=1e-11)


@given(vectors(3), vectors(3), st.floats(0, 1))
def test_slerp_turns_at_constant_speed(a: Tensor, b: Tensor, t: float) -> None:
    assert angle(a, slerp(a, b, t)) == pytest.approx(t * angle(a, b), abs=1e-7)


@given(vectors(3), vectors(3), st.floats(0, 1))
def test_slerp_is_symmetric(a: Tensor, b: Tensor, t: float) -> None:
    if math.pi - angle(a, b) < 1e-6:  # the way between nearly opposite ones is lost in rounding
        b = -a
    torch.testing.assert_close(slerp(a, b, t), slerp(b, a, 1 - t), rtol=0, atol=1e-7)


def test_slerp_of_known_points() -> None:
    x, y = torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0])
    torch.testing.assert_close(slerp(x, y, 0.5), (x + y) / math.sqrt(2))
    torch.testing.assert_close(slerp(x, 3 * x, 0.5), 2 * x)
    torch.testing.assert_close(slerp(x, torch.zeros(3), 0.0), x)
    half = slerp(x, -x, 0.5)
    assert float(half.norm()) == pytest.approx(1)
    assert float(half @ x) == pytest.approx(0, abs=1e-6)
    many = slerp(x.expand(3, -1), y.expand(3, -1), torch.tensor([0.0, 1 / 3, 1.0]))
    torch.testing.assert_close(many[1], torch.tensor([math.cos(math.pi / 6), 0.5, 0]))


@pytest.mark.parametrize("path", [arcs, spline])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_loops_pass_through_their_keyframes_and_close(path: Any, count: int) -> None:
    keys = torch.randn(count, 6, generator=torch.Generator().manual_seed(count))
    loop = path(keys)
    torch.testing.assert_close(loop(turns(count)), keys, rtol=0, atol=1e-5)
    times = torch.linspace(0, 1, 9, dtype=torch.float64)[:-1]
    assert torch.equal(loop(times), loop(times + 1))
    assert torch.equal(loop(torch.ones(1)), loop(torch.zeros(1)))


def test_loops_have_as_many_frames_as_asked_for() -> None:
    z, ws = torch.randn(3, 8), torch.randn(3, 4, 8)
    assert arcs(z)(turns(7)).shape == (7, 8)
    assert spline(ws)(turns(7)).shape == (7, 4, 8)
    assert spline(ws[:, 0])(turns(7)).shape == (7, 8)
    torch.testing.assert_close(arcs(z)(turns(12))[::4], z)
    torch.testing.assert_close(spline(ws)(turns(12))[::4], ws)


def test_arcs_keep_the_length_and_spend_equal_time() -> None:
    z = latents_from_seeds([1, 2], 64)
    z = z / z.norm(dim=1, keepdim=True)
    path = arcs(z.double())(turns(20))
    torch.testing.assert_close(path.norm(dim=1), torch.ones(20, dtype=torch.float64))
    steps = [angle(a, b) for a, b in zip(path, path.roll(-1, 0), strict=True)]
    assert np.ptp(steps) < 1e-7


@pytest.mark.parametrize("count", [2, 3, 6])
def test_spline_is_twice_continuously_differentiable(count: int) -> None:
    loop = spline(torch.randn(count, 5, dtype=torch.float64))
    h = 1e-4
    at, before, after = turns(count), turns(count) - h, turns(count) + h
    left, right = (loop(at) - loop(before)) / h, (loop(after) - loop(at)) / h
    speed = (loop(at + 0.5 / count + h) - loop(at + 0.5 / count)) / h
    assert float((left - right).abs().max()) < 0.01 * float(speed.abs().max())
    bends = [(loop(x + h) - 2 * loop(x) + loop(x - h)) / h**2 for x in (at - 2 * h, at + 2 * h)]
    assert float((bends[0] - bends[1]).abs().max()) < 0.02 * float(bends[0].abs().max())


def test_spline_follows_a_circle() -> None:
    def circle(times: Tensor) -> Tensor:
        return torch.stack([(2 * math.pi * times).cos(), (2 * math.pi * times).sin()], 1)

    torch.testing.assert_close(spline(circle(turns(12)))(turns(100)), circle(turns(100)), rtol=0, atol=1e-3)


def test_random_noise_loops_smoothly_and_keeps_its_variance() -> None:
    loop = loop_noise(5, [(64, 64), (8, 16)], seed=3)
    assert [each.shape for each in loop(0.3)] == [(1, 1, 64, 64), (1, 1, 8, 16)]
    maps = torch.stack([loop(i / 100)[0] for i in range(100)])
    torch.testing.assert_close(loop(1.0)[0], maps[0])
    assert (maps.std(dim=(1, 2, 3, 4)) - 1).abs().max() < 0.04
    assert maps.mean(dim=(1, 2, 3, 4)).abs().max() < 0.06
    steps = (maps.roll(-1, 0) - maps).square().mean(dim=(1, 2, 3, 4)).sqrt()
    assert float(steps.max() / steps.min()) < 1.1
    assert float(steps.max()) < 0.15
    bends = (maps.roll(-1, 0) - 2 * maps + maps.roll(1, 0)).square().mean(dim=(1, 2, 3, 4)).sqrt()
    assert float(bends.max()) < 0.3 * float(steps.min())
    correlation = float((maps[0] * maps[60]).mean())  # three steps away
    assert abs(correlation) < 0.05


def test_random_noise_follows_its_seed() -> None:
    first, again, other = (loop_noise(3, [(8, 8)], seed)(0.2)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    with pytest.raises(ValueError, match="3 steps"):
        loop_noise(2, [(8, 8)])


def test_noise_of_keyframes_is_met_and_stays_normal() -> None:
    maps = torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    loop = noise_arcs([maps])
    torch.testing.assert_close(loop(1 / 3)[0], maps[1:2])
    assert float(loop(1 / 6)[0].std()) == pytest.approx(1, abs=0.08)


def pictures(count: int, height: int = 48, width: int = 64, channels: int = 3) -> list[Picture]:
    y, x = np.mgrid[:height, :width]
    turn = [np.sin(2 * np.pi * (x / 64 + i / count + phase)) for i in range(count) for phase in range(channels)]
    waves = np.stack(turn).reshape(count, channels, height, width) * 60 + 128 + 0.5 * y
    return list(waves.transpose(0, 2, 3, 1).astype(np.uint8))


def read(path: Path) -> tuple[list[Picture], float]:
    """Return the frames and how many there are a second."""
    if path.suffix == ".gif":
        with Image.open(path) as image:
            frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
            delays = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
        return frames, len(frames) * 1000 / sum(delays)
    with av.open(path) as container:
        rate = container.streams.video[0].average_rate
        assert rate is not None
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)], float(
            rate
        )


def psnr(a: Picture, b: Picture) -> float:
    return 10 * math.log10(255**2 / max(float(np.mean((a.astype(float) - b) ** 2)), 1e-9))


def write(path: Path, frames: list[Picture], fps: int = 25, crf: int | None = None) -> None:
    write_film(path, iter(frames), encoding_for(path, fps, crf), about={"seeds": [1]})


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("fps", [12, 30])
def test_films_hold_the_frames_they_were_given(suffix: str, fps: int, tmp_path: Path) -> None:
    given = pictures(12)
    write(tmp_path / f"film{suffix}", given, fps)
    found, rate = read(tmp_path / f"film{suffix}")
    assert [frame.shape for frame in found] == [(48, 64, 3)] * 12
    assert rate == pytest.approx(fps, rel=0.01 if suffix == ".gif" else 1e-6)
    assert min(psnr(a, b) for a, b in zip(given, found, strict=True)) > 30
    assert [path.name for path in tmp_path.iterdir()] == [f"film{suffix}"]


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_colours_are_right_and_say_what_they_are(suffix: str, tmp_path: Path) -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], np.uint8)
    bars = np.repeat(np.repeat(colours[None], 16, axis=0), 16, axis=1)
    write(tmp_path / f"film{suffix}", [bars] * 3)
    found, _ = read(tmp_path / f"film{suffix}")
    middles = found[0][8, 8::16].astype(int)
    assert np.abs(middles - colours).max() <= 6
    with av.open(tmp_path / f"film{suffix}") as container:
        frame = next(container.decode(video=0))
    assert (frame.format.name, frame.colorspace, frame.color_range) == ("yuv420p", 1, 1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_odd_sizes_get_a_row_and_a_column_where_they_must(suffix: str, tmp_path: Path) -> None:
    given = pictures(3, 33, 47)
    write(tmp_path / f"film{suffix}", given)
    found, _ = read(tmp_path / f"film{suffix}")
    assert found[0].shape == ((33, 47, 3) if suffix == ".gif" else (34, 48, 3))
    assert psnr(found[0][:33, :47], given[0]) > 30


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_gray_and_transparent_pictures(suffix: str, channels: int, tmp_path: Path) -> None:
    given = pictures(3, channels=channels)
    write(tmp_path / f"film{suffix}", given)
    found, _ = read(tmp_path / f"film{suffix}")
    colours = given[0].astype(float)
    if channels in (2, 4):
        alpha = colours[:, :, -1:] / 255
        colours = colours[:, :, :-1] * alpha + 255 * (1 - alpha)
    expected = np.broadcast_to(colours[:, :, :3], (48, 64, 3)).round().astype(np.uint8)
    assert psnr(found[0], expected) > 30


def test_less_crf_is_larger(tmp_path: Path) -> None:
    for suffix in (".mp4", ".webm"):
        for crf in (10, 45):
            write(tmp_path / f"{crf}{suffix}", pictures(6), crf=crf)
        assert (tmp_path / f"10{suffix}").stat().st_size > (tmp_path / f"45{suffix}").stat().st_size


def test_a_gif_says_how_it_was_made_and_loops(tmp_path: Path) -> None:
    write(tmp_path / "film.gif", pictures(4))
    with Image.open(tmp_path / "film.gif") as image:
        assert image.info["loop"] == 0
        assert json.loads(image.info["comment"]) == {"seeds": [1], "digitalSourceType": SOURCE_TYPE}


def test_without_x264_the_film_is_mpeg4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    encoding = encoding_for(tmp_path / "film.mp4")
    assert encoding.makes == "MPEG-4 Part 2"
    given = pictures(5)
    write(tmp_path / "film.mp4", given)
    found, _ = read(tmp_path / "film.mp4")
    assert min(psnr(a, b) for a, b in zip(given, found, strict=True)) > 30
    monkeypatch.setattr(av, "codecs_available", set())
    with pytest.raises(FilmError, match="cannot encode VP9"):
        encoding_for(tmp_path / "film.webm")


def test_without_av_there_are_gifs_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(FilmError, match=r"pip install 'stylegan-torch\[film\]'"):
        encoding_for(tmp_path / "film.mp4")
    write(tmp_path / "film.gif", pictures(3))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_error_on_the_way_leaves_nothing(suffix: str, tmp_path: Path) -> None:
    def failing() -> Iterator[Picture]:
        yield from pictures(4)
        raise StyleGANError("out of frames")

    path = tmp_path / f"film{suffix}"
    with pytest.raises(StyleGANError, match="out of frames"):
        write_film(path, failing(), encoding_for(path), about={})
    with pytest.raises(FilmError, match="at least one frame"):
        write(path, [])
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", _WRITE_NOISE, str(tmp_path / "film.mp4"), "8", "2000"]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert "film.mp4: File too large" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="files without a name are Linux's")
def test_a_killed_film_leaves_nothing(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", _WRITE_NOISE, str(tmp_path / "film.mp4"), "100000", "1000000000"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "5\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not list(tmp_path.iterdir())


_WRITE_NOISE = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from stylegan_torch.editing.films.encoding import encoding_for, write_film

path, count, largest = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

def frames():
    for i in range(count):
        if i == 5:
            print(i, flush=True)
        yield np.random.default_rng(i).integers(0, 256, (64, 64, 3), np.uint8)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
write_film(path, frames(), encoding_for(path), about={})
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["film", *map(str, arguments)])


SHORT = ("--seconds", "1", "--fps", "4", "--device", "cpu")


@pytest.mark.parametrize("name", ["sg2-skip", "pg", "sg3t_64", "ada-cond"])
def test_keyframes_are_the_pictures_of_the_seeds(name: str, tmp_path: Path) -> None:
    network = DATA / f"{name}.pkl"
    options = ["--class", "1"] if name == "ada-cond" else []
    result = run("--network", network, "--seeds", "1,5", *SHORT, *options, "--out", tmp_path / "new" / "film.gif")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert "4 frames, 1 s, in " in result.stdout
    found, rate = read(tmp_path / "new" / "film.gif")
    assert (len(found), rate) == (4, 4)
    settings = DrawSettings(noise_mode="const", class_index=1 if options else None)
    G = converter.load(network, ["G_ema"]).network("G_ema")
    for frame, (_, expected) in zip(found[::2], draw(G, [1, 5], settings), strict=True):
        assert psnr(frame, expected) > 30


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_default_network_in_a_grid(suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"film{suffix}"
    result = run("--seeds", "0-4", "--grid", "2x1", "--space", "w", *SHORT, "--batch", 3, "--out", out)
    assert result.exit_code == 0, result.output
    found, _ = read(out)
    assert [frame.shape for frame in found] == [(64, 128, 3)] * 4
    for (_, expected), part in zip(draw(_demo(), [0, 1]), np.split(found[0], 2, axis=1), strict=True):
        assert psnr(part, expected) > 25
    with av.open(out) as container:
        about = {key.lower(): value for key, value in container.metadata.items()}
    comment = json.loads(about["comment"])
    assert (comment["seeds"], comment["digitalSourceType"]) == ([0, 1, 2, 3, 4], SOURCE_TYPE)


def _demo() -> Any:
    import checkpoints

    return converter.load(checkpoints.DEMO, ["G_ema"]).network("G_ema")


def test_batches_change_nothing(tmp_path: Path) -> None:
    for batch in (1, 5):
        name = tmp_path / f"{batch}.gif"
        assert run("--seeds", "1-4", "--grid", "1x2", *SHORT, "--batch", batch, "--out", name).exit_code == 0
    one, five = (read(tmp_path / f"{batch}.gif")[0] for batch in (1, 5))
    assert min(psnr(a, b) for a, b in zip(one, five, strict=True)) > 40


@pytest.mark.parametrize("noise", ["random", "none"])
def test_noise_modes_draw_something_else(noise: str, tmp_path: Path) -> None:
    options = ["--network", DATA / "sg2-skip.pkl", "--seeds", "1,5", *SHORT]
    assert run(*options, "--out", tmp_path / "a.gif").exit_code == 0
    assert run(*options, "--noise", noise, "--out", tmp_path / "b.gif").exit_code == 0
    (a, _), (b, _) = read(tmp_path / "a.gif"), read(tmp_path / "b.gif")
    assert len(a) == len(b) == 4
    assert (a[0] != b[0]).any()


def test_random_noise_alone_moves_a_still_picture(tmp_path: Path) -> None:
    options = ["--network", DATA / "sg2-skip.pkl", "--seeds", "1", *SHORT]
    assert run(*options, "--noise", "random", "--out", tmp_path / "a.gif").exit_code == 0
    assert len(read(tmp_path / "a.gif")[0]) == 4
    assert run(*options, "--out", tmp_path / "b.gif").exit_code == 0
    assert len(read(tmp_path / "b.gif")[0]) == 1  # frames that are the same become one


def test_through_latents_with_their_noise(tmp_path: Path) -> None:
    network = DATA / "sg2-skip.pkl"
    G = converter.load(network, ["G_ema"]).network("G_ema")
    found = latents.from_seeds(G, [1, 5])
    noise = tuple(torch.randn(2, 1, *stored.shape) for stored in G.synthesis.noise_buffers())
    for i, name in enumerate("ab"):
        mine = [each[i : i + 1] for each in noise]
        latents.save(tmp_path / f"{name}.npz", latents.Latents(found.ws[i : i + 1], noise=tuple(mine)))
    files = ["--latents", tmp_path / "a.npz", "--latents", tmp_path / "b.npz"]
    result = run("--network", network, *files, *SHORT, "--out", tmp_path / "film.gif")
    assert result.exit_code == 0, result.output
    frames, _ = read(tmp_path / "film.gif")
    for frame, expected in zip(frames[::2], draw_latents(G, found.ws, noise=noise), strict=True):
        assert psnr(frame, expected) > 30
    latents.save(tmp_path / "b.npz", latents.Latents(found.ws[1:]), force=True)
    result = run("--network", network, *files, *SHORT, "--out", tmp_path / "other.gif")
    assert result.exit_code == 0, result.output
    assert "not all of these latents have noise" in result.stderr


def test_films_side_by_side_share_one_noise() -> None:
    G = converter.load(DATA / "sg2-skip.pkl").network("G_ema")
    noise = tuple(torch.randn(1, 1, *stored.shape) for stored in G.synthesis.noise_buffers())
    found = latents.Latents(latents.from_seeds(G, [1, 5]).ws, noise=noise)
    [frame] = draw_loops(G, latents_cells(found, cells=2, frames=1), columns=2, frames=1)
    for part, expected in zip(np.split(frame, 2, axis=1), draw_latents(G, found.ws, noise=noise), strict=True):
        assert np.array_equal(part, expected)


@pytest.mark.parametrize("space", ["z", "w"])
def test_frames_can_be_taken_up_by_other_commands(space: str, tmp_path: Path) -> None:
    network, saved = DATA / "sg2-skip.pkl", tmp_path / "frames.npz"
    common = ("--network", network, "--truncation", "0.5", *SHORT, "--out", tmp_path / "film.gif")
    assert run(*common, "--seeds", "1,5", "--space", space, "--save-latents", saved).exit_code == 0
    G = converter.load(network, ["G_ema"]).network("G_ema")
    found = latents.load(saved, G)
    assert (found.noise, found.network) == ((), network_hash(G))
    torch.testing.assert_close(found.ws[::2], latents.from_seeds(G, [1, 5], 0.5).ws)
    frames, _ = read(tmp_path / "film.gif")
    assert min(psnr(a, b) for a, b in zip(frames, draw_latents(G, found.ws), strict=True)) > 30


@pytest.mark.parametrize("noise", ["official", "const", "none"])
@pytest.mark.parametrize("count", [1, 2])
def test_frames_are_saved_with_their_own_noise(count: int, noise: str, tmp_path: Path) -> None:
    network, given, saved = DATA / "sg2-skip.pkl", tmp_path / "given.npz", tmp_path / "frames.npz"
    G = converter.load(network, ["G_ema"]).network("G_ema")
    maps = tuple(torch.randn(count, 1, *stored.shape) for stored in G.synthesis.noise_buffers())
    latents.save(given, latents.Latents(latents.from_seeds(G, [1, 5]).ws, noise=maps))
    options = ("--network", network, "--latents", given, "--noise", noise, "--save-latents", saved)
    result = run(*options, *SHORT, "--out", tmp_path / "film.gif")
    assert result.exit_code == 0, result.output
    found = latents.load(saved, G)
    assert len(found) == 4
    if noise != "official":
        assert found.noise == ()
        return
    assert [len(each) for each in found.noise] == [1 if count == 1 else 4] * len(maps)
    for mine, theirs in zip(found.noise, maps, strict=True):
        torch.testing.assert_close(mine[::2], theirs)
    frames, _ = read(tmp_path / "film.gif")
    assert min(psnr(a, b) for a, b in zip(frames, latents.drawn(G, found), strict=True)) > 30


def test_without_a_class_there_is_a_note(tmp_path: Path) -> None:
    result = run("--network", DATA / "ada-cond.pkl", "--seeds", "1,2", *SHORT, "--out", tmp_path / "film.gif")
    assert result.exit_code == 0, result.output
    assert "no --class given" in result.stderr


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    out = tmp_path / "film.gif"
    out.write_text("mine")
    result = run("--seeds", "1,2", *SHORT, "--out", out)
    assert result.exit_code == 1
    assert "film.gif exists" in result.stderr
    assert out.read_text() == "mine"
    assert run("--seeds", "1,2", *SHORT, "--out", out, "--force").exit_code == 0
    assert len(read(out)[0]) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["film.gif"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--seeds, --latents, --keys and --key"),
        (["--seeds", "1", "--latents", "a.npz"], "--seeds, --latents, --keys and --key"),
        (["--latents", "a.npz", "--space", "z"], "are for --seeds"),
        (["--latents", "a.npz", "--truncation", "0.5"], "are for --seeds"),
        (["--seeds", "1", "--out", "film.avi"], "does not end in .mp4, .webm or .gif"),
        (["--seeds", "1", "--out", "film.gif", "--fps", "60"], "1 to 50 frames"),
        (["--seeds", "1", "--out", "film.gif", "--crf", "20"], "no CRF"),
        (["--seeds", "1", "--out", "film.mp4", "--crf", "60"], "0 to 51, not 60"),
        (["--seeds", "1", "--seconds", "0"], "not more than 0"),
        (["--seeds", "1", "--seconds", "nan"], "not a finite number"),
        (["--seeds", "1", "--grid", "3"], "not columns x rows"),
        (["--seeds", "1", "--grid", "0x2"], "not columns x rows"),
        (["--seeds", "1-3", "--grid", "1x2", "--save-latents", "a.npz"], "--save-latents takes one film, not --grid"),
        (["--seeds", "1", "--save-latents", "a.gif"], "a.gif does not end in .npz"),
        (["--seeds", "1-3", "--grid", "2x2"], "4 pictures or more"),
        (["--seeds", "0-99", "--seconds", "1", "--fps", "10"], "more than 10 frames"),
        (["--seeds", "1", "--class", "1"], "no classes"),
        (["--seeds", "1", "--truncation", "0.5", "--network", str(DATA / "pg.pkl")], "ProGAN has no truncation"),
    ],
)
def test_unusable_arguments_end_with_2(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options", [["--seeds", "1", "--space", "w"], ["--latents", "a.npz"], ["--seeds", "1", "--save-latents", "a.npz"]]
)
def test_progan_has_no_w(options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.npz").write_bytes(b"PK")
    result = run("--network", DATA / "pg.pkl", *options, "--out", "film.gif", "--force")
    assert result.exit_code == 1
    assert result.stderr == "Error: ProGAN has no W: this needs StyleGAN or later\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
