"""Reads changed sample files in processes that may fail: `python -m tests.tools.fuzz --count 10000 --seed 3`.

Every file must be read, or refused with an error of ours that names it; anything else is a failure: another exception,
a signal, more time or memory than a file of its size may take. The same seed, count and files give the same changes,
however many processes read them. Files that failed are kept in a folder, each with a text beside it that says how.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import random
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NoReturn

import torch

import converter
import stylegan_torch
from converter.describe import as_json, as_text
from converter.errors import naming
from stylegan_torch.errors import StyleGANError
from tests import DATA
from tests.tools.mutations import mutate, parse

SECONDS = 10
"""Of the processor's time, for one file."""
MEMORY, TIMES = 500 << 20, 3
"""Bytes that reading may take, and how many times the size of the file besides."""
HARD_MEMORY = 4 << 30
BATCH = 200
"""Files that one process reads, if it lives."""
STUCK = 600
"""Seconds without a word after which a process is taken to wait for something."""


@dataclass(frozen=True)
class Sample:
    """A sound file."""

    name: str
    suffix: str
    content: bytes


def samples(patterns: Sequence[str], largest: int, folder: Path) -> list[Sample]:
    """Return the sample files of networks up to a size, and small ones in the forms that we write, made in a folder."""
    paths = [path for path in sorted(DATA.rglob("*")) if path.is_file() and path.suffix not in (".md", ".npz")]
    if not patterns:
        paths += _made(folder)
    paths = [path for path in paths if path.stat().st_size <= largest]
    chosen = [path for path in paths if not patterns or any(path.match(pattern) for pattern in patterns)]
    return [Sample(path.name, path.suffix, path.read_bytes()) for path in chosen]


def _made(folder: Path) -> Iterator[Path]:
    from tests.tools.hostile import write_tf, write_torch

    for path in (write_tf(folder / "tf.pkl"), write_torch(folder / "torch.pkl")):
        yield path
        for suffix in (".npz", ".pt", ".safetensors"):
            converter.convert(path, path.with_suffix(suffix))
            yield path.with_suffix(suffix)
    old = folder / "old.pth"
    content = torch.load(DATA / "wild/interfacegan/pggan_fused.pth", weights_only=True)
    torch.save(content, old, _use_new_zipfile_serialization=False)
    yield old


# What is done with each.


def _load(path: Path) -> None:
    loaded = converter.load(path)
    with naming(path):
        for role in loaded.networks:
            loaded.network(role)


def _inspect(path: Path) -> None:
    summary = converter.inspect(path)
    as_text(summary)
    as_json(summary)


def _convert(suffix: str, path: Path) -> None:
    target = path.with_name(f"out{suffix}")
    converter.convert(path, target, force=True)
    converter.load(target)


def _draw(path: Path) -> None:
    stylegan_torch.load(path)


WAYS: dict[str, tuple[Callable[[Path], None], int]] = {
    "load": (_load, 6),
    "inspect": (_inspect, 4),
    "draw": (_draw, 4),
    **{f"convert to {suffix}": (partial(_convert, suffix), 1) for suffix in (".npz", ".pt", ".safetensors")},
}
"""What is done with a file, and how often."""


