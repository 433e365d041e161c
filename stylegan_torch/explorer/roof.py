"""The roof over the page: whatever a client sends, an error is a line in the terminal, a traceback only on request."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import gradio as gr
from gradio import processing_utils
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stylegan_torch.errors import StyleGANError
from stylegan_torch.text import one_line

REQUIRED = "gradio>=6.31,<7"
"""As in pyproject.toml: it has the private parts that are replaced here."""

LOG = logging.getLogger("stylegan_torch.explorer")
"""At the level DEBUG, with tracebacks."""


def report(error: Exception) -> str:
    """Print an error that nobody expected, and return what a visitor reads of it."""
    line = one_line(f"unexpected {type(error).__name__}: {error}")
    LOG.error("Error: %s", line, exc_info=error if LOG.isEnabledFor(logging.DEBUG) else None)
    return line


def secure_uploads() -> None:
    """Let no visitor have Gradio fetch an address in place of an upload: it could be any, of any size.

    Raises:
        StyleGANError: if this Gradio lacks a part that is replaced here or in `Blocks`, which would protect nobody.
    """
    parts = ((processing_utils, "async_ssrf_protected_download"), (gr.Blocks, "process_api"))
    missing = [name for owner, name in parts if not inspect.iscoroutinefunction(getattr(owner, name, None))]
    if missing:
        raise StyleGANError(
            f"Gradio {gr.__version__} has no {' and no '.join(missing)}, which the explorer must replace: "
            f"pip install '{REQUIRED}'"
        )
    processing_utils.async_ssrf_protected_download = _refuse_address


async def _refuse_address(url: str, cache_dir: str) -> str:
    raise gr.Error(f"{url} is not fetched: upload the file itself", print_exception=False)


class Blocks(gr.Blocks):
    """Gradio's, under the roof: also of values that it cannot read."""

    async def process_api(self, *args: Any, **kwargs: Any) -> Any:
        """Answer an event."""
        try:
            return await super().process_api(*args, **kwargs)
        except gr.Error as error:
            error.print_exception = False
            raise
        except Exception as error:
            raise gr.Error(report(error), print_exception=False) from error


class Roof:
    """The same for requests that reach no event; to be put around an ASGI application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except Exception as error:
            line = report(error)
            if scope["type"] == "http" and not begun:
                await PlainTextResponse(line, 500)(scope, receive, send)
