"""Times training: steps of each family, ours beside the same steps by the formulas taken literally (`literal.py`).

    python benchmarks/train.py
    python benchmarks/train.py --family stylegan2 --resolution 128 --batch 4 --json train.json

A step is one of the generator and one of the discriminator, with augmentation at half its strength where the family is
named -ada. The regularisers come every so many steps as the papers have it, in both, so steps are counted by sixteens.
Weights and pictures are random. Both take turns, step by step, so that what else the machine does touches both; the
ratio is that of the seconds of a step, and beside it that of the processor's time, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import runpy
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stylegan_torch.training.dataset import Dataset
from stylegan_torch.training.recipes import Networks, new_networks
from stylegan_torch.training.settings import preset
from stylegan_torch.training.trainer import Trainer

FAMILIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "progan": ({"family": "progan"}, {}),
    "stylegan": ({"family": "stylegan1"}, {}),
    "stylegan2": ({"family": "stylegan2"}, {}),
    "stylegan2-ada": ({"family": "stylegan2", "conv_clamp": 256.0}, {"augment": "fixed", "augment_p": 0.5}),
    "stylegan3-t": ({"family": "stylegan3"}, {}),
    "stylegan3-r": ({"family": "stylegan3", "radial": True}, {}),
}
"""Networks, and settings besides those of the family."""
FORMULAS: Callable[[], AbstractContextManager[None]] = runpy.run_path(str(Path(__file__).with_name("literal.py")))[
    "formulas"
]


def trainer(family: str, options: argparse.Namespace) -> Trainer:
    """Return a trainer of new networks on random pictures."""
    networks, settings = FAMILIES[family]
    sizes = {name: getattr(options, name) for name in ("resolution", "channel_base", "channel_max")}
    trio: Any = new_networks(Networks(**networks, **sizes))
    shape = (4 * options.batch, 3, options.resolution, options.resolution)
    pictures = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    data = Dataset(pictures, np.full(len(pictures), -1))
    chosen = {"batch": options.batch, "grow_from": None, "batches": {}, **settings}
    return Trainer(trio["G"], trio["D"], trio["G_ema"], data, preset(networks["family"], chosen))


def _in_memory_order(trained: Trainer) -> Trainer:
    for network in (trained.G, trained.D):
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return trained


def compare(family: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the steps per second of both, and their ratios."""
    ways: dict[str, tuple[Trainer, Callable[[], AbstractContextManager[None]]]] = {
        "ours": (trainer(family, options), contextlib.nullcontext),
        "literal": (_in_memory_order(trainer(family, options)), FORMULAS),
    }
    seconds, processor = dict.fromkeys(ways, 0.0), dict.fromkeys(ways, 0.0)
    losses: dict[str, dict[str, float]] = {}
    for _ in range(options.steps):
        for name, (trained, formulas) in ways.items():
            start, busy = time.perf_counter(), time.process_time()
            with formulas():
                found = trained.step()
            seconds[name] += time.perf_counter() - start
            processor[name] += time.process_time() - busy
            losses.setdefault(name, found)  # of the first step, after which rounding is trained on
    return {
        "family": family,
        "steps_s": options.steps / seconds["ours"],
        "literal_steps_s": options.steps / seconds["literal"],
        "ratio": seconds["literal"] / seconds["ours"],
        "processor_ratio": processor["literal"] / processor["ours"],
        "losses": losses,
    }


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=list(FAMILIES), action="append", help="one of them; again for more")
    parser.add_argument("--resolution", type=int, default=64, help="side of the pictures")
    parser.add_argument("--batch", type=int, default=8, help="pictures of a step")
    parser.add_argument("--channel-base", type=int, default=4096, help="a level of side r has this / r feature maps")
    parser.add_argument("--channel-max", type=int, default=256, help="but no more than these")
    parser.add_argument("--steps", type=int, default=16, help="how many, of each")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    options = parser.parse_args()
    now = datetime.now(UTC).isoformat(timespec="minutes")
    about = {
        "machine": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "date": now,
        **{name: getattr(options, name) for name in ("resolution", "batch", "channel_base", "channel_max", "steps")},
    }
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    print("\n| family | steps/s | literally | ratio | of processor time |\n|---|---|---|---|---|")
    found = []
    for family in options.family or FAMILIES:
        found.append(row := compare(family, options))
        print(
            f"| {family} | {row['steps_s']:.2f} | {row['literal_steps_s']:.2f} | {row['ratio']:.2f} "
            f"| {row['processor_ratio']:.2f} |",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps({**about, "families": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
