"""Downloads from a local server that misbehaves on request."""

import gzip
import hashlib
import re
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3

from converter.errors import DownloadError
from converter.sources import download as module
from converter.sources.download import cache_path, direct_url, download
from converter.sources.https import FailedError, Limits, Session, SlowError, Watch, may_be_asked

DATA = b"\x80\x03" + bytes(range(256)) * 20
SHA256 = hashlib.sha256(DATA).hexdigest()
PAGE = b"<!DOCTYPE html><html><body>Sorry</body></html>"


@dataclass
class Reply:
    """One answer; the connection closes after it, too early if Content-Length is more than the body."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    stall: bool = False
    endless: bytes = b""
    """Sent again and again after the body, until nobody listens."""


@dataclass
class Server:
    """Gives the replies in order, then 410 for ever, and remembers what it was asked.

    rest: given to all who ask for a range, if there is one.
    """

    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    rest: Reply | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


def whole(data: bytes = DATA, *, sent: int | None = None, stall: bool = False, **headers: str) -> Reply:
    """All of `data`; with `sent`, the connection drops after that many bytes, or says nothing more."""
    return Reply(200, {"Content-Length": str(len(data)), "ETag": '"v1"'} | _dashed(headers), data[:sent], stall)


def rest(start: int, *, data: bytes = DATA, sent: int | None = None, **headers: str) -> Reply:
    """What a server that knows Range answers to `bytes=start-`; `sent` as in `whole`."""
    span = f"bytes {start}-{len(data) - 1}/{len(data)}"
    ours = {"Content-Length": str(len(data) - start), "Content-Range": span, "ETag": '"v1"'}
    return Reply(206, ours | _dashed(headers), data[start:][:sent])


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            state.asked.append(dict(self.headers.items()))
            state.paths.append(self.path)
            reply = state.rest if "Range" in self.headers else None
            reply = reply or (state.replies.pop(0) if state.replies else Reply(410, {"Content-Length": "0"}))
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                if value:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(reply.body)
            with suppress(OSError):
                while reply.endless and not state.over.is_set():
                    self.wfile.write(reply.endless)
            if reply.stall:
                state.over.wait()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, args=(0.005,))
        thread.start()
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "127.0.0.1")
        yield state
        state.over.set()
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF", 0)
    monkeypatch.setattr(module, "CHUNK", 512)


def fails(
    url: str,
    cache: Path,
    match: str,
    sha256: str | None = None,
    size: int | None = None,
    limits: Limits | None = None,
) -> None:
    """Check that the download fails with one line that names the URL, and leaves no finished file."""
    with pytest.raises(DownloadError, match=match) as caught:
        download(url, cache_dir=cache, sha256=sha256, size=size, limits=limits)
    assert str(caught.value).startswith(f"{url}: ")
    assert "\n" not in str(caught.value)
    assert not cache_path(url, cache).exists()


def files(cache: Path) -> set[str]:
    """Kinds of files in the cache, apart from locks: '' for a finished one, '.part', '.sha256', …"""
    return {re.sub(r"^[0-9a-f]{12}-net\.pkl", "", path.name) for path in cache.iterdir()} - {".lock"}


# Whole downloads


def test_file_arrives_under_a_readable_name(server: Server, tmp_path: Path) -> None:
    server.replies = [whole()]
    path = download(f"{server.url}/a/net.pkl", sha256=SHA256.upper(), size=len(DATA), cache_dir=tmp_path)
    assert path.parent == tmp_path
    assert re.fullmatch(r"[0-9a-f]{12}-net\.pkl", path.name)
    assert path.read_bytes() == DATA
    assert files(tmp_path) == {"", ".sha256"}
    assert path.with_name(path.name + ".sha256").read_text() == f"{SHA256}  {path.name}\n"


def test_second_call_asks_nothing(server: Server, tmp_path: Path) -> None:
    server.replies = [whole()]
    first = download(f"{server.url}/net.pkl", cache_dir=tmp_path)
    assert download(f"{server.url}/net.pkl", cache_dir=tmp_path) == first
    assert len(server.asked) == 1


def test_cache_folder_comes_from_the_environment(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STYLEGAN_TORCH_CACHE", str(tmp_path / "new" / "folder"))
    server.replies = [whole()]
    assert download(f"{server.url}/net.pkl").parent == tmp_path / "new" / "folder"


def test_redirect_is_followed(server: Server, tmp_path: Path) -> None:
    server.replies = [Reply(302, {"Location": "/elsewhere", "Content-Length": "0"}), whole()]
    assert download(f"{server.url}/net.pkl", cache_dir=tmp_path).read_bytes() == DATA
    assert server.paths == ["/net.pkl", "/elsewhere"]


def test_chunked_answer(server: Server, tmp_path: Path) -> None:
    server.replies = [chunked(DATA)]
    assert download(f"{server.url}/net.pkl", cache_dir=tmp_path).read_bytes() == DATA


def test_encoded_answer_is_kept_as_sent(server: Server, tmp_path: Path) -> None:
    packed = gzip.compress(DATA)
    server.replies = [whole(packed, Content_Encoding="gzip")]
    assert download(f"{server.url}/net.pkl.gz", cache_dir=tmp_path).read_bytes() == packed
    assert server.asked[0]["Accept-Encoding"] == "identity"


def test_two_at_a_time_download_once(server: Server, tmp_path: Path) -> None:
    server.replies = [whole()]
    with ThreadPoolExecutor() as pool:
        paths = list(pool.map(lambda _: download(f"{server.url}/net.pkl", cache_dir=tmp_path), range(4)))
    assert len(set(paths)) == len(server.asked) == 1
    assert paths[0].read_bytes() == DATA


@pytest.mark.parametrize("progress", [True, None])
def test_progress_bar_only_where_wanted(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], progress: bool | None
) -> None:
    server.replies = [whole()]
    path = download(f"{server.url}/n.pkl", cache_dir=tmp_path, progress=progress)
    out, err = capsys.readouterr()
    assert out == ""
    assert (path.name in err) == bool(progress)


# Broken connections


def test_dropped_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    server.replies = [whole(sent=2000), rest(2000, sent=1000), rest(3000)]
    path = download(f"{server.url}/net.pkl", sha256=SHA256, cache_dir=tmp_path)
    assert path.read_bytes() == DATA
    assert [asked.get("Range") for asked in server.asked] == [None, "bytes=2000-", "bytes=3000-"]
    assert [asked.get("If-Range") for asked in server.asked] == [None, '"v1"', '"v1"']
    assert files(tmp_path) == {"", ".sha256"}


def test_later_call_goes_on_where_the_first_gave_up(server: Server, tmp_path: Path) -> None:
    url = f"{server.url}/net.pkl"
    server.replies = [whole(sent=2000)] + [rest(2000, sent=0)] * module.RETRIES
    fails(url, tmp_path, r"gave up after 6 attempts \(the connection broke off\); try again, 2000 bytes")
    assert files(tmp_path) == {".part", ".part.validator"}
    server.replies = [rest(2000)]
    assert download(url, cache_dir=tmp_path).read_bytes() == DATA
    assert server.asked[-1]["Range"] == "bytes=2000-"


def test_rest_may_come_in_pieces(server: Server, tmp_path: Path) -> None:
    piece = rest(2000, sent=1000, Content_Length="1000", Content_Range=f"bytes 2000-2999/{len(DATA)}")
    server.replies = [whole(sent=2000), piece, rest(3000)]
    assert download(f"{server.url}/net.pkl", cache_dir=tmp_path).read_bytes() == DATA


def test_silent_server_is_asked_again(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", (60, 1))
    # A busy machine may be silent too: whoever didn't get the beginning is given it again.
    server.replies, server.rest = [whole(sent=2048, stall=True)] * 9, rest(2048)
    assert download(f"{server.url}/net.pkl", cache_dir=tmp_path).read_bytes() == DATA
    assert server.asked[-1]["Range"] == "bytes=2048-"


@pytest.mark.parametrize(
    "again",
    [
        pytest.param([whole()], id="server ignores Range"),
        pytest.param([whole(ETag='"v2"')], id="another version, whole"),
        pytest.param([rest(2000, ETag='"v2"'), whole(ETag='"v2"')], id="another version, in part"),
        pytest.param([rest(1000), whole()], id="another part"),
        pytest.param([Reply(206, {"Content-Length": "9"}, b"who knows"), whole()], id="no Content-Range"),
        pytest.param([Reply(416, {"Content-Length": "0"}), whole()], id="range not satisfiable"),
    ],
)
def test_starts_over_when_it_cannot_resume(server: Server, tmp_path: Path, again: list[Reply]) -> None:
    old = whole(b"\x80\x02" + b"o" * 5000, sent=2000)
    server.replies = [old, *again]
    assert download(f"{server.url}/net.pkl", cache_dir=tmp_path).read_bytes() == DATA
    assert [asked.get("Range") for asked in server.asked] == [None, "bytes=2000-", None][: 1 + len(again)]


def test_starts_over_when_nothing_tells_versions_apart(server: Server, tmp_path: Path) -> None:
    server.replies = [whole(sent=2000, ETag=""), whole(ETag="")]
    assert download(f"{server.url}/net.pkl", cache_dir=tmp_path).read_bytes() == DATA
    assert "Range" not in server.asked[1]


def test_date_stands_in_for_a_weak_etag(server: Server, tmp_path: Path) -> None:
    date = "Tue, 04 Feb 2020 10:00:00 GMT"
    server.replies = [whole(sent=2000, ETag='W/"v1"', Last_Modified=date), rest(2000, ETag='W/"v1"')]
    assert download(f"{server.url}/net.pkl", cache_dir=tmp_path).read_bytes() == DATA
    assert server.asked[1]["If-Range"] == date


def test_server_errors_pass(server: Server, tmp_path: Path) -> None:
    busy = Reply(500, {"Content-Length": "0"})
    server.replies = [busy, busy, whole()]
    assert download(f"{server.url}/net.pkl", cache_dir=tmp_path).read_bytes() == DATA


def test_server_errors_that_stay(server: Server, tmp_path: Path) -> None:
    server.replies = [Reply(503, {"Content-Length": "0"})] * 99
    fails(f"{server.url}/net.pkl", tmp_path, "answers 503 Service Unavailable")
    assert len(server.asked) == module.RETRIES + 1


def test_retry_after_is_kept_within_bounds(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.2)
    server.replies = [Reply(429, {"Retry-After": "3600", "Content-Length": "0"}), whole()]
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    assert download(f"{server.url}/net.pkl", cache_dir=tmp_path).read_bytes() == DATA
    assert waits == [0.2]


def test_redirect_to_nonsense(server: Server, tmp_path: Path) -> None:
    server.replies = [Reply(302, {"Location": "http://[", "Content-Length": "0"})]
    fails(f"{server.url}/net.pkl", tmp_path, "the server's answer makes no sense")


def test_nobody_listens(server: Server, tmp_path: Path) -> None:
    server.replies = [Reply(302, {"Location": "http://127.0.0.1:1/", "Content-Length": "0"})]
    fails(f"{server.url}/net.pkl", tmp_path, r"cannot be reached \(.*refused\)")


# Redirects


def moved(location: str, **headers: str) -> Reply:
    return Reply(302, {"Location": location, "Content-Length": "0"} | _dashed(headers))


@pytest.mark.parametrize(
    "location",
    ["http://example.org/net.pkl", "HTTP://EXAMPLE.ORG/", "//example.org/n", "ftp://127.0.0.1/n", "file:///n"],
)
def test_redirects_stay_on_https(server: Server, tmp_path: Path, location: str) -> None:
    server.replies = [moved("/b"), moved(location)]
    fails(f"{server.url}/net.pkl", tmp_path, "leads on to .*, which is not https: anybody on the way")
    assert len(server.asked) == 2
    assert files(tmp_path) == set()


def test_no_redirect_from_elsewhere_to_this_computer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server says has no say over who is asked here; `https://…` is answered by ours for once."""
    session = Session(Watch(Limits()), urllib3.Retry(0))
    get = session.get
    monkeypatch.setattr(session, "get", lambda url, **options: get(url.replace("https://far", server.url), **options))
    server.replies = [moved(f"{server.url}/inside")]
    with pytest.raises(FailedError, match="which is not https"):
        session.answer("https://far/net.pkl")
    assert server.paths == ["/net.pkl"]


