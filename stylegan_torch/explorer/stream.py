"""One page's WebSocket: it says what it wants as JSON, and gets frames; what was overtaken is not finished.

The page sends {"draw": STATE, "id": NUMBER} as often as it likes: the newest counts. It gets a frame at once, a small
one of networks that are slow, and in a moment of calm the whole picture without loss, with the command line that makes
it. {"play": FILM, "at": 0.25, "id": NUMBER} instead is for a moment of a film, as `filming` reads it, of which there is
only the frame at once. {"thumbnails": [{"key": TEXT, "state": STATE}, …], "group": TEXT} is for small pictures; of a
group, the newest list counts. They are drawn when nothing else is to be, in this order; of one that cannot be, no image
comes.

What is said to the page's controls from elsewhere (`controls`) it is told as {"kind": "controls", "controls": …}.

A frame is four bytes with the length of a header (big-endian), the header as JSON, and an image file.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect

from stylegan_torch.drawing.images import Picture
from stylegan_torch.explorer.controls import Controls, Value
from stylegan_torch.explorer.fields import FieldError, number, text, whole
from stylegan_torch.explorer.filming import read_film
from stylegan_torch.explorer.renderer import OvertakenError
from stylegan_torch.explorer.reports import told
from stylegan_torch.explorer.studio import Studio, joined, jpeg

CALM = 0.15
"""So many seconds without a wish, and the picture is drawn whole."""
MESSAGE_BYTES = 200_000
"""What a page says at once, many times over."""
MOST_THUMBNAILS = 64
"""In a group."""
MOST_GROUPS = 8
_LAST_NUMBER = 2**53
"""Of wishes: beyond it JavaScript's numbers are no longer whole."""
_REASON = 123
"""Bytes of a reason to close, at most."""
_BREATH = 1 / 60
"""Seconds between what pages are told of their controls."""
THUMBNAIL = 96
"""Largest side of a thumbnail."""


@dataclass(frozen=True, eq=False)
class Wish:
    """A picture that the page wants, of a state, or `at` a share of a film; each is its own, also if two are alike."""

    number: int
    state: object
    at: float | None = None


@dataclass(frozen=True)
class Thumbnail:
    """A small picture that the page wants, by the group and key with which it knows it."""

    group: str
    key: str
    state: object


