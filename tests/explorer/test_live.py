"""What OSC messages do to the page's controls: the arithmetic, maps, and what is heard."""

from __future__ import annotations

import asyncio
import math
import socket
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from stylegan_torch.commands.main import main
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.controls import Controls, Live, controls_of, read_map, usual
from stylegan_torch.explorer.expressions import parse
from stylegan_torch.explorer.stream import Stream
from stylegan_torch.explorer.studio import Studio
from tests.explorer.test_studio import Socket
from tests.tools.browser import chromium, visiting
from tests.tools.served import COMMAND, serving

VALUES = {"x": 3.0, "y": 1.0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * x", 7),
        ("-x^2", -9),
        ("2^-1 * 4", 2),
        ("(x + 1) % 3", 1),
        ("clip(x * 2, -1, 1)", 1),
        ("min(x, y) + max(x, y)", 4),
        ("round(.4) + 1e2", 100),
        ("6 - 3 - 2", 1),
        ("cos(pi)", -1),
        *((each, None) for each in ("x / 0", "log(0)", "exp(1000)", "(-1)^.5", "z", "sqrt(-1)")),
    ],
)
def test_arithmetic(text: str, value: float | None) -> None:
    found = parse(text)(VALUES)
    assert found == value if value is not None else math.isnan(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is wanted at the end"),
        ("1 +", "is wanted at the end"),
        ("x y", "+, -, *, /, % or ^ is wanted before 'y'"),
        ("min(1)", "min takes 2 numbers"),
        ("sin 1", r"\( is wanted before '1'"),
        ("(1", r"\) is wanted at the end"),
        ("__import__('os')", 'is wanted before "__import__'),
        ("x.real", "is wanted before '.real'"),
        ("(" * 30 + "1" + ")" * 30, "at most 20 brackets"),
        ("1" * 201, "at most 200 characters"),
    ],
)
def test_what_is_no_arithmetic(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("+, -, *, /, % or ^", r"\+, -, \*, /, % or \^")):
        parse(text)


@given(st.text("0123456789.e+-*/%^(),xypi sincolg", max_size=200))
def test_any_text_is_arithmetic_or_told(text: str) -> None:
    try:
        found = parse(text)
    except ValueError:
        return
    assert isinstance(found(VALUES), float)