def test_one_secure_address_may_lead_to_another(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(Watch(Limits()), urllib3.Retry(0))
    get = session.get
    monkeypatch.setattr(session, "get", lambda url, **options: get(url.replace("https://far", server.url), **options))
    server.replies = [moved("https://far/b"), whole()]
    with session.answer("https://far/net.pkl") as response:
        assert response.status_code == 200
    assert server.paths == ["/net.pkl", "/b"]


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://example.org/n", True),
        ("http://localhost:1/n", True),
        ("http://[::1]:1/n", True),
        ("http://127.8.8.8/n", True),
        ("http://example.org/n", False),
        ("https:///n", False),
        ("ftp://localhost/n", False),
    ],
)
def test_where_a_download_may_begin(url: str, *, may: bool) -> None:
    assert may_be_asked(url) is may


def test_redirects_without_end(server: Server, tmp_path: Path) -> None:
    server.replies = [moved("/again")] * 99
    fails(f"{server.url}/net.pkl", tmp_path, "leads on to another address 10 times")
    assert len(server.asked) == 10


def test_what_comes_with_a_redirect_is_not_read(server: Server, tmp_path: Path) -> None:
    page = moved("/b", Content_Length=str(1 << 40))
    page.endless = bytes(1 << 16)
    server.replies = [page, whole()]
    assert download(f"{server.url}/net.pkl", cache_dir=tmp_path).read_bytes() == DATA


