"""Times `stylegan-generate` from process start to 1, 10 and 51 pictures, and what of that is import, load and drawing.

    python benchmarks/cli.py
    python benchmarks/cli.py --network ffhq.pt

Without a network it makes a StyleGAN2 config-f of 1024² with random weights. Drawing alone is a loop over the fast form
in a process that has imported and loaded everything. Each is the median of some runs, which take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COUNTS = (1, 10, 51)
ALONE = """
import json, sys, time
clock = [time.perf_counter()]
from stylegan_torch.commands.terminal import quick_imports
with quick_imports():
    from stylegan_torch.drawing.draw import DrawSettings, draw
clock.append(time.perf_counter())
import converter
G = converter.load(sys.argv[1], ["G_ema"]).network("G_ema")
clock.append(time.perf_counter())
for _ in draw(G, list(range(int(sys.argv[2]))), DrawSettings(), fast=True):
    pass
clock.append(time.perf_counter())
print(json.dumps([b - a for a, b in zip(clock, clock[1:])]))
"""


def make_network(path: Path) -> None:
    """Write a full-size network with random weights."""
    import torch

    import stylegan_torch
    from stylegan_torch.networks import stylegan2

    channels = (512, 512, 512, 512, 512, 256, 128, 64, 32)
    torch.manual_seed(0)
    G = stylegan2.Generator(stylegan2.GeneratorConfig(stylegan2.MappingConfig(512, 0, 512), 1024, 3, channels, 512))
    stylegan_torch.save(path, {"G_ema": G})


def command_seconds(network: Path, count: int, folder: Path) -> float:
    """Return the seconds that the command takes for so many pictures."""
    code = "from stylegan_torch.commands.generate import main; main()"
    seeds = ["--seeds", f"0-{count - 1}", "--outdir", str(folder), "--force"]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, "--network", str(network), *seeds], check=True, capture_output=True)
    return time.perf_counter() - start


def alone_seconds(network: Path, count: int) -> list[float]:
    """Return the seconds of import, load and drawing in a process that writes nothing."""
    command = [sys.executable, "-c", ALONE, str(network), str(count)]
    seconds: list[float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        network = options.network or Path(folder) / "net.pt"
        if options.network is None:
            make_network(network)
        print("| pictures | command s | import s | load s | draw s | command / drawing | the rest s |")
        print("|---|---|---|---|---|---|---|")
        for count in COUNTS:
            rows = []
            for _ in range(options.rounds):
                whole = command_seconds(network, count, Path(folder) / "out")
                rows.append([whole, *alone_seconds(network, count)])
            whole, imports, load, drawing = (statistics.median(column) for column in zip(*rows, strict=True))
            ratio = statistics.median(row[0] / row[3] for row in rows)
            rest = whole - imports - load - drawing
            print(f"| {count} | {whole:.2f} | {imports:.2f} | {load:.2f} | {drawing:.2f} | {ratio:.2f} | {rest:.2f} |")


if __name__ == "__main__":
    main()
