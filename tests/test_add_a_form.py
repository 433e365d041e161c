"""The form of docs/ADD_A_FORM.md, read, told of and written like any other."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import converter
from converter.describe import as_json
from converter.errors import ConvertError
from converter.form import Form
from converter.formats import by_suffix, programs, suffixes_of, writers
from converter.forms.registry import FORMS, GROUP
from converter.forms.table import rows
from tests import DATA, HOME
from tests.tools.there_and_back import comes_back

PAGE = HOME / "docs" / "ADD_A_FORM.md"
SOURCE = DATA / "sg2-skip.pkl"
_CONVERT = "import sys; from stylegan_torch.commands.convert import main; main(sys.argv[1:])"


def code() -> str:
    found = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return str(found[0])


@pytest.fixture
def form(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Form]:
    path = tmp_path_factory.mktemp("form") / "tinygan.py"
    path.write_text(code(), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("tinygan", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    converter.register(module.FORM)
    yield module.FORM
    FORMS.unregister(module.FORM.id)


def their_name(ours: str) -> str:
    """What the invented program calls one of our tensors, without the table."""
    name = {"mapping.w_avg": "mean_style", "synthesis.b4.const": "start"}.get(ours, ours).replace("affine", "style")
    name = re.sub(r"synthesis\.b(\d+)", lambda side: f"levels.{int(side[1]).bit_length() - 3}", name)
    for mine, theirs in (("mapping.fc", "mapper."), ("conv0", "first"), ("conv1", "second"), ("torgb", "picture")):
        name = name.replace(mine, theirs)
    return name.replace("noise_strength", "noise.strength").replace("noise_const", "noise.map")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    network = converter.load(SOURCE).networks["G_ema"]
    state = {their_name(name): value for name, value in network.state_dict.items()}
    state = {name: value[None, None] if name.endswith("noise.map") else value for name, value in state.items()}
    path = tmp_path / "tiny.pth"
    torch.save({"net": state | {"start": state["start"][None]}, "step": 5}, path)
    return path


def test_its_files_are_read(form: Form, file: Path) -> None:
    z = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    ours, theirs = converter.load(SOURCE).network(), comes_back(file).network()
    torch.testing.assert_close(theirs(z, truncation_psi=0.7), ours(z, truncation_psi=0.7), atol=1e-5, rtol=0)
    summary = converter.inspect(file)
    assert summary.notes == ("step of the training passed over",)
    assert '"form": "tinygan"' in as_json(summary)


def test_its_files_are_written(form: Form, tmp_path: Path) -> None:
    summary = converter.convert(SOURCE, tmp_path / "a.pth", format="tinygan")
    assert summary.notes == tuple(f"{role} is left out: that form has no place for it" for role in ("G", "D"))
    again = converter.load(tmp_path / "a.pth").networks
    assert list(again) == ["G_ema"]
    for name, value in converter.load(SOURCE).networks["G_ema"].state_dict.items():
        assert torch.equal(again["G_ema"].state_dict[name], value)
    converter.convert(tmp_path / "a.pth", tmp_path / "a.npz")
    converter.convert(tmp_path / "a.npz", tmp_path / "b.pth", format="tinygan")
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


@pytest.mark.parametrize("name", ["ada-cond", "sg2-orig", "pg"])
def test_what_has_no_place_is_refused(form: Form, name: str, tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match="network G_ema has no place in format tinygan: "):
        converter.convert(DATA / f"{name}.pkl", tmp_path / "a.pth", format="tinygan")
    assert list(tmp_path.iterdir()) == []


def test_all_that_derives_knows_it(form: Form, tmp_path: Path) -> None:
    assert rows()[-1] == ("ada/tinygan", "yes", "`--format tinygan`", "G", "stylegan2")
    assert list(writers())[-1] == "tinygan"
    assert suffixes_of("tinygan") == (".pt", ".pth")
    assert programs()[-1] == "ada/tinygan"
    torch.save({"a": 1}, tmp_path / "other.pth")
    with pytest.raises(ConvertError, match=r"of the official releases, PaddleGAN, rosinality, .* and ada are read"):
        converter.inspect(tmp_path / "other.pth")


def test_a_file_of_a_form_that_is_gone_says_so(form: Form, file: Path, tmp_path: Path) -> None:
    converter.convert(file, tmp_path / "a.pt")
    converter.convert(file, tmp_path / "a.npz")
    FORMS.unregister("tinygan")
    try:
        assert converter.load(tmp_path / "a.pt").network().img_resolution == 32
        with pytest.raises(ConvertError, match="is of the form tinygan, which nothing installed here reads"):
            converter.load(tmp_path / "a.npz")
        with pytest.raises(ConvertError, match="is of the form tinygan, which nothing installed here reads"):
            converter.convert(tmp_path / "a.pt", tmp_path / "b.npz")
    finally:
        converter.register(form)


def test_what_others_have_is_refused(form: Form) -> None:
    assert form.writer
    writer = replace(form.writer, format="other", suffixes=(".pkl",))
    for wrong, words in (
        (form, "there is a form tinygan already"),
        (replace(form, id="other"), "form tinygan has the format tinygan already"),
        (replace(form, id="other", writer=writer), r"names in \.pkl are those of form tf"),
    ):
        with pytest.raises(ValueError, match=words):
            converter.register(wrong)
    assert by_suffix(".pkl") == "nvidia"
    assert "other" not in FORMS


def test_an_installed_package_brings_it(tmp_path: Path) -> None:
    (tmp_path / "tinygan.py").write_text(code(), encoding="utf-8")
    info = tmp_path / "tinygan-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tinygan\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nbroken = nowhere:FORM\ntinygan = tinygan:FORM\n")
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    words = [sys.executable, "-c", _CONVERT, str(SOURCE), str(tmp_path / "a.pth"), "--format", "tinygan"]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}, check=False)
    assert done.returncode == 0, done.stderr
    assert "form broken of tinygan is left out (ModuleNotFoundError: No module named 'nowhere')" in done.stderr
    assert set(torch.load(tmp_path / "a.pth", weights_only=True)) == {"net", "step"}