# Limits


@dataclass
class Clock:
    """A time that goes on by itself, by so many seconds whenever somebody looks."""

    step: float
    now: float = 0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.mark.parametrize("etag", ["", '"v1"'])
def test_a_download_has_an_end(server: Server, tmp_path: Path, etag: str) -> None:
    big = DATA * 1000  # some dozens of reads, however much Python takes at once
    server.replies = [whole(big, ETag=etag)] * 99
    limits = Limits(seconds=360, window=1e9, clock=Clock(10))
    fails(f"{server.url}/net.pkl", tmp_path, "not done after 0.1 hours; try again, or another network", limits=limits)
    assert len(server.asked) == 1
    assert files(tmp_path) == ({".part", ".part.validator"} if etag else set())


def test_slow_servers_are_asked_again(server: Server, tmp_path: Path) -> None:
    url = f"{server.url}/net.pkl"
    part = Path(f"{cache_path(url, tmp_path)}.part")
    server.replies = [whole(DATA * 100)] * 2
    limits = Limits(clock=lambda: 1000.0 * (part.exists() or len(server.asked) > 1))  # which is when the body comes
    assert download(url, cache_dir=tmp_path, limits=limits).read_bytes() == DATA * 100
    assert len(server.asked) == 2


def test_slow_servers_are_given_up(server: Server, tmp_path: Path) -> None:
    server.replies = [whole(DATA * 100, ETag="")] * 99
    limits = Limits(seconds=1e9, clock=Clock(70))
    fails(
        f"{server.url}/net.pkl", tmp_path, "cannot be reached .Read timed out|slower than 5 kB a second", limits=limits
    )
    assert files(tmp_path) == set()


