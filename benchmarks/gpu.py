"""Everything that needs a card, in six minutes: parity, memory, speed of drawing and of training.

    python benchmarks/gpu.py                         # writes gpu.json, prints the README's table
    python benchmarks/gpu.py --table gpu.json        # prints the table of an earlier run
    python benchmarks/gpu.py --device cpu --quick    # a tiny version of itself, in a card's forms

Parity: every generator in tests/data is drawn on the card by the plain and the fast form, and held against the plain
one on the CPU, and against the original's arrays where there are some. Speed: each family at its full published size
with random weights, one, 8 and 32 pictures at once, by the plain form, the fast one, a CUDA graph of it, compiled, and
with each of the choices for cards (`stylegan_torch.fast.choices`) turned round. Training: whole steps of networks of
256². What fails, or what there is no time or memory for, is said in the place of its result.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from synthesis import make
from torch import Tensor

import converter
from stylegan_torch import StyleGANError
from stylegan_torch.fast import choices, optimize, strips
from stylegan_torch.fast.graphs import Graphed
from stylegan_torch.fast.memory import batch_for, bytes_a_picture, free_bytes
from stylegan_torch.fast.precision import card_float32
from stylegan_torch.networks.interface import Generator
from stylegan_torch.training.dataset import Dataset
from stylegan_torch.training.recipes import Networks, new_networks
from stylegan_torch.training.settings import preset
from stylegan_torch.training.trainer import Trainer

DATA = Path(__file__).parents[1] / "tests" / "data"
SUFFIXES = (".pkl", ".pt", ".pth", ".bin", ".model")
TINY = {"stylegan2": "sg2-skip.pkl", "progan": "pg.pkl"}
"""What `--quick` measures in the place of all; only the first is compiled."""
HALF = torch.float16
PARITY: dict[str, float] = {"plain": 1e-4, "fast": 1e-4}
"""How far float32 may be from the CPU, of images in [-1, 1] or of their range."""
DECIBELS = 40.0
"""How near half precision must be."""
_SWAPPED = {torch.channels_last: torch.contiguous_format, torch.contiguous_format: torch.channels_last}
OTHER: dict[str, tuple[Callable[[Any], Any], tuple[str, ...]]] = {
    "layout": (lambda layout: _SWAPPED[layout], ("stylegan2", "stylegan", "progan")),
    "filtered": (lambda layout: _SWAPPED[layout], ("stylegan3-t", "stylegan3-r")),
    "matrices": (lambda width: 0, ("stylegan3-t", "stylegan3-r")),
    "phases": (lambda phases: not phases, ("stylegan2",)),
}
"""Each choice for cards: what it is not, and whom it concerns."""
ORDER = ("stylegan2", "stylegan3-t", "stylegan", "progan", "stylegan3-r")
"""Families, what matters most first, as time may end."""
FAILURES = (RuntimeError, StyleGANError, ValueError, TypeError, AttributeError, AssertionError, NotImplementedError)
"""What a form may end with on a card that nobody tried; the others are measured all the same."""
Record = dict[str, Any]
Draw = Callable[[Tensor], Tensor]
Forms = dict[tuple[str, str, str | None], Callable[[], Draw]]
"""What makes each form, by name, dtype and the choice that is turned round; it draws from latents."""


@dataclass
class Bench:
    """One run. quick: tiny. ends: when no more is begun."""

    device: torch.device
    quick: bool
    ends: float
    parity: list[Record] = field(default_factory=list)
    speed: list[Record] = field(default_factory=list)
    training: list[Record] = field(default_factory=list)

    def wait(self) -> None:
        """Wait until the device has done all."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def tried(self, into: list[Record], about: Record, work: Callable[[], Record]) -> None:
        """Add a result to a list, or why there is none."""
        if time.monotonic() > self.ends:
            into.append({**about, "failed": "no time"})
            return
        try:
            into.append({**about, **work()})
        except FAILURES as error:
            text = "out of memory" if isinstance(error, torch.OutOfMemoryError) else f"{type(error).__name__}: {error}"
            into.append({**about, "failed": text[:300]})
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def seconds(self, call: Callable[[], object]) -> float:
        """Return what a call takes: the least of several, after some that don't count."""

        def once() -> float:
            start = time.perf_counter()
            call()
            self.wait()
            return time.perf_counter() - start

        first = once()
        if self.quick or first > 5:
            return once()
        return min(once() for _ in range(int(min(max(0.4 / once(), 1), 20))))


