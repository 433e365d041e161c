"""Times sets of pictures against bare drawing, and says how much memory they take.

    python benchmarks/bulk.py                  # the bundled network, 64²
    python benchmarks/bulk.py --full           # an untrained StyleGAN2 config-f, 1024²
    python benchmarks/bulk.py --memory 1000 100000
    python benchmarks/bulk.py --model

Bare drawing is a loop over the fast form that writes nothing, in as many processes, of as many threads, as the engine
has. It is timed right before and right after each set, as cores change their speed. A set is timed from when each
worker has drawn a shard, so that what is compared is what each further picture takes; what passes before that is in
a column of its own. Cores that others share change their speed within seconds too: for one process the last column
has the ratio of shards, five times as large, and bare drawing in turns, the median of eight.

The model of 1 000 workers measures what a set costs besides its pictures: the store's requests and the bytes of a
record, by shard; and how long a set whose shards are all there takes to be gone through, in a store in memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from cli import make_network

import stylegan_torch
from stylegan_torch import bulk
from stylegan_torch.bulk.plans import Plan
from stylegan_torch.bulk.shards import Job, Worker, record_name
from stylegan_torch.bulk.stores import Store, open_store
from stylegan_torch.drawing.draw import DrawSettings, draw

BUNDLED = Path(__file__).parents[1] / "checkpoints" / "demo" / "faces.pkl"
BATCH = 8
TURNS = 8
RUN = """
import json, resource, sys, time
from stylegan_torch import bulk
network, count, shard, batch, threads, engine, workers, place = sys.argv[1:]
if __name__ == "__main__":
    sizes = {"shard_size": int(shard), "batch": int(batch), "threads": int(threads)}
    bulk.begin(place, bulk.plan([network], int(count), device="cpu", **sizes))
    start, seen = time.perf_counter(), []
    note = lambda state: seen.append([time.perf_counter() - start, state.drawn])
    bulk.run(place, engine=engine, workers=int(workers), on_progress=note)
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps([seen, time.perf_counter() - start, max(peaks) / 1024]))
"""
ALONE = """
import sys, time, torch
import stylegan_torch
from stylegan_torch.drawing.draw import DrawSettings, draw
network, first, count, batch, threads = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
G = stylegan_torch.load(network)
for _ in draw(G, range(batch), DrawSettings(), batch=batch, fast=True):
    pass
print("ready", flush=True)
while sys.stdin.readline():
    for _ in draw(G, range(first, first + count), DrawSettings(), batch=batch, fast=True):
        pass
    print("drawn", flush=True)