def test_speed_is_of_a_while() -> None:
    clock = Clock(0)
    watch = Watch(Limits(speed=1000, window=120, clock=clock))
    watch.receive(120_000)
    clock.now = 119.0
    watch.receive(1)
    clock.now = 120.0
    watch.receive(1)
    clock.now = 239.0
    watch.receive(119_998)
    clock.now = 240.0
    with pytest.raises(SlowError):
        watch.receive(1)
    watch.begin()
    watch.receive(1)


ENDLESS = {
    "chunks": (chunked_start := {"Transfer-Encoding": "chunked"}, b"", b"400\r\n" + bytes(1024) + b"\r\n"),
    "a chunk's length": (chunked_start, b"", b"0" * 65536),
    "what follows the chunks": (chunked_start, b"0\r\n", b"A: " + b"B" * 60000 + b"\r\n"),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_endless_answers(server: Server, tmp_path: Path, case: str) -> None:
    headers, body, endless = ENDLESS[case]
    server.replies = [Reply(200, {**headers, "ETag": ""}, body, endless=endless)] * 99
    # Some versions of urllib3 have a limit of their own for a chunk's length.
    words = "has more than 100,000 bytes" if case == "chunks" else "over 16 MB that are no part of a file|gave up after"
    fails(f"{server.url}/net.pkl", tmp_path, words, limits=Limits(largest=100_000))
    assert files(tmp_path) == set()


def test_endless_answers_before_the_answer(server: Server, tmp_path: Path) -> None:
    server.replies = [Reply(100, {}, endless=b"HTTP/1.1 100 Continue\r\nA: " + b"B" * 60000 + b"\r\n\r\n")] * 99
    # Some versions of Python have a limit of their own.
    words = "sends over 16 MB that are no part of a file|got more than 100 interim responses"
    fails(f"{server.url}/net.pkl", tmp_path, words)


def test_announced_too_large(server: Server, tmp_path: Path) -> None:
    server.replies = [whole(Content_Length=str(1 << 40))]
    fails(f"{server.url}/net.pkl", tmp_path, "has more than 8,589,934,592 bytes, which no network has")
    server.replies = [whole(sent=2000), rest(2000, Content_Range=f"bytes 2000-5121/{1 << 40}")]
    fails(f"{server.url}/net.pkl", tmp_path, "has more than 8,589,934,592 bytes, which no network has")
    assert files(tmp_path) == set()


def test_the_disk_is_not_filled(server: Server, tmp_path: Path) -> None:
    limits = Limits(reserve=1 << 60)
    server.replies = [whole()]
    fails(
        f"{server.url}/net.pkl", tmp_path, r"there is no room for it in .*: [\d,]+ bytes are free there", limits=limits
    )
    server.replies = [chunked(DATA)]
    fails(f"{server.url}/net.pkl", tmp_path, "there is no room for it", limits=limits)
    assert files(tmp_path) == set()


def test_a_disk_that_fills_while_a_file_of_unknown_length_arrives(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([1 << 40, 0])
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=next(free)))
    server.replies = [chunked(DATA)]
    fails(f"{server.url}/net.pkl", tmp_path, "there is no room for it .*: 0 bytes are free there")
    assert files(tmp_path) == set()


