"""NaN and infinity among the numbers of a network: said, kept bit for bit, and drawn with only if asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

import converter
import stylegan_torch
from stylegan_torch.commands.main import main
from stylegan_torch.files import checkpoint
from stylegan_torch.files.checkpoint import Checkpoint, StoredNetwork, same_bits
from stylegan_torch.files.tensors import nonfinite, overlaps
from tests import DATA

NAME = "synthesis.b8.conv1.weight"
WORDS = f"network G_ema: tensor {NAME} has 2 numbers that are NaN or infinite, so what it draws means nothing"
BITS = torch.tensor([0x7FC12345, 0xFF800000 - (1 << 32)], dtype=torch.int32).view(torch.float32)
"""A NaN with a message, and minus infinity."""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def spoil(x: Tensor) -> None:
    x.view(-1)[1:3] = BITS


def write(path: Path, part: str = "state_dict", spoil: Callable[[Tensor], None] = spoil) -> Path:
    """A file of ours, one tensor of whose G_ema is spoilt."""
    loaded = converter.load(DATA / "sg2-skip.pkl")
    G_ema = loaded.networks["G_ema"]
    parts = {"state_dict": dict(G_ema.state_dict), "source": dict(G_ema.source)}
    name = NAME if part == "state_dict" else next(key for key, value in G_ema.source.items() if value.numel() > 2)
    parts[part][name] = parts[part][name].clone()
    spoil(parts[part][name])
    networks = {**loaded.networks, "G_ema": StoredNetwork(G_ema.config, **parts)}
    checkpoint.write(path, Checkpoint(networks, loaded.provenance))
    return path


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
def test_conversion_says_it_and_keeps_every_bit(suffix: str, tmp_path: Path) -> None:
    src, dst = write(tmp_path / "in.pt"), tmp_path / f"out{suffix}"
    result = run("convert", src, dst)
    assert result.exit_code == 0
    (note,) = result.stderr.splitlines()
    assert note == (
        f"Note: network G_ema: tensor {NAME} has 2 numbers that are NaN or infinite; "
        "they are kept, and drawn with only if --allow-nonfinite is given."
    )
    again = converter.load(dst).networks["G_ema"].state_dict
    for name, value in converter.load(src).networks["G_ema"].state_dict.items():
        assert same_bits(value, again[name])
    assert same_bits(again[NAME].reshape(-1)[1:3] if suffix != ".npz" else BITS, BITS)


def test_inspect_says_it_by_the_names_of_the_file(tmp_path: Path) -> None:
    converter.convert(write(tmp_path / "in.pt"), tmp_path / "out.npz")
    (note,) = (line for line in run("convert", "--inspect", tmp_path / "out.npz").stdout.splitlines() if "NaN" in line)
    assert note.startswith("note  network G_ema: tensor G_synthesis/8x8/Conv1/weight has 2 numbers that are NaN or inf")


@pytest.mark.parametrize(
    "command",
    [
        ["generate", "--seeds", "1", "--outdir", "o"],
        ["draw", "--seeds", "1", "--out", "o.png"],
        ["look", "average", "--out", "o.png"],
    ],
)
def test_drawing_goes_on_only_if_asked(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in.pt")
    refused = run(*command, "--network", "in.pt")
    assert refused.exit_code == 1
    assert refused.stderr == (
        f"Error: {WORDS}; --allow-nonfinite (in Python, allow_nonfinite=True) uses it all the same\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in.pt"]
    assert run(*command, "--network", "in.pt", "--allow-nonfinite").exit_code == 0


def test_library(tmp_path: Path) -> None:
    path = write(tmp_path / "in.pt")
    with pytest.raises(stylegan_torch.CheckpointError, match=WORDS):
        stylegan_torch.load(path)
    G = stylegan_torch.load(path, allow_nonfinite=True)
    assert G.state_dict()[NAME].isnan().any()
    stylegan_torch.load(path, "G")
    stylegan_torch.load(path, "D")


def test_what_is_only_kept_is_no_reason_to_stop(tmp_path: Path) -> None:
    stylegan_torch.load(write(tmp_path / "in.pt", "source"))


def test_large_numbers_are_finite(tmp_path: Path) -> None:
    def enlarge(x: Tensor) -> None:
        x[:] = torch.finfo(torch.float32).max

    stylegan_torch.load(write(tmp_path / "in.pt", spoil=enlarge))


def test_words() -> None:
    nan, sound = torch.tensor([1.0, torch.nan]), torch.ones(3)
    assert nonfinite({"a": sound, "i": torch.ones(2, dtype=torch.int64), "none": torch.ones(0)}) is None
    assert nonfinite({"a": sound, "b": nan}) == "tensor b has a number that is NaN or infinite"
    several = {"b": torch.full((1000,), torch.inf), "c": nan, "d": nan.half()}
    assert nonfinite(several) == "tensor b has 1,000 numbers that are NaN or infinite, as have 2 other tensors"
    assert nonfinite({"h": torch.full((9,), 65504.0, dtype=torch.float16)}) is None


@pytest.mark.parametrize(
    ("sides", "steps", "over"),
    [
        ((2, 3), (3, 1), False),
        ((3, 2), (1, 3), False),
        ((1, 4), (0, 1), False),
        ((2, 3), (4, 1), False),
        ((4,), (0,), True),
        ((2, 3), (1, 1), True),
        ((2, 3), (2, 1), True),
        ((), (), False),
    ],
)
def test_numbers_that_lie_over_one_another(sides: tuple[int, ...], steps: tuple[int, ...], over: bool) -> None:
    assert overlaps(sides, steps) == over
