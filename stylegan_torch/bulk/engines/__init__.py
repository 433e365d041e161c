"""Who draws shards: this process, processes of this machine, or Ray. They hand out numbers; what is done is a shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from stylegan_torch.bulk.engines.local import in_processes
from stylegan_torch.bulk.engines.ray_data import on_ray
from stylegan_torch.bulk.shards import Done, Job, Worker


def in_this_process(job: Job, shards: Sequence[int], workers: int | None) -> Iterator[Done]:
    """Draw shards one after the other, here."""
    yield from map(Worker(job), shards)


Engine = Callable[[Job, Sequence[int], int | None], Iterator[Done]]
"""Takes the job, the numbers of shards, and how many workers, None = as many as there are means for; yields what came
of each, in any order."""
ENGINES: Mapping[str, Engine] = {"none": in_this_process, "local": in_processes, "ray": on_ray}
