"""Times the steps of a drag: features, gradient and tracking, without the picture.

python benchmarks/drag.py [--network ffhq.pt] [--steps 100] [--threads 1]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

import checkpoints
import converter
from stylegan_torch.editing.drag import Drag
from stylegan_torch.editing.latents import from_seeds


def main() -> None:
    """Print steps a second: the median step, and all together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default=str(checkpoints.DEMO))
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    G = converter.load(arguments.network, ["G_ema"]).network("G_ema")
    height, width = G.img_size
    point, target = (width * 0.4, height * 0.5), (width * 0.9, height * 0.5)
    drag = Drag(G, from_seeds(G, [1], 0.7), [point], targets=[target])
    seconds = []
    for _ in range(arguments.steps):
        start = time.perf_counter()
        drag.step()
        seconds.append(time.perf_counter() - start)
    median, mean = statistics.median(seconds), statistics.mean(seconds)
    print(f"{1 / median:.1f} steps/s (median), {1 / mean:.1f} in all; {drag.grid.layer}, {arguments.threads} threads")


if __name__ == "__main__":
    main()
