"""The door of the page: names, sites, passwords and lengths, without a server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable
from typing import Any

import pytest

from stylegan_torch.explorer.guard import Address, Guard, read_address

ROUTES = {"/": 0, "/assets/*": 0, "/upload": 100}
_Pairs = Iterable[tuple[str, str]]


class Application:
    """Reads a body to its end, and turns what goes wrong there into an answer of their own."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        status, more = 200, True
        try:
            while more:
                message = await receive()
                more = message["more_body"]
        except Exception:
            status = 400
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def ask(
    host: str | None = "127.0.0.1:7860",
    headers: _Pairs = (),
    *,
    path: str = "/",
    body: Iterable[bytes] = (b"",),
    server: tuple[str, int] = ("127.0.0.1", 7860),
    kind: str = "http",
    at_once: int = 1000,
    query: str = "",
    guard: Guard | None = None,
    **about: Any,
) -> tuple[int | str, str]:
    """Return the status of an answer, of a websocket its kind, and what it says."""
    pairs = [*([("host", host)] if host is not None else []), *headers]
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in pairs]
    scheme = {"http": "http", "websocket": "ws"}[kind]
    scope = {"type": kind, "scheme": scheme, "method": "POST", "path": path, "server": server, "headers": encoded}
    scope["query_string"] = query.encode()
    parts = list(body)
    messages = [{"type": "http.request", "body": each, "more_body": each is not parts[-1]} for each in parts]
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    guard = guard or Guard(Application(), routes=ROUTES, at_once=at_once, **about)
    asyncio.run(guard(scope, receive, send))
    if kind == "websocket":
        return sent[0]["type"], sent[0].get("reason", "")
    assert [each["type"] for each in sent] == ["http.response.start", "http.response.body"]
    return sent[0]["status"], sent[1]["body"].decode()


@pytest.mark.parametrize(
    ("host", "server"),
    [
        ("127.0.0.1:7860", ("127.0.0.1", 7860)),
        ("localhost:7860", ("127.0.0.1", 7860)),
        ("LocalHost:7860", ("::1", 7860)),
        ("[::1]:7860", ("::1", 7860)),
        ("[0:0:0:0:0:0:0:1]:7860", ("::1", 7860)),
        ("localhost:7860", ("::ffff:127.0.0.1", 7860)),
        ("127.0.0.2:7860", ("127.0.0.2", 7860)),
        ("localhost", ("127.0.0.1", 80)),
        ("192.0.2.7:7860", ("192.0.2.7", 7860)),
        ("192.0.2.7:7860", ("::ffff:192.0.2.7", 7860)),
        ("[fe80::1]:7860", ("fe80::1%eth0", 7860)),
    ],
)
def test_the_page_answers_by_the_address_at_which_a_request_arrives(host: str, server: tuple[str, int]) -> None:
    assert ask(host, server=server) == (200, "")
    assert ask(host, [("origin", f"http://{host}")], server=server) == (200, "")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:7860",  # whose name may lead to our address
        "evil.example",
        "localhost.evil.example:7860",
        "localhost:7861",
        "localhost",
        "127.0.0.1",
        "127.0.0.1:07860000",
        "127.0.0.1:99999",
        "127.1:7860",
        "2130706433:7860",
        "192.0.2.7:7860",
        "[::1:7860",
        "[::1]x:7860",
        "[1:2]:7860",
        "user@localhost:7860",
        "localhost:7860/x",
        "localhost:7860, evil.example",
        "localhost:7860\u00a0",
        "localhost\u0660:7860",
        "",
        " ",
    ],
)
def test_it_answers_by_no_other_name(host: str) -> None:
    status, said = ask(host.encode("utf-8").decode("latin-1"))
    assert status == 403
    assert said.startswith("this page is not at ")
    assert said.count("\n") == 1


def test_a_request_has_one_host_and_one_origin_at_most() -> None:
    ours = ("origin", "http://localhost:7860")
    for status, said in (ask(None), ask(headers=[("host", "127.0.0.1:7860")]), ask(headers=[ours, ours])):
        assert (status, said) == (400, "a request has one Host, and one Origin at most\n")


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://evil.example:7860",
        "http://localhost",
        "http://localhost:3000",
        "https://localhost:7861",
        "null",
        "",
        "file://",
        "ftp://localhost:7860",
        "localhost:7860",
        "chrome-extension://localhost:7860",
        "http://localhost:7860/",
    ],
)
def test_nothing_is_taken_from_another_site(origin: str) -> None:
    status, said = ask(headers=[("origin", origin)], path="/upload")
    assert (status, said.partition(",")[0]) == (403, "nothing is taken from another site")
    closed, reason = ask(headers=[("origin", origin)], kind="websocket")
    assert (closed, reason) == ("websocket.close", said.strip())