def inputs(G: Generator, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return latents and labels."""
    z = torch.randn(count, G.z_dim, generator=torch.Generator().manual_seed(3))
    return z.to(device), torch.eye(max(G.c_dim, count))[:count, : G.c_dim].to(device)


def decibels(found: Tensor, expected: Tensor) -> float:
    """Return the signal-to-noise ratio to the range of images."""
    error = (found - expected).square().mean().clamp_min(1e-20)
    return float(10 * torch.log10(4 * expected.abs().max() ** 2 / error))


# Parity.


def files(quick: bool) -> list[Path]:
    """Return the networks of tests/data."""
    every = sorted(path for path in DATA.rglob("*") if path.suffix in SUFFIXES)
    return [DATA / name for name in TINY.values()] if quick else every


@torch.no_grad()
def parity(bench: Bench) -> None:
    """Hold every network on the device against the CPU, and against the original's arrays."""
    for path in files(bench.quick):
        name = str(path.relative_to(DATA))
        try:
            G = converter.load(path).network("G_ema")
        except (StyleGANError, KeyError):  # it has none, or is a part of something
            continue
        z, c = inputs(G, 3, torch.device("cpu"))
        expected = G(z, c)
        G = G.to(bench.device)
        for form, dtype in (
            ("plain", torch.float32),
            ("fast", torch.float32),
            ("fast", HALF),
            ("fast", torch.bfloat16),
        ):
            about = {"network": name, "form": form, "dtype": str(dtype).removeprefix("torch.")}
            bench.tried(bench.parity, about, lambda: _against(G, form, dtype, z, c, expected))  # noqa: B023
        bench.tried(bench.parity, {"network": name, "form": "plain", "against": "arrays"}, lambda: _arrays(G, path))  # noqa: B023
    bench.parity[:] = [each for each in bench.parity if not each.get("failed", "").endswith("no arrays")]


def _against(G: Generator, form: str, dtype: torch.dtype, z: Tensor, c: Tensor, expected: Tensor) -> Record:
    H = G if form == "plain" else optimize(G, dtype)
    z, c = z.to(G.device), c.to(G.device)
    with card_float32():
        together, alone = H(z, c).cpu(), H(z[:1], c[:1]).cpu()
    # StyleGAN3 normalises styles over the batch, which demodulation undoes but for its epsilon.
    error = float((together - expected).abs().max()) / max(1.0, float(expected.abs().max()))
    ratio = min(decibels(together, expected), decibels(alone, expected[:1]))
    good = error <= PARITY[form] and ratio > DECIBELS if dtype == torch.float32 else ratio >= DECIBELS
    return {"error": error, "decibels": ratio, "good": good}


def _arrays(G: Generator, path: Path) -> Record:
    try:
        with np.load(path.with_suffix(".npz")) as arrays:
            kept = {name: torch.from_numpy(arrays[name]) for name in arrays.files if arrays[name].dtype.kind == "f"}
    except OSError as error:
        raise ValueError("no arrays") from error
    image = next((kept[name] for name in ("img", "img_const") if name in kept), None)
    labels = kept.get("labels", kept.get("c"))
    if image is None or "z" not in kept:
        raise ValueError("no arrays")
    with card_float32():
        found = G(kept["z"].to(G.device), None if labels is None else labels.to(G.device)).cpu()
    distance = float((found - image).abs().max()) / max(1.0, float(image.abs().max()))
    return {"error": distance, "good": distance <= PARITY["plain"]}


# Drawing.


@contextmanager
def turned(name: str | None) -> Iterator[None]:
    """Until the block ends, turn round one of the choices for cards."""
    before = choices.CARD, choices.CARD_HALF
    if name:
        choices.CARD, choices.CARD_HALF = (replace(row, **{name: OTHER[name][0](getattr(row, name))}) for row in before)
    try:
        yield
    finally:
        choices.CARD, choices.CARD_HALF = before


def drawer(G: Generator) -> Draw:
    """Return what draws from ws, or from z where there is no w."""
    return G.synthesis if G.has_w else G


def forms(G: Generator, family: str, quick: bool) -> Forms:
    """Return the forms of a family's generator."""

    def compiled(H: Generator) -> Draw:
        torch._dynamo.config.recompile_limit = 256  # type: ignore[attr-defined,unused-ignore]  # a form for each layer
        how: Any = {"backend": "eager"} if quick else {"mode": "reduce-overhead"}
        drawn: Draw = torch.compile(drawer(H), **how)

        def draw(x: Tensor) -> Tensor:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            return drawn(x).clone()

        return draw

    found: Forms = {
        ("plain", "float32", None): lambda: drawer(G),
        ("fast", "float32", None): lambda: drawer(optimize(G)),
        ("fast", "tf32", None): lambda: drawer(optimize(G, tf32=True)),
        ("fast", "float16", None): lambda: drawer(optimize(G, HALF)),
        ("graph", "float16", None): lambda: Graphed(drawer(optimize(G, HALF))),
    }
    for name in (name for name, (_, families) in OTHER.items() if family in families):
        found["fast", "float32", name] = lambda: drawer(optimize(G))
        found["fast", "float16", name] = lambda: drawer(optimize(G, HALF))
    found["compiled", "float16", None] = lambda: compiled(optimize(G, HALF))
    return found


@torch.no_grad()
def speed(bench: Bench, batches: Sequence[int], *, late: bool) -> None:
    """Time all families, either all but the compiled forms or, `late`, these, which take minutes to be made."""
    for family in list(TINY)[: 1 if late else None] if bench.quick else ORDER:
        if time.monotonic() > bench.ends:
            bench.speed.append({"family": family, "what": "compiled" if late else "all", "failed": "no time"})
            continue
        G = _generator(family, bench)
        if not late:
            bench.tried(bench.speed, {"family": family, "what": "memory"}, lambda: _room(G))  # noqa: B023
        for (form, dtype, other), made in forms(G, family, bench.quick).items():
            if (form == "compiled") == late:
                for batch in batches[:2][-1:] if other or late else batches:
                    about = {"family": family, "form": form, "dtype": dtype, "other": other, "batch": batch}
                    bench.tried(bench.speed, about, lambda: _timed(bench, G, made, batch, other))  # noqa: B023


def _generator(family: str, bench: Bench) -> Generator:
    G: Any = converter.load(DATA / TINY[family]).network("G_ema") if bench.quick else make(family)
    generator: Generator = G.to(bench.device)
    return generator


def _room(G: Generator) -> Record:
    """Return what is thought of memory, in megabytes, and what follows."""
    found: Record = {"free": free_bytes(G.device) / 1e6} if G.device.type == "cuda" else {}
    for name, H in (("plain", G), ("fast", optimize(G)), ("float16", optimize(G, HALF))):
        found |= {f"{name}_estimate": (bytes_a_picture(H) or 0) / 1e6, f"{name}_batch": batch_for(H)}
    return found


def _timed(bench: Bench, G: Generator, made: Callable[[], Draw], batch: int, other: str | None) -> Record:
    shape = (batch, G.num_ws, G.w_dim) if G.has_w else (batch, G.z_dim)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(bench.device)
    with turned(other), card_float32():
        draw = made()
        before = _allocated(bench, reset=True)
        seconds = bench.seconds(lambda: draw(x))
        found: Record = {"pictures_s": batch / seconds, "mb_a_picture": (_allocated(bench) - before) / batch / 1e6}
        if batch == 1:
            found["decibels"] = decibels(draw(x).cpu(), drawer(G)(x).cpu())
        return found


def _allocated(bench: Bench, reset: bool = False) -> int:
    """Return the most memory that was used since the last reset; with `reset` what is used now."""
    if bench.device.type != "cuda":
        return 0
    if reset:
        torch.cuda.reset_peak_memory_stats(bench.device)
    return torch.cuda.max_memory_allocated(bench.device)


# Training.


def training(bench: Bench) -> None:
    """Time steps of each family, a step being one of the generator and one of the discriminator."""
    families: tuple[Literal["progan", "stylegan1", "stylegan2", "stylegan3"], ...]
    families = ("stylegan2",) if bench.quick else ("stylegan2", "stylegan3", "stylegan1", "progan")
    small: Any = {"channel_base": 64, "channel_max": 8, "z_dim": 16, "w_dim": 16} if bench.quick else {}
    for family in families:
        recipe = Networks(family, 16 if bench.quick else 256, conv_clamp=256.0, **small)
        for precision in ("no",) if bench.device.type == "cpu" else ("fp16", "no"):
            about = {"family": family, "resolution": recipe.resolution, "precision": precision}
            bench.tried(bench.training, about, lambda: _trained(bench, recipe, precision))  # noqa: B023


def _trained(bench: Bench, recipe: Networks, precision: str) -> Record:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)  # else the first precision stays
    accelerator = Accelerator(mixed_precision=precision, cpu=bench.device.type == "cpu")
    trio: Any = new_networks(recipe)
    side, batch = recipe.resolution, 4 if bench.quick else 16
    pictures = np.random.default_rng(0).integers(0, 255, (64, recipe.img_channels, side, side)).astype(np.uint8)
    settings = preset(recipe.family, {"batch": batch, "grow_from": None, "batches": {}})
    trainer = Trainer(
        trio["G"], trio["D"], trio["G_ema"], Dataset(pictures, np.full(64, -1)), settings, accelerator=accelerator
    )
    steps = 1 if bench.quick else 16  # as many as the rarest regulariser takes
    seconds = bench.seconds(lambda: [trainer.step() for _ in range(steps)])
    return {"batch": batch, "steps_s": steps / seconds, "pictures_s": batch * steps / seconds}