def test_a_folder_that_is_not_there_is_made(server: Server, tmp_path: Path) -> None:
    server.replies = [whole()]
    assert download(f"{server.url}/net.pkl", cache_dir=tmp_path / "a" / "b").read_bytes() == DATA


def test_no_room_for_the_rest_costs_nothing_that_is_there(server: Server, tmp_path: Path) -> None:
    url = f"{server.url}/net.pkl"
    server.replies = [whole(sent=2000), whole(PAGE, Content_Type="text/html")]
    fails(url, tmp_path, "web page")
    server.replies = [rest(2000)]
    fails(url, tmp_path, "there is no room", limits=Limits(reserve=1 << 60))
    assert files(tmp_path) == {".part", ".part.validator"}


# Wrong content


def chunked(data: bytes) -> Reply:
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)
    return Reply(200, {"Transfer-Encoding": "chunked"}, body)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        pytest.param(whole(DATA[:-9]), "has 5113 bytes where 5122 are expected", id="announces too little"),
        pytest.param(whole(DATA + b"more"), "has 5126 bytes where 5122 are expected", id="announces too much"),
        pytest.param(chunked(DATA[:-9]), "has 5113 bytes where 5122 are expected", id="chunks too short"),
        pytest.param(chunked(DATA + b"more"), "sends more than the file's 5122 bytes", id="chunks too long"),
    ],
)
def test_wrong_size(server: Server, tmp_path: Path, reply: Reply, message: str) -> None:
    server.replies = [reply]
    fails(f"{server.url}/net.pkl", tmp_path, message, size=len(DATA))
    assert files(tmp_path) == set()
    assert len(server.asked) == 1


