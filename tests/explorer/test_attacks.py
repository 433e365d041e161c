"""The explorer's page, attacked: as other sites can through a browser, and as anyone can who reaches it."""

from __future__ import annotations

import io
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from click.testing import CliRunner

from stylegan_torch.commands.main import main
from tests.tools.served import COMMAND, answer, serving

MB = 1_000_000
HTML_NAME = "<img src=x onerror=alert(1)>"
LITTLE_ROOM = """
import sys
from stylegan_torch.commands.main import main
from stylegan_torch.explorer import sessions
sessions.UPLOADS_BYTES = 10_500_000
main(sys.argv[1:])
"""
"""The command, where less is kept."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def url(files: Path) -> Iterator[str]:
    pytest.importorskip("gradio")
    with serving(files, "-c", LITTLE_ROOM, "explore", "--allow-host", "studio.example") as address:
        yield address


def _upload(url: str, content: Any, name: str = "w.npz", **headers: str) -> requests.Response:
    return requests.post(f"{url}gradio_api/upload", files={"files": (name, content)}, headers=headers, timeout=600)


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
        for path in ("", "config", "gradio_api/queue/data?session_hash=x", "gradio_api/heartbeat/x"):
            refused = requests.get(url + path, headers={"Host": host}, timeout=600)
            assert (refused.status_code, refused.text.count("\n")) == (403, 1)
            assert host in refused.text
        assert _upload(url, b"x", Host=host).status_code == 403
    assert " 400 " in _raw(url, "GET /config HTTP/1.0")
    for host in (f"localhost:{port}", "studio.example", f"studio.example:{port}"):
        assert requests.get(f"{url}config", headers={"Host": host}, timeout=600).ok


def test_another_site_sends_nothing(url: str, files: Path) -> None:
    for origin in ("http://evil.example", "null", "http://localhost:3000", "http://studio.example:3000"):
        for path in ("upload", "queue/join", "cancel", "reset"):
            refused = requests.post(f"{url}gradio_api/{path}", data=b"x", headers={"Origin": origin}, timeout=600)
            assert (refused.status_code, refused.text) == (403, f"nothing is taken from another site, {origin!r}\n")
        assert _upload(url, b"from elsewhere", Origin=origin).status_code == 403
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight = requests.options(f"{url}gradio_api/upload", headers=asked, timeout=600)
        assert preflight.status_code == 403
        assert "Access-Control-Allow-Origin" not in preflight.headers
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}
    assert requests.get(url, headers=embedded, timeout=600).status_code == 403
    assert not [path for path in files.rglob("*") if path.is_file() and path.read_bytes() == b"from elsewhere"]
    assert _upload(url, b"x", Origin="https://studio.example", Host="studio.example").ok


@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/file=/etc/passwd",
        "gradio_api/file=http://127.0.0.1:1/x",
        "gradio_api/file/etc/passwd",
        "gradio_api/proxy=http://127.0.0.1:1/x",
        "gradio_api/deep_link?session_hash=x",
        "gradio_api/dev/reload",
        "gradio_api/runs",
        "gradio_api/custom_component/x/client/x/x",
        "monitoring",
        "docs",
        "openapi.json",
        "login",
    ],
)
def test_what_the_page_does_not_need_is_not_there(url: str, path: str) -> None:
    for answered in (requests.get(url + path, timeout=600), requests.post(url + path, data=b"x", timeout=600)):
        assert (answered.status_code, answered.text) == (404, "there is nothing here\n")


def test_files_are_only_those_of_the_page(url: str) -> None:
    [upload] = _upload(url, b"mine").json()
    assert requests.get(f"{url}gradio_api/file={upload}", timeout=600).content == b"mine"
    folder = Path(upload).parent.parent
    for path in (f"{folder}/../../etc/passwd", f"{folder}/%2e%2e/%2e%2e/etc/passwd", f"{folder}x/y", f"{folder}/no"):
        _, _, rest = url.partition("//")
        said = _raw(url, f"GET /gradio_api/file={path} HTTP/1.1", f"Host: {rest.rstrip('/')}")
        assert said.split()[1] in ("403", "404"), path


def test_uploads_that_are_too_large_are_not_read_to_the_end(url: str, files: Path) -> None:
    refused = _upload(url, bytes(25 * MB))
    assert (refused.status_code, refused.text) == (413, "at most 20,200,000 bytes can be sent here\n")
    host = url.partition("//")[2].rstrip("/")
    head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    part = b'--b\r\nContent-Disposition: form-data; name="files"; filename="%d"\r\n\r\n' + bytes(4 * MB) + b"\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part % i), part % i) for i in range(6))  # of which each would do
    said = _sent(url, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks)
    assert " 413 " in said
    assert " 413 " in _sent(url, f"{head}Content-Length: {10**15}\r\n\r\n".encode())
    event = requests.post(f"{url}gradio_api/queue/join", json={"data": ["x" * MB]}, timeout=600)
    assert (event.status_code, event.text) == (413, "at most 200,000 bytes can be sent here\n")


def test_uploads_do_not_pile_up(url: str, files: Path) -> None:
    for i in range(30):
        assert _upload(url, i.to_bytes(1, "big") * MB).ok
    kept = sorted(path.read_bytes()[0] for path in files.glob("*/*/w.npz") if path.stat().st_size == MB)
    assert kept == list(range(20, 30))


def test_names_in_a_file_are_text(url: str) -> None:
    content, array = io.BytesIO(), io.BytesIO()
    np.save(array, np.zeros(2))
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(f"{HTML_NAME}.npy", array.getvalue())
    [path] = _upload(url, content.getvalue()).json()
    told = answer(url, "_bring", ["bundled", {"path": path, "meta": {"_type": "gradio.FileData"}}], raw=True)
    assert "<img" not in told
    assert "&#60;img" in told


def test_what_others_can_reach_needs_a_password_or_a_word() -> None:
    pytest.importorskip("gradio")
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
    ],
)
def test_unusable_options(arguments: list[str], given: str, said: str) -> None:
    refused = CliRunner().invoke(main, ["explore", *arguments], input=given)
    assert refused.exit_code == 2
    assert said in refused.output


def test_a_password_that_nobody_sees_among_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio")
    monkeypatch.setenv("STYLEGAN_TORCH_AUTH", "me:secret")
    with serving(tmp_path, *COMMAND, "explore", "--host", "0.0.0.0") as url:
        for login, status in ((None, 401), (("me", "wrong"), 401), (("me", "secret"), 200)):
            for path in ("", "config", "gradio_api/startup-events"):
                assert requests.get(url + path, auth=login, timeout=600).status_code == status
        assert (
            requests.get(url, auth=("me", "secret"), headers={"Host": "evil.example"}, timeout=600).status_code == 403
        )
