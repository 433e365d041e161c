"""Firefox and WebKit, driven by what they bring themselves: WebDriver BiDi, and WebDriver (both W3C)."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

WAIT = 600
"""Seconds until a test gives up waiting."""
_NOBODY = "127.0.0.1"
_PREFERENCES = {
    "network.dns.native-is-localhost": True,  # so that nothing reaches beyond this computer
    "network.proxy.type": 1,
    **{f"network.proxy.{scheme}": _NOBODY for scheme in ("http", "ssl")},
    **{f"network.proxy.{scheme}_port": 9 for scheme in ("http", "ssl")},
}


def _program(browser: str, *names: str) -> str:
    """Return where the first of some programs is; skip the test without any."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        line = f"needs {' or '.join(names)}, of {browser}: your system's package"
        if os.environ.get("STYLEGAN_TORCH_NEEDS_BROWSER"):
            pytest.fail(line)
        pytest.skip(line)
    return found


class Driven(ABC):
    """A browser that shows one page."""

    @abstractmethod
    def open(self, url: str) -> None:
        """Go there, and wait until it is loaded."""

    @abstractmethod
    def run(self, function: str, *arguments: object) -> Any:
        """Call a function of JavaScript, wait for what it promises, and return that."""

    @abstractmethod
    def act(self, source: dict[str, Any]) -> None:
        """Do what an input source does (WebDriver, section Actions)."""

    def drag(self, selector: str, *places: tuple[float, float], index: int = 0) -> None:
        """Press the mouse at the first place of an element, by shares of its size, and let it go at the last."""
        script = """async (selector, index) => {
          const element = document.querySelectorAll(selector)[index];
          element.scrollIntoView({ block: 'center', behavior: 'instant' });
          const { x, y, width, height } = element.getBoundingClientRect();
          return [x, y, width, height];
        }"""
        x, y, width, height = self.run(script, selector, index)
        moves: list[dict[str, Any]] = [
            {"type": "pointerMove", "x": round(x + across * width), "y": round(y + down * height), "duration": 50}
            for across, down in places
        ]
        actions = [moves[0], {"type": "pointerDown", "button": 0}, {"type": "pause", "duration": 100}, *moves[1:]]
        actions.append({"type": "pointerUp", "button": 0})
        self.act({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions})

    def press(self, selector: str, index: int = 0) -> None:
        """Click in the middle of an element, as slowly as a hand does."""
        self.drag(selector, (0.5, 0.5), index=index)


