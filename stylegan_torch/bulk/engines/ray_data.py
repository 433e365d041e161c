"""Shards drawn by Ray, on one machine or many (extra `ray`)."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from stylegan_torch.bulk.samples import BulkError
from stylegan_torch.bulk.shards import Done, Job, Worker

_OVERHEAD = 0.1
"""Of a CPU: what each actor leaves to Ray's own tasks, which need one too or nothing ever starts."""


_MOST_BLOCKS = 10_000
"""Ray keeps a record of each in its driver; those of larger sets hold several shards' numbers."""


class _Actor:
    """Keeps the networks; takes numbers of shards, and returns what came of them."""

    def __init__(self, job: Job) -> None:
        self._draw = Worker(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        done = [self._draw(int(shard)) for shard in batch["id"]]
        return {name: [getattr(each, name) for each in done] for name in Done.__dataclass_fields__}


def on_ray(job: Job, shards: Sequence[int], workers: int | None) -> Iterator[Done]:
    """Draw shards with actors of Ray Data, in a cluster that runs, or one that is started here.

    By default all of the cluster's cards, or CPUs, draw. Ray Data starts actors that die again, and repeats what they
    had in hand, however often. Only numbers and counts go through Ray; pictures go from the
    actor to the store.

    Raises:
        BulkError: if Ray is missing, its cluster does not answer or start, or has not the means for one actor.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise BulkError("this engine needs Ray: pip install 'stylegan-torch[ray]'") from error
    if not ray.is_initialized():
        _reach(os.environ.get("RAY_ADDRESS", ""))
        try:
            ray.init(log_to_driver=False, include_dashboard=False)
        except Exception as error:  # which it raises itself where a part of it is too slow
            raise BulkError(f"Ray does not start: {error}") from error
    _be_quiet(ray.data.DataContext.get_current())
    means = ray.cluster_resources()
    on_cards = job.plan.device.startswith("cuda")
    there = means.get("GPU" if on_cards else "CPU", 0.0)
    if there < 1:
        raise BulkError(f"Ray has no {'GPU' if on_cards else 'CPU'} here: it knows of {dict(means)}")
    room = max(1, math.floor(there / (1 if on_cards else job.plan.threads)))
    most = min(workers or room, room, len(shards))
    share = {"num_gpus": 1} if on_cards else {"num_cpus": job.plan.threads * (1 - _OVERHEAD)}
    numbers = ray.data.from_items(
        [{"id": shard} for shard in shards], override_num_blocks=min(len(shards), _MOST_BLOCKS)
    )
    drawn = numbers.map_batches(
        _Actor,
        fn_constructor_args=(job,),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most),
        **share,
    )
    try:
        for row in drawn.iter_rows():
            yield Done(**{name: kind(row[name]) for name, kind in _KINDS.items()})
    except ray.exceptions.RayTaskError as error:
        raise BulkError(f"an actor failed: {_cause(error)}") from error


def _reach(address: str) -> None:
    """Raise BulkError if nobody listens at an address; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.rpartition("/")[2], int(port)), timeout=10).close()
        except (OSError, OverflowError) as error:
            raise BulkError(
                f"no Ray cluster answers at {address}: {getattr(error, 'strerror', None) or error}"
            ) from error


def _be_quiet(context: Any) -> None:
    """Let our own progress be shown, not Ray's."""
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)


def _cause(error: BaseException) -> BaseException:
    """Return what lies at the bottom of an error that Ray has wrapped."""
    inner = getattr(error, "cause", None) or error.__cause__
    return _cause(inner) if inner is not None and inner is not error else error


_KINDS = {"shard": int, "pictures": int, "rejected": int, "drawn": bool}
