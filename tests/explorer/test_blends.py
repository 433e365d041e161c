"""Two networks blended while one looks, and the command lines that blend them again."""

from __future__ import annotations

import gc
import io
import shlex
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from click.testing import CliRunner
from PIL import Image

import converter
from stylegan_torch.commands.main import main
from stylegan_torch.editing.composition import Composition
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer import blends
from stylegan_torch.explorer.filming import read_film
from stylegan_torch.explorer.renderer import Renderer, Way
from stylegan_torch.explorer.studio import NetworkChoice, Studio
from stylegan_torch.fast import optimize
from stylegan_torch.files import checkpoint
from tests import DATA
from tests.editing.test_blending import SKIP, changed, content, stranger


@pytest.fixture(scope="module")
def toons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("networks") / "toons.pt"
    checkpoint.write(path, changed(content()))
    return path


@pytest.fixture(scope="module")
def pair(toons: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    strange = tmp_path_factory.mktemp("networks") / "strange.pt"
    checkpoint.write(strange, stranger(content()))
    paths = [SKIP, toons, strange, DATA / "ada-cond.pkl"]
    made = Studio({path.name: _choice(path) for path in paths})
    yield made
    made.close()


def _choice(path: Path) -> NetworkChoice:
    def opened() -> tuple[Any, Any, dict[str, Any]]:
        G = converter.load(path).network("G_ema")
        return G, optimize(G), {"name": path.name}

    fast: Callable[..., Any] = optimize
    return NetworkChoice(opened, ("--network", str(path)), drawer=fast)


def test_a_blend_is_what_its_command_lines_make(pair: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"seed": 5, "moves": [{"index": 1, "strength": 2}], "blend": {"network": "toons.pt", "at": 8, "soft": True}}
    request = pair.read(state)
    file = pair.picture_file(request, state)
    plain = pair.picture_file(pair.read({**state, "blend": None}), state)
    monkeypatch.chdir(tmp_path)
    lines = pair.commands(request).splitlines()
    assert [line.split()[1] for line in lines] == ["blend", "draw"]
    for line in lines:
        again = CliRunner().invoke(main, shlex.split(line)[1:])
        assert again.exit_code == 0, again.output
    drawn, other = (Image.open(io.BytesIO(each.content)).tobytes() for each in (file, plain))
    assert Image.open(file.name).tobytes() == drawn != other


@pytest.mark.parametrize(
    ("blend", "said"),
    [
        (7, "Blend: 7 is not an object of network, at, soft"),
        ({"network": "sg2-skip.pkl", "at": 8}, "Blend: 'sg2-skip.pkl' is not one of toons.pt, strange.pt"),
        ({"network": "toons.pt", "at": 4}, "Blend resolution: 4 is not one of 8, "),
        ({"network": "toons.pt"}, "Blend resolution is empty"),
        ({"network": "toons.pt", "at": 8, "soft": 1}, "Blend soft: 1 is not true or false"),
        ({"network": "ada-cond.pkl", "at": 8}, "Blend: these networks have other layers"),
        ({"network": "strange.pt", "at": 8}, "Blend: sg2-skip.pkl and strange.pt have no ancestor in common"),
    ],
)
def test_blends_that_cannot_be(pair: Studio, blend: object, said: str) -> None:
    with pytest.raises(StyleGANError) as told:
        pair.renderer_of(pair.read({"blend": blend}))
    assert str(told.value).startswith(said)


def test_the_least_recently_drawn_blend_goes(pair: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blends, "KEPT", 1)
    one, other = (pair.read({"blend": {"network": "toons.pt", "at": at}}) for at in (8, 16))
    first = pair.renderer_of(one)
    assert pair.renderer_of(one) is first
    assert pair.renderer_of(other) is not first
    assert pair.renderer_of(one) is not first


def test_nobody_waits_for_a_blend_of_others(pair: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (pair.read({"blend": {"network": "toons.pt", "at": at, "soft": True}}) for at in (8, 16))
    kept = pair.renderer_of(one)
    begun, free, made = threading.Event(), threading.Event(), blends._blended

    def slow(*arguments: Any) -> Renderer:
        begun.set()
        assert free.wait(60)
        return made(*arguments)

    monkeypatch.setattr(blends, "_blended", slow)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(pair.renderer_of, other) for _ in range(2)]
        begun.wait()
        assert pair.renderer_of(one) is kept
        free.set()
        assert asked[0].result() is asked[1].result()


def test_a_blend_that_could_not_be_made_is_tried_again(pair: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    request = pair.read({"blend": {"network": "toons.pt", "at": 32}})
    with monkeypatch.context() as broken:
        broken.setattr(blends, "_blended", Mock(side_effect=MemoryError))
        with pytest.raises(MemoryError):
            pair.renderer_of(request)
    assert pair.renderer_of(request)


def test_what_is_no_longer_kept_leaves_memory_at_once() -> None:
    G = converter.load(SKIP).network("G_ema")
    renderer = Renderer(G, optimize(G))
    renderer.moment(Way((Composition(1), Composition(2)), (0.0, 0.5), "linear"), 0.25)
    gone = weakref.ref(renderer), weakref.ref(renderer.composer)
    gc.disable()
    try:
        del renderer
        assert [each() for each in gone] == [None, None]
    finally:
        gc.enable()


def test_key_frames_are_of_one_network(pair: Studio) -> None:
    keys = [{"state": {"blend": blend}, "seconds": 1} for blend in (None, {"network": "toons.pt", "at": 8})]
    with pytest.raises(StyleGANError, match="is not all of one network"):
        read_film(pair, {"keys": keys})