class _Firefox(Driven):
    def __init__(self, stream: Any) -> None:
        self._stream, self._numbers = stream, itertools.count(1)
        self.say("session.new", capabilities={})
        self._context = self.say("browsingContext.getTree")["contexts"][0]["context"]

    def say(self, method: str, **parameters: object) -> Any:
        number = next(self._numbers)
        self._stream.send(json.dumps({"id": number, "method": method, "params": parameters}))
        answer: dict[str, Any] = {}
        while answer.get("id") != number:  # events come between
            answer = json.loads(self._stream.recv(timeout=WAIT))
        assert answer["type"] == "success", answer
        return answer["result"]

    def open(self, url: str) -> None:
        self.say("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def run(self, function: str, *arguments: object) -> Any:
        answer = self.say(
            "script.callFunction",
            functionDeclaration=f"async (given) => JSON.stringify(await ({function})(...JSON.parse(given)) ?? null)",
            arguments=[{"type": "string", "value": json.dumps(arguments)}],
            target={"context": self._context},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    def act(self, source: dict[str, Any]) -> None:
        self.say("input.performActions", context=self._context, actions=[source])


@contextmanager
def firefox() -> Iterator[Driven]:
    """Start a headless Firefox."""
    program = _program("Firefox", "firefox", "firefox-esr")
    connect = pytest.importorskip("websockets.sync.client").connect
    with tempfile.TemporaryDirectory() as profile:
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in _PREFERENCES.items())
        Path(profile, "user.js").write_text("".join(lines))
        command = [program, "--headless", "--remote-debugging-port=0", "--no-remote", "--profile", profile]
        with _running(command, stderr=subprocess.PIPE, text=True) as process:
            said = (re.search(r"BiDi listening on (ws://\S+)", line) for line in process.stderr)
            address = next(filter(None, said))[1]
            Thread(target=process.stderr.read, daemon=True).start()
            with connect(f"{address}/session", max_size=None) as stream:
                browser = _Firefox(stream)
                yield browser
                browser.say("browser.close")
            process.wait(WAIT)


class _WebKit(Driven):
    def __init__(self, address: str) -> None:
        about = _answer(requests.post(f"{address}/session", json={"capabilities": {}}, timeout=WAIT))
        self._session = f"{address}/session/{about['sessionId']}"
        self._say("timeouts", script=1000 * WAIT)

    def _say(self, command: str, **parameters: object) -> Any:
        return _answer(requests.post(f"{self._session}/{command}", json=parameters, timeout=WAIT))

    def open(self, url: str) -> None:
        self._say("url", url=url)

    def run(self, function: str, *arguments: object) -> Any:
        script = f"""const [given, done] = arguments;
          (async () => JSON.stringify(await ({function})(...JSON.parse(given)) ?? null))()
            .then((found) => done({{ found }}), (error) => done({{ error: String(error) }}));"""
        answer = self._say("execute/async", script=script, args=[json.dumps(arguments)])
        assert "found" in answer, answer
        return json.loads(answer["found"])

    def act(self, source: dict[str, Any]) -> None:
        self._say("actions", actions=[source])

    def close(self) -> None:
        requests.delete(self._session, timeout=WAIT)


def _answer(answer: requests.Response) -> Any:
    value = answer.json()["value"]
    assert answer.ok, value
    return value


@contextmanager
def webkit() -> Iterator[Driven]:
    """Start WebKitGTK's small browser, on a screen that nobody sees."""
    driver, screen = _program("WebKitGTK", "WebKitWebDriver"), _program("a screen", "Xvfb")
    with tempfile.TemporaryDirectory() as home, _display(screen) as display, socket.socket() as free:
        free.bind((_NOBODY, 0))
        port = free.getsockname()[1]
        free.close()
        environment = {**os.environ, "DISPLAY": display, "HOME": home}
        with _running([driver, f"--port={port}"], env=environment, stderr=subprocess.DEVNULL):
            address = f"http://{_NOBODY}:{port}"
            _listens(address)
            browser = _WebKit(address)
            yield browser
            browser.close()


@contextmanager
def _display(program: str) -> Iterator[str]:
    told, tell = os.pipe()
    command = [program, "-displayfd", str(tell), "-screen", "0", "1400x1200x24", "-nolisten", "tcp"]
    with _running(command, pass_fds=[tell], stderr=subprocess.DEVNULL), os.fdopen(told) as reader:
        os.close(tell)
        yield f":{reader.readline().strip()}"


@contextmanager
def _running(command: list[str], **about: Any) -> Iterator[Any]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, **about) as process:
        try:
            yield process
        finally:
            process.terminate()


def _listens(address: str) -> None:
    until = time.monotonic() + WAIT
    while True:
        try:
            requests.get(f"{address}/status", timeout=WAIT)
        except requests.ConnectionError:
            assert time.monotonic() < until
            time.sleep(0.05)
        else:
            return


def shown(browser: Driven, *words: str) -> str:
    """Wait until the page offers the files of what it shows and the command line has these words; returns that."""
    script = """(...words) => new Promise((shown) => {
      const look = () => {
        const text = document.querySelector('#commands')?.textContent ?? '';
        const done = words.every((each) => text.includes(each)) && !document.querySelector('#download-png').disabled;
        if (done) shown(text);
        else setTimeout(look, 20);
      };
      look();
    })"""
    return str(browser.run(script, "stylegan draw", *words))
