"""The line of those who wait for long work: what is kept for slow readers, and when a place is free again."""

from __future__ import annotations

import asyncio
import threading

import pytest

from stylegan_torch.explorer import jobs
from stylegan_torch.explorer.jobs import Line, Tell


def test_a_slow_reader_gets_the_newest_and_the_last() -> None:
    line, over = Line(), threading.Event()

    def work(tell: Tell) -> bytes:
        for number in range(1000):
            tell(b"%d" % number)
        over.set()
        return b"found"

    async def visit() -> list[bytes]:
        frames = line.frames(work, threading.Event(), [b"first"])
        told = [await anext(frames), await anext(frames)]
        await asyncio.to_thread(over.wait)
        return told + [each async for each in frames]

    first, early, *late = asyncio.run(visit())
    assert first == b"first"
    assert early.isdigit()
    assert late[-2:] in ([b"999", b"found"], [b"found"])  # as all may have been told before the early one was read
    assert len(late) <= 3


def test_whoever_reads_no_further_keeps_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "WAITING", 0)
    line = Line()

    def work(tell: Tell) -> bytes:
        tell(b"told")
        return b"found"

    async def visit() -> list[bytes]:
        idle = line.frames(work, threading.Event(), [b"first"])
        assert await anext(idle) == b"first"
        line.check()  # it is not in line yet
        assert await anext(idle) in (b"told", b"found")
        await asyncio.to_thread(line._worker.submit(int).result)  # which comes after that work
        line.check()
        others = [each async for each in line.frames(work, threading.Event())]
        await idle.aclose()
        return others

    assert asyncio.run(visit())[-1] == b"found"


def test_whoever_goes_while_waiting_leaves_the_line_at_once() -> None:
    line, hold = Line(), threading.Event()

    def work(tell: Tell) -> bytes:
        tell(b"told")
        hold.wait()
        return b"found"

    async def visit() -> None:
        first, second = (line.frames(work, threading.Event()) for _ in range(2))
        assert await anext(first) == b"told"
        assert b"Waiting" in await anext(second)
        await second.aclose()
        assert len(line._jobs) == 1
        hold.set()
        assert [each async for each in first] == [b"found"]

    asyncio.run(visit())
