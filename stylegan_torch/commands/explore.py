"""`stylegan explore`: a page in the browser."""

from __future__ import annotations

import logging
import re
import signal
import socket
import sys
import webbrowser
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_torch import StyleGANError
from stylegan_torch.commands import options
from stylegan_torch.commands.given import allows_nonfinite
from stylegan_torch.commands.inputs import INPUT, NETWORK_FILE
from stylegan_torch.commands.networks import drawer_of, may_round, names_of, open_generator, usable_device
from stylegan_torch.commands.terminal import one_line_errors, quick_imports, reading, say, working
from stylegan_torch.text import without_secrets

if TYPE_CHECKING:
    from stylegan_torch.explorer.guard import Address
    from stylegan_torch.explorer.studio import Studio
    from stylegan_torch.networks.interface import Generator

PIXEL_LIMIT = 25_000_000
"""Pillow warns of photographs beyond this, and refuses those of twice as many pixels."""
EXAMPLES = """\b
Examples:
  stylegan explore --open
  stylegan explore --host 0.0.0.0 --auth me --allow-host studio.example
  stylegan explore --network ffhq.pt --network afhqcat.pkl --directions smile.npz
  stylegan explore --osc 9000 --osc-map stage.txt

\b
A message to /psi, /seed, /pca/0, /psi/4, /mix/0, /blend_at or /do/dice sets that control of every open page
to its first number. A line of a map sets one from another address, by an expression of the message's
numbers x, y, z, w:
  /fader/1   psi     x * 1.2
  /pad       pca:0   clip(6 * y - 3, -3, 3)
  /key       do:dice x
Expressions have numbers, + - * / % ^, brackets, pi, abs, round, floor, sqrt, exp, log, sin, cos, min, max
and clip(value, low, high). do: has dice, undo, redo, key, play and record.
"""


