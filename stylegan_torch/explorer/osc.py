"""Open Sound Control (OSC 1.0) over UDP: messages are read, and nothing is answered."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.controls import Channel, Map, controls_of

_DATAGRAM = 65_536
_PATIENCE = 0.2
"""Seconds until it looks whether to end."""


@contextmanager
def listening(host: str, port: int, mapping: Map, live: Channel) -> Iterator[None]:
    """Tell pages what is said at an address, until left.

    Raises:
        StyleGANError: if it cannot listen there, or python-osc is missing.
    """
    try:
        import pythonosc  # noqa: F401 - which reads messages
    except ImportError as error:
        raise StyleGANError(f"--osc needs more ({error}): pip install 'stylegan-torch[live]'") from error
    listener = _bound(host, port)
    listener.settimeout(_PATIENCE)
    live.address = f"{host}:{listener.getsockname()[1]}"
    ended = threading.Event()
    thread = threading.Thread(target=_listen, args=(listener, mapping, live, ended), name="osc", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        listener.close()


def _bound(host: str, port: int) -> socket.socket:
    with ExitStack() as opened:
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            listener = opened.enter_context(socket.socket(family, kind))
            listener.bind(address)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise StyleGANError(f"cannot hear OSC at {host}:{port}: {reason}") from error
        opened.pop_all()
    return listener


def _listen(listener: socket.socket, mapping: Map, live: Channel, ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            content = listener.recv(_DATAGRAM)
        except OSError:  # nothing came, or what was said to us before could not be delivered
            continue
        hear(content, mapping, live)


def hear(content: bytes, mapping: Map, live: Channel) -> None:
    """Tell pages what a datagram says; one that is no OSC says nothing."""
    from pythonosc.osc_packet import OscPacket

    try:
        messages = [each.message for each in OscPacket(content).messages]
    except Exception:  # whatever its reader stumbles over, anyone can send
        return
    for message in messages:
        controls = controls_of(mapping, message.address, message.params)
        if controls:
            live.say(controls)
