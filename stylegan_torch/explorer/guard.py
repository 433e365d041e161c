"""The door of a page: by which names it answers, to whom, and how much it takes. It goes around any ASGI application.

A page that is only for this computer can still be reached through a browser on it. Any site may point its own name at
our address (DNS rebinding), so a request must name us as we are: as the address at which it arrived, or as was allowed.
And any site may have a browser send us something, which then says what site it is from.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
import secrets
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stylegan_torch.text import one_line

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::([0-9]{1,5}))?", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_DRAINED = 100_000_000
"""Bytes that are thrown away before a refusal, as who sends them reads no answer until then."""
_LONGEST, _SILENT = 10.0, 1.0
"""Seconds that this may take, and that nothing may come."""
_BODY_LONGEST, _BODY_SILENT = 300.0, 30.0
"""Seconds that a body may take, and that nothing of it may come."""
TICKET = "/ticket"
"""Where a visitor gets a word with which to open one WebSocket; WebKit says no password there."""
_TICKET_LASTS = 60.0
"""Seconds."""
_SAID = 100
"""Characters of a header that are said."""


@dataclass(frozen=True)
class Address:
    """A name or IP address (without brackets), and a port; None is the page's own and those that URLs leave out."""

    name: str
    port: int | None = None


def read_address(text: str) -> Address:
    """Read `NAME`, `NAME:PORT` or, of IPv6, `[ADDRESS]:PORT`.

    Raises:
        ValueError: if it is none of these.
    """
    found = _AUTHORITY.fullmatch(text.lower())
    if not found:
        raise ValueError(f"{text[:_SAID]!r} is not a name such as example.org or example.org:8080")
    inner, name, port = found.groups()
    if inner:
        name = str(ipaddress.IPv6Address(inner))
    if port and not 0 < int(port) < 1 << 16:
        raise ValueError(f"{text[:_SAID]!r} has a port that cannot be")
    return Address(name, int(port) if port else None)