def test_a_map_says_what_sets_what(tmp_path: Path) -> None:
    path = tmp_path / "map.txt"
    path.write_text("# a pad\n\n/pad pca:0 6 * x - 3\n/pad  pca:1  y\n/psi psi@0-3 x / 2\n/key do:dice x\n")
    mapping = read_map(path)
    assert controls_of(mapping, "/pad", [1, 0.5]) == {"pca:0": 3, "pca:1": 0.5}
    assert controls_of(mapping, "/pad", [1]) == {"pca:0": 3}
    assert controls_of(mapping, "/psi", [1.0]) == {"psi@0-3": 0.5}
    assert controls_of(mapping, "/seed", [7]) == {"seed": 7}
    assert controls_of(mapping, "/network", ["ffhq.pt", 3]) == {"network": "ffhq.pt"}
    assert controls_of(mapping, "/elsewhere", [1]) == controls_of(mapping, "/seed", [float("nan")]) == {}
    assert [usual(each) for each in ("/psi/4", "/mix/0", "/do/dice", "/do/evil", "//")] == [
        "psi@4",
        "mix:0",
        "do:dice",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"/psi psi", "line 1: '/psi psi' is not an address, a control and an expression"),
        (b"psi psi x", "line 1: 'psi psi x' is not an address"),
        (b"\n/psi colour x", "line 2: 'colour' is no control"),
        (b"/psi psi x +", "line 1: 'x +': a number"),
        (b"\xff", "is no text in UTF-8"),
    ],
)
def test_maps_that_are_none(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "map.txt").write_bytes(content)
    with pytest.raises(StyleGANError) as told:
        read_map(tmp_path / "map.txt")
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--osc", "x"], "'x' is not a port"),
        (["--osc", "0.0.0.0:70000"], "is not a port"),
        (["--osc-map", "map.txt"], "--osc-map goes with --osc"),
        (["--osc", "9000", "--osc-map", "map.txt"], "line 1: 'colour' is no control"),
    ],
)
def test_wrong_options(words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("map.txt").write_text("/a colour x\n")
    result = CliRunner().invoke(main, ["explore", *words])
    assert result.exit_code != 0
    assert said in result.output


def _message(address: str, *values: object) -> bytes:
    from pythonosc.osc_message_builder import OscMessageBuilder

    built = OscMessageBuilder(address=address)
    for each in values:
        built.add_arg(each)
    return bytes(built.build().dgram)


def test_what_is_heard_over_udp() -> None:
    pytest.importorskip("pythonosc")
    from stylegan_torch.explorer.osc import hear, listening

    live, heard = Live(), list[Controls]()
    with live.heard(heard.append):
        for odd in (b"", b"x", b"#bundle\0", _message("/psi", 1)[:-3], _message("/elsewhere", 1)):
            hear(odd, {}, live)
        hear(_message("/psi", 0.5), {}, live)
    hear(_message("/psi", 0.7), {}, live)
    assert heard == [{"psi": 0.5}]
    came = asyncio.Event()

    async def told() -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        with (
            listening("127.0.0.1", 0, {}, live),
            live.heard(lambda controls: loop.call_soon_threadsafe(came.set)),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        ):
            host, _, port = live.address.rpartition(":")
            sender.sendto(_message("/seed", 3), (host, int(port)))
            await came.wait()
            with pytest.raises(StyleGANError, match="cannot hear OSC at"), listening(host, int(port), {}, live):
                pass
        return {}

    asyncio.run(told())


def test_pages_are_told_the_newest() -> None:
    studio = Studio({})

    async def visit() -> None:
        page = Socket()
        running = asyncio.create_task(Stream(studio, page).run())  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for value in range(10):
            studio.live.say({"psi": value, "seed": 1})
        told, _ = await page.told.get()
        assert told == {"kind": "controls", "controls": {"psi": 9, "seed": 1}}
        page.said.put_nowait(None)
        await running

    asyncio.run(visit())
    studio.close()


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def url(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("websockets")
    pytest.importorskip("pythonosc")
    with serving(tmp_path_factory.mktemp("files"), *COMMAND, "explore", "--osc", str(port)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as started:
        yield started


def _line(page: Any, *words: str) -> None:
    for word in words:
        page.locator("#commands", has_text=word).wait_for(state="attached")


def _send(port: int, **controls: object) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for name, value in controls.items():
            sender.sendto(_message(f"/{name.replace('__', '/')}", value), ("127.0.0.1", port))


def test_messages_move_every_control(url: str, port: int, browser: Any) -> None:
    with visiting(browser, url) as page:
        _line(page, "--seeds 0 ")
        _send(port, seed=7.2, psi=0.5, psi__2=0.9, pca__1=-2, mix__0=4, noise_seed=3, sefa__99=1, do__key=1)
        _line(page, "--seeds 7 --truncation 0.5 --truncation 0.9@2 --mix 4@0-4 --move pca:1=-2.0 ", "--noise-seed 3 ")
        page.locator(".key").wait_for(state="attached")
        _send(port, noise="none", psi=99)
        _line(page, "--truncation 1.5 ", "--noise none ")
        page.locator("#live summary").click()
        page.get_by_label("OSC at 127.0.0.1").uncheck()
        _send(port, seed=9)
        page.locator("#osc-said", has_text="seed 9").wait_for()
        assert page.input_value("#seed") == "7"


def test_it_wanders_and_follows_a_sound(url: str, browser: Any, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "drum.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        times = np.arange(8000) / 8000
        loud = np.sin(2 * np.pi * 110 * times) * (times % 0.5 < 0.1)
        file.writeframes((loud * 30000).astype("<i2").tobytes())
    with visiting(browser, url, permissions=["microphone"]) as page:
        _line(page, "--seeds 0 ")
        page.locator("#live summary").click()
        page.fill("[data-field=Wander] input[type=number]", "1")
        page.wait_for_function("() => document.querySelector('.dot').style.getPropertyValue('--x') > '55%'")
        page.fill("[data-field=Wander] input[type=number]", "0")
        _line(page, "--move pca:0=")
        page.get_by_role("button", name="All to zero").click()
        page.set_input_files("#sound-file", tmp_path / "drum.wav")
        page.get_by_label("new noise at every beat").check()
        page.wait_for_function("() => document.querySelector('[aria-label=\"How loud: Low\"]').value > 0.3")
        page.wait_for_function("() => document.querySelector('#noise-seed').value > 0")
        page.select_option("#sound", "off")
        _line(page, "--noise random ")
        (tmp_path / "no.wav").write_bytes(b"x")
        page.set_input_files("#sound-file", tmp_path / "no.wav")
        page.locator("#status", has_text="no.wav is no sound that this browser plays").wait_for()
        page.select_option("#sound", "microphone")
        page.wait_for_function("() => document.querySelector('[aria-label=\"How loud: all\"]').value > 0.02")
        page.select_option("#sound", "off")


def test_nothing_but_the_picture(url: str, browser: Any) -> None:
    with visiting(browser, url) as page:
        _line(page, "--seeds 0 ")
        page.click("#full")
        page.wait_for_function("() => document.querySelector('#picture').clientWidth >= innerWidth")
        page.keyboard.press("]")
        _line(page, "--seeds 1 ")
        page.keyboard.press("Escape")
        page.wait_for_function("() => document.querySelector('#picture').clientWidth < innerWidth")
        page.evaluate("Element.prototype.requestFullscreen = undefined")
        page.keyboard.press("f")
        page.wait_for_function("() => document.querySelector('#picture').clientWidth >= innerWidth")
        page.locator("#picture").click()
        page.wait_for_function("() => document.querySelector('#picture').clientWidth < innerWidth")
