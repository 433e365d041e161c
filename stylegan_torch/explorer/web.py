"""The explorer as an ASGI application: the page's files, what it asks for, and a stream of frames.

Around it goes `guard.Guard`; `ROUTES` is what it lets through.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as WebRequest
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.dragging import Dragger
from stylegan_torch.explorer.fields import FieldError
from stylegan_torch.explorer.filming import FORMATS, Filmer
from stylegan_torch.explorer.jobs import Line
from stylegan_torch.explorer.looking import look
from stylegan_torch.explorer.projecting import FITS, MOST_STEPS, SPACES, Projector
from stylegan_torch.explorer.reports import told
from stylegan_torch.explorer.stream import MESSAGE_BYTES, Stream
from stylegan_torch.explorer.studio import File, Studio

PAGE = Path(__file__).with_name("page")
UPLOAD_BYTES = 20_000_000
"""Of one file."""
DRAG_BYTES = 2_000_000
"""Of what to drag, with a mask."""
AT_ONCE_BYTES = 10 * UPLOAD_BYTES
"""Of all requests that are being read."""
STREAMS = 100
"""Pages that are open at once."""
ROUTES = {
    **dict.fromkeys(("/", "/page/*", "/favicon.ico", "/about", "/stream"), 0),
    **dict.fromkeys(("/picture.png", "/latents.npz", "/film", "/drag/end", "/layers"), MESSAGE_BYTES),
    "/drag": DRAG_BYTES,
    **dict.fromkeys(("/latents", "/projection"), UPLOAD_BYTES),
}
"""The paths that are served, and the bytes that may be sent there."""
_Read = TypeVar("_Read")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {frames}",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def application(studio: Studio, *, frames: Sequence[str] = ()) -> ASGIApp:
    """Return the explorer of some networks; `frames` are the sites that may show it in a frame."""
    server = _Server(studio)
    app = Starlette(
        routes=[
            Route("/", server.index),
            Route("/favicon.ico", server.icon),
            Route("/about", server.about),
            Route("/picture.png", server.picture, methods=["POST"]),
            Route("/latents.npz", server.latents, methods=["POST"]),
            Route("/latents", server.bring, methods=["POST"]),
            Route("/film", server.film, methods=["POST"]),
            Route("/projection", server.project, methods=["POST"]),
            Route("/layers", server.look, methods=["POST"]),
            Route("/drag", server.drag, methods=["POST"]),
            Route("/drag/end", server.end_drag, methods=["POST"]),
            WebSocketRoute("/stream", server.stream),
            Mount("/page", StaticFiles(directory=PAGE)),
        ],
        exception_handlers={StyleGANError: _wrong, ClientDisconnect: _broken_off, Exception: _unexpected},
    )
    return _WithHeaders(app, " ".join(frames) or "'none'")


class _Server:
    def __init__(self, studio: Studio) -> None:
        line = Line()
        self._studio = studio
        self._projector, self._filmer = Projector(studio, line), Filmer(studio, line)
        self._dragger = Dragger(studio)
        self._streams = 0
        self._reader = ThreadPoolExecutor(1, "reading")  # what visitors bring is unpacked one at a time
        self._looker = ThreadPoolExecutor(1, "looking")  # and all channels of a layer are looked into one at a time

    async def index(self, request: WebRequest) -> Response:
        return FileResponse(PAGE / "index.html")

    async def icon(self, request: WebRequest) -> Response:
        return FileResponse(PAGE / "icon.svg")

    async def about(self, request: WebRequest) -> Response:
        name = request.query_params.get("network")
        about = await asyncio.to_thread(self._studio.about, name)
        return JSONResponse({**about, "fits": FITS, "spaces": SPACES, "most_steps": MOST_STEPS, "film": FORMATS})

    async def picture(self, request: WebRequest) -> Response:
        state = await _json(request)
        return await _file("image/png", lambda: self._studio.picture_file(self._studio.read(state), state))

    async def latents(self, request: WebRequest) -> Response:
        state = await _json(request)
        return await _file("application/octet-stream", lambda: self._studio.latents_file(self._studio.read(state)))

    async def bring(self, request: WebRequest) -> Response:
        network, name = (request.query_params.get(each) for each in ("network", "name"))
        content = await _body(request)
        return JSONResponse(await self._read(partial(self._studio.bring, network, name or "", content)))

    async def project(self, request: WebRequest) -> Response:
        content = await _body(request)
        job = await self._read(partial(self._projector.read, content, dict(request.query_params)))
        return StreamingResponse(self._projector.frames(job), media_type="application/octet-stream")

    async def look(self, request: WebRequest) -> Response:
        asked = await _json(request)
        content = await asyncio.get_running_loop().run_in_executor(self._looker, look, self._studio, asked)
        return Response(content, media_type="application/octet-stream")

    async def drag(self, request: WebRequest) -> Response:
        job = await self._read(partial(self._dragger.read, _parsed(await _body(request))))
        return StreamingResponse(self._dragger.frames(job), media_type="application/octet-stream")

    async def end_drag(self, request: WebRequest) -> Response:
        self._dragger.end(_parsed(await _body(request)))
        return Response(status_code=204)

    async def film(self, request: WebRequest) -> Response:
        job = await asyncio.to_thread(self._filmer.read, await _json(request))
        return StreamingResponse(self._filmer.frames(job), media_type="application/octet-stream")

    async def _read(self, read: Callable[[], _Read]) -> _Read:
        return await asyncio.get_running_loop().run_in_executor(self._reader, read)

    async def stream(self, socket: WebSocket) -> None:
        if self._streams >= STREAMS:
            await socket.accept()  # or the page would not be told why
            await socket.close(1013, "too many pages are open: try again later")
            return
        self._streams += 1
        try:
            await Stream(self._studio, socket).run()
        finally:
            self._streams -= 1


async def _body(request: WebRequest) -> bytes:
    """Return a body that the request doesn't keep: a projection outlives it."""
    return b"".join([part async for part in request.stream()])


async def _json(request: WebRequest) -> object:
    return _parsed(await request.body())


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FieldError("state", body, "JSON") from error


async def _file(kind: str, make: Callable[[], File]) -> Response:
    file = await asyncio.to_thread(make)
    about = {"Content-Disposition": f'attachment; filename="{file.name}"'}
    return Response(file.content, media_type=kind, headers=about)


def _answer(error: Exception, status: int) -> Response:
    field = error.name if isinstance(error, FieldError) else None
    return JSONResponse({"kind": "error", "id": None, "field": field, "line": told(error)}, status)


def _wrong(request: WebRequest, error: Exception) -> Response:
    return _answer(error, 400)


def _unexpected(request: WebRequest, error: Exception) -> Response:
    return _answer(error, 500)


def _broken_off(request: WebRequest, error: Exception) -> Response:
    return Response(status_code=400)  # which nobody reads


class _WithHeaders:
    """Puts `_HEADERS` on every answer."""

    def __init__(self, app: ASGIApp, frames: str) -> None:
        self._app = app
        self._headers = [
            (name.lower().encode(), value.format(frames=frames).encode()) for name, value in _HEADERS.items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *self._headers]}
            await send(message)

        await self._app(scope, receive, sent)
