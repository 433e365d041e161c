"""Dragging in the explorer: what its command lines make again, going on, ending, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import shlex
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import converter
from stylegan_torch.commands.main import main
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer import dragging
from stylegan_torch.explorer.dragging import Dragger
from stylegan_torch.explorer.studio import NetworkChoice, Studio
from stylegan_torch.fast import optimize
from tests import DATA

NETWORK = DATA / "sg2-skip.pkl"
FAR = [[4, 8, 15, 8]]


@pytest.fixture(scope="module")
def small() -> Iterator[Studio]:
    G = converter.load(NETWORK).network("G_ema")
    made = Studio({"small": NetworkChoice(lambda: (G, optimize(G), {}), ("--network", str(NETWORK)))})
    yield made
    made.close()


def _mask(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (side, side), 255).save(file, "PNG")
    return file.getvalue()


async def _all(frames: AsyncIterator[bytes], look: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    async for content in frames:
        told = json.loads(content[8 : 8 + int.from_bytes(content[4:8], "big")])
        look(told)
    return told


def _dragged(
    dragger: Dragger, *, points: object = FAR, look: Callable[[dict[str, Any]], None] = lambda _: None, **asked: object
) -> dict[str, Any]:
    """Drag, and return the last that is told."""
    return asyncio.run(_all(dragger.frames(dragger.read({"points": points, **asked})), look))


def _on(told: dict[str, Any]) -> dict[str, Any]:
    """Return how to go on from what was found."""
    return {"state": {"latents": told["latents"]}, "points": [[*told["points"][0], *FAR[0][2:]]]}


def test_command_lines_make_it_again(small: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dragger, mask = Dragger(small), _mask(small.renderer("small").G.img_resolution)
    found = _dragged(
        dragger,
        state={"seed": 5, "mixes": [{"seed": 8}], "noise": "random"},
        mask=base64.b64encode(mask).decode(),
        steps=2,
        learning_rate=0.01,
    )
    state = {"latents": found["latents"]}
    read = small.read(state)
    commands = small.commands(read).splitlines()
    assert [each.split()[1] for each in commands] == ["draw", "drag", "draw"]
    monkeypatch.chdir(tmp_path)
    Path(found["mask"]).write_bytes(mask)
    for command in commands:
        again = CliRunner().invoke(main, shlex.split(command)[1:])
        assert again.exit_code == 0, again.output
    with np.load(io.BytesIO(small.latents_file(read).content)) as given, np.load(f"{small.stem(read)}.npz") as drawn:
        assert all(np.array_equal(given[name], drawn[name]) for name in given.files)
    png = small.picture_file(read, state)
    assert Image.open(io.BytesIO(png.content)).tobytes() == Image.open(png.name).tobytes()


def test_going_on_is_as_if_it_had_not_stopped(small: Studio) -> None:
    dragger = Dragger(small)
    first = _dragged(dragger, state={"seed": 5}, steps=2)
    second = _dragged(dragger, **_on(first), steps=1)
    assert second["taken"] == 3
    story = small.commands(small.read({"latents": second["latents"]})).splitlines()
    assert len(story) == 2 and "--seed 5 " in story[0] and "--steps 3 " in story[0]
    at_once = _dragged(dragger, state={"seed": 5}, steps=3)
    assert at_once["name"] == second["name"]  # which has the digest of the latents
    anew = _dragged(dragger, state={"latents": first["latents"]}, points=[[5, 9, 15, 8]], steps=1)
    assert anew["taken"] == 1
    assert "--latents drag-" in small.commands(small.read({"latents": anew["latents"]}))


def test_it_ends_where_it_is_when_asked_to(small: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dragging, "_SHOWN", 0.0)
    dragger = Dragger(small)

    def look(told: dict[str, Any]) -> None:
        if told["kind"] == "begun":
            dragger.end(told["job"])

    found = _dragged(dragger, state={}, steps=2000, look=look)
    assert (found["kind"], found["taken"]) == ("found", 1)
    names: list[object] = ["other", None, [], found["latents"]]
    for name in names:
        dragger.end(name)


def test_it_stops_when_nobody_waits(small: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dragging, "_SHOWN", 0.0)
    dragger = Dragger(small)
    job = dragger.read({"points": FAR, "steps": 2000})

    async def visit() -> None:
        frames = dragger.frames(job)
        assert b"begun" in await anext(frames)
        assert b"Step " in await anext(frames)
        await frames.aclose()

    asyncio.run(visit())
    assert job.stopped.is_set()
    assert _dragged(dragger, state={}, steps=1)["kind"] == "found"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "drag: [] is not an object of state, points"),
        ({"colour": 1}, "drag: {'colour': 1} is not an object of state, points"),
        ({}, "Points is empty: it takes at least one"),
        ({"points": [[1, 2]]}, "Points: [1, 2] is not x and y of a point, and of where it shall be"),
        ({"points": [[1, 2, 3, -1]]}, "Points: -1 is not a number from 0"),
        ({"points": FAR * 21}, "Points: "),
        ({"points": FAR, "steps": 0}, "Steps: 0 is not a whole number from 1 to 2000"),
        ({"points": FAR, "learning_rate": 0}, "Pull: 0 is not a number from"),
        ({"points": FAR, "mask": "?"}, "Mask: '?' is not a picture file in base64"),
        ({"points": FAR, "mask": "é"}, "Mask: 'é' is not a picture file in base64"),
        ({"points": FAR, "mask": 5}, "Mask: 5 is not a picture file in base64"),
        ({"points": FAR, "mask": ""}, "Mask: it is broken, or not a picture"),
        ({"points": FAR, "mask": base64.b64encode(b"x").decode()}, "Mask: it is broken, or not a picture"),
        ({"points": FAR, "state": {"seed": -1}}, "Seed: -1 is not"),
    ],
)
def test_what_cannot_be_read(small: Studio, asked: object, said: str) -> None:
    with pytest.raises(StyleGANError) as told:
        Dragger(small).read(asked)
    assert str(told.value).startswith(said)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"points": [[1, 2, 1, 2]]}, "Points: they are where they shall be"),
        ({"points": [[1, 2, 1, 9999]]}, "the target 1,9999 is not in the picture"),
        ({"points": FAR, "mask": base64.b64encode(_mask(3)).decode()}, "the mask has 3x3 pixels"),
    ],
)
def test_what_cannot_be_dragged_is_told(small: Studio, asked: dict[str, Any], said: str) -> None:
    told = _dragged(Dragger(small), **asked)
    assert told["kind"] == "error"
    assert told["line"].startswith(said)
