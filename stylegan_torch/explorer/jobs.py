"""Long work for visitors, told while it is done: one job at a time, as it takes all cores, while the others wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from stylegan_torch.drawing.images import Picture
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.fields import FieldError
from stylegan_torch.explorer.reports import told
from stylegan_torch.explorer.studio import frame, joined

WAITING = 8
"""Jobs that may wait for the one that is done."""
SECONDS = 600.0
"""What takes longer is not for a page that others may wait for."""
SHOWN = 0.4
"""Seconds between the pictures of a job."""
Tell = Callable[[bytes], None]


class Line:
    """Those who wait, in order, and the one whose job is done."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, "working")
        self._jobs: set[int] = set()

    def check(self) -> None:
        """Raise StyleGANError if too many wait."""
        if len(self._jobs) > WAITING:
            raise StyleGANError("too many jobs are waiting: try again later")

    async def frames(
        self, work: Callable[[Tell], None], stopped: threading.Event, first: Iterable[bytes] = ()
    ) -> AsyncGenerator[bytes, None]:
        """Give frames, each after its length in four bytes: the first ones, then what `work` tells, until it is done.

        Of an error comes {"kind": "error", …}. `stopped` is set when nobody listens any more.
        """
        loop, said = asyncio.get_running_loop(), asyncio.Queue[bytes | None]()

        def tell(message: bytes | None) -> None:
            if not stopped.is_set():
                loop.call_soon_threadsafe(said.put_nowait, message)

        try:
            self.check()
            others = len(self._jobs)
            self._jobs.add(id(stopped))
            for each in first:
                yield each
            if others:
                yield framed("progress", {"line": "Waiting for the jobs of others …", "share": 0})
            self._worker.submit(_safely, work, stopped, tell).add_done_callback(lambda _: tell(None))
            while (message := await said.get()) is not None:
                yield message
        except StyleGANError as error:
            yield _problem(error)
        finally:
            stopped.set()
            self._jobs.discard(id(stopped))


def framed(kind: str, about: Mapping[str, object], picture: Picture | bytes | None = None) -> bytes:
    """Return a frame after its length; a picture of an array goes as JPEG, a file as it is."""
    header = {"kind": kind, **about}
    content = joined(header, picture) if isinstance(picture, bytes) else frame(header, picture)
    return len(content).to_bytes(4, "big") + content


def _safely(work: Callable[[Tell], None], stopped: threading.Event, tell: Tell) -> None:
    if stopped.is_set():
        return
    try:
        work(tell)
    except Exception as error:  # the visitor's roof
        tell(_problem(error))


def _problem(error: Exception) -> bytes:
    return framed("error", {"field": error.name if isinstance(error, FieldError) else None, "line": told(error)})
