"""Times the conversion of a full-size StyleGAN2 config-f pickle against copying as many bytes, and takes its memory.

    python benchmarks/convert.py

Makes a 1024² official pickle of three networks (about 360 MB, random weights) in a temporary folder, then, each in a
process of its own and in turn: converts its G_ema; and reads the whole file and writes as many bytes as the conversion
wrote. Both processes import torch and this project first, which is taken off.
Prints the median of each and of their ratio.
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
converter.convert(sys.argv[1], sys.argv[2], networks=["G_ema"], force=True)
seconds = time.perf_counter() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""

COPY = """
import json, sys, time
from pathlib import Path
import torch, converter
start = time.perf_counter()
data = Path(sys.argv[1]).read_bytes()
Path(sys.argv[2]).write_bytes(memoryview(data)[: int(sys.argv[3])])
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


def main(rounds: int = 9) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "config-f.pkl", Path(folder) / "out.pt"
        subprocess.run([sys.executable, __file__, "--make", str(source)], check=True)
        measure(CONVERT, str(source), str(target))
        written = target.stat().st_size
        times: list[tuple[float, float]] = []
        memory = 0.0
        for _ in range(rounds):
            seconds, memory = measure(CONVERT, str(source), str(target))
            target.unlink()
            copying, _ = measure(COPY, str(source), str(target), str(written))
            target.unlink()
            times.append((seconds, copying))
        size = source.stat().st_size / 1e6
    converting, copying = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(a / b for a, b in times)
    print(f"{platform.machine()}, {os.cpu_count()} cores, {rounds} rounds, medians")
    print(f"pickle {size:.0f} MB in, G_ema {written / 1e6:.0f} MB out")
    print(f"convert      {converting:6.2f} s")
    print(f"copy         {copying:6.2f} s")
    print(f"ratio        {ratio:6.2f}")
    print(f"peak memory  {memory:6.0f} MB = file {size / 1.048576:.0f} MB {memory - size / 1.048576:+.0f} MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make_pickle(Path(sys.argv[2]))
    else:
        main()
