"""Shards drawn by several processes of this machine: one a graphics card, or a group of cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait as wait_for

from stylegan_torch.bulk.plans import Plan
from stylegan_torch.bulk.samples import BulkError
from stylegan_torch.bulk.shards import Done, Job, Worker

_MOST_DEATHS = 20
"""In a row, with no shard finished in between."""
_worker: Worker


def in_processes(job: Job, shards: Sequence[int], workers: int | None) -> Iterator[Done]:
    """Draw shards in processes, by default one a card or group of cores; others take over from one that is killed.

    Raises:
        BulkError: if processes die again and again.
    """
    left, deaths, workers = dict.fromkeys(shards), 0, workers or means(job.plan)
    while left:
        try:
            for done in _drawn(job, list(left), workers):
                del left[done.shard]
                deaths = 0
                yield done
        except BrokenProcessPool as error:
            deaths += 1
            if deaths > _MOST_DEATHS:
                raise BulkError("processes that draw are killed again and again: is there enough memory?") from error


def means(plan: Plan) -> int:
    """Return how many processes this machine has cards for, or cores that this one may use."""
    import torch

    if plan.device.startswith("cuda"):
        return torch.cuda.device_count()
    return max(1, len(os.sched_getaffinity(0)) // plan.threads) if hasattr(os, "sched_getaffinity") else 1


def _drawn(job: Job, shards: Sequence[int], workers: int) -> Iterator[Done]:
    """Yield what came of shards until all are done, or a process is killed."""
    context = multiprocessing.get_context("spawn")
    numbers = context.Queue()
    for number in range(workers):
        numbers.put(number)
    waiting = iter(shards)
    with ProcessPoolExecutor(workers, context, _begin, (job, numbers)) as pool:
        try:
            # Few are handed out at a time: the count has no bound, and when one fails the others need not be drawn.
            running: set[Future[Done]] = {pool.submit(_draw, shard) for shard in islice(waiting, 2 * workers)}
            while running:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for each in finished:
                    yield each.result()
                    running |= {pool.submit(_draw, shard) for shard in islice(waiting, 1)}
        finally:
            processes = list((pool._processes or {}).values())  # which the pool forgets when it is shut down
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:  # one that is still starting would miss what it shares with this one
                process.terminate()


def _begin(job: Job, numbers: multiprocessing.Queue[int]) -> None:
    global _worker  # noqa: PLW0603  (a pool's process has no other place)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver says when to stop
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _take_card(job.plan.device, numbers.get())
    _worker = Worker(job)


def _take_card(device: str, number: int) -> None:
    """Let this process draw on a graphics card of its own, where there are several."""
    import torch

    if device == "cuda" and torch.cuda.device_count() > 1:
        torch.cuda.set_device(number % torch.cuda.device_count())


def _draw(shard: int) -> Done:
    return _worker(shard)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)