@dataclass(frozen=True)
class Fuzz:
    """One run: `count` changes of some files, which a seed decides."""

    files: list[Sample]
    seed: int
    count: int
    failures: Path

    @cached_property
    def contents(self) -> list[bytes]:
        """Of the files."""
        return [file.content for file in self.files]

    @cached_property
    def weights(self) -> list[float]:
        """How often each file is taken; small ones are read faster."""
        return [1 / (len(content) + 10_000) for content in self.contents]

    def case(self, index: int) -> tuple[Sample, bytes, str]:
        """Return a sample, what it was changed to, and what is done with that."""
        rng = random.Random(f"{self.seed} {index}")
        (file,) = rng.choices(self.files, self.weights)
        (way,) = rng.choices(list(WAYS), [often for _, often in WAYS.values()])
        return file, mutate(file.content, rng, self.contents), way

    def one(self, index: int, folder: Path) -> str:
        """Read one changed file; return "read", "refused", or how it failed."""
        file, content, way = self.case(index)
        path = folder / f"in{file.suffix}"
        path.write_bytes(content)
        before = _peak()
        try:
            WAYS[way][0](path)
            ended = "read"
        except StyleGANError as error:
            said = str(error)
            ended = "refused" if str(path) in said and len(said) < 10_000 else f"unclear: {said[:300]}"
        except Exception as error:
            ended = f"{type(error).__name__}: {str(error)[:200]}\n{traceback.format_exc()[-3000:]}"
        taken = _peak() - before
        if taken > TIMES * len(content) + MEMORY:
            ended = f"memory: {taken >> 20} MB"
        return ended

    def child(self, start: int, end: int, out: int) -> NoReturn:
        """Read some files one after another, and tell of each."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (_held() + HARD_MEMORY,) * 2)
        warnings.simplefilter("ignore")
        with tempfile.TemporaryDirectory(dir=_memory_folder()) as folder, os.fdopen(out, "w") as told:
            for index in range(start, end):
                usage = resource.getrusage(resource.RUSAGE_SELF)
                used = int(usage.ru_utime + usage.ru_stime)
                resource.setrlimit(resource.RLIMIT_CPU, (used + SECONDS + 1, resource.RLIM_INFINITY))
                ended = self.one(index, Path(folder))
                told.write(json.dumps(ended) + "\n")
                told.flush()
                if ended.startswith("memory"):
                    break  # the peak of a process stays
        os._exit(0)

    def batch(self, start: int) -> Counter[str]:
        """Read a batch of files in processes of their own: a new one after each that dies."""
        ends: Counter[str] = Counter()
        index, end = start, min(start + BATCH, self.count)
        while index < end:
            for ended in _answers(lambda out, first=index: self.child(first, end, out)):  # type: ignore[misc]
                if ended not in ("read", "refused"):
                    self.keep(index, ended)
                ends[ended if ended in ("read", "refused") else "failed"] += 1
                index += 1
        return ends

    def keep(self, index: int, ended: str) -> None:
        """Keep a file that failed."""
        self.failures.mkdir(parents=True, exist_ok=True)
        file, content, way = self.case(index)
        path = self.failures / f"{self.seed}-{index}{file.suffix}"
        path.write_bytes(content)
        path.with_suffix(".txt").write_text(f"{file.name} {way}: {ended}\n", errors="backslashreplace")
        print(f"{path} of {file.name}, {way}: {ended.splitlines()[0]}", flush=True)


def _answers(work: Callable[[int], NoReturn]) -> Iterator[str]:
    """Yield what a child says, line by line, and at last what it died of, if it did."""
    read, write = os.pipe()
    process = os.fork()
    if not process:
        os.close(read)
        try:
            work(write)
        finally:
            traceback.print_exc()
            os._exit(70)
    os.close(write)
    with os.fdopen(read, "rb", buffering=0) as said:
        rest = b""
        while select.select([said], [], [], STUCK)[0] and (block := said.read(1 << 16)):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                yield json.loads(line)
        if not block:
            status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            if status:
                yield _died(status)
            return
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        yield "waits for something"


def _died(status: int) -> str:
    if status == -signal.SIGXCPU:
        return f"takes over {SECONDS} s"
    return f"died of {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _held() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _memory_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def run(fuzz: Fuzz, jobs: int) -> Counter[str]:
    """Read all changed files; return how many were read, refused and failed."""
    ends: Counter[str] = Counter()
    begun = told = time.monotonic()
    starts = range(0, fuzz.count, BATCH)
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for part in pool.imap_unordered(fuzz.batch, starts) if jobs > 1 else map(fuzz.batch, starts):
            ends += part
            if time.monotonic() - told > 30:
                told = time.monotonic()
                print(f"{ends.total():,} in {told - begun:.0f} s: {_counts(ends)}", flush=True)
    took = time.monotonic() - begun
    print(f"{ends.total():,} in {took:.0f} s ({ends.total() / took:.0f}/s), seed {fuzz.seed}: {_counts(ends)}")
    return ends


def _counts(ends: Counter[str]) -> str:
    return ", ".join(f"{ends[what]:,} {what}" for what in ("read", "refused", "failed"))


def main(args: Sequence[str] | None = None) -> None:
    """Run; the exit status is 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=2000, help="changed files to read")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", nargs="*", default=[], metavar="PATTERN", help="sample files, such as '*.pkl'")
    parser.add_argument("--largest", type=int, default=1 << 21, help="bytes of a sample file, at most")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--keep", type=Path, default=Path("out/fuzz"), help="folder for what failed")
    given = parser.parse_args(args)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        files = samples(given.files, given.largest, Path(folder))
    if not files:
        parser.error("there are no such files")
    parse(file.content for file in files)  # once, not in every process
    gc.freeze()
    sys.exit(bool(run(Fuzz(files, given.seed, given.count, given.keep), given.jobs)["failed"]))


if __name__ == "__main__":
    main()