def test_websockets_are_asked_the_same() -> None:
    ours = [("origin", "http://127.0.0.1:7860")]
    assert ask(headers=ours, kind="websocket")[0] == "websocket.accept"
    assert ask("evil.example:7860", ours, kind="websocket")[0] == "websocket.close"
    assert ask(headers=ours, kind="websocket", login="me:secret")[0] == "websocket.close"
    assert ask(headers=ours, kind="websocket", path="/nothing")[0] == "websocket.close"


def test_nothing_is_shown_within_another_site_but_links_lead_here() -> None:
    for site in ("cross-site", "same-site"):
        for use in ("image", "iframe", "script", "empty"):
            status, said = ask(headers=[("sec-fetch-site", site), ("sec-fetch-dest", use)])
            assert (status, said) == (403, "nothing is shown within another site\n")
        assert ask(headers=[("sec-fetch-site", site), ("sec-fetch-dest", "document")])[0] == 200
    assert ask(headers=[("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "image")])[0] == 200


def test_a_frame_of_another_site_only_if_any_may_show_the_page() -> None:
    for use, status in (("iframe", 200), ("document", 200), ("image", 403), ("empty", 403), ("frame", 403)):
        headers = [("sec-fetch-site", "cross-site"), ("sec-fetch-dest", use)]
        assert ask(headers=headers, framed=True)[0] == status
    assert ask(headers=[("origin", "https://huggingface.co"), ("sec-fetch-dest", "iframe")], framed=True)[0] == 403


def test_other_names_can_be_allowed() -> None:
    allowed = [read_address("Studio.example"), read_address("proxy.example:8443")]
    for host, status in {
        "studio.example": 200,
        "studio.example:443": 200,
        "studio.example:7860": 200,
        "studio.example:8080": 403,
        "proxy.example:8443": 200,
        "proxy.example": 403,
        "www.studio.example": 403,
    }.items():
        assert ask(host, allowed=allowed)[0] == status
        assert ask(headers=[("origin", f"http://{host}")], allowed=allowed)[0] == status
    assert ask("studio.example", [("origin", "https://studio.example")], allowed=allowed)[0] == 200
    assert ask("studio.example", [("origin", "https://evil.example")], allowed=allowed)[0] == 403


def test_names_are_read() -> None:
    assert read_address("Example.org") == Address("example.org")
    assert read_address("[::0001]:80") == Address("::1", 80)
    for text in ("", "http://example.org", "*", "a b", "::1", "[x]", "a:0", "a:65536"):
        with pytest.raises(ValueError, match=r".+"):
            read_address(text)


def _basic(text: str) -> list[tuple[str, str]]:
    return [("authorization", "Basic " + base64.b64encode(text.encode()).decode())]


def test_a_password() -> None:
    login = "mé:p:ä ss"
    assert ask(headers=_basic(login), login=login) == (200, "")
    lower = [("authorization", _basic(login)[0][1].replace("Basic", "basic"))]
    assert ask(headers=lower, login=login)[0] == 200
    wrong = [_basic("mé:p:ä s"), _basic("mé:"), _basic(":"), _basic(""), [("authorization", "Basic x")]]
    wrong += [[], [("authorization", "")], [("authorization", f"Bearer {login.encode().decode('latin-1')}")]]
    wrong += [[("authorization", "Basic \u00e9")], [*_basic("no"), *_basic(login)]]
    for headers in wrong:
        assert ask(headers=headers, login=login) == (401, "this page needs a user name and a password\n")
        assert ask(headers=headers, login=login, path="/nothing")[0] == 401  # nobody learns what there is
    assert ask("evil.example:7860", _basic(login), login=login)[0] == 403


def test_a_ticket_stands_for_the_password_of_one_websocket(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Guard(Application(), routes=ROUTES, at_once=1000, login="me:word")
    assert ask(guard=guard, path="/ticket")[0] == 401
    ticket, other = (ask(headers=_basic("me:word"), guard=guard, path="/ticket")[1].strip() for _ in range(2))
    assert len({ticket, other, ""}) == 3
    assert ask(guard=guard, query=ticket)[0] == 401  # it opens nothing else
    refused = ("websocket.close", "this page needs a user name and a password")
    assert [ask(guard=guard, query=ticket, kind="websocket")[0] for _ in range(2)] == ["websocket.accept", refused[0]]
    assert ask("evil.example:7860", guard=guard, query=other, kind="websocket")[0] == "websocket.close"
    assert ask(guard=guard, query=other, kind="websocket")[0] == "websocket.accept"
    monkeypatch.setattr("stylegan_torch.explorer.guard._TICKET_LASTS", -1.0)
    late = ask(headers=_basic("me:word"), guard=guard, path="/ticket")[1].strip()
    for word in (late, "", "x"):
        assert ask(guard=guard, query=word, kind="websocket") == refused
    assert ask(path="/ticket") == (200, "\n")  # without a password, none is needed


def test_what_the_page_does_not_need_is_not_there() -> None:
    for path, status in {"/": 200, "/assets/x/y.js": 200, "/assets": 404, "/upload/x": 404, "/docs": 404}.items():
        assert ask(path=path)[0] == status


def test_a_body_is_as_long_as_its_path_takes() -> None:
    too_long = (413, "at most 100 bytes can be sent here\n")
    assert ask(path="/upload", body=[b"x" * 100]) == (200, "")
    assert ask(path="/upload", body=[b"x" * 101]) == too_long
    assert ask(path="/upload", body=[b"x" * 60, b"x" * 60, b"x"]) == too_long  # in chunks, which say nothing
    assert ask(path="/upload", headers=[("content-length", "101")]) == too_long
    assert ask(path="/upload", headers=[("content-length", "9" * 5000)]) == too_long
    lies = [("content-length", "1"), ("transfer-encoding", "chunked")]
    assert ask(path="/upload", headers=lies, body=[b"x" * 101]) == too_long
    assert ask(body=[b"x"]) == (413, "at most 0 bytes can be sent here\n")


def test_bodies_that_are_read_at_once_have_a_limit() -> None:
    assert ask(path="/upload", body=[b"x" * 60], at_once=50)[0] == 503

    async def visits() -> list[int]:
        """Two uploads that overlap, then one alone."""
        held, statuses = asyncio.Event(), list[int]()
        guard = Guard(Application(), routes=ROUTES, at_once=100)

        async def upload(second: Any) -> None:
            pairs = [(b"host", b"localhost:7860")]
            scope: Any = {"type": "http", "scheme": "http", "method": "POST", "path": "/upload"}
            scope |= {"server": ("127.0.0.1", 7860), "headers": pairs}
            messages = [{"type": "http.request", "body": b"x" * 60, "more_body": second is not None}]
            messages += [{"type": "http.request", "body": b"", "more_body": False}]

            async def receive() -> Any:
                if len(messages) == 1 and second is not None:
                    await second.wait()
                return messages.pop(0)

            async def send(message: Any) -> None:
                statuses.extend([message["status"]] if "status" in message else [])

            await guard(scope, receive, send)

        first = asyncio.create_task(upload(held))
        await asyncio.sleep(0)
        await upload(None)
        held.set()
        await first
        await upload(None)
        return statuses

    assert asyncio.run(visits()) == [503, 200, 200]


def _slow(guard: Guard, first: bytes) -> list[Any]:
    """Return what is answered to a body of which only this comes."""
    messages, sent = [{"type": "http.request", "body": first, "more_body": True}], list[Any]()

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "scheme": "http", "method": "POST", "path": "/upload"}
    scope |= {"server": ("127.0.0.1", 7860), "headers": [(b"host", b"localhost:7860")]}
    asyncio.run(guard(scope, receive, send))
    return sent


@pytest.mark.parametrize("limit", ["_BODY_SILENT", "_BODY_LONGEST"])
def test_a_body_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(f"stylegan_torch.explorer.guard.{limit}", 0.01)
    monkeypatch.setattr("stylegan_torch.explorer.guard._SILENT", 0.01)
    start, body = _slow(Guard(Application(), routes=ROUTES, at_once=100), b"x")
    assert (start["status"], body["body"]) == (408, b"what is sent takes too long\n")


def test_a_body_counts_until_it_is_answered() -> None:
    asked = list[int]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if not asked:  # the first one goes on; meanwhile comes another
            asked.append(1)
            await guard(scope, body, send)

    async def body() -> Any:
        return {"type": "http.request", "body": b"x" * 60, "more_body": False}

    statuses = list[int]()

    async def send(message: Any) -> None:
        statuses.append(message["status"])

    guard = Guard(app, routes=ROUTES, at_once=100)
    scope: Any = {"type": "http", "scheme": "http", "method": "POST", "path": "/upload"}
    scope |= {"server": ("127.0.0.1", 7860), "headers": [(b"host", b"localhost:7860")]}
    asyncio.run(guard(scope, body, send))
    assert statuses == [200, 200]


def test_what_is_no_request_passes() -> None:
    seen = list[str]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        return {}

    asyncio.run(Guard(app, routes={}, at_once=0)({"type": "lifespan"}, nothing, nothing))
    assert seen == ["lifespan"]