"""


class Bare:
    """Processes that draw and write nothing, ready for their turn."""

    def __init__(self, network: Path, count: int, batch: int, threads: int, processes: int) -> None:
        self._each = count // processes
        command = [sys.executable, "-c", ALONE, str(network)]
        self._processes = [
            subprocess.Popen(
                [*command, *map(str, (i * self._each, self._each, batch, threads))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for i in range(processes)
        ]
        self._lines()

    def speed(self) -> float:
        """Return the pictures a second."""
        start = time.perf_counter()
        for process in self._processes:
            assert process.stdin
            process.stdin.write("\n")
            process.stdin.flush()
        self._lines()
        return self._each * len(self._processes) / (time.perf_counter() - start)

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.communicate()

    def _lines(self) -> None:
        for process in self._processes:
            assert process.stdout
            process.stdout.readline()


class Whole(NamedTuple):
    """A set's pictures a second after each worker's first shard; the seconds of all, those before that pace,
    and the megabytes that the largest process took."""

    speed: float
    seconds: float
    start: float
    megabytes: float


def whole(network: Path, count: int, shard: int, batch: int, threads: int, engine: str, workers: int) -> Whole:
    """Draw a set."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "run.py"  # processes that are spawned read it again
        script.write_text(RUN)
        words = [network, count, shard, batch, threads, engine, workers, Path(folder) / "set"]
        command = [sys.executable, str(script), *map(str, words)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seen, seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
    (begun, before), (ended, drawn) = seen[min(workers, len(seen) - 1) - 1], seen[-1]
    speed = (drawn - before) / (ended - begun)
    return Whole(speed, seconds, begun - before / speed, megabytes)


def in_turns(network: Path, shard: int, batch: int, threads: int, shards: int) -> float:
    """Return the median ratio of a shard's speed to that of bare drawing right before it, all in this process."""
    torch.set_num_threads(threads)
    count = shard * (shards + 1)
    plan = bulk.plan([network], count, device="cpu", shard_size=shard, batch=batch, threads=threads)
    G = stylegan_torch.load(network)
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        bulk.begin(folder, plan)
        worker = Worker(Job(plan, folder, (str(network),)))
        for number in range(shards + 1):
            start = time.perf_counter()
            for _ in draw(G, range(number * shard, (number + 1) * shard), DrawSettings(), batch=batch, fast=True):
                pass
            middle = time.perf_counter()
            worker(number)
            ratios.append((middle - start) / (time.perf_counter() - middle))
    return statistics.median(ratios[1:])  # the first opens the network


def compare(
    network: Path, count: int, shard: int, batch: int, rounds: int, ways: Sequence[tuple[str, int, int]]
) -> None:
    """Print the table of engines, each with its workers and their threads."""
    rows: dict[tuple[str, int, int], list[tuple[float, ...]]] = {}
    for _ in range(rounds):
        for way in ways:
            engine, workers, threads = way
            with closing(Bare(network, count // 2, batch, threads, workers)) as bare:
                before = bare.speed()
                found = whole(network, count, shard, batch, threads, engine, workers)
                speed = (before + bare.speed()) / 2
            rows.setdefault(way, []).append((found.start, found.speed, speed, found.speed / speed, found.megabytes))
    print("| engine | workers × threads | start s | pictures/s | bare drawing | ratio | peak MB | in turns |")
    print("|---|---|---|---|---|---|---|---|")
    for (engine, workers, threads), each in rows.items():
        start, mine, speed, ratio, megabytes = (statistics.median(values) for values in zip(*each, strict=True))
        turns = f"{in_turns(network, 5 * shard, batch, threads, TURNS):.2f}" if engine == "none" else ""
        print(
            f"| {engine} | {workers} × {threads} | {start:.1f} | {mine:.2f} | {speed:.2f} | {ratio:.2f} "
            f"| {megabytes:.0f} | {turns} |"
        )


def memory(network: Path, counts: Iterable[int]) -> None:
    """Print the peak memory of sets of so many pictures, drawn by one process."""
    print("| pictures | seconds | peak MB |\n|---|---|---|")
    for count in counts:
        found = whole(network, count, 500, BATCH, 1, "none", 1)
        print(f"| {count} | {found.seconds:.0f} | {found.megabytes:.0f} |", flush=True)


class _Counted:
    """A store in memory that counts what is asked of it."""

    def __init__(self, store: Store) -> None:
        self._store, self.calls = store, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        if name in ("read", "open", "put", "write", "remove", "names"):
            self.calls[name] += 1
        return getattr(self._store, name)


def model(network: Path, counts: Iterable[int]) -> None:
    """Print what a shard costs besides its pictures, and how long sets of so many whole shards take to go through."""
    plan = bulk.plan([network], 1, device="cpu")
    print(f"manifest: {len(json.dumps(plan.to_json(), indent=1))} bytes, whatever the count")
    bulk.begin("memory://one", plan)
    worker = Worker(Job(plan, "memory://one", (str(network),)))
    store: Any = _Counted(worker.store)
    worker.store = store
    for what in ("drawn", "found whole"):
        worker(0)
        print(f"a shard {what}: requests {dict(store.calls)}")
        store.calls.clear()
    content = store.read(record_name(plan, 0)) or b""
    print(f"a shard's record: {len(content)} bytes, and about 90 for each rejected picture")
    print("| shards | gone through s | µs a shard | listed s | driver MB |\n|---|---|---|---|---|")
    for count in counts:
        print(_gone_through(replace(plan, count=count, shard_size=1), content, count), flush=True)


def _gone_through(plan: Plan, record: bytes, count: int) -> str:
    place = f"memory://set{count}"
    bulk.begin(place, plan)
    store = open_store(place)
    about = {**json.loads(record), "plan": plan.name}
    files = list(about["files"].items())
    for shard in range(count):
        named = {f"{shard:05d}{name[5:]}": {**what, "bytes": 1} for name, what in files}
        for name in named:
            store.write(name, b"x")
        store.write(record_name(plan, shard), json.dumps({**about, "shard": shard, "files": named}).encode())
    before = psutil.Process().memory_info().rss
    start = time.perf_counter()
    bulk.run(place, trust=True)
    seconds = time.perf_counter() - start
    grown = (psutil.Process().memory_info().rss - before) / (1 << 20)
    start = time.perf_counter()
    store.names()
    listed = time.perf_counter() - start
    return f"| {count} | {seconds:.1f} | {seconds / count * 1e6:.0f} | {listed:.1f} | {grown:.0f} |"


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path, default=BUNDLED)
    parser.add_argument("--full", action="store_true", help="An untrained config-f instead of the network.")
    parser.add_argument("--memory", type=int, nargs="+", metavar="COUNT", help="Only the memory of so many pictures.")
    parser.add_argument("--model", action="store_true", help="Only what shards cost besides their pictures.")
    parser.add_argument("--shards", type=int, nargs="+", default=[10_000, 100_000], help="Of the model.")
    parser.add_argument("--engines", nargs="+", default=["none", "local", "ray"])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.memory:
        memory(options.network, options.memory)
    elif options.model:
        model(options.network, options.shards)
    elif options.full:
        with tempfile.TemporaryDirectory() as folder:
            network = Path(folder) / "net.pt"
            make_network(network)
            ways = [(engine, *((1, 2) if engine == "none" else (2, 1))) for engine in options.engines]
            compare(network, 48, 4, 4, options.rounds, ways)  # as many shards for each worker
    else:
        ways = [(engine, 1 if engine == "none" else 2, 1) for engine in options.engines]
        compare(options.network, 1600, 100, BATCH, options.rounds, ways)


if __name__ == "__main__":
    main()
