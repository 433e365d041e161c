"""Times the plain and the fast form of each family at its full published size, and what its convolutions alone take.

    python benchmarks/synthesis.py
    python benchmarks/synthesis.py --family stylegan2 --batch 1 --peer mine.py

Weights are random, which changes neither time nor memory. All candidates take turns in one run, so that what else the
machine does touches all alike. The floor is the bare convolutions: every convolution that the plain form calls, in
the channels-last layout, on inputs that are there already, and nothing between. StyleGAN3's filters are counted in as
if they were calculated as fast as its convolutions.

A peer is a Python file that defines `make(G)`: it gets our plain generator, and returns a function that draws from the
same input as `G.synthesis` (ProGAN: as `G`).
"""

from __future__ import annotations

import argparse
import platform
import resource
import runpy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from stylegan_torch.fast import optimize
from stylegan_torch.networks import progan, stylegan1, stylegan2, stylegan3
from stylegan_torch.networks.registry import build

_WIDE = (512, 512, 512, 512, 512, 256, 128, 64, 32)
_NARROW = (512, 512, 512, 512, 256, 128, 64, 32, 16)
_MAPPING = stylegan2.MappingConfig(512, 0, 512)
FAMILIES: dict[str, Any] = {
    "progan": progan.GeneratorConfig(512, 0, 1024, 3, _NARROW),
    "stylegan": stylegan1.GeneratorConfig(stylegan1.MappingConfig(512, 0, 512), 1024, 3, _NARROW),
    "stylegan2": stylegan2.GeneratorConfig(_MAPPING, 1024, 3, _WIDE, 512),
    "stylegan3-t": stylegan3.GeneratorConfig(stylegan2.MappingConfig(512, 0, 512, 2), 1024, 3),
    "stylegan3-r": stylegan3.GeneratorConfig(
        stylegan2.MappingConfig(512, 0, 512, 2), 1024, 3, 65536, 1024, conv_kernel=1, use_radial_filters=True
    ),
}
Draw = Callable[[], object]


