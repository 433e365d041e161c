"""Listening at an address, and serving an ASGI application there until it is asked to end."""

from __future__ import annotations

import ipaddress
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from stylegan_torch.errors import StyleGANError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

PORTS = range(7860, 7960)
"""Tried one after the other if none is asked for."""
_CONNECTIONS = 500
"""At once; each visitor has a few, and a process has about a thousand files."""
_PATIENCE = 1
"""Seconds that streams have to end by themselves."""


def listen(host: str, port: int | None = None) -> socket.socket:
    """Return a socket that listens at an address, or a name of this machine; port None is the first free one.

    Raises:
        StyleGANError: if that is not possible.
    """
    ports: Iterable[int] = [port] if port else PORTS
    reason: OSError | None = None
    for each in ports:
        try:
            family, _, _, _, address = socket.getaddrinfo(host, each, type=socket.SOCK_STREAM)[0]
            return socket.create_server(address[:2], family=family)
        except (OSError, UnicodeError) as error:
            reason = error if isinstance(error, OSError) else OSError(str(error))
    assert reason is not None
    where = f"{host}:{port}" if port else host
    raise StyleGANError(f"cannot listen on {where}: {reason.strerror or reason}") from reason


def address_of(listener: socket.socket) -> str:
    """Return where a browser on this computer finds what listens there, with a / at the end."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.is_unspecified:
        host = "localhost" if address.version == 4 else "::1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def is_loopback(listener: socket.socket) -> bool:
    """Return whether only this computer can reach what listens there."""
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def serve(app: ASGIApp, listener: socket.socket, *, message_bytes: int) -> None:
    """Serve until SIGINT (Ctrl-C), SIGTERM or SIGHUP; then return.

    Args:
        app: what answers.
        listener: where.
        message_bytes: what a WebSocket takes at once.
    """
    import uvicorn

    config = uvicorn.Config(
        app,
        http="h11",  # which bounds the length of headers
        ws="websockets-sansio",
        ws_max_size=message_bytes,
        ws_per_message_deflate=False,  # pictures are small already
        log_level="critical",
        proxy_headers=False,  # nobody else says where a request arrived
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_PATIENCE,
    )
    server = uvicorn.Server(config)

    def end(*_: object) -> None:
        server.should_exit = True

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), end)
    with suppress(KeyboardInterrupt), listener:
        server.run(sockets=[listener])