class Stream:
    """Draws for one page until it leaves."""

    def __init__(self, studio: Studio, socket: WebSocket) -> None:
        self._studio, self._socket = studio, socket
        self._wish: Wish | None = None
        self._shown: Wish | None = None
        self._settled: Wish | None = None
        self._thumbnails: dict[str, list[Thumbnail]] = {}
        self._sketching: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._controls: dict[str, Value] = {}
        self._said = asyncio.Event()

    async def run(self) -> None:
        """Listen and draw."""
        await self._socket.accept()
        drawing, telling = asyncio.create_task(self._draw_on()), asyncio.create_task(self._tell_controls())
        loop = asyncio.get_running_loop()
        try:
            with self._studio.live.heard(lambda controls: loop.call_soon_threadsafe(self._note, controls)):
                while not drawing.done():
                    await self._hear(await self._socket.receive_text())
        except (WebSocketDisconnect, KeyError, RuntimeError):  # they left, sent bytes instead of text, or were left
            pass
        finally:
            self._wish = None  # so that what is being drawn stops
            drawing.cancel()
            telling.cancel()
            if self._sketching:
                self._sketching.cancel()
            await asyncio.gather(drawing, telling, *filter(None, [self._sketching]), return_exceptions=True)

    def _note(self, controls: Controls) -> None:
        """Note what is said to the page's controls; of each, the newest counts."""
        self._controls |= controls
        self._said.set()

    async def _tell_controls(self) -> None:
        while True:
            await self._said.wait()
            self._said.clear()
            controls, self._controls = self._controls, {}
            await self._say(json.dumps({"kind": "controls", "controls": controls}))
            await asyncio.sleep(_BREATH)

    async def _hear(self, message: str) -> None:
        try:
            self._take(json.loads(message))
        except (ValueError, RecursionError):
            await self._complain(None, FieldError("message", message, "JSON"))
        except FieldError as error:
            await self._complain(None, error)

    def _take(self, said: object) -> None:
        if isinstance(said, dict) and set(said) == {"draw", "id"}:
            self._wish = Wish(whole("id", said["id"], low=0, high=_LAST_NUMBER), said["draw"])
        elif isinstance(said, dict) and set(said) == {"play", "at", "id"}:
            at = number("at", said["at"], low=0, high=1)
            self._wish = Wish(whole("id", said["id"], low=0, high=_LAST_NUMBER), said["play"], at)
        elif isinstance(said, dict) and set(said) == {"thumbnails", "group"}:
            group, wanted = text("group", said["group"]), said["thumbnails"]
            if not isinstance(wanted, list) or len(wanted) > MOST_THUMBNAILS:
                raise FieldError("thumbnails", wanted, f"a list of at most {MOST_THUMBNAILS}")
            if group not in self._thumbnails and len(self._thumbnails) >= MOST_GROUPS:
                raise FieldError("group", group, f"one of at most {MOST_GROUPS}")
            self._thumbnails[group] = [_thumbnail(group, each) for each in wanted]
        else:
            raise FieldError("message", said, "a wish to draw, or for thumbnails")
        self._news.set()

    async def _draw_on(self) -> None:
        """Draw; after an error the page is left, so that it comes again."""
        try:
            await self._draw()
        except Exception as error:
            reason = told(error).encode()[:_REASON].decode(errors="ignore")
            with suppress(RuntimeError, WebSocketDisconnect):
                await self._socket.close(1011, reason)

    async def _draw(self) -> None:
        """Do what is most urgent, again and again."""
        while True:
            self._news.clear()
            if self._wish and self._wish is not self._shown:
                await self._glimpse(self._wish)
            elif self._wish and self._wish is not self._settled:
                await self._settle(self._wish)
            elif thumbnail := self._next_thumbnail():
                self._sketching = asyncio.create_task(self._sketch(thumbnail))
                self._sketching.add_done_callback(lambda _: self._news.set())
            else:
                await self._news.wait()

    def _next_thumbnail(self) -> Thumbnail | None:
        """Return what to sketch, unless another is: it may take long, while its directions are found."""
        if self._sketching and not self._sketching.done():
            return None
        return next((each.pop(0) for each in self._thumbnails.values() if each), None)

    async def _glimpse(self, wish: Wish) -> None:
        self._shown = wish
        if wish.at is not None:
            self._settled = wish
        try:
            picture = await asyncio.to_thread(self._sketched, wish.state, wish.at)
        except Exception as error:  # the visitor's roof
            self._settled = wish
            await self._complain(wish.number, error)
            return
        await self._send("frame", {"id": wish.number, "whole": False}, picture.shape, jpeg(picture))

    async def _settle(self, wish: Wish) -> None:
        if not await self._calm():
            return
        try:
            file, commands, shape = await asyncio.to_thread(self._finished, wish)
        except OvertakenError:
            return
        except Exception as error:
            self._settled = wish
            await self._complain(wish.number, error)
            return
        self._settled = wish
        await self._send("frame", {"id": wish.number, "whole": True, "commands": commands}, shape, file)

    async def _calm(self) -> bool:
        """Wait for a moment; returns whether nothing was said meanwhile."""
        try:
            await asyncio.wait_for(self._news.wait(), CALM)
        except TimeoutError:
            return True
        return False

    async def _sketch(self, thumbnail: Thumbnail) -> None:
        about = {"group": thumbnail.group, "key": thumbnail.key}
        try:
            picture = await asyncio.to_thread(self._sketched, thumbnail.state)
        except Exception as error:
            told(error)  # which prints it if nobody expected it
            await self._say(joined({"kind": "thumbnail", **about}, b""))
            return
        await self._send("thumbnail", about, picture.shape, jpeg(picture, THUMBNAIL))

    def _sketched(self, state: object, at: float | None = None) -> Picture:
        if at is not None:
            film = read_film(self._studio, state)
            return self._studio.renderer_of(film.keys[0]).moment(film.way, at)
        request = self._studio.read(state)
        renderer = self._studio.renderer_of(request)
        return renderer.glimpse(renderer.compose(request.picture), request.picture)

    def _finished(self, wish: Wish) -> tuple[bytes, str, tuple[int, ...]]:
        request = self._studio.read(wish.state)
        renderer = self._studio.renderer_of(request)
        picture = renderer.draw(renderer.compose(request.picture), lambda: self._wish is not wish, request.picture)
        file = self._studio.picture_file(request, wish.state, picture)
        return file.content, self._studio.commands(request), picture.shape

    async def _send(self, kind: str, about: Mapping[str, object], shape: tuple[int, ...], image: bytes) -> None:
        await self._say(joined({"kind": kind, **about, "height": shape[0], "width": shape[1]}, image))

    async def _complain(self, number: int | None, error: Exception) -> None:
        field = error.name if isinstance(error, FieldError) else None
        await self._say(json.dumps({"kind": "error", "id": number, "field": field, "line": told(error)}))

    async def _say(self, content: str | bytes) -> None:
        send: Callable[..., Awaitable[None]] = (
            self._socket.send_text if isinstance(content, str) else self._socket.send_bytes
        )
        with suppress(RuntimeError, WebSocketDisconnect):  # it left
            await send(content)


def _thumbnail(group: str, value: object) -> Thumbnail:
    if not isinstance(value, dict) or set(value) != {"key", "state"}:
        raise FieldError("thumbnail", value, "a key and a state")
    return Thumbnail(group, text("key", value["key"]), value["state"])