# Telling.


def about(device: torch.device) -> Record:
    """Return what was measured where."""
    card: Record = {"name": platform.processor() or platform.machine()}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        card = {"name": properties.name, "gb": properties.total_memory / 1e9, "cuda": torch.version.cuda}
        card["cudnn"] = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    now = datetime.now(UTC)
    return {**card, "device": str(device), "torch": torch.__version__, "date": now.isoformat(timespec="minutes")}


COLUMNS = (
    ("plain", "float32"),
    ("fast", "float32"),
    ("fast", "tf32"),
    ("fast", "float16"),
    ("graph", "float16"),
    ("compiled", "float16"),
)


def table(found: Record) -> str:
    """Return the README's table: pictures per second."""
    head = ["pictures a second", "at once", *(f"{form} {dtype}" for form, dtype in COLUMNS)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    speeds = {
        (each["family"], each["batch"], each["form"], each["dtype"]): each
        for each in found["speed"]
        if "dtype" in each and not each["other"]
    }
    for family, batch in dict.fromkeys((family, batch) for family, batch, *_ in speeds):
        cells = [_cell(speeds.get((family, batch, *column), {})) for column in COLUMNS]
        lines.append("| " + " | ".join([family, str(batch), *cells]) + " |")
    worse = [each for each in found["parity"] if not each.get("good")]
    lines += ["", f"{found['about']['name']}, torch {found['about']['torch']}, {found['about']['date']}"]
    lines += [f"parity: {len(found['parity'])} comparisons, {len(worse)} of them bad"]
    lines += [f"  {json.dumps(each)}" for each in worse]
    lines += [f"training: {json.dumps(each)}" for each in found["training"]]
    return "\n".join(lines)


def _cell(each: Record) -> str:
    return each.get("failed", "").partition(":")[0] if "pictures_s" not in each else f"{each['pictures_s']:.3g}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all, or print what a run wrote."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny networks, one run of each")
    parser.add_argument("--minutes", type=float, default=5.5, help="after which no measurement is begun")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--table", type=Path, help="print the table of this file, measure nothing")
    options = parser.parse_args(arguments)
    if options.table:
        print(table(json.loads(options.table.read_text())))
        return
    start, batches = time.monotonic(), (1,) if options.quick else (1, 8, 32)
    bench = Bench(torch.device(options.device), options.quick, start)
    parts: list[tuple[float, Callable[[], None]]] = [
        (0.2, lambda: parity(bench)),
        (0.6, lambda: speed(bench, batches, late=False)),
        (0.75, lambda: training(bench)),
        (1.0, lambda: speed(bench, batches, late=True)),
    ]
    found: Record = {"about": about(bench.device)}
    with _as_on_a_card():
        for share, part in parts:
            bench.ends = start + 60 * options.minutes * share
            part()
            found |= {"parity": bench.parity, "speed": bench.speed, "training": bench.training}
            options.out.write_text(json.dumps(found, indent=1) + "\n")  # should the next part end the process
    print(table(found))


@contextmanager
def _as_on_a_card() -> Iterator[None]:
    """Until the block ends, let a CPU too work with whole maps and batches."""
    before = strips.in_pieces
    strips.in_pieces = lambda x: False
    try:
        yield
    finally:
        strips.in_pieces = before


if __name__ == "__main__":
    main()
