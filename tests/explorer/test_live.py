"""What OSC messages do to the page's controls: the arithmetic, maps, and what is heard."""

from __future__ import annotations

import asyncio
import math
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from stylegan_torch.commands.main import main
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.controls import Channel, Controls, controls_of, read_map, usual
from stylegan_torch.explorer.expressions import parse
from stylegan_torch.explorer.stream import Stream
from stylegan_torch.explorer.studio import Studio
from tests.explorer.test_studio import Socket

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


def message(address: str, *values: object) -> bytes:
    from pythonosc.osc_message_builder import OscMessageBuilder

    built = OscMessageBuilder(address=address)
    for each in values:
        built.add_arg(each)
    return bytes(built.build().dgram)


def test_what_is_heard_over_udp() -> None:
    pytest.importorskip("pythonosc")
    from stylegan_torch.explorer.osc import hear, listening

    live, heard = Channel(), list[Controls]()
    with live.heard(heard.append):
        for odd in (b"", b"x", b"#bundle\0", message("/psi", 1)[:-3], message("/elsewhere", 1)):
            hear(odd, {}, live)
        hear(message("/psi", 0.5), {}, live)
    hear(message("/psi", 0.7), {}, live)
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
            sender.sendto(message("/seed", 3), (host, int(port)))
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
