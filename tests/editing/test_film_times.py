"""When films show what: easing, keyframes at times of their own, and frames from each picture to the next."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import converter
from stylegan_torch.commands.main import main
from stylegan_torch.editing import latents
from stylegan_torch.editing.films.frames import latents_cells, timed
from stylegan_torch.editing.films.keys import EASINGS, KeyFrame, KeysError, parse_keys, read_keys
from stylegan_torch.editing.films.trajectories import schedule, spline, turns
from stylegan_torch.editing.latents import from_seeds
from stylegan_torch.networks.interface import Generator
from tests import DATA

NETWORK = DATA / "sg2-skip.pkl"


def network() -> Generator:
    return converter.load(NETWORK).network("G_ema")


def run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == status, result.output
    return result.output


def ws_of(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.load(path)["ws"])


def at(easing: str, t: float) -> float:
    return float(schedule([easing])(torch.tensor([t])))


def test_easings_at_known_times() -> None:
    assert at("linear", 0.3) == pytest.approx(0.3)
    assert at("sine", 1 / 3) == pytest.approx(0.25)
    assert at("cubic", 0.25) == pytest.approx(5 / 32)
    assert at("quintic", 0.25) == pytest.approx(53 / 512)


@pytest.mark.parametrize("easing", EASINGS)
@given(st.floats(0, 1), st.floats(0, 1))
def test_easings_go_forward_and_are_symmetric(easing: str, s: float, t: float) -> None:
    low, high = sorted((s, t))
    assert at(easing, low) <= at(easing, high) + 1e-12
    assert at(easing, t / 2) + at(easing, 1 - t / 2) == pytest.approx(1)


def test_keyframes_are_shown_at_their_times_and_the_loop_closes() -> None:
    moved = schedule(["linear", "sine", "linear"], [0, 0.5, 0.8])
    found = moved(torch.tensor([0, 0.25, 0.5, 0.6, 0.8, 0.9, 1.0, 1.25]))
    eased = (1 - math.cos(math.pi / 3)) / 2
    expected = [0, 0.5, 1, 1 + eased, 2, 2.5, 3, 3.5]
    torch.testing.assert_close(3 * found, torch.tensor(expected, dtype=torch.float64))


def test_without_easing_nothing_changes() -> None:
    (cell,) = latents_cells(from_seeds(network(), [1, 2, 3]), 1, 9)
    assert timed(cell, "linear") is cell
    times = turns(9)
    torch.testing.assert_close(schedule(["linear"] * 3)(times), times)


def test_noise_goes_with_the_pictures() -> None:
    two = latents.Latents(torch.randn(2, 4, 8), noise=(torch.randn(2, 1, 4, 4),))
    (cell,) = latents_cells(two, 1, 9)
    assert cell.noise
    eased = timed(cell, "cubic", starts=[0, 0.25])
    assert eased.noise
    torch.testing.assert_close(eased.noise(0.25)[0][0], two.noise[0][1])
    torch.testing.assert_close(eased.noise(0.125)[0], cell.noise(0.25)[0])


def test_tables_of_keyframes(tmp_path: Path) -> None:
    (tmp_path / "keys.csv").write_text("seconds,picture\n0,7\n\n2.5, me.npz:3 ,sine\n4,me.npz,\n")
    me = tmp_path / "me.npz"
    keys = [KeyFrame(0, 7), KeyFrame(2.5, me, 3, "sine"), KeyFrame(4, me)]
    assert read_keys(tmp_path / "keys.csv") == keys
    assert list(map(str, keys)) == ["0,7", "2.5,me.npz:3,sine", "4,me.npz:0"]
    (tmp_path / "excel.csv").write_text("0,7\n1,8\n", encoding="utf-8-sig")
    assert read_keys(tmp_path / "excel.csv") == [KeyFrame(0, 7), KeyFrame(1, 8)]


def test_lines_of_a_table_without_one() -> None:
    assert parse_keys(["0,7", "2.5,me.npz:3,sine"]) == [KeyFrame(0, 7), KeyFrame(2.5, Path("me.npz"), 3, "sine")]
    for texts, said in ((["x,7"], "'x,7': 'x,7' is not seconds"), (["0,7", "0,8"], "'0,8': times must begin with 0")):
        with pytest.raises(ValueError, match=said):
            parse_keys(texts)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "has no keyframes"),
        ("a,b\n", "has no keyframes"),
        ("1,7\n", "line 1: times must begin with 0"),
        ("-1,7\n0,8\n", "line 1: '-1,7' is not seconds"),  # no heading
        ("0,7,slow\n", "line 1: '0,7,slow' is not"),
        ("\0,7", "keys.csv"),
        ("0,7\n2,8\n2,9\n", "line 3: times must begin with 0, and rise"),
        ("0,7\n1,x\n", "line 2: '1,x' is not seconds"),
        ("0,7\nnan,8\n", "line 2: 'nan,8' is not"),
        ("0,7\n1,8,slow\n", "line 2: '1,8,slow' is not"),
        ("0,7\n1,8:2\n", "line 2: '1,8:2' is not"),
        ("0,7\n1\n", "line 2: '1' is not"),
        ("0,7\n1,4294967296\n", "line 2: "),
        ("0,7\n1,8,sine,9\n", "line 2: "),
    ],
)
def test_tables_of_something_else(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "keys.csv").write_text(content)
    with pytest.raises(KeysError) as caught:
        read_keys(tmp_path / "keys.csv")
    assert words in str(caught.value)


def test_a_picture_is_no_table() -> None:
    with pytest.raises(KeysError, match=r"sg2-skip\.pkl is no table in UTF-8"):
        read_keys(NETWORK)


def test_frames_from_each_picture_to_the_next(tmp_path: Path) -> None:
    options = ["--network", NETWORK, "--fps", 5, "--force"]
    output = run(
        "film",
        *options,
        "--seeds",
        "1,2,3",
        "--w-frames",
        4,
        "--out",
        tmp_path / "a.gif",
        "--save-latents",
        tmp_path / "a.npz",
        "--space",
        "w",
    )
    assert "12 frames, 2.4 s" in output
    keys = from_seeds(network(), [1, 2, 3], 0.5).ws
    torch.testing.assert_close(ws_of(tmp_path / "a.npz")[::4], keys, rtol=0, atol=1e-5)
    run("film", *options, "--seeds", "1,2,3", "--seconds", 2.4, "--out", tmp_path / "b.gif", "--space", "w")
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    output = run("film", *options, "--seeds", "1-4", "--w-frames", 3, "--grid", "2x1", "--out", tmp_path / "c.gif")
    assert "6 frames" in output


def test_a_film_by_a_table(tmp_path: Path) -> None:
    G = network()
    latents.save(tmp_path / "me.npz", from_seeds(G, [8, 9]))
    (tmp_path / "keys.csv").write_text("0,3\n1,me.npz:1,cubic\n1.5,5\n")
    options = ["--network", NETWORK, "--keys", tmp_path / "keys.csv", "--seconds", 2, "--fps", 8, "--truncation", 0.7]
    run("film", *options, "--out", tmp_path / "a.gif", "--save-latents", tmp_path / "a.npz")
    keys = torch.cat([from_seeds(G, [3], 0.7).ws, from_seeds(G, [9]).ws, from_seeds(G, [5], 0.7).ws])
    path = spline(keys)
    found = ws_of(tmp_path / "a.npz")
    torch.testing.assert_close(found[[0, 8, 12]], keys, rtol=0, atol=1e-5)
    quarter = 5 / 32  # of the cubic at 0.25, a frame of four after the second keyframe
    torch.testing.assert_close(found[9], path(torch.tensor([(1 + quarter) / 3]))[0], rtol=0, atol=1e-5)
    with Image.open(tmp_path / "a.gif") as film:
        about = film.info["comment"].decode()
    assert '"keys": ["0,3", "1,me.npz:1,cubic", "1.5,5"]' in about
    assert '"truncation_psi": 0.7' in about
    assert "--seconds must be more" in run(
        "film", *options[:4], "--seconds", 1.5, "--out", tmp_path / "b.gif", status=2
    )
    (tmp_path / "keys.csv").write_text("0,3\n1,me.npz:2\n")
    assert "has the rows 0 to 1, not 2" in run("film", *options, "--out", tmp_path / "b.gif", status=1)


def test_a_table_of_seeds_alone_goes_along_arcs(tmp_path: Path) -> None:
    (tmp_path / "keys.csv").write_text("0,3\n1,5\n")
    options = ["--network", NETWORK, "--seconds", 2, "--fps", 4]
    run(
        "film",
        *options,
        "--keys",
        tmp_path / "keys.csv",
        "--out",
        tmp_path / "a.gif",
        "--save-latents",
        tmp_path / "a.npz",
    )
    run("film", *options, "--seeds", "3,5", "--out", tmp_path / "b.gif", "--save-latents", tmp_path / "b.npz")
    torch.testing.assert_close(ws_of(tmp_path / "a.npz"), ws_of(tmp_path / "b.npz"))


@pytest.mark.parametrize("name", ["pg", "sg1", "sg3t_64"])
def test_every_family_is_eased(tmp_path: Path, name: str) -> None:
    options = ["--network", DATA / f"{name}.pkl", "--seeds", "1,2", "--w-frames", 2, "--easing", "sine"]
    assert "4 frames" in run("film", *options, "--out", tmp_path / "a.gif")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seeds", "1", "--keys", "keys.csv"], "give one of --seeds, --latents, --keys and --key"),
        (["--seeds", "1", "--w-frames", "3", "--seconds", "20"], "--w-frames goes without"),
        (["--keys", "keys.csv", "--w-frames", "3"], "--w-frames goes without"),
        (["--seeds", "1", "--seconds", "1e30"], "a film has at most 10,000,000 frames"),
        (["--seeds", "1,2", "--w-frames", "1" + "0" * 12], "a film has at most 10,000,000 frames"),
        (["--keys", "keys.csv", "--grid", "2x1"], "--keys takes one film"),
        (["--keys", "keys.csv", "--space", "z"], "--space z is for seeds alone"),
        (["--seeds", "1", "--space", "z", "--truncation-centres", "keys.csv"], "go without --space z"),
    ],
)
def test_what_makes_no_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], words: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("keys.csv").write_text("0,3\n1,me.npz\n")
    assert words in run("film", "--network", NETWORK, *options, "--out", "a.gif", status=2)
