"""Long work for visitors, told while it is done: one job at a time, as it takes all cores, while the others wait."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

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
Work = Callable[[Tell], bytes | None]
"""Tells how far it is, and returns what comes last; None if it was stopped."""


class Line:
    """Those who wait, in order, and the one whose job is done."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, "working")
        self._jobs: set[threading.Event] = set()

    def check(self) -> None:
        """Raise StyleGANError if too many wait."""
        if len(self._jobs) > WAITING:
            raise StyleGANError("too many jobs are waiting: try again later")

    async def frames(
        self, work: Work, stopped: threading.Event, first: Iterable[bytes] = ()
    ) -> AsyncGenerator[bytes, None]:
        """Give frames, each after its length in four bytes: the first ones, those that `work` tells, and its last.

        Whoever reads slowly gets the newest that was told, as nothing older is kept. Of an error comes
        {"kind": "error", …}. `stopped` is set when nobody listens any more.
        """
        loop, news, fresh = asyncio.get_running_loop(), deque[bytes](maxlen=1), asyncio.Event()
        job: Future[bytes | None] | None = None

        def wake() -> None:
            if not stopped.is_set():
                loop.call_soon_threadsafe(fresh.set)

        def tell(message: bytes) -> None:
            news.append(message)
            wake()

        def over(_: Future[bytes | None]) -> None:
            self._jobs.discard(stopped)
            wake()

        try:
            for each in first:
                yield each
            self.check()
            others = len(self._jobs)
            self._jobs.add(stopped)
            job = self._worker.submit(_safely, work, stopped, tell)
            job.add_done_callback(over)
            if others:
                yield framed("progress", {"line": "Waiting for the jobs of others …", "share": 0})
            while not (done := job.done()) or news:  # in this order: all is told before it is done
                if news:
                    yield news.pop()
                elif not done:
                    await fresh.wait()
                    fresh.clear()
            if last := job.result():
                yield last
        except StyleGANError as error:
            yield _problem(error)
        finally:
            stopped.set()
            if job:
                job.cancel()  # if it waits still: others need not wait for its turn


def framed(kind: str, about: Mapping[str, object], picture: Picture | bytes | None = None) -> bytes:
    """Return a frame after its length; a picture of an array goes as JPEG, a file as it is."""
    header = {"kind": kind, **about}
    content = joined(header, picture) if isinstance(picture, bytes) else frame(header, picture)
    return len(content).to_bytes(4, "big") + content


def _safely(work: Work, stopped: threading.Event, tell: Tell) -> bytes | None:
    if stopped.is_set():
        return None
    try:
        return work(tell)
    except Exception as error:  # the visitor's roof
        return _problem(error)


def _problem(error: Exception) -> bytes:
    return framed("error", {"field": error.name if isinstance(error, FieldError) else None, "line": told(error)})