def _osc(text: str) -> tuple[str, int]:
    """Read "9000" or "0.0.0.0:9000"."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is not a port, or an address and a port such as 0.0.0.0:9000")
    return host.strip("[]") or "127.0.0.1", int(port)


@click.command(epilog=EXAMPLES, short_help="Look for pictures in the browser: seeds, mixing, directions, photographs.")
@click.option(
    "--network",
    "networks",
    type=NETWORK_FILE,
    multiple=True,
    help="A file of ours, or anything stylegan-convert reads; may be repeated.  [default: the bundled one]",
)
@options.SHA256
@options.NONFINITE
@click.option("--directions", type=INPUT, multiple=True, help="Also what `stylegan directions` wrote; may be repeated.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="[default: the first free one from 7860]")
@click.option(
    "--allow-host",
    "allowed",
    multiple=True,
    metavar="NAME[:PORT]",
    callback=reading(lambda names: tuple(map(_address, names))),
    help="Another name by which browsers reach the page, such as a proxy's; may be repeated.",
)
@click.option(
    "--allow-frame",
    "frames",
    multiple=True,
    metavar="SITE",
    callback=reading(lambda sites: tuple(map(_site, sites))),
    help="A site that may show the page in a frame, such as https://huggingface.co; may be repeated.",
)
@click.option(
    "--auth",
    metavar="USER[:PASSWORD]",
    envvar="STYLEGAN_TORCH_AUTH",
    help="Ask visitors for this; also $STYLEGAN_TORCH_AUTH, as other users see the arguments of a program. "
    "A password that is left out is asked for, or read from standard input.",
)
@click.option("--no-auth", is_flag=True, help="Ask for no password even if others can reach the page.")
@click.option(
    "--osc",
    metavar="[HOST:]PORT",
    callback=reading(_osc),
    help="Let OSC messages to this UDP port move the controls (extra live); from this computer, unless HOST is given.",
)
@click.option("--osc-map", type=INPUT, metavar="FILE", help="Which addresses set which controls, and how; see below.")
@click.option("--open", "open_browser", is_flag=True, help="Open the page in a browser.")
@options.DEVICE
@options.EXACT
@options.TF32
@one_line_errors
def explore(
    networks: tuple[str, ...],
    directions: tuple[Path, ...],
    host: str,
    port: int | None,
    allowed: tuple[Address, ...],
    frames: tuple[str, ...],
    auth: str | None,
    no_auth: bool,
    osc: tuple[str, int] | None,
    osc_map: Path | None,
    open_browser: bool,
    device: str | None,
    exact: bool,
) -> None:
    """Serve a page to look for pictures with, until Ctrl-C.

    Seeds, truncation, noise, style mixing, directions and photographs; every picture with its latents and the command
    line that makes it again. Only this computer can reach it unless --host says otherwise; --auth is needed then, or
    --no-auth. What is sent, passwords too, isn't encrypted: beyond a network that you trust, put a proxy with HTTPS in
    front, and name it with --allow-host.
    """
    if no_auth and auth:
        raise click.UsageError("give --auth or --no-auth, not both")
    if osc_map and not osc:
        raise click.UsageError("--osc-map goes with --osc")
    from stylegan_torch.explorer.controls import read_map
    from stylegan_torch.explorer.osc import listening
    from stylegan_torch.explorer.server import is_loopback, listen

    mapping = read_map(osc_map) if osc_map else {}
    with listen(host, port) as listener:
        if not (auth or no_auth or is_loopback(listener)):
            raise click.UsageError(f"others can reach {host}: give --auth USER, or --no-auth for whoever comes")
        login = _login(auth) if auth else None
        with quick_imports():
            from stylegan_torch.explorer.studio import NetworkChoice, Studio
        usable_device(device)
        tf32 = may_round(exact)
        on = ("--device", device) if device else ()
        choices = {
            name: NetworkChoice(
                partial(_open, network, device, exact, allows_nonfinite(), tf32),
                (*(("--network", without_secrets(network)) if network else ()), *on),
                ("--exact",) if exact else ("--tf32",) if tf32 else (),
                partial(drawer_of, exact=exact, tf32=tf32),
            )
            for name, network in _names(networks).items()
        }
        for name in ("SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda *_: sys.exit(0))  # so that no visitor's file stays
        with (
            closing(Studio(choices, tuple(map(str, directions)))) as studio,
            listening(*osc, mapping, studio.live) if osc else nullcontext(),
        ):
            _serve(studio, listener, allowed, frames, login, open_browser)


def _address(text: str) -> Address:
    from stylegan_torch.explorer.guard import read_address

    return read_address(text)


def _site(text: str) -> str:
    if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?", text, re.ASCII):
        raise ValueError(f"{text!r} is not a site such as https://huggingface.co")
    return text


def _login(auth: str) -> str:
    """Return USER:PASSWORD, asking for what is not given.

    Raises:
        UsageError: if it has no user or no password.
    """
    user, colon, password = auth.partition(":")
    if not colon and sys.stdin.isatty():
        password = click.prompt(f"Password for {user}", hide_input=True, err=True)
    elif not colon:
        password = sys.stdin.readline().rstrip("\r\n")
    if not user or not password:
        raise click.UsageError("--auth needs a user and a password")
    return f"{user}:{password}"


def _names(networks: tuple[str, ...]) -> dict[str, str | None]:
    """Return the networks by the names that visitors see: of files, without folders if that tells them apart."""
    if not networks:
        return {"bundled": None}
    once = list(dict.fromkeys(networks))
    return dict(zip(names_of(once), once, strict=True))


def _open(
    network: str | None, device: str | None, exact: bool, allow_nonfinite: bool, tf32: bool
) -> tuple[Generator, Generator, dict[str, object]]:
    opened = open_generator(network, device, exact, allow_nonfinite, tf32)
    return opened.G, opened.drawer, opened.origin


def _serve(
    studio: Studio,
    listener: socket.socket,
    allowed: tuple[Address, ...],
    frames: tuple[str, ...],
    login: str | None,
    open_browser: bool,
) -> None:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = PIXEL_LIMIT
    try:
        import websockets  # noqa: F401 - what the server serves streams with

        from stylegan_torch.explorer import reports, web
    except ImportError as error:
        raise StyleGANError(f"the explorer needs more ({error}): pip install 'stylegan-torch[explore]'") from error
    from stylegan_torch.explorer.guard import Guard
    from stylegan_torch.explorer.server import address_of, serve
    from stylegan_torch.explorer.stream import MESSAGE_BYTES

    if click.get_current_context().params.get("debug"):
        reports.LOG.setLevel(logging.DEBUG)
    with working("Opening the network"):
        studio.about(None)
    guard = Guard(
        web.application(studio, frames=frames),
        routes=web.ROUTES,
        at_once=web.AT_ONCE_BYTES,
        allowed=allowed,
        login=login,
        framed=bool(frames),
    )
    url = address_of(listener)
    say(f"Open {url} (Ctrl-C ends)")
    if open_browser:
        webbrowser.open(url)
    serve(guard, listener, message_bytes=MESSAGE_BYTES)
