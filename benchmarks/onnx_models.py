"""Times ONNX models in onnxruntime against the fast form of the same network, on a CPU.

    python benchmarks/onnx_models.py
    python benchmarks/onnx_models.py --family stylegan2 --resolution 1024 --dtype float16
    python benchmarks/onnx_models.py --family stylegan2 --profile

Networks have the channels of the published ones up to a resolution, and random weights. Both draw one picture from the
same input, in turns in one process, with as many threads. `--profile` tells which operators of the model take the time.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from synthesis import FAMILIES, drawing, time_in_turns

import converter
import stylegan_torch
from converter.form import DTYPES, Options
from stylegan_torch.fast import optimize
from stylegan_torch.networks.registry import build


def make(family: str, resolution: int) -> Any:
    """Return a generator of random weights."""
    config = FAMILIES[family]
    levels = resolution.bit_length() - 2
    channels = {"channels": config.channels[:levels]} if hasattr(config, "channels") else {}
    torch.manual_seed(0)
    return build(replace(config, img_resolution=resolution, **channels)).eval().requires_grad_(False)


def inputs_of(session: Any, G: Any) -> dict[str, Any]:
    """Return the inputs that `drawing` draws from, by name."""
    generator = torch.Generator().manual_seed(1)
    if not G.has_w:
        return {"z": torch.randn(1, G.z_dim, generator=generator).numpy()}
    ws = torch.randn(1, G.num_ws, G.w_dim, generator=generator).numpy()
    given = {"ws": ws, "z": np.zeros((0, G.z_dim), np.float32), "truncation_psi": np.array(1, np.float32)}
    given["truncation_cutoff"] = np.array(0)
    return {value.name: given[value.name] for value in session.get_inputs()}


def tell_operators(path: Path) -> None:
    """Print where the time of a profile went, by operator."""
    spent: Counter[str] = Counter()
    for event in json.loads(path.read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
    for name, microseconds in spent.most_common(12):
        print(f"{name:24} {microseconds / sum(spent.values()):6.1%}")


def compare(family: str, options: argparse.Namespace, folder: Path) -> None:
    """Print the row of a family."""
    G, net, model = make(family, options.resolution), folder / "net.pt", folder / "net.onnx"
    stylegan_torch.save(net, {"G_ema": G}, force=True)
    start = time.perf_counter()
    converter.convert(net, model, force=True, options=Options(dtype=options.dtype))
    writing = time.perf_counter() - start
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.enable_profiling = options.profile
    settings.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    inputs, fast = inputs_of(session, G), drawing(optimize(G), 1)
    error = np.abs(session.run(["images"], inputs)[0] - np.asarray(drawing(G, 1)())).max()
    times = time_in_turns({"fast": fast, "onnx": lambda: session.run(["images"], inputs)}, options.rounds)
    speed = statistics.median(a / b for a, b in zip(times["fast"], times["onnx"], strict=True))
    fast_ms, onnx_ms = (1000 * statistics.median(each) for each in times.values())
    size = model.stat().st_size / 1e6
    print(f"| {family} | {size:.1f} | {fast_ms:.0f} | {onnx_ms:.0f} | {speed:.2f} | {error:.1g} | {writing:.1f} |")
    if options.profile:
        tell_operators(Path(session.end_profiling()))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=list(FAMILIES))
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--dtype", choices=DTYPES, default=DTYPES[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--profile", action="store_true", help="Tell operators apart.")
    options = parser.parse_args()
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, {options.resolution}², {options.dtype}")
    print("| family | MB | fast form ms | onnxruntime ms | speed of the fast form | error | s to write |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for family in [options.family] if options.family else FAMILIES:
            compare(family, options, Path(folder))


if __name__ == "__main__":
    main()