def test_length_that_never_arrives(server: Server, tmp_path: Path) -> None:
    server.replies = [whole(sent=len(DATA) - 9, ETag="")] * 99
    fails(f"{server.url}/net.pkl", tmp_path, "gave up after 6 attempts .* 0 bytes are kept")
    assert len(server.asked) == module.RETRIES + 1


def test_rest_longer_than_the_file(server: Server, tmp_path: Path) -> None:
    longer = rest(2000, Content_Length=str(len(DATA) - 2000 + 4))
    longer.body += b"more"
    server.replies = [whole(sent=2000), longer]
    fails(f"{server.url}/net.pkl", tmp_path, "sends more than the file's 5122 bytes")
    assert files(tmp_path) == set()


def test_unknown_length_is_not_trusted(server: Server, tmp_path: Path) -> None:
    server.replies = [whole(Content_Length="")]
    fails(f"{server.url}/net.pkl", tmp_path, "does not say how long the file is")


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
@pytest.mark.parametrize("page", [PAGE, b"\xef\xbb\xbf\r\n  " + PAGE])
def test_web_page(server: Server, tmp_path: Path, page: bytes, kind: str) -> None:
    server.replies = [whole(page, Content_Type=kind)]
    fails(f"{server.url}/net.pkl", tmp_path, "a web page came instead of the file; open it in a browser")
    assert files(tmp_path) == set()


def test_web_page_does_not_cost_what_arrived(server: Server, tmp_path: Path) -> None:
    server.replies = [whole(sent=2000), whole(PAGE, Content_Type="text/html")]
    fails(f"{server.url}/net.pkl", tmp_path, "web page")
    server.replies = [rest(2000)]
    assert download(f"{server.url}/net.pkl", cache_dir=tmp_path).read_bytes() == DATA
    assert server.asked[-1]["Range"] == "bytes=2000-"


def test_empty_file(server: Server, tmp_path: Path) -> None:
    server.replies = [whole(b"")]
    fails(f"{server.url}/net.pkl", tmp_path, "the file there is empty")


def test_not_found(server: Server, tmp_path: Path) -> None:
    server.replies = [Reply(404, {"Content-Length": str(len(PAGE)), "Content-Type": "text/html"}, PAGE)]
    fails(f"{server.url}/net.pkl", tmp_path, "answers 404 Not Found; check the address")
    assert len(server.asked) == 1


def test_wrong_hash_is_deleted(server: Server, tmp_path: Path) -> None:
    server.replies = [whole()]
    fails(f"{server.url}/net.pkl", tmp_path, f"its sha256 is {SHA256}, not {'0' * 64}; deleted", "0" * 64)
    assert files(tmp_path) == set()


def test_damaged_cache_is_downloaded_again(server: Server, tmp_path: Path) -> None:
    server.replies = [whole(), whole()]
    path = download(f"{server.url}/net.pkl", cache_dir=tmp_path)
    path.write_bytes(DATA[:-1] + b"!")
    assert download(f"{server.url}/net.pkl", cache_dir=tmp_path).read_bytes() == DATA
    assert len(server.asked) == 2


def test_other_content_at_a_later_download(server: Server, tmp_path: Path) -> None:
    url = f"{server.url}/net.pkl"
    server.replies = [whole()]
    download(url, cache_dir=tmp_path).unlink()
    other = DATA + b"changed"
    server.replies = [whole(other)]
    fails(url, tmp_path, f"its sha256 was {SHA256} at the first download and is [0-9a-f]{{64}} now")
    assert files(tmp_path) == {".sha256"}
    server.replies = [whole(other)]
    path = download(url, sha256=hashlib.sha256(other).hexdigest(), cache_dir=tmp_path)
    assert path.read_bytes() == other


def test_cache_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"net\.pkl: cannot be kept in .*file: (File exists|Not a directory)"):
        download(f"{server.url}/net.pkl", cache_dir=tmp_path / "file")
    assert server.asked == []


