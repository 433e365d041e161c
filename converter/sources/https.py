"""Answers of web servers: over https at every step, not too slow, too long or endless.

Each byte of an answer passes a `Watch`, those of headers, of chunk lengths and of redirects too, so that nothing that a
server sends can keep a download, its memory or its disk busy beyond `Limits`.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

_MOST_REDIRECTS = 10
_MOST_BESIDE = 16 << 20
"""Bytes that an answer may have beside the file's: headers, lengths of chunks."""


@dataclass(frozen=True)
class Limits:
    """How long and how large a download may be.

    largest: bytes of a file; the largest networks have 4 GB with all that training adds.
    reserve: bytes that stay free on the disk.
    seconds: for all of it, with what is asked again.
    speed: bytes a second below which a server is asked again, on the average over `window` seconds.
    clock: tells the time in seconds.
    """

    largest: int = 8 << 30
    reserve: int = 256 << 20
    seconds: float = 12 * 3600
    speed: float = 5_000
    window: float = 120
    clock: Callable[[], float] = time.monotonic


class FailedError(Exception):
    """A download cannot go on; what has arrived is kept if it can be gone on from."""


class RefusedError(FailedError):
    """What arrived is not the file: nothing of it is worth keeping."""


class SlowError(TimeoutError):
    """An answer comes too slowly: worth another attempt."""


@dataclass
class Watch:
    """What a download has taken so far."""

    limits: Limits
    begun: float = field(init=False)
    _since: float = field(init=False)
    _lately: int = 0
    _beside: int = 0

    def __post_init__(self) -> None:
        self.begun = self._since = self.limits.clock()

    def check_time(self) -> None:
        """Raise FailedError if the download has taken too long."""
        if self.limits.clock() - self.begun > self.limits.seconds:
            raise FailedError(f"not done after {self.limits.seconds / 3600:g} hours; try again, or another network")

    def begin(self) -> None:
        """Note that an answer begins."""
        self._since, self._lately, self._beside = self.limits.clock(), 0, 0

    def receive(self, count: int) -> None:
        """Note that bytes of an answer came.

        Raises:
            FailedError: if the download has taken too long.
            RefusedError: if it is much that is no part of a file.
            SlowError: if it is too little in too long a time.
        """
        self.check_time()
        self._lately += count
        self._beside += count
        if self._beside > _MOST_BESIDE:
            raise RefusedError(f"the server sends over {_MOST_BESIDE >> 20} MB that are no part of a file")
        now, limits = self.limits.clock(), self.limits
        if now - self._since >= limits.window:
            slow = self._lately < limits.speed * (now - self._since)
            self._since, self._lately = now, 0
            if slow:
                raise SlowError(f"it comes slower than {limits.speed / 1000:g} kB a second")

    def keep(self) -> None:
        """Note that what came was a part of the file."""
        self._beside = 0


class _Watched(io.RawIOBase):
    """A stream of a socket whose bytes are noted."""

    def __init__(self, stream: io.RawIOBase, watch: Watch) -> None:
        self._stream, self._watch = stream, watch

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        count = self._stream.readinto(buffer)
        self._watch.receive(count or 0)
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def _watched(connection: type, watch: Watch) -> type:
    """Return a class of connections whose answers are watched."""

    def response(sock: Any, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
        made = http.client.HTTPResponse(sock, *args, **kwargs)
        watch.begin()
        made.fp = io.BufferedReader(_Watched(made.fp.detach(), watch))
        return made

    return type(connection.__name__, (connection,), {"response_class": staticmethod(response)})


class _Adapter(HTTPAdapter):
    """Connections to servers, straight or by a proxy, whose answers are watched."""

    def __init__(self, watch: Watch, retries: urllib3.Retry) -> None:
        self._watch = watch
        super().__init__(max_retries=retries)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._watch_all(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        self._watch_all(manager)
        return manager

    def _watch_all(self, manager: Any) -> None:
        manager.pool_classes_by_scheme = {
            scheme: type(pool.__name__, (pool,), {"ConnectionCls": _watched(pool.ConnectionCls, self._watch)})
            for scheme, pool in manager.pool_classes_by_scheme.items()
        }


class Session(requests.Session):
    """A session that is watched, that retries what fails before the body, and whose every step is over https."""

    def __init__(self, watch: Watch, retries: urllib3.Retry) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(watch, retries))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Follow nothing: `answer` does, without reading, as requests does, what comes with a redirect."""
        return None

    def answer(self, url: str, **kwargs: Any) -> requests.Response:
        """Return the answer to a question for a URL, after redirects; its body is not read.

        Raises:
            FailedError: if a redirect leads to an address that is not secure, or there are too many.
            ValueError: if a redirect is no address.
        """
        here = url
        for _ in range(_MOST_REDIRECTS):
            response = self.get(here, stream=True, **kwargs)
            if not response.is_redirect:
                return response
            response.close()
            here = urljoin(here, response.headers["Location"].encode("latin-1").decode(errors="replace"))
            if not is_secure(here) and not (_is_local(here) and _is_local(url)):
                raise FailedError(f"leads on to {here[:200]}, which is not https: anybody on the way could change it")
        raise FailedError(f"leads on to another address {_MOST_REDIRECTS} times")


def is_secure(url: str) -> bool:
    """Return whether an address is of https."""
    parts = urlsplit(url)
    return parts.scheme == "https" and bool(parts.hostname)


def may_be_asked(url: str) -> bool:
    """Return whether a download may begin at an address: one of https, or a server on this computer."""
    return is_secure(url) or _is_local(url)


def _is_local(url: str) -> bool:
    """Return whether an address is of http and of this computer."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        return parts.scheme == "http" and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False
