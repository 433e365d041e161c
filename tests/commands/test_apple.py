"""Commands on a Mac, whose graphics card has no float64."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from stylegan_torch.commands.main import main
from stylegan_torch.drawing.devices import best_device
from stylegan_torch.editing.films.trajectories import slerp
from stylegan_torch.editing.spectra import average_spectrum
from tests import DATA
from tests.tools.apple import apple_gpu


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with apple_gpu():
        yield


def _run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result.output


COMMANDS = {
    "pictures": ("generate", "--seeds", "0-1", "--outdir", "drawn"),
    "a film": ("film", "--seeds", "0,1", "--seconds", "0.2", "--fps", "10", "--out", "film.gif"),
    "directions": ("directions", "--method", "sefa", "--count", "2", "--out", "sefa.npz"),
    "paths in Z": ("measure", "ppl", "--samples", "2", "--space", "z"),
    "equivariance": ("measure", "eqr", "--samples", "2"),
}


@pytest.mark.parametrize("what", COMMANDS)
@pytest.mark.usefixtures("mac")
def test_commands_take_the_card(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert best_device() == "mps"
    _run(*COMMANDS[what], "--network", DATA / "sg3r_64.pkl")


@pytest.mark.usefixtures("mac")
def test_float64_needs_another_device(tmp_path: Path) -> None:
    command = ("generate", "--seeds", "0", "--dtype", "float64", "--outdir", tmp_path / "drawn")
    assert "Invalid value for --device: mps has no float64; cpu has" in _run(*command, status=2)
    _run(*command, "--device", "cpu")


@pytest.mark.usefixtures("mac")
def test_a_spectrum_of_what_is_on_the_card() -> None:
    images = torch.randn(3, 2, 16, 16)
    expected, given = average_spectrum([images]), images.to("mps")
    found = average_spectrum([given], mean=expected.mean.float().to("mps"), std=expected.std.float().to("mps"))
    torch.testing.assert_close(found.power, expected.power, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("mac")
def test_paths_on_the_card() -> None:
    a, b, t = torch.randn(3, 8), torch.randn(3, 8), torch.rand(3)
    on_card = slerp(a.to("mps"), b.to("mps"), t.to("mps"))
    assert on_card.device.type == "mps"
    assert torch.equal(on_card.cpu(), slerp(a, b, t))
