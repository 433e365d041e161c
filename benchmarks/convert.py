"""Times the conversion of a full-size StyleGAN2 config-f pickle against copying as many bytes, and takes its memory.

    python benchmarks/convert.py

Makes a 1024² official pickle of three networks (about 380 MB, random weights) in a temporary folder, then, each in a
process of its own and in turn: converts its G_ema or all three, to .pt, .safetensors and .npz; reads the whole file and
writes as many bytes as the conversion wrote; and does that with an fsync at the end. Nothing else here waits for the
disk. All import torch and this project first, which is taken off.
Prints the median of each and of the ratios. Memory is that of the whole process: its peak, pages of mapped files
included, and the peak of what is anonymous, looked at every two milliseconds in a conversion that is not timed.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

CONVERT = """
import json, resource, sys, time
import torch, converter
start = time.perf_counter()
converter.convert(sys.argv[1], sys.argv[2], networks=json.loads(sys.argv[3]), force=True)
seconds = time.perf_counter() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""

ANONYMOUS = """
import json, re, sys, threading, time
import torch, converter
most, done = 0, threading.Event()
def look():
    global most
    while not done.is_set():
        with open("/proc/self/status") as file:
            most = max(most, int(re.search("RssAnon:\\s+([0-9]+)", file.read())[1]))
        time.sleep(0.002)
looking = threading.Thread(target=look)
looking.start()
converter.convert(sys.argv[1], sys.argv[2], networks=json.loads(sys.argv[3]), force=True)
done.set()
looking.join()
print(json.dumps([0, most / 1024]))
"""

BARE = "print([0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024])"

COPY = """
import json, os, sys, time
from pathlib import Path
import torch, converter
start = time.perf_counter()
data = Path(sys.argv[1]).read_bytes()
with open(sys.argv[2], "wb") as file:
    file.write(memoryview(data)[: int(sys.argv[3])])
    if sys.argv[4] == "fsync":
        os.fsync(file.fileno())
print(json.dumps([time.perf_counter() - start, 0]))
"""


def make_pickle(path: Path, code: str = "") -> None:
    """Write the pickle that is converted; it carries `code`."""
    from converter.forms.tensorflow.pickler import carrying, fresh_network, write_pickle

    keywords = {"num_channels": 3, "resolution": 1024, "label_size": 0}
    parts = [("synthesis", "G_synthesis_stylegan2"), ("mapping", "G_mapping")]
    networks = [
        fresh_network("G", "G", "G_main", keywords, components=parts),
        fresh_network("D", "D", "D_stylegan2", keywords),
        fresh_network("G_ema", "Gs", "G_main", keywords, components=parts),
    ]
    write_pickle(path, [carrying(network, code) for network in networks] if code else networks)


def measure(code: str, *arguments: str) -> tuple[float, float]:
    """Run code in a process of its own; return its seconds and its peak resident memory in MB."""
    result = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    seconds, memory = json.loads(result.stdout)
    return seconds, memory


def row(source: Path, target: Path, networks: list[str] | None, rounds: int) -> str:
    """Return a row of the table."""
    what = (str(source), str(target), json.dumps(networks))
    measure(CONVERT, *what)
    written = str(target.stat().st_size)
    times: list[list[float]] = []
    memory = 0.0
    for _ in range(rounds):
        target.unlink()
        seconds, peak = measure(CONVERT, *what)
        memory, row = max(memory, peak), [seconds]
        for how in ("", "fsync"):
            target.unlink()
            row.append(measure(COPY, str(source), str(target), written, how)[0])
        times.append(row)
    _, anonymous = measure(ANONYMOUS, *what)
    target.unlink()
    medians = [f"{statistics.median(column):.2f}" for column in zip(*times, strict=True)]
    ratios = [f"{statistics.median(row[0] / row[i] for row in times):.2f}" for i in (1, 2)]
    cells = [f"{int(written) / 1e6:.0f}", *medians, *ratios, f"{memory:.0f}", f"{anonymous:.0f}"]
    return f"| {' '.join(networks or ['all three'])} | {target.suffix} | {' | '.join(cells)} |"


def main(rounds: int = 7) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "config-f.pkl"
        subprocess.run([sys.executable, __file__, "--make", str(source)], check=True)
        size = source.stat().st_size
        _, bare = measure("import resource, torch, converter.conversion;" + BARE)
        print(f"{platform.machine()}, {os.cpu_count()} cores, {rounds} rounds, medians")
        print(f"pickle of {size / 1e6:.0f} MB ({size / 1048576:.0f} MiB); {bare:.0f} MiB before anything is read")
        print(
            "| networks | to | MB | convert s | copy s | with fsync s | × copy | × fsync | peak MiB | anonymous MiB |"
        )
        print("|---|---|---|---|---|---|---|---|---|---|")
        for networks in (["G_ema"], None):
            for suffix in (".pt", ".safetensors", ".npz"):
                print(row(source, Path(folder) / f"out{suffix}", networks, rounds), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make_pickle(Path(sys.argv[2]))
    else:
        main()
