"""What is around the page: only what it needs of Gradio is served, and whatever a client sends, an error is a line."""

from __future__ import annotations

import inspect
from typing import Any

import gradio as gr
from fastapi import FastAPI
from gradio import processing_utils
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.fields import as_text
from stylegan_torch.explorer.reports import report
from stylegan_torch.explorer.sessions import Sessions

REQUIRED = "gradio>=6.31,<7"
"""As in pyproject.toml: it has the private parts that are replaced here."""

UPLOAD_BYTES = 20_000_000
"""Of one file; and of a request, with some room for what is around it."""
AT_ONCE_BYTES = 10 * UPLOAD_BYTES
"""Of all requests that are being read."""
_UPLOAD = "/gradio_api/upload"
_EVENT_BYTES = 200_000
"""What the fields of the page hold, many times over."""
_ROUTES = {
    **dict.fromkeys(("/", "/config", "/theme.css", "/favicon.ico", "/manifest.json"), 0),
    **dict.fromkeys(("/assets/*", "/static/*", "/svelte/*"), 0),
    **dict.fromkeys(("/gradio_api/info", "/gradio_api/theme.css", "/gradio_api/startup-events"), 0),
    **dict.fromkeys(("/gradio_api/queue/data", "/gradio_api/heartbeat/*", "/gradio_api/upload_progress"), 0),
    **dict.fromkeys(("/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/reset"), _EVENT_BYTES),
    _UPLOAD: UPLOAD_BYTES + _EVENT_BYTES,
}
"""What the page asks for, of all that Gradio has, and the bytes that it sends there."""


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
    raise gr.Error(as_text(f"{url} is not fetched: upload the file itself"), print_exception=False)


def routes(sessions: Sessions) -> dict[str, int]:
    """Return the paths that the page asks for, with the bytes that may be sent there; of files, ours alone."""
    return {**_ROUTES, f"/gradio_api/file={sessions.folder}/*": 0}


def application(blocks: gr.Blocks, sessions: Sessions, **look: Any) -> ASGIApp:
    """Return a page as an application; `look` is its theme and style sheet."""
    none: dict[str, Any] = {"openapi_url": None, "docs_url": None, "redoc_url": None}
    app = FastAPI(**none)
    gr.mount_gradio_app(
        app,
        blocks,
        "/",
        app_kwargs={**none, "middleware": [Middleware(Roof, sessions)]},
        footer_links=[],
        run_history=False,
        max_file_size=UPLOAD_BYTES,
        ssr_mode=False,
        mcp_server=False,
        **look,
    )
    blocks.has_launched = blocks.is_running = True  # without which Gradio takes any path for an upload
    return app


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
            raise gr.Error(as_text(report(error)), print_exception=False) from error
        finally:
            for names in self.temp_file_sets:
                names.clear()  # of files that it made: sessions know theirs, and there are ever more


class Roof:
    """The same for requests that reach no event; to be put around an ASGI application.

    A picture that a later one took the place of, or whose visitor left, may go while it is asked for: that is no error.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self._app, self._sessions = app, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except ClientDisconnect:
            pass
        except Exception as error:
            gone = any(isinstance(each, FileNotFoundError) for each in (error, error.__context__))
            line, status = ("the file is gone", 404) if gone else (report(error), 500)
            if scope["type"] == "http" and not begun:
                await PlainTextResponse(line, status)(scope, receive, send)
        if scope.get("path") == _UPLOAD:
            self._sessions.trim_uploads()
