"""Times `--inspect` of a full-size StyleGAN2 config-f generator in every form, and the memory it takes.

    python benchmarks/inspect_files.py

Makes a 1024² generator of random weights (133 MB), and writes it in each form that takes it, and in more containers.
Each file is read and hashed, and inspected, in processes of their own, which have inspected a small one before. Prints
medians of the processor's seconds, and the most memory that inspecting takes besides (Linux only).
"""

from __future__ import annotations

import pickle
import statistics
import tempfile
from pathlib import Path

import torch
from convert import measure

import converter
from converter.form import Options
from converter.formats import writers
from stylegan_torch.files import checkpoint
from stylegan_torch.files.checkpoint import Checkpoint, StoredNetwork
from stylegan_torch.networks import stylegan2
from stylegan_torch.networks.registry import shapes

ROUNDS = 3
START = """
import json, sys, time
from pathlib import Path
import torch, converter
from converter.conversion import file_origin
def memory(field):
    return next(int(line.split()[1]) / 1e3 for line in open("/proc/self/status") if line.startswith(field))
converter.inspect({small!r})
Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
before, start = memory("VmRSS"), time.process_time()
"""
END = """
print(json.dumps([time.process_time() - start, memory("VmHWM") - before]))
"""
INSPECT = "converter.inspect(sys.argv[1])"
READ = """
from threading import Event
file_origin(Path(sys.argv[1]), Event())
"""


def small_and_large(folder: Path) -> tuple[Path, Path]:
    """Write generators of 8² and of 1024²."""
    paths = []
    for side in (8, 1024):
        channels = tuple(min(32768 // (4 << level), 512) for level in range(side.bit_length() - 2))
        config = stylegan2.GeneratorConfig(
            mapping=stylegan2.MappingConfig(512, 0, 512),
            img_resolution=side,
            img_channels=3,
            channels=channels,
            const_channels=512,
        )
        paths.append(folder / f"ours-{side}.pt")
        state = stylegan2.Generator(config).state_dict()
        G = StoredNetwork(config, {name: state[name] for name in shapes(config)}, {})
        checkpoint.write(paths[-1], Checkpoint({"G_ema": G}, {}))
    return paths[0], paths[1]


def files(ours: Path) -> dict[str, Path]:
    """Write a generator in every form and container."""
    found = {"ours": ours, "ours, safetensors": ours.with_suffix(".safetensors")}
    converter.convert(ours, found["ours, safetensors"])
    for format, writer in writers().items():
        path = ours.with_name(format + writer.suffixes[0])
        if "stylegan2" in writer.families and path.suffix in (".pt", ".pth", ".pkl"):
            converter.convert(ours, path, format=format, options=Options(fresh_d=True))
            found[format] = path
    state = torch.load(found["ada"], weights_only=True)["G_ema"]
    for name, options in {"torch.save": {}, "before 1.6": {"_use_new_zipfile_serialization": False}}.items():
        found[f"state dict, {name}"] = ours.with_name(f"{name}.pt")
        torch.save(state, found[f"state dict, {name}"], **options)
    found["state dict, pickle of arrays"] = ours.with_name("arrays.pkl")
    found["state dict, pickle of arrays"].write_bytes(pickle.dumps({name: v.numpy() for name, v in state.items()}))
    found["state dict, half"] = ours.with_name("half.pt")
    torch.save({name: value.half() for name, value in state.items()}, found["state dict, half"])
    return found


def main() -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = small_and_large(Path(folder))
        print(f"{'form':30}{'MB':>5}{'read and hash s':>17}{'inspect s':>11}{'more MB':>9}")
        for name, path in files(large).items():
            start = START.format(small=str(small))
            reading, inspecting = (
                [measure(start + do + END, str(path)) for _ in range(ROUNDS)] for do in (READ, INSPECT)
            )
            seconds = [statistics.median(one for one, _ in runs) for runs in (reading, inspecting)]
            more = max(one for _, one in inspecting)
            print(
                f"{name:30}{path.stat().st_size / 1e6:5.0f}{seconds[0]:17.2f}{seconds[1]:11.2f}{more:9.0f}", flush=True
            )


if __name__ == "__main__":
    main()
