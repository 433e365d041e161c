"""The explorer's page, attacked: as other sites can through a browser, and as anyone can who reaches it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from click.testing import CliRunner

from stylegan_torch.commands.main import main
from tests.tools.served import COMMAND, serving

MB = 1_000_000
MORE = ("drag", "drag/end", "layers")
ROUTES = ("", "about", "page/main.js", "stream", "picture.png", "latents.npz", "latents", "projection", "film", *MORE)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def url(files: Path) -> Iterator[str]:
    pytest.importorskip("websockets")
    with serving(files, *COMMAND, "explore", "--allow-host", "studio.example") as address:
        yield address


def _sent(url: str, data: bytes) -> str:
    """Return the first line that is answered to these bytes."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=600) as connection:
        connection.sendall(data)
        with connection.makefile("rb") as file:
            return file.readline().decode()


def _raw(url: str, *lines: str) -> str:
    return _sent(url, "".join(f"{line}\r\n" for line in (*lines, "Connection: close", "")).encode("latin-1"))


def test_a_name_that_was_pointed_at_this_computer_opens_nothing(url: str) -> None:
    port = urlsplit(url).port
    for host in (f"evil.example:{port}", "evil.example", f"localhost.evil.example:{port}", f"localhost:{port + 1}"):  # type: ignore[operator]
        for path in ROUTES:
            for ask in (requests.get, requests.post):
                refused = ask(url + path, headers={"Host": host}, timeout=600)
                assert (refused.status_code, refused.text.count("\n")) == (403, 1)
                assert host in refused.text
    assert " 400 " in _raw(url, "GET /about HTTP/1.0")
    for host in (f"localhost:{port}", "studio.example", f"studio.example:{port}"):
        assert requests.get(f"{url}about", headers={"Host": host}, timeout=600).ok


def test_another_site_sends_nothing(url: str, files: Path) -> None:
    for origin in ("http://evil.example", "null", "http://localhost:3000", "http://studio.example:3000"):
        for path in ROUTES:
            refused = requests.post(url + path, data=b"from elsewhere", headers={"Origin": origin}, timeout=600)
            assert (refused.status_code, refused.text) == (403, f"nothing is taken from another site, {origin!r}\n")
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight = requests.options(f"{url}latents", headers=asked, timeout=600)
        assert preflight.status_code == 403
        assert "Access-Control-Allow-Origin" not in preflight.headers
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}
    assert requests.get(url, headers=embedded, timeout=600).status_code == 403
    assert not [path for path in files.rglob("*") if path.is_file()]
    ours = {"Origin": "https://studio.example", "Host": "studio.example"}
    assert requests.post(f"{url}picture.png", data=b"{}", headers=ours, timeout=600).ok


@pytest.mark.parametrize("header", ["Origin: http://evil.example", "Host: evil.example", "Origin: null"])
def test_another_site_opens_no_stream(url: str, header: str) -> None:
    host = [] if header.startswith("Host") else [f"Host: {urlsplit(url).netloc}"]
    upgrade = ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw=="]
    lines = "".join(
        f"{line}\r\n" for line in ("GET /stream HTTP/1.1", *host, header, "Connection: Upgrade", *upgrade, "")
    )
    assert " 403 " in _sent(url, lines.encode())


def test_a_stream_takes_no_more_than_a_page_says(url: str) -> None:
    client = pytest.importorskip("websockets.sync.client")
    closed = pytest.importorskip("websockets.exceptions").ConnectionClosed
    with client.connect(f"{url.replace('http', 'ws')}stream") as socket:
        socket.send("x" * 200_001)
        with pytest.raises(closed):
            socket.recv()
    with client.connect(f"{url.replace('http', 'ws')}stream") as socket:
        socket.send(b"bytes")
        with pytest.raises(closed):
            socket.recv()


