"""Compositions: their texts, their latents, and the command that draws them."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import converter
from stylegan_torch.commands.main import main
from stylegan_torch.drawing.draw import DrawSettings, draw, draw_latents
from stylegan_torch.editing import directions, latents, mixing
from stylegan_torch.editing.composer import Composer
from stylegan_torch.editing.composition import Composition, Mix, Move, parse_mix, parse_move
from stylegan_torch.errors import StyleGANError
from tests import DATA


def _run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture(scope="module")
def G() -> Any:  # noqa: N802
    return converter.load(DATA / "sg2-skip.pkl").network("G_ema")


LAYERS = st.sampled_from(["0", "0-3", "coarse", "middle,fine", "1,3,5-7", "all"])
FILES = st.sampled_from(["me.npz", "a b/you@home:2=x.npz", "w.npy"])


@given(st.one_of(st.integers(0, 2**32 - 1), FILES.map(Path)), LAYERS)
def test_mixes_as_text(source: int | Path, layers: str) -> None:
    assert parse_mix(str(Mix(source, layers))) == Mix(source, layers)


@given(st.one_of(st.sampled_from(["pca", "sefa"]), FILES), st.integers(0, 99), st.floats(-9, 9), LAYERS | st.just(""))
def test_moves_as_text(name: str, index: int, strength: float, layers: str) -> None:
    assert parse_move(str(Move(name, index, strength, layers))) == Move(name, index, strength, layers)


@pytest.mark.parametrize("text", ["", "8", "8@", "@0-3", "-1@0", "me.png@0", "8@0;1"])
def test_wrong_mixes(text: str) -> None:
    with pytest.raises(ValueError, match="is not a seed or a file of latents and layers"):
        parse_mix(text)


@pytest.mark.parametrize("text", ["", "pca", "pca:0", "pca:x=1", "pca:0=nan", "pca:0=1e999", "pca:0=one", "pca:0=1@"])
def test_wrong_moves(text: str) -> None:
    with pytest.raises(ValueError, match="is not directions:number=strength"):
        parse_move(text)


@pytest.mark.parametrize("name", ["sg1.pkl", "sg2-skip.pkl", "ada-cond.pkl", "sg3t_64.pkl"])
def test_a_seed_alone_is_what_stylegan_generate_draws(name: str) -> None:
    G = converter.load(DATA / name).network("G_ema")
    label = 1 if G.c_dim else None
    found = Composer(G).compose(Composition(5, 0.6, label))
    [mine] = latents.drawn(G, found)
    [(_, theirs)] = draw(G, [5], DrawSettings(0.6, class_index=label))
    assert np.array_equal(mine, theirs)


def test_mixes_come_first_then_moves(G: Any) -> None:
    composer = Composer(G)
    found = composer.compose(Composition(1, 0.5, mixes=(Mix(2, "0-3"),), moves=(Move("pca", 1, 2.0, "4-5"),)))
    one, two = (latents.from_seeds(G, [seed], 0.5).ws for seed in (1, 2))
    expected = directions.pca(G, 50).apply(mixing.mix(one, two, range(4)), 1, 2.0, layers=(4, 5))
    assert torch.equal(found.ws, expected)


def test_noise_of_each_kind(G: Any) -> None:
    composer = Composer(G)
    known = {kind: composer.compose(Composition(3, noise=kind)) for kind in ("const", "none", "random")}
    picture = {kind: next(latents.drawn(G, each)) for kind, each in known.items()}
    ws = known["const"].ws
    assert np.array_equal(picture["const"], next(draw_latents(G, ws)))
    assert np.array_equal(picture["none"], next(draw_latents(G, ws, noise_mode="none")))
    assert not np.array_equal(picture["random"], picture["const"])
    again = composer.compose(Composition(3, noise="random"))
    other = composer.compose(Composition(3, noise="random", noise_seed=1))
    assert all(torch.equal(a, b) for a, b in zip(again.noise, known["random"].noise, strict=True))
    assert not torch.equal(other.noise[0], again.noise[0])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Composition(1, class_index=0), "there is no class 0: this network has no classes"),
        (Composition(1, mixes=(Mix(2, "0-99"),)), "not within the layers 0 to 7"),
        (Composition(1, moves=(Move("sefa", 99, 1.0),)), "sefa has the directions 0 to 15, not 99"),
        (Composition(1, moves=(Move("no.npz", 0, 1.0),)), "no.npz is neither pca nor sefa, nor a file of directions"),
        (Composition(Path("no.npz")), "cannot read no.npz"),
    ],
)
def test_what_is_not_there(G: Any, wrong: Composition, said: str) -> None:
    with pytest.raises(StyleGANError, match=said):
        Composer(G).compose(wrong)


def test_several_at_once(G: Any, tmp_path: Path) -> None:
    latents.save(tmp_path / "me.npz", Composer(G).compose(Composition(9)))
    plain, moved = Composition(0, 0.5), Composition(0, moves=(Move("pca", 0, 1.0),))
    pictures = [replace(plain, base=1), replace(moved, base=2), replace(plain, base=3), Composition(4), moved]
    pictures.insert(1, Composition(tmp_path / "me.npz", row=0))
    composer = Composer(G)
    found, wanted = composer.compose_all(pictures), latents.joined([composer.compose(each) for each in pictures])
    torch.testing.assert_close(found.ws, wanted.ws, atol=1e-6, rtol=1e-5)
    for one, other in zip(found.noise, wanted.noise, strict=True):
        assert torch.equal(one, other)


def test_arguments_draw_the_composition(G: Any, tmp_path: Path) -> None:
    latents.save(tmp_path / "me.npz", Composer(G).compose(Composition(9, noise="random")))
    wanted = Composition(
        tmp_path / "me.npz",
        0.5,
        mixes=(Mix(4, "coarse"),),
        moves=(Move("sefa", 0, 0.1), Move("pca", 2, -1.5, "4-7")),
        noise="random",
        noise_seed=7,
    )
    words = shlex.split(shlex.join(wanted.arguments()))
    out, saved = tmp_path / "picture.png", tmp_path / "saved.npz"
    _run("draw", "--network", DATA / "sg2-skip.pkl", *words, "--out", out, "--save-latents", saved, "--exact")
    found = Composer(G).compose(wanted)
    [picture] = latents.drawn(G, found)
    with Image.open(out) as image:
        assert np.array_equal(np.asarray(image), picture)
    _run("draw", "--network", DATA / "sg2-skip.pkl", "--latents", saved, "--out", tmp_path / "again.png", "--exact")
    assert Image.open(tmp_path / "again.png").tobytes() == Image.open(out).tobytes()


def test_several_pictures(tmp_path: Path) -> None:
    network, out, single = ("--network", DATA / "sg2-skip.pkl"), tmp_path / "out.png", tmp_path / "single"
    saved = tmp_path / "saved.npz"
    common = ("draw", *network, "--seeds", "3-5", "--out", out, "--outdir", single, "--save-latents", saved)
    assert _run(*common) == f"3 pictures in {out} and {single}\n"
    assert sorted(path.name for path in single.iterdir()) == ["0000.png", "0001.png", "0002.png"]
    with np.load(saved) as content:
        assert content["seeds"].tolist() == [3, 4, 5]
        assert content["z"].shape[0] == content["ws"].shape[0] == 3
    assert "exists; use --force" in _run(*common, status=1)
    assert "give one of --seeds and --latents" in _run("draw", *network, status=2)
    assert "does not end in .png" in _run("draw", *network, "--seeds", 1, "--out", "a.jpg", status=2)
    assert "'pca' is not directions:number=strength" in _run("draw", *network, "--seeds", 1, "--move", "pca", status=2)