# Links


ID = "188K19ucknC6wg1R6jbuPEhTq9zoufOx4"


@pytest.mark.parametrize(
    "link",
    [
        f"https://drive.google.com/file/d/{ID}/view?usp=sharing",
        f"https://drive.google.com/file/u/0/d/{ID}/edit",
        f"https://drive.google.com/a/example.org/file/d/{ID}/preview",
        f"https://drive.google.com/open?id={ID}",
        f"https://drive.google.com/uc?export=download&id={ID}",
        f"https://docs.google.com/uc?id={ID}&export=download",
        f"https://drive.usercontent.google.com/download?id={ID}&confirm=xyz",
    ],
)
def test_drive_links(link: str, tmp_path: Path) -> None:
    direct = f"https://drive.usercontent.google.com/download?id={ID}&export=download&confirm=t"
    assert direct_url(link) == direct
    assert cache_path(link, tmp_path) == cache_path(direct, tmp_path)
    assert cache_path(link, tmp_path).name.endswith(f"-{ID}")


def test_drive_link_keeps_its_resource_key() -> None:
    query = urlsplit(direct_url(f"https://drive.google.com/file/d/{ID}/view?resourcekey=0-abc")).query
    assert parse_qs(query)["resourcekey"] == ["0-abc"]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (
            b"<html><title>Google Drive - Quota exceeded</title></html>",
            "Drive has no download quota left for it",
        ),
        (b"<html><form id='download-form'></form></html>", "Drive wants a click first"),
    ],
)
def test_drive_pages_are_explained(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: bytes, message: str
) -> None:
    monkeypatch.setattr(module, "DRIVE_DOWNLOAD", f"{server.url}/download")
    monkeypatch.setattr(module, "DRIVE_HOSTS", {"drive.google.com", "127.0.0.1"})
    server.replies = [whole(page, Content_Type="text/html")]
    fails(f"https://drive.google.com/file/d/{ID}/view", tmp_path, f"{message}; open it in a browser")
    assert server.paths == [f"/download?id={ID}&export=download&confirm=t"]


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("https://mega.nz/#!aPRFDKaC!FDpQi", "Mega encrypts .* give stylegan-convert the file"),
        (
            "https://drive.google.com/drive/folders/15hvzxt_XxuokSmj0uO4xxMTMWVc0cIMU",
            "not a .* link to a single file",
        ),
        ("ftp://example.org/net.pkl", "only https addresses"),
        ("file:///etc/passwd", "only https addresses"),
        ("https:///net.pkl", "only https addresses"),
        ("http://example.org/net.pkl", r"anybody on the way could change the file\); give the file itself"),
        ("http://127.0.0.1.example.org/net.pkl", "only https addresses"),
        ("http://localhost@example.org/net.pkl", "only https addresses"),
    ],
)
def test_links_that_cannot_be_fetched(link: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=message) as caught:
        download(link, cache_dir=tmp_path)
    assert str(caught.value).startswith(f"{link}: ")


@pytest.mark.parametrize("link", ["https://[net.pkl", "https://example.org/net.pkl\n", "https://a/\udcff"])
def test_malformed_links_are_quoted(link: str) -> None:
    with pytest.raises(DownloadError) as caught:
        direct_url(link)
    assert str(caught.value) == f"{link!r}: not a valid address; check it"


def test_other_links_stay() -> None:
    assert direct_url("https://example.org/a/net.pkl?x=1#part") == "https://example.org/a/net.pkl?x=1"


def test_cache_names_differ_where_urls_do(tmp_path: Path) -> None:
    first, second = (cache_path(f"https://example.org/{part}/net.pkl", tmp_path) for part in "ab")
    assert first != second


def test_cache_names_stay_in_the_folder(tmp_path: Path) -> None:
    path = cache_path("https://example.org/a/..%2f..%2fn%00ä t.pkl?key=secret", tmp_path)
    assert path.parent == tmp_path
    assert re.fullmatch(r"[0-9a-f]{12}-[.\w-]+\.pkl", path.name, re.ASCII)