def test_only_what_the_page_needs_is_there(url: str) -> None:
    assert "script-src 'self'" in requests.get(url, timeout=600).headers["Content-Security-Policy"]
    for path in ("docs", "openapi.json", "stream/x", "page", "x", "latents/x"):
        for answered in (requests.get(url + path, timeout=600), requests.post(url + path, data=b"x", timeout=600)):
            assert (answered.status_code, answered.text) == (404, "there is nothing here\n")
    host = f"Host: {urlsplit(url).netloc}"
    for path in ("page/../web.py", "page/%2e%2e/web.py", "page/..%2fweb.py", "page//etc/passwd", "page/nothing.js"):
        assert _raw(url, f"GET /{path} HTTP/1.1", host).split()[1] == "404", path


def test_what_is_too_large_is_not_read_to_the_end(url: str, files: Path) -> None:
    for path, most in (("latents", 20 * MB), ("projection", 20 * MB), ("picture.png", 200_000), ("about", 0)):
        refused = requests.post(url + path, data=bytes(most + 1), timeout=600)
        assert (refused.status_code, refused.text) == (413, f"at most {most:,} bytes can be sent here\n")
    head = f"POST /latents HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (4 * MB, bytes(4 * MB)) for _ in range(6))  # of which each would do
    assert " 413 " in _sent(url, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks)
    assert " 413 " in _sent(url, f"{head}Content-Length: {10**15}\r\n\r\n".encode())
    assert not [path for path in files.rglob("*") if path.is_file()]


def test_whatever_is_sent_is_answered_in_a_line(url: str) -> None:
    for body in (b"x", b"\xff", b"[" * 100_000, b'{"seed": -1}', b'{"psi": NaN}', b'{"seed": 1e999}', b'{"moves": {}}'):
        for path in ("picture.png", "latents.npz"):
            refused = requests.post(url + path, data=body, timeout=600)
            assert refused.status_code == 400
            assert "\n" not in refused.json()["line"]
    for path in (
        "latents?name=<img>.npz",
        "latents?name=/etc/passwd",
        "latents?name=%00.npz&network=%00",
        "projection",
    ):
        refused = requests.post(url + path, data=b"x", timeout=600)
        assert refused.status_code == 400, path
        assert "stylegan-explore-" not in refused.text
    assert requests.get(f"{url}about?network=../x", timeout=600).status_code == 400


def test_what_others_can_reach_needs_a_password_or_a_word() -> None:
    pytest.importorskip("websockets")
    for host in ("0.0.0.0", "::"):
        refused = CliRunner().invoke(main, ["explore", "--host", host])
        assert refused.exit_code == 2
        assert f"others can reach {host}: give --auth USER, or --no-auth for whoever comes" in refused.output


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        (["--auth", "me"], "", "--auth needs a user and a password"),
        (["--auth", ":x"], "", "--auth needs a user and a password"),
        (["--auth", "me:x", "--no-auth"], "", "give --auth or --no-auth, not both"),
        (["--allow-host", "http://x"], "", "is not a name such as example.org"),
        (["--allow-frame", "x.example; script-src *"], "", "is not a site such as https://huggingface.co"),
    ],
)
def test_unusable_options(arguments: list[str], given: str, said: str) -> None:
    refused = CliRunner().invoke(main, ["explore", *arguments], input=given)
    assert refused.exit_code == 2
    assert said in refused.output


def test_a_password_that_nobody_sees_among_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("websockets")
    monkeypatch.setenv("STYLEGAN_TORCH_AUTH", "me:secret")
    with serving(tmp_path, *COMMAND, "explore", "--host", "0.0.0.0") as url:
        for login, status in ((None, 401), (("me", "wrong"), 401), (("me", "secret"), 200)):
            for path in ROUTES:
                assert (requests.get(url + path, auth=login, timeout=600).status_code == 401) is (status == 401)
        assert (
            requests.get(url, auth=("me", "secret"), headers={"Host": "evil.example"}, timeout=600).status_code == 403
        )