@dataclass(frozen=True)
class Reply:
    """A status and the line that goes with it."""

    status: int
    line: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Guard:
    """Lets requests through to an application, or answers them with one line."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Mapping[str, int],
        at_once: int,
        allowed: Iterable[Address] = (),
        login: str | None = None,
        framed: bool = False,
    ) -> None:
        """Take what to guard.

        Args:
            app: the application.
            routes: the paths that it serves, or with a * at the end what they begin with, and the bytes each takes.
            at_once: bytes that all requests together may hold.
            allowed: other names of the page.
            login: "USER:PASSWORD"; None = nobody is asked for one.
            framed: other sites may show the page in a frame; which of them, its own headers say.
        """
        self._app, self._at_once, self._held = app, at_once, 0
        self._allowed = frozenset(allowed)
        self._shown_as = ("document", "iframe") if framed else ("document",)
        self._login = None if login is None else hashlib.sha256(login.encode()).digest()
        self._tickets: dict[str, float] = {}
        self._paths = {TICKET: 0, **{path: most for path, most in routes.items() if not path.endswith("*")}}
        self._beginnings = {path[:-1]: most for path, most in routes.items() if path.endswith("*")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = _Headers(scope)
        refusal = self._from_elsewhere(scope, headers) or self._stranger(scope, headers)
        most = self._most(scope["path"])
        if not refusal and most is None:
            refusal = Reply(404, "there is nothing here")
        if not refusal and headers.length > (most or 0):
            refusal = _too_long(most)
        if refusal:
            waits = scope["type"] == "websocket" or headers.first(b"expect")  # before anything is sent
            await _reply(refusal, scope, None if waits else receive, send)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        elif scope["path"] == TICKET:
            await _reply(Reply(200, self._ticket(), {"Cache-Control": "no-store"}), scope, receive, send)
        else:
            await self._measured(scope, receive, send, most or 0)

    def _from_elsewhere(self, scope: Scope, headers: _Headers) -> Reply | None:
        """Look at the names in a request: that of the page, and that of the site that it comes from."""
        hosts, origins = headers.all(b"host"), headers.all(b"origin")
        if len(hosts) != 1 or len(origins) > 1:
            return Reply(400, "a request has one Host, and one Origin at most")
        if not self._is_ours(scope, hosts[0], scope["scheme"]):
            host = one_line(hosts[0][:_SAID])
            return Reply(403, f"this page is not at {host!r}: if it should be, begin it with --allow-host")
        for origin in origins:
            scheme, _, name = origin.partition("://")
            if scheme not in ("http", "https") or not self._is_ours(scope, name, scheme):
                return Reply(403, f"nothing is taken from another site, {one_line(origin[:_SAID])!r}")
        # Without an Origin come links, which may lead here, and what a site embeds.
        site, use = headers.first(b"sec-fetch-site"), headers.first(b"sec-fetch-dest")
        if not origins and site in ("cross-site", "same-site") and use not in self._shown_as:
            return Reply(403, "nothing is shown within another site")
        return None

    def _is_ours(self, scope: Scope, text: str, scheme: str) -> bool:
        """Return whether a name with a port is one that the page has."""
        try:
            address = read_address(text)
        except ValueError:
            return False
        port = address.port or _DEFAULT_PORTS[scheme]
        here, own_port = scope.get("server") or ("", None)
        if port == own_port and address.name in _names_of(here):
            return True
        anywhere = port in (80, 443, own_port) and Address(address.name) in self._allowed
        return anywhere or Address(address.name, port) in self._allowed

    def _ticket(self) -> str:
        """Return a word that stands for the password once, soon; "" if there is none."""
        if self._login is None:
            return ""
        now, word = time.monotonic(), secrets.token_urlsafe()
        open_ = {each: until for each, until in self._tickets.items() if until > now}
        self._tickets = {**open_, word: now + _TICKET_LASTS}
        return word

    def _stranger(self, scope: Scope, headers: _Headers) -> Reply | None:
        """Look for the password, in a time that doesn't depend on how much of it is right, or for a ticket."""
        if self._login is None:
            return None
        if scope["type"] == "websocket":
            word = scope.get("query_string", b"").decode("latin-1")
            if self._tickets.pop(word, 0.0) > time.monotonic():
                return None
        scheme, _, given = headers.first(b"authorization").partition(" ")
        try:
            login = base64.b64decode(given.strip(), validate=True) if scheme.lower() == "basic" else b""
        except (binascii.Error, ValueError):
            login = b""
        if hmac.compare_digest(hashlib.sha256(login).digest(), self._login):
            return None
        challenge = {"WWW-Authenticate": 'Basic realm="StyleGAN explorer", charset="UTF-8"'}
        return Reply(401, "this page needs a user name and a password", challenge)

    def _most(self, path: str) -> int | None:
        """Return how many bytes a request for a path may have; None if there is nothing."""
        if path in self._paths:
            return self._paths[path]
        return next((most for start, most in self._beginnings.items() if path.startswith(start)), None)

    async def _measured(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        """Answer a request whose body is counted while it is read: it need not be as long as it says."""
        taken, held, begun, more = 0, 0, False, True
        until = asyncio.get_running_loop().time() + _BODY_LONGEST
        refusal: Reply | None = None

        async def received() -> Message:
            nonlocal taken, held, refusal, more
            if not more:
                return await receive()  # that they left
            try:
                async with asyncio.timeout_at(min(until, asyncio.get_running_loop().time() + _BODY_SILENT)):
                    message = await receive()
            except TimeoutError:
                refusal = Reply(408, "what is sent takes too long")
                return {"type": "http.disconnect"}
            more = message.get("more_body", False)
            size = len(message.get("body", b""))
            taken, held, self._held = taken + size, held + size, self._held + size
            if taken > most:
                refusal = _too_long(most)
            elif size and self._held > self._at_once:
                refusal = Reply(503, "too much is being sent at once: try again in a moment")
            return {"type": "http.disconnect"} if refusal else message  # it is not read further

        async def sent(message: Message) -> None:
            nonlocal begun, held
            if refusal and not begun:
                return  # the application's own answer to a body that broke off
            begun = True
            self._held, held = self._held - held, 0  # what is answered has been taken
            await send(message)

        try:
            await self._app(scope, received, sent)
        finally:
            self._held -= held
        if refusal and not begun:
            await _reply(refusal, scope, receive if more else None, send)


class _Headers:
    """The headers of a request, by lower-case names."""

    def __init__(self, scope: Scope) -> None:
        self._pairs: list[tuple[bytes, bytes]] = scope["headers"]

    def all(self, name: bytes) -> list[str]:
        return [value.decode("latin-1") for each, value in self._pairs if each == name]

    def first(self, name: bytes) -> str:
        return next(iter(self.all(name)), "")

    @property
    def length(self) -> int:
        """Return how long the body is said to be; 0 if it isn't."""
        text = self.first(b"content-length")
        return int(text[:20]) if text.isdecimal() else 0  # no more is needed to know that it is too long


def _names_of(here: str) -> Collection[str]:
    """Return the names of the address at which a request arrived."""
    try:
        address = ipaddress.ip_address(here.partition("%")[0])
    except ValueError:  # a Unix socket
        return ()
    own = getattr(address, "ipv4_mapped", None) or address
    return (*_LOOPBACK_NAMES, str(own)) if own.is_loopback else (str(own),)


def _too_long(most: int | None) -> Reply:
    return Reply(413, f"at most {most or 0:,} bytes can be sent here")


async def _drain(rest: Receive) -> None:
    left, more = _DRAINED, True
    async with asyncio.timeout(_LONGEST):
        while more and left > 0:
            message = await asyncio.wait_for(rest(), _SILENT)
            left, more = left - len(message.get("body", b"")), message.get("more_body", False)


async def _reply(reply: Reply, scope: Scope, rest: Receive | None, send: Send) -> None:
    """Answer a request; `rest` gives what is still to come of its body."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reply.line})
        return
    if rest:
        with suppress(TimeoutError):
            await _drain(rest)
    about = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff", "Connection": "close"}
    headers = [(name.encode(), value.encode()) for name, value in (about | dict(reply.headers)).items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else f"{reply.line}\n".encode()
    await send({"type": "http.response.body", "body": body})
