"""The explorer's engine without its page: states, files, what visitors bring, and the stream of frames."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shlex
import threading
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import converter
from stylegan_torch.commands.main import main
from stylegan_torch.editing.composition import Composition, LayerPsi, Mix, Move
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer import jobs, reports, shelf, stream, studio
from stylegan_torch.explorer.projecting import Projector
from stylegan_torch.explorer.stream import Stream
from stylegan_torch.explorer.studio import NetworkChoice, Studio
from stylegan_torch.fast import optimize
from tests import DATA

WebSocketDisconnect = pytest.importorskip("starlette.websockets").WebSocketDisconnect
NETWORK = DATA / "sg2-skip.pkl"


def _choice(path: Path) -> NetworkChoice:
    def opened() -> tuple[Any, Any, dict[str, Any]]:
        G = converter.load(path).network("G_ema")
        return G, optimize(G), {"name": path.name}

    return NetworkChoice(opened, ("--network", str(path)))


@pytest.fixture(scope="module")
def small() -> Iterator[Studio]:
    made = Studio({"small": _choice(NETWORK), "classes": _choice(DATA / "ada-cond.pkl")})
    yield made
    made.close()


def _npz(count: int = 1, *, num_ws: int, w_dim: int) -> bytes:
    file = io.BytesIO()
    np.savez(file, w=np.ones((count, num_ws, w_dim), np.float32))
    return file.getvalue()


def _ws(made: Studio, count: int = 1, network: str = "small") -> bytes:
    G = made.renderer(network).G
    return _npz(count, num_ws=G.num_ws, w_dim=G.w_dim)


def test_a_state_is_a_composition(small: Studio) -> None:
    state = {
        "seed": 7,
        "psis": [{"layers": "0-1", "psi": 0.5}],
        "mixes": [{"seed": 8, "layers": "2"}],
        "moves": [{"directions": "pca", "index": 0, "strength": 1.5, "layers": "0-3"}],
        "noise": "random",
        "noise_seed": 3,
    }
    read = small.read(state)
    assert read.network == "small"
    move, mix, psi = Move("pca", 0, 1.5, "0-3"), Mix(8, "2"), LayerPsi(0.5, "0-1")
    assert read.picture == Composition(7, 0.7, None, (mix,), (move,), "random", 3, None, (psi,))
    assert small.read({"network": "classes", "class": 1}).picture.class_index == 1


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"seed": 7.5}, "Seed: 7.5 is not a whole number"),
        ({"seed": None}, "Seed is empty"),
        ({"psi": 9}, "Truncation: 9 is not a number from -1.0 to 1.5"),
        ({"psi": float("nan")}, "Truncation: nan is not"),
        ({"psis": [{"psi": 1, "layers": "99"}]}, "Truncation by layer layers: '99' is not a choice of layers 0 to"),
        ({"mixes": [{}, {"seed": -1}]}, "Mix 2 seed: -1 is not"),
        ({"mixes": [{}] * 17}, "Mixes: "),
        ({"mixes": [{"path": "/etc/passwd"}]}, "Mix 1: {'path': '/etc/passwd'} is not an object of seed, layers"),
        ({"moves": [{"directions": "/etc/passwd"}]}, "Directions: '/etc/passwd' is not one of pca, sefa"),
        ({"moves": [{"strength": 77}]}, "Direction pca 0: 77 is not a number"),
        ({"moves": [1]}, "Direction: 1 is not an object"),
        ({"noise": "loud"}, "Noise: 'loud' is not one of official"),
        ({"class": 0}, "Class: 0 is not empty: the network has none"),
        ({"network": "classes", "class": 99}, "Class: 99 is not a whole number from 0 to"),
        ({"network": "other"}, "Network: 'other' is not one of small, classes"),
        ({"latents": "../x"}, "Latents: they are no longer here"),
        ({"latents": ["x"]}, "Latents: they are no longer here"),
        ({"colour": 1}, "state: 'colour' is not one of the fields"),
        ([], "state: [] is not an object"),
    ],
)
def test_odd_states_are_told_by_the_name_of_the_field(small: Studio, state: object, said: str) -> None:
    with pytest.raises(StyleGANError) as told:
        small.read(state)
    assert str(told.value).startswith(said)


def test_a_direction_that_is_not_there(small: Studio) -> None:
    read = small.read({"moves": [{"index": 9999, "strength": 1}]})
    with pytest.raises(StyleGANError, match="not 9999"):
        small.picture_file(read, {})


def test_files_are_what_the_command_line_makes(small: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"seed": 5, "moves": [{"directions": "sefa", "index": 1, "strength": 2}], "mixes": [{"seed": 8}]}
    read = small.read(state)
    png, npz = small.picture_file(read, state), small.latents_file(read)
    monkeypatch.chdir(tmp_path)
    again = CliRunner().invoke(main, shlex.split(small.commands(read))[1:])
    assert again.exit_code == 0, again.output
    picture = Image.open(io.BytesIO(png.content))
    assert picture.tobytes() == Image.open(png.name).tobytes()
    assert json.loads(picture.info["stylegan-torch"])["state"] == state
    with np.load(io.BytesIO(npz.content)) as given, np.load(npz.name) as drawn:
        assert all(np.array_equal(given[name], drawn[name]) for name in given.files)
    assert small.stem(small.read({"seed": 5})) != Path(png.name).stem
    assert list(small.shelf.folder.rglob("*.npz")) == []


def test_latents_that_a_visitor_brought(small: Studio) -> None:
    brought = small.bring("small", "../me.npz", _ws(small, 3))
    assert (brought["name"], brought["rows"]) == ("me.npz", 3)
    read = small.read({"latents": brought["latents"], "row": 2})
    assert "--latents me.npz --row 2" in small.commands(read)
    assert small.picture_file(read, {}).content
    with pytest.raises(StyleGANError, match="Row: 3 is not a whole number from 0 to 2"):
        small.read({"latents": brought["latents"], "row": 3})
    with pytest.raises(StyleGANError, match="is of the network small, not of classes"):
        small.read({"network": "classes", "latents": brought["latents"]})


def _npy(shape: tuple[int, ...], size: int) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117)
    return b"\x93NUMPY\x01\x00v\x00" + header + b"\n" + bytes(size)


def _zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ws.npy", content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda _: b"not latents", "is damaged, or not a file of latents"),
        (lambda _: _zipped(_npy((-1, 8, 16), 100_000)), "is damaged, or not a file of latents"),
        (lambda _: _zipped(_npy((1_000_000_000, 8, 16), 100_000)), "they unpack to more than 50 MB"),
        (lambda _: _npy((1_000_000_000, 8, 16), 100_000), "they unpack to more than 50 MB"),
        (lambda _: _zipped(bytes(51_000_000)), "they unpack to more than 50 MB"),
        (lambda made: _ws(made, studio.MOST_LATENTS + 1), "1000 are the most that can be taken here"),
    ],
)
def test_latents_that_cannot_be_used(small: Studio, content: Callable[[Studio], bytes], said: str) -> None:
    before = list(small.shelf.folder.iterdir())
    with pytest.raises(StyleGANError, match=said):
        small.bring("small", "w.npz", content(small))
    assert list(small.shelf.folder.iterdir()) == before


def test_what_alone_is_too_large_to_be_kept(small: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(small.shelf.folder.iterdir())
    monkeypatch.setattr(shelf, "MOST_BYTES", 100)
    with pytest.raises(StyleGANError, match=r"w\.npz is too large to be kept here"):
        small.bring("small", "w.npz", _ws(small))
    assert list(small.shelf.folder.iterdir()) == before


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a/b.npz", "b.npz"),
        ("", "latents.npz"),
        ("/", "latents.npz"),
        ("a/..", "latents.npz"),
        ("\0\n", "latents.npz"),
        ("w\0.n\0pz", "w.npz"),
        (f"{'x' * 5000}.npy", f"{'x' * 100}.npy"),
        (f"x.{'y' * 5000}", f"x.{'y' * 9}"),
    ],
)
def test_any_name_of_a_file_can_be_brought(small: Studio, given: str, name: str) -> None:
    brought = small.bring("small", given, _ws(small))
    assert brought["name"] == name
    assert small.latents_file(small.read({"latents": brought["latents"]})).content


def test_files_of_one_name_that_hold_other_latents(small: Studio) -> None:
    one, same, other = (small.bring("small", "w.npz", content) for content in (_ws(small), _ws(small), _ws(small, 2)))
    stems = [small.stem(small.read({"latents": each["latents"]})) for each in (one, same)]
    assert stems[0] == stems[1] != small.stem(small.read({"latents": other["latents"], "row": 0}))
    assert small.shelf.get(one["latents"]).digest != small.shelf.get(other["latents"]).digest


def test_names_are_those_of_files_everywhere(small: Studio) -> None:
    brought = small.bring("small", "a b;é.npz", _ws(small))
    request = small.read({"latents": brought["latents"]})
    assert re.fullmatch(r"a_b__-[0-9a-f]{6}", small.stem(request))
    assert "--latents 'a b;é.npz'" in small.commands(request)


def test_the_oldest_of_what_was_brought_goes(small: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "MOST", 2)
    first, second, third = (small.bring(None, "a.npz", _ws(small))["latents"] for _ in range(3))
    with pytest.raises(StyleGANError, match="no longer here: bring the file again"):
        small.read({"latents": first})
    assert small.read({"latents": second}) != small.read({"latents": third})
    assert len(list(small.shelf.folder.iterdir())) == 2
    assert len(str(first)) == 32


class Socket:
    """A page's end of a stream: what it says, and what it is told."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[str | None] = asyncio.Queue()
        self.told: asyncio.Queue[tuple[dict[str, Any], bytes]] = asyncio.Queue()

    async def accept(self) -> None:
        pass

    async def close(self, code: int, reason: str) -> None:
        self.told.put_nowait(({"kind": "closed", "code": code, "reason": reason}, b""))
        self.said.put_nowait(None)

    async def receive_text(self) -> str:
        message = await self.said.get()
        if message is None:
            raise WebSocketDisconnect
        return message

    async def send_text(self, text: str) -> None:
        self.told.put_nowait((json.loads(text), b""))

    async def send_bytes(self, content: bytes) -> None:
        end = 4 + int.from_bytes(content[:4], "big")
        self.told.put_nowait((json.loads(content[4:end]), content[end:]))

    def say(self, **message: object) -> None:
        self.said.put_nowait(json.dumps(message))


