"""The recipe of a service: what it draws, under load, at its limits and when asked for what cannot be."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import requests
from click.testing import CliRunner
from PIL import Image

import checkpoints
import converter
from stylegan_torch.drawing.draw import DrawSettings, draw
from tests import DATA

uvicorn = pytest.importorskip("uvicorn")
serve = pytest.importorskip("integrations.serving.serve")


@contextmanager
def serving(painter: Any, **limits: Any) -> Iterator[str]:
    """Give the address of a service on this machine."""
    app = serve.application(painter, serve.Limits(**limits))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=5))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def get(url: str, **query: Any) -> requests.Response:
    return requests.get(url, query, timeout=600)


class Slow(serve.Painter):  # type: ignore[misc,name-defined]
    """Draws nothing before it may."""

    def __init__(self) -> None:
        super().__init__(str(DATA / "ada.pkl"), "cpu")
        self.begun, self.may = threading.Event(), threading.Event()

    def draw(self, wanted: Sequence[Any]) -> list[Any]:
        self.begun.set()
        assert self.may.wait(600)
        if any(each.seed == 13 for each in wanted):
            raise RuntimeError("out of luck")
        return list(super().draw(wanted))


@pytest.fixture
def slow() -> Iterator[Slow]:
    painter = Slow()
    yield painter
    painter.may.set()


@pytest.mark.parametrize("name", ["ada-cond", "sg1-cond", "sg3t_64", "pg"])
def test_a_batch_has_the_pictures_that_generate_draws(name: str) -> None:
    painter = serve.Painter(str(DATA / f"{name}.pkl"), "cpu")
    G = converter.load(DATA / f"{name}.pkl").network()
    psis = [None, 0.3, 1.0] if G.has_w else [None] * 3
    wanted = [serve.Wanted(seed, psi, seed if G.c_dim else None) for seed, psi in enumerate(psis)]
    for each, picture in zip(wanted, painter.draw(wanted), strict=True):
        settings = DrawSettings(each.truncation, class_index=each.class_index)
        ((_, expected),) = draw(G, [each.seed], settings, fast=True)
        assert np.abs(picture.astype(int) - expected).max() <= 1  # sums of batches are rounded otherwise


def test_many_at_once_each_get_their_own() -> None:
    painter = serve.Painter(str(checkpoints.DEMO), "cpu")
    asked = [{"seed": seed % 40, "truncation": 0.5 + seed % 3 / 4} for seed in range(64)]
    with serving(painter, batch=8, waiting=64) as url, ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda query: get(f"{url}/picture", **query), asked))
        health = get(f"{url}/health").json()
    assert health["pictures"] == len(asked)
    assert health["batches"] < len(asked) / 2
    assert (health["waiting"], health["size"]) == (0, [64, 64])
    for number in (0, 30, 63):
        query, answer = asked[number], answers[number]
        assert answer.headers["Content-Type"] == "image/png"
        ((_, expected),) = draw(painter.G, [int(query["seed"])], DrawSettings(query["truncation"]))
        found = np.asarray(Image.open(io.BytesIO(answer.content)), int)
        assert np.abs(found - expected).max() <= 1


def test_who_comes_when_too_many_wait_is_told_so(slow: Slow) -> None:
    with serving(slow, batch=2, waiting=3) as url, ThreadPoolExecutor(4) as clients:
        first = clients.submit(get, f"{url}/picture", seed=0)
        assert slow.begun.wait(600)
        rest = [clients.submit(get, f"{url}/picture", seed=seed) for seed in (1, 2, 3)]
        while get(f"{url}/health").json()["waiting"] < 3:
            time.sleep(0.01)
        refused = get(f"{url}/picture", seed=4)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert refused.text == "3 requests wait already: try again in a moment\n"
        slow.may.set()
        assert [each.result().status_code for each in (first, *rest)] == [200] * 4
        assert get(f"{url}/health").json()["batches"] == 3


def test_nobody_waits_longer_than_is_allowed(slow: Slow) -> None:
    with serving(slow, batch=1, timeout=0.2) as url:
        late = get(f"{url}/picture", seed=0)
        assert (late.status_code, late.text) == (504, "this took more than 0.2 seconds\n")
        assert get(f"{url}/picture", seed=1).status_code == 504
        slow.may.set()
        while get(f"{url}/health").json()["waiting"]:
            time.sleep(0.01)
        assert get(f"{url}/health").json()["pictures"] <= 1  # the second one was not drawn for nobody


def test_a_batch_that_fails_is_told_and_the_next_one_drawn(slow: Slow) -> None:
    slow.may.set()
    with serving(slow, batch=1) as url:
        failed = get(f"{url}/picture", seed=13)
        assert (failed.status_code, failed.text) == (500, "this picture could not be drawn\n")
        assert get(f"{url}/picture", seed=14).ok


def test_wrong_requests_are_told_in_one_line(slow: Slow) -> None:
    slow.may.set()
    with serving(slow) as url:
        for query, line in (
            ({}, "seed: Field required"),
            ({"seed": -1}, "seed: Input should be greater than or equal to 0"),
            ({"seed": 2**32}, "seed: Input should be less than 4294967296"),
            ({"seed": "x"}, "seed: Input should be a valid integer, unable to parse string as an integer"),
            ({"seed": 1, "psi": 0.7}, "psi: there is only seed, truncation, class and format"),
            ({"seed": 1, "truncation": "nan"}, "truncation: Input should be"),
            ({"seed": 1, "class": 3}, "there is no class 3: this network has no classes"),
            ({"seed": 1, "format": "gif"}, "format: Input should be 'png', 'jpeg' or 'webp'"),
        ):
            answer = get(f"{url}/picture", **query)
            assert (answer.status_code, answer.text.count("\n")) == (400, 1)
            assert answer.text.startswith(line)
        assert (get(url).status_code, get(url).text) == (404, "Not Found\n")
        assert requests.post(f"{url}/picture", data=b"x", timeout=600).status_code == 405
        for form, kind in (("jpeg", "JPEG"), ("webp", "WEBP")):
            with Image.open(io.BytesIO(get(f"{url}/picture", seed=1, format=form).content)) as image:
                assert image.format == kind


def test_the_program_takes_its_options_and_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    configs: list[Any] = []
    monkeypatch.setattr(serve.uvicorn.Server, "run", lambda server, **_: configs.append(server.config))
    network = str(DATA / "ada.pkl")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = CliRunner().invoke(serve.main, ["--network", network, "--device", "cpu", "--port", str(port)])
    assert refused.output.startswith(f"Error: cannot listen on 127.0.0.1:{port}: Address already in use")
    result = CliRunner().invoke(
        serve.main, ["--network", network, "--device", "cpu", "--waiting", "9", "--port", str(port)]
    )
    assert result.output == f"Pictures at http://127.0.0.1:{port}/picture?seed=0 (Ctrl-C ends)\n"
    assert configs[0].limit_concurrency == 20
    for options, line in (
        (
            ["--network", "nothing.pkl"],
            "Error: nothing.pkl: no such file, and no network of that name in the catalogue\n",
        ),
        (["--device", "meta"], "Error: Invalid value for --device: there is no device meta here\n"),
        (["--batch", "0"], "Error: Invalid value for '--batch': 0 is not in the range 1<=x<=256.\n"),
        (["--linger", "nan"], "Error: Invalid value for '--linger': 'nan' is not a finite number\n"),
    ):
        assert CliRunner().invoke(serve.main, options).output.endswith(line)
