"""The roof over the page: whatever a client sends, an error is a line in the terminal, a traceback only on request."""

from __future__ import annotations

import logging
from typing import Any

import gradio as gr
from starlette.responses import PlainTextResponse

from stylegan_torch.text import one_line

LOG = logging.getLogger("stylegan_torch.explorer")
"""At the level DEBUG, with tracebacks."""


def report(error: Exception) -> str:
    """Print an error that nobody expected, and return what a visitor reads of it."""
    line = one_line(f"unexpected {type(error).__name__}: {error}")
    LOG.error("Error: %s", line, exc_info=error if LOG.isEnabledFor(logging.DEBUG) else None)
    return line


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

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        begun = False

        async def sent(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except Exception as error:
            line = report(error)
            if scope["type"] == "http" and not begun:
                await PlainTextResponse(line, 500)(scope, receive, send)
