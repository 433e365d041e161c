"""`stylegan explore`: a page in the browser."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_torch import StyleGANError
from stylegan_torch.commands import options
from stylegan_torch.commands.given import allows_nonfinite
from stylegan_torch.commands.inputs import INPUT, NETWORK_FILE
from stylegan_torch.commands.networks import open_generator, usable_device
from stylegan_torch.commands.terminal import one_line_errors, quick_imports, say, working

if TYPE_CHECKING:
    from stylegan_torch.explorer.sessions import Sessions
    from stylegan_torch.networks.interface import Generator

UPLOAD_LIMIT = "20mb"
PIXEL_LIMIT = 25_000_000
"""Pillow warns of photographs beyond this, and refuses those of twice as many pixels."""
EXAMPLES = """\b
Examples:
  stylegan explore --open
  stylegan explore --network ffhq.pt --network afhqcat.pkl --directions smile.npz
"""


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
@click.option("--open", "open_browser", is_flag=True, help="Open the page in a browser.")
@options.DEVICE
@options.EXACT
@one_line_errors
def explore(
    networks: tuple[str, ...],
    directions: tuple[Path, ...],
    host: str,
    port: int | None,
    open_browser: bool,
    device: str | None,
    exact: bool,
) -> None:
    """Serve a page to look for pictures with, until Ctrl-C.

    Seeds, truncation, noise, style mixing, directions and photographs; every picture with its latents and the command
    line that makes it again. Nobody but this computer can see it unless --host says so: there is no password.
    """
    _check_address(host, port or 0)
    with quick_imports():
        from stylegan_torch.explorer.sessions import NetworkChoice, Sessions
    usable_device(device)
    on = ("--device", device) if device else ()
    choices = {
        name: NetworkChoice(
            partial(_open, network, device, exact, allows_nonfinite()),
            (*(("--network", network) if network else ()), *on),
            ("--exact",) if exact else (),
        )
        for name, network in _names(networks).items()
    }
    sessions = Sessions(choices, tuple(map(str, directions)))
    try:
        _serve(sessions, host, port, open_browser)
    finally:
        sessions.close()


def _names(networks: tuple[str, ...]) -> dict[str, str | None]:
    """Return the networks by the names that visitors see: of files, without folders if that tells them apart."""
    if not networks:
        return {"bundled": None}
    short = len({Path(network).name for network in networks}) == len(networks)
    return {Path(network).name if short else network: network for network in networks}


def _open(
    network: str | None, device: str | None, exact: bool, allow_nonfinite: bool
) -> tuple[Generator, Generator, dict[str, object]]:
    opened = open_generator(network, device, exact, allow_nonfinite)
    return opened.G, opened.drawer, opened.origin


def _check_address(host: str, port: int) -> None:
    """Raise StyleGANError if this machine cannot listen there; port 0 is any."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        where = f"{host}:{port}" if port else host
        raise StyleGANError(f"cannot listen on {where}: {error.strerror or error}") from error


def _serve(sessions: Sessions, host: str, port: int | None, open_browser: bool) -> None:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = PIXEL_LIMIT
    # Gradio reads these when it is imported: nothing is sent anywhere, and no file stays.
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(sessions.folder / "uploads")}
    try:
        from starlette.middleware import Middleware

        from stylegan_torch.explorer.page import CSS, THEME, Page
        from stylegan_torch.explorer.roof import LOG, Roof, secure_uploads
    except ImportError as error:
        raise StyleGANError(f"the explorer needs Gradio ({error}): pip install 'stylegan-torch[explore]'") from error
    secure_uploads()
    if click.get_current_context().params.get("debug"):
        LOG.setLevel(logging.DEBUG)
    with working("Opening the network"):
        blocks = Page(sessions).blocks
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: sys.exit(0))  # so that no visitor's file stays
    _, url, _ = blocks.launch(
        server_name=f"[{host}]" if ":" in host else host,
        server_port=port,
        inbrowser=open_browser,
        max_file_size=UPLOAD_LIMIT,
        theme=THEME,
        css=CSS,
        share=False,
        ssr_mode=False,
        footer_links=[],
        quiet=True,
        prevent_thread_lock=True,
        app_kwargs={"middleware": [Middleware(Roof)]},
    )
    if not _is_loopback(host):
        say(f"Note: whoever reaches {host} can use this page; there is no password.", err=True)
    say(f"Open {url} (Ctrl-C ends)")
    blocks.block_thread()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