class _Recorder(TorchFunctionMode):
    """Notes the convolutions between all feature maps that a network calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, torch.Size, torch.Size, dict[str, Any]]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (F.conv2d, F.conv_transpose2d) and kwargs.get("groups", 1) == 1:
            self.calls.append((func, args[0].shape, args[1].shape, kwargs))
        return func(*args, **kwargs)


def bare_convolutions(draw: Draw, dtype: torch.dtype, times: int) -> Draw:
    """Return what calls the convolutions of `draw` alone, so many times."""
    with _Recorder() as recorder:
        draw()

    def laid_out(shape: torch.Size) -> Tensor:
        return torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)

    jobs = [(func, laid_out(x), laid_out(weight), kwargs) for func, x, weight, kwargs in recorder.calls]

    def convolve() -> None:
        for func, x, weight, kwargs in jobs * times:
            func(x, weight, **kwargs)

    return convolve


def filters(G: Any) -> float:
    """Return the multiplications of StyleGAN3's filters as a share of its convolutions'; 0 for other families.

    Those of inserted zeros and of samples that are dropped aren't counted.
    """
    convolved = filtered = 0
    for spec in (getattr(G.synthesis, name).spec for name in getattr(getattr(G, "synthesis", None), "layer_names", ())):
        (rows, columns), channels = spec.after.size, spec.after.channels
        height, width = (given + spec.kernel - 1 for given in spec.before.size)
        tall, wide = ((made - 1) * spec.down + spec.down_taps for made in spec.after.size)
        convolved += height * width * channels * spec.before.channels * spec.kernel**2
        if spec.is_rgb:
            continue
        filtered += (height + tall) * wide * channels * spec.up_taps // spec.up
        radial = G.config.use_radial_filters and not spec.is_critical
        taps = rows * columns * spec.down_taps if radial else rows * (wide + columns)
        filtered += taps * channels * spec.down_taps
    return filtered / convolved if convolved else 0.0


def drawing(G: Any, batch: int) -> Draw:
    """Return what draws a batch."""
    generator = torch.Generator().manual_seed(1)
    if isinstance(G, progan.Generator):
        z = torch.randn(batch, G.z_dim, generator=generator)
        return lambda: G(z)
    ws = torch.randn(batch, G.num_ws, G.w_dim, generator=generator)
    return lambda: G.synthesis(ws)


def make(family: str) -> nn.Module:
    """Return a generator of full size with random weights."""
    torch.manual_seed(0)
    return build(FAMILIES[family]).eval().requires_grad_(False)


def time_in_turns(candidates: dict[str, Draw], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each candidate in each round, after one that doesn't count."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name, draw in candidates.items():
            start = time.perf_counter()
            draw()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def peak(family: str, form: str, batch: int) -> float:
    """Return the peak resident memory of a process that draws one batch, in MB."""
    command = [sys.executable, __file__, "--family", family, "--batch", str(batch), "--only", form]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _own_peak() -> float:
    try:
        status = Path("/proc/self/status").read_text().split()
        return int(status[status.index("VmHWM:") + 1]) / 1024
    except OSError:  # not Linux; there, what a process inherits from its parent is not counted
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _form(G: Any, form: str) -> Any:
    return G if form == "plain" else optimize(G, torch.bfloat16 if form == "fast bf16" else torch.float32)


def _psnr(a: Tensor, b: Tensor) -> float:
    return float(10 * torch.log10(4 * a.abs().max() ** 2 / (a - b).square().mean()))


def compare(family: str, batches: list[int], rounds: int, peer: str | None) -> None:
    """Print the table of a family."""
    G = make(family)
    forms = {form: _form(G, form) for form in ("plain", "fast", "fast bf16")}
    print(f"\n{family}\n")
    print("| batch | form | ms a picture | × floor | × plain | peak MB | error |")
    print("|---|---|---|---|---|---|---|")
    for batch in batches:
        candidates = {form: drawing(network, batch) for form, network in forms.items()}
        candidates["floor"] = bare_convolutions(drawing(G, 1), torch.float32, batch)
        if peer:
            candidates["peer"] = _peer(peer, G, batch)
        seconds = time_in_turns(candidates, rounds)
        seconds["floor"] = [each * (1 + filters(G)) for each in seconds["floor"]]
        plain: Any = candidates["plain"]()
        for name, draw in candidates.items():
            ratios = [
                statistics.median(own / other for own, other in zip(seconds[name], seconds[base], strict=True))
                for base in ("floor", "plain")
            ]
            image: Any = draw() if name != "floor" else None
            error = "" if image is None else f"{float((image - plain).abs().max()):.1e}, {_psnr(plain, image):.0f} dB"
            memory = f"{peak(family, name, batch):.0f}" if name in forms else ""
            print(
                f"| {batch} | {name} | {min(seconds[name]) / batch * 1e3:.0f} | {ratios[0]:.2f} | {ratios[1]:.2f} "
                f"| {memory} | {'' if name == 'plain' else error} |",
                flush=True,
            )


def _peer(path: str, G: Any, batch: int) -> Draw:
    draw = runpy.run_path(path)["make"](G)
    generator = torch.Generator().manual_seed(1)
    shape = (batch, G.z_dim) if isinstance(G, progan.Generator) else (batch, G.num_ws, G.w_dim)
    inputs = torch.randn(shape, generator=generator)
    return lambda: draw(inputs)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=list(FAMILIES), action="append")
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    families, batches = options.family or list(FAMILIES), options.batch or [1, 4, 8]
    torch.set_grad_enabled(False)
    if options.only:
        G = make(families[0])
        form = _form(G, options.only)
        del G
        drawing(form, batches[0])()
        print(_own_peak())
        return
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for family in families:
        compare(family, batches, options.rounds, options.peer)


if __name__ == "__main__":
    main()