def _visit(made: Studio, visit: Callable[[Socket], Any]) -> None:
    """Let a page say things and look at what it is told."""

    async def run() -> None:
        socket = Socket()
        running = asyncio.create_task(Stream(made, socket).run())  # type: ignore[arg-type]
        await visit(socket)
        socket.said.put_nowait(None)
        await running

    asyncio.run(run())


def test_a_frame_at_once_and_the_whole_picture_in_a_calm(small: Studio) -> None:
    async def visit(page: Socket) -> None:
        page.say(draw={"seed": 3}, id=1)
        quick, image = await page.told.get()
        assert (quick["kind"], quick["id"], quick["whole"]) == ("frame", 1, False)
        assert Image.open(io.BytesIO(image)).format == "JPEG"
        whole, image = await page.told.get()
        assert (whole["id"], whole["whole"]) == (1, True)
        request = small.read({"seed": 3})
        assert whole["commands"] == small.commands(request)
        assert image == small.picture_file(request, {"seed": 3}).content

    _visit(small, visit)


def test_what_is_overtaken_is_not_finished(small: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = small.renderer("small")
    begun, go_on = threading.Event(), threading.Event()

    def held(latents: Any, overtaken: Callable[[], bool], picture: Any) -> Any:
        if not begun.is_set():
            begun.set()
            go_on.wait()
        return draw(latents, overtaken, picture)

    draw = renderer.draw
    monkeypatch.setattr(stream, "CALM", 0.0)
    monkeypatch.setattr(renderer, "glimpse", lambda latents, picture: draw(latents, picture=picture))
    monkeypatch.setattr(renderer, "draw", held)

    async def visit(page: Socket) -> None:
        page.say(draw={"seed": 0}, id=0)
        await asyncio.to_thread(begun.wait)
        for i in (1, 2, 3):
            page.say(draw={"seed": i}, id=i)
        await asyncio.sleep(0)
        while not page.said.empty():
            await asyncio.sleep(0)
        go_on.set()
        told = [(await page.told.get())[0] for _ in range(3)]
        assert [(each["id"], each["whole"]) for each in told] == [(0, False), (3, False), (3, True)]

    _visit(small, visit)


def test_thumbnails_come_when_nothing_else_is_to_be_drawn(small: Studio) -> None:
    async def visit(page: Socket) -> None:
        wanted = [{"key": str(i), "state": {"seed": i}} for i in range(3)]
        page.say(group="seeds", thumbnails=[*wanted, {"key": "odd", "state": {"seed": -1}}])
        page.say(draw={"seed": 9}, id=1)
        told = [await page.told.get() for _ in range(6)]
        assert [each["kind"] for each, _ in told] == ["frame", "frame", *["thumbnail"] * 4]
        assert [(each["key"], bool(image)) for each, image in told[2:]] == [
            ("0", True),
            ("1", True),
            ("2", True),
            ("odd", False),
        ]

    _visit(small, visit)


def test_a_wish_does_not_wait_for_directions_to_be_found(small: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer, go_on = small.renderer("small"), threading.Event()
    find = renderer.composer.directions

    def held(name: str) -> Any:
        go_on.wait()
        return find(name)

    monkeypatch.setattr(renderer.composer, "directions", held)

    async def visit(page: Socket) -> None:
        page.say(group="a", thumbnails=[{"key": "0", "state": {"moves": [{"directions": "sefa", "strength": 1}]}}])
        page.say(draw={"seed": 9}, id=1)
        told = [(await page.told.get())[0]["kind"] for _ in range(2)]
        go_on.set()
        assert [*told, (await page.told.get())[0]["kind"]] == ["frame", "frame", "thumbnail"]

    _visit(small, visit)


def test_a_page_that_says_odd_things_is_told(small: Studio) -> None:
    async def visit(page: Socket) -> None:
        page.say(draw={"seed": -1}, id=5)
        told, _ = await page.told.get()
        assert (told["id"], told["field"]) == (5, "Seed")
        for message, said in (
            ("x", "message: 'x' is not JSON"),
            ("[" * 100_000, "is not JSON"),
            ("[]", "message: [] is not a wish to draw, or for thumbnails"),
            ('{"draw": {}, "id": []}', "id: [] is not a whole number"),
            ('{"draw": {}, "id": 1e400}', "id: inf is not a whole number"),
            ('{"thumbnails": 1, "group": "a"}', "thumbnails: 1 is not a list of at most 64"),
            ('{"thumbnails": [1], "group": "a"}', "thumbnail: 1 is not a key and a state"),
            ('{"thumbnails": [], "group": 7}', "group: 7 is not a text"),
        ):
            page.said.put_nowait(message)
            assert said in (await page.told.get())[0]["line"]
        for i in range(stream.MOST_GROUPS + 1):
            page.say(group=str(i), thumbnails=[])
        assert (await page.told.get())[0]["field"] == "group"
        page.say(draw={"seed": 1}, id=6)
        assert (await page.told.get())[0]["kind"] == "frame"

    _visit(small, visit)


def test_a_page_whose_drawing_broke_is_left_so_that_it_comes_again(
    small: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(stream, "joined", broken)

    async def visit(page: Socket) -> None:
        page.say(draw={"seed": 1}, id=1)
        told, _ = await page.told.get()
        assert (told["kind"], told["code"]) == ("closed", 1011)

    _visit(small, visit)


def test_what_visitors_bring_is_unpacked_one_at_a_time(small: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    web = pytest.importorskip("stylegan_torch.explorer.web")
    alone, overlaps = threading.Lock(), list[bool]()

    def bring(*_: object) -> dict[str, object]:
        overlaps.append(not alone.acquire(blocking=False))
        threading.Event().wait(0.02)
        alone.release()
        return {}

    monkeypatch.setattr(small, "bring", bring)
    app = web.application(small)
    scope = {"type": "http", "method": "POST", "path": "/latents", "headers": [], "query_string": b""}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        pass

    async def visits() -> None:
        await asyncio.gather(*(app(dict(scope), receive, send) for _ in range(3)))

    asyncio.run(visits())
    assert overlaps == [False] * 3


def test_a_page_too_many_is_told_why(small: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    web = pytest.importorskip("stylegan_torch.explorer.web")
    monkeypatch.setattr(web, "STREAMS", 0)
    sent = list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/stream", "headers": [], "query_string": b"", "subprotocols": []}
    asyncio.run(web.application(small)(scope, receive, send))
    assert [each["type"] for each in sent] == ["websocket.accept", "websocket.close"]
    assert sent[1]["reason"] == "too many pages are open: try again later"


def test_what_the_page_knows_of_a_network(small: Studio) -> None:
    about = small.about("classes")
    assert about["networks"] == ["small", "classes"]
    assert about["classes"] == small.renderer("classes").G.c_dim
    composer = small.renderer("classes").composer
    for kind in about["directions"]:  # type: ignore[attr-defined]
        assert kind["count"] == len(composer.directions(kind["name"]))
    assert len(about["layers"]) == small.renderer("classes").G.num_ws  # type: ignore[arg-type]
    assert json.loads(json.dumps(small.about(None)))["network"] == "small"
    third = studio.layer_names(converter.load(DATA / "sg3t_64.pkl").network("G_ema"))
    assert third[0] == "layer 0"


def _photograph(side: int = 24) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(file, "PNG")
    return file.getvalue()


async def _told(frames: AsyncIterator[bytes]) -> list[dict[str, Any]]:
    told = []
    async for content in frames:
        size = int.from_bytes(content[:4], "big")
        assert len(content) == 4 + size
        end = 8 + int.from_bytes(content[4:8], "big")
        told.append(json.loads(content[8:end]))
    return told


def test_a_projection_is_told_with_the_options_that_it_has() -> None:
    G = converter.load(NETWORK).network("G_ema")
    made = Studio({"small": NetworkChoice(lambda: (G, G, {}), ("--network", "a b.pkl"), ("--exact",))})
    projector = Projector(made)
    job = projector.read(_photograph(), {"name": "-x.png", "steps": "2", "fit": "pad", "space": "w"})
    *_, found = asyncio.run(_told(projector.frames(job)))
    assert (found["kind"], found["rows"]) == ("found", 1)
    project, draw = made.commands(made.read({"latents": found["latents"]})).splitlines()
    assert project == "stylegan project ./-x.png --network 'a b.pkl' --space w --fit pad --steps 2 --outdir out"
    assert draw.startswith("stylegan draw --network 'a b.pkl' --exact --latents out/-x.npz ")
    made.close()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"steps": "0"}, "Steps: 0 is not a whole number from 1 to 2000"),
        ({"steps": "1e3"}, "Steps: '1e3' is not a whole number"),
        ({"space": "z"}, "Space: 'z' is not one of w+, w"),
        ({"fit": "stretch"}, "Fit: 'stretch' is not one of crop, pad"),
        ({"network": "other"}, "Network: 'other' is not one of"),
        ({"class": "1"}, "Class: 1 is not empty: the network has none"),
        ({"network": "classes", "class": "99"}, "Class: 99 is not a whole number"),
    ],
)
def test_projections_that_cannot_be(small: Studio, asked: dict[str, str], said: str) -> None:
    with pytest.raises(StyleGANError) as told:
        Projector(small).read(_photograph(), asked)
    assert str(told.value).startswith(said)


def test_a_photograph_that_is_none(small: Studio) -> None:
    with pytest.raises(StyleGANError) as told:
        Projector(small).read(b"x", {"name": "/etc/passwd"})
    assert reports.told(told.value) == "the photograph is broken, or not a picture"


def test_projections_wait_in_line_and_stop_when_nobody_waits(small: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "WAITING", 1)
    projector = Projector(small)
    asked = [projector.read(_photograph(), {"steps": "2000"}) for _ in range(3)]

    async def visit() -> None:
        first, second = (projector.frames(job) for job in asked[:2])
        assert b"target" in await anext(first)
        assert b"Step " in await anext(first)
        assert b"target" in await anext(second)
        assert b"Waiting for the jobs of others" in await anext(second)
        with pytest.raises(StyleGANError, match="too many jobs"):  # which is known before it is decoded
            projector.read(b"no picture", {})
        third = asyncio.create_task(_told(projector.frames(asked[2])))
        waiting = asyncio.ensure_future(anext(second))
        refused = (await third)[-1]
        await first.aclose()
        assert b"Step " in await waiting
        await second.aclose()
        assert refused["line"] == "too many jobs are waiting: try again later"

    asyncio.run(visit())
    assert all(job.stopped.is_set() for job in asked)
