"""The line of long jobs: what a reader is told of what it missed, and when it leaves the line."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator

import pytest

from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer import jobs
from stylegan_torch.explorer.jobs import Line, Tell


def _work(tell: Tell) -> bytes:
    for number in range(1000):
        tell(str(number).encode())
    return b"done"


async def _leave(line: Line) -> None:
    """Wait until nobody is in line."""
    while line._jobs:
        await asyncio.sleep(0.001)


def test_a_slow_reader_gets_the_newest_only_and_does_not_hold_up_the_line() -> None:
    async def visit() -> list[bytes]:
        line = Line()
        frames = line.frames(_work, threading.Event(), [b"first"])
        read = [await anext(frames)]
        await asyncio.wait_for(_leave(line), 60)
        return read + [each async for each in frames]

    assert asyncio.run(visit()) == [b"first", b"999", b"done"]


def test_who_goes_away_leaves_the_line_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "WAITING", 0)
    free = threading.Event()

    def work(_: Tell) -> None:
        free.wait()

    async def visit() -> None:
        line = Line()
        frames: AsyncGenerator[bytes, None] = line.frames(work, threading.Event(), [b"first"])
        await anext(frames)
        with pytest.raises(StyleGANError, match="too many jobs"):
            line.check()
        await frames.aclose()
        line.check()
        free.set()

    asyncio.run(visit())
