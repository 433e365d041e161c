"""Films of key frames, as the explorer's engine makes them: a moment, the file, and the command lines of it."""

from __future__ import annotations

import asyncio
import io
import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import converter
from stylegan_torch.commands.main import main
from stylegan_torch.editing.composition import Composition, Move
from stylegan_torch.editing.directions import Directions, sefa
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer import filming
from stylegan_torch.explorer.filming import Filmer, commands, read_film
from stylegan_torch.explorer.renderer import Renderer, Way
from stylegan_torch.explorer.studio import NetworkChoice, Studio
from stylegan_torch.fast import optimize
from tests import DATA

NETWORK = DATA / "sg2-skip.pkl"
KEYS = [
    {"state": {"seed": 1}, "seconds": 0.5},
    {"state": {"seed": 2, "moves": [{"index": 0, "strength": 1.5}]}, "seconds": 1},
    {"state": {"seed": 1}, "seconds": 0.5},
]


@pytest.fixture(scope="module")
def small() -> Iterator[Studio]:
    def opened() -> tuple[Any, Any, dict[str, Any]]:
        G = converter.load(NETWORK).network("G_ema")
        return G, optimize(G), {"name": NETWORK.name}

    made = Studio({"small": NetworkChoice(opened, ("--network", str(NETWORK)))})
    yield made
    made.close()


def _asked(**more: object) -> dict[str, object]:
    return {"film": {"keys": KEYS, "easing": "sine"}, "format": ".gif", "fps": 5, **more}


def test_a_film_is_what_its_command_lines_make(small: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filmer = Filmer(small)
    job = filmer.read(_asked())
    file = filmer.file(job)
    assert file is not None
    monkeypatch.chdir(tmp_path)
    lines = commands(small, job, file.name).splitlines()
    assert [line.split()[1] for line in lines] == ["draw", "draw", "film"]  # the first and the last are the same
    for line in lines:
        again = CliRunner().invoke(main, shlex.split(line)[1:])
        assert again.exit_code == 0, again.output
    with Image.open(io.BytesIO(file.content)) as given, Image.open(file.name) as made:
        assert given.n_frames == made.n_frames > 5  # type: ignore[attr-defined]
        for number in range(given.n_frames):  # type: ignore[attr-defined]
            given.seek(number)
            made.seek(number)
            assert given.convert("RGB").tobytes() == made.convert("RGB").tobytes()
    assert list(small.shelf.folder.iterdir()) == []


def test_a_film_is_at_its_key_frames_when_it_should(small: Studio) -> None:
    film = read_film(small, {"keys": KEYS})
    assert (film.seconds, film.starts) == (2.0, [0.0, 0.5, 1.5])
    renderer = small.renderer("small")
    for at, key in zip((0, 0.25, 0.75), film.keys, strict=True):
        picture = renderer.moment(film.way, at).astype(int)
        assert np.abs(picture - renderer.draw(renderer.compose(key.picture))).max() <= 1
    assert np.abs(renderer.moment(film.way, 0.5).astype(int) - renderer.moment(film.way, 0.25)).max() > 5


def test_directions_of_a_film_are_found_while_others_draw(small: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    G = small.renderer("small").G
    renderer, held = Renderer(G, G), []

    def find(*_: object) -> Directions:
        held.append(renderer._lock.locked())
        return sefa(G, 4)

    monkeypatch.setattr(renderer.composer, "directions", find)
    way = read_film(small, {"keys": KEYS}).way
    renderer.moment(way, 0.5)
    next(renderer.film(replace(way, easing="sine"), 4))
    assert held == [False, True] * 2  # found, and then used


def test_a_film_is_told_while_it_is_made(small: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filming, "SHOWN", 0.0)
    filmer = Filmer(small)
    job = filmer.read(_asked())

    async def told() -> list[bytes]:
        return [content async for content in filmer.frames(job)]

    *progress, last = asyncio.run(told())
    assert 1 <= len(progress) <= 10  # a frame that was not read before the next one is passed over
    assert b'"line": "Frame 10 of 10", "share": 1.0' in progress[-1]
    end = 8 + int.from_bytes(last[4:8], "big")
    about = json.loads(last[8:end])
    assert (about["kind"], Path(about["name"]).suffix) == ("film", ".gif")
    assert about["commands"].splitlines()[-1].endswith(f"--seconds 2 --fps 5 --easing sine --out {about['name']}")
    assert last[end:].startswith(b"GIF89a")
    stopped = filmer.read(_asked())
    stopped.stopped.set()
    assert filmer.file(stopped) is None
    assert list(small.shelf.folder.iterdir()) == []


def test_others_draw_while_the_directions_of_a_film_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    G = converter.load(NETWORK).network("G_ema")
    renderer = Renderer(G, optimize(G))
    move = Move("pca", 0, 1)
    way = Way((Composition(1, moves=(move,)), Composition(2)), (0, 0.5), "linear")
    find, free = renderer.composer.directions, []

    def noted(name: str) -> Directions:
        free.append(not renderer._lock.locked())
        return find(name)

    monkeypatch.setattr(renderer.composer, "directions", noted)
    next(renderer.film(way, 4))
    assert free[0]
    free.clear()
    renderer.moment(replace(way, easing="sine"), 0.1)
    assert free[0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "film: [] is not an object of film, format and fps"),
        (_asked(format=".avi"), "Format: '.avi' is not one of"),
        (_asked(fps=0), "Frames a second: 0 is not a whole number from 1 to 60"),
        (_asked(fps=60), "Frames a second: 60 is not what a GIF can have"),
        (_asked(film={}), "Film: {} is not an object of keys and easing"),
        (_asked(film={"keys": []}), "Key frames: [] is not a list of 1 to 64"),
        (_asked(film={"keys": [{"state": {}}]}), "Key frame 1: {'state': {}} is not an object of state and seconds"),
        (_asked(film={"keys": [{"state": {}, "seconds": 0}]}), "Key frame 1 seconds: 0 is not a number from 0.1 to"),
        (_asked(film={"keys": [{"state": {"seed": -1}, "seconds": 1}]}), "Seed: -1 is not"),
        (_asked(film={"keys": KEYS, "easing": "odd"}), "Easing: 'odd' is not one of linear"),
        (_asked(film={"keys": [{"state": {}, "seconds": 600}] * 2}, fps=50), "Film: 60,000 frames are too many"),
        (
            _asked(film={"keys": [{"state": {}, "seconds": 0.5}] * 3}, fps=1),
            "Film: 3 pictures to go through are more than 2 frames can show",
        ),
    ],
)
def test_films_that_cannot_be(small: Studio, asked: object, said: str) -> None:
    with pytest.raises(StyleGANError) as told:
        Filmer(small).read(asked)
    assert str(told.value).startswith(said)
