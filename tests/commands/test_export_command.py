"""What stylegan-export-tf and --verify do before anything is run, which takes no TensorFlow."""

from __future__ import annotations

import hashlib
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import converter
from converter.errors import ConvertError
from converter.foreign import ForeignFile
from converter.forms.tensorflow.pickler import carrying, write_pickle
from converter.original import run as original
from converter.original.modules import gather
from converter.reading import open_source
from stylegan_torch.commands.convert import main as convert_command
from stylegan_torch.commands.export_tf import main as export_command
from tests import DATA, HOME

CODE = "import numpy as np\n\ndef G_style(latents_in, labels_in):\n    raise SystemExit('it was run: ü')\n"
SHA256 = hashlib.sha256(CODE.encode()).hexdigest()


def run(command: Any, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def with_code(path: Path, case: str = "sg1-cond", code: str = CODE) -> Path:
    source = open_source(DATA / f"{case}.pkl")
    assert isinstance(source, ForeignFile)
    write_pickle(path, [carrying(source.networks[role], code) for role in ("G", "D", "G_ema")])
    return path


@pytest.mark.parametrize("command", ["export", "verify"])
def test_without_trust_two_lines_say_what_would_be_run(command: str, tmp_path: Path) -> None:
    path = with_code(tmp_path / "in.pkl")
    if command == "export":
        result = run(export_command, path, tmp_path / "out.npz", "--reference", tmp_path / "ref.npz")
    else:
        result = run(convert_command, path, tmp_path / "out.pt", "--verify")
    assert result.exit_code == 1
    first, second = result.output.splitlines()
    assert first.startswith(f"{path} carries 5 lines of Python, which this command would run")
    assert second.startswith(f"sha256 {SHA256}: ")
    assert "--show-source" in second
    assert "--trust-embedded-code" in second
    assert [file.name for file in tmp_path.iterdir()] == ["in.pkl"]


def test_show_source_prints_it(tmp_path: Path) -> None:
    result = run(export_command, with_code(tmp_path / "in.pkl"), "--show-source")
    assert result.exit_code == 0
    assert result.output == f"# sha256 {SHA256}\n{CODE}\n"


def test_a_source_cannot_hide_on_the_screen(tmp_path: Path) -> None:
    code = "import os\nos.system('evil')  # \x1b[2K\x1b[1A \u202e\r\n"
    output = run(export_command, with_code(tmp_path / "in.pkl", code=code), "--show-source").output
    assert "os.system('evil')  # \\x1b[2K\\x1b[1A \\u202e\\r\n" in output


def test_the_text_is_kept_beside_the_networks_and_in_no_file_of_ours(tmp_path: Path) -> None:
    path = with_code(tmp_path / "in.pkl")
    source = open_source(path)
    assert isinstance(source, ForeignFile)
    assert source.networks["D"].code == {SHA256: CODE}
    for name in ("out.pt", "out.safetensors", "out.npz"):
        converter.convert(path, tmp_path / name)
        assert converter.inspect(tmp_path / name).records["D"]["source_sha256"] == SHA256
        content = (tmp_path / name).read_bytes()
        assert not any("it was run".encode(encoding) in content for encoding in ("utf-8", "utf-16-le", "utf-32-le"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "name the file to write, or give --show-source"),
        (["out.pt"], "out.pt must end in .npz"),
        (["out.npz", "--reference", "ref.html"], "ref.html must end in .npz"),
        (["out.npz", "--reference", "./out.npz"], "DST and --reference name the same file"),
        (["out.npz", "--layers"], "--layers goes with --reference"),
        (["out.npz", "--class", "1"], "--class goes with --reference"),
        (["out.npz", "--seeds", "3-1"], "'3-1' runs backwards"),
        (["out.npz", "--truncation", "nan"], "'nan' is not a finite number"),
        (["out.npz", "--noise", "random"], "'random' is not one of 'official', 'const', 'none'"),
        (["out.npz", "--memory", "0.5"], "0.5 is not in the range"),
    ],
)
def test_unusable_options(options: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(export_command, with_code(tmp_path / "in.pkl"), *options, "--trust-embedded-code")
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ("case", "options", "message"),
    [
        ("sg1-cond", ["--class", "4"], "there is no class 4: this network has classes 0 to 3"),
        ("sg1", ["--class", "0"], "there is no class 0: this network has no classes"),
        ("pg", ["--truncation", "0.7"], "ProGAN has no truncation"),
    ],
)
def test_what_the_network_has_not_cannot_be_recorded(
    case: str, options: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(original, "require_tensorflow", lambda: None)
    path, recorded = with_code(tmp_path / "in.pkl", case), ["--reference", tmp_path / "ref.npz", *options]
    result = run(export_command, path, tmp_path / "out.npz", "--trust-embedded-code", *recorded)
    assert result.exit_code == 1
    assert result.output == f"Error: {path}: {message}\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sg1.pkl", "network Gs carries no source; stylegan-convert reads its variables without"),
        ("ada1_skip64.pkl", "network G_ema is of no TensorFlow release; only their programs can be run"),
        (str(HOME / "README.md"), "is a text file, not a network"),
    ],
)
def test_files_without_a_program(name: str, message: str, tmp_path: Path) -> None:
    for options in ([tmp_path / "out.npz", "--trust-embedded-code"], [tmp_path / "out.npz"], ["--show-source"]):
        result = run(export_command, DATA / name, *options)
        assert result.exit_code == 1
        assert result.output == f"Error: {DATA / name}: {message}\n"


def test_a_converted_file_has_no_program(tmp_path: Path) -> None:
    converter.convert(with_code(tmp_path / "in.pkl"), tmp_path / "in.pt")
    result = run(export_command, tmp_path / "in.pt", tmp_path / "out.npz", "--trust-embedded-code")
    assert result.exit_code == 1
    assert "was converted; only the original pickle carries the program" in result.output


def test_without_tensorflow_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = PathFinder.find_spec
    monkeypatch.setattr(
        PathFinder, "find_spec", lambda name, *rest: None if name == "tensorflow" else find(name, *rest)
    )
    result = run(export_command, with_code(tmp_path / "in.pkl"), tmp_path / "out.npz", "--trust-embedded-code")
    assert result.exit_code == 1
    assert "TensorFlow is not installed; get it with: pip install 'tensorflow>=2.16'" in result.output
    assert [file.name for file in tmp_path.iterdir()] == ["in.pkl"]


def test_files_that_exist_are_kept(tmp_path: Path) -> None:
    path, kept = with_code(tmp_path / "in.pkl"), tmp_path / "kept.npz"
    kept.write_text("mine")
    for options in ([kept], [tmp_path / "out.npz", "--reference", kept]):
        result = run(export_command, path, *options, "--trust-embedded-code")
        assert result.exit_code == 1
        assert "kept.npz exists; use --force to replace it" in result.output
    assert kept.read_text() == "mine"


@pytest.mark.parametrize("option", ["--trust-embedded-code", "--weak-isolation"])
def test_trust_goes_with_verify(option: str, tmp_path: Path) -> None:
    result = run(convert_command, with_code(tmp_path / "in.pkl"), tmp_path / "out.pt", option)
    assert result.exit_code == 2
    assert f"{option} goes with --verify" in result.output


def test_of_a_folder_of_modules_a_program_gets_those_it_names(tmp_path: Path) -> None:
    texts = {
        "training/__init__.py": "",
        "training/misc.py": "from . import more\nfrom ..other import x",
        "training/more.py": "import json",
        "training/unnamed.py": "",
        "nets.py": "",
        "dnnlib/submit_config.py": "",
        "secret.txt": "",
        "broken.py": "def (",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    code = "import numpy, broken, dnnlib\nfrom training import misc\ndnnlib.submit_config.f\nx = 'nets.G_main'\n"
    wanted = {"training/__init__.py", "training/misc.py", "training/more.py", "nets.py", "broken.py"}
    assert set(gather(tmp_path, [code, "not python ("])) == wanted | {"dnnlib/submit_config.py"}
    assert gather(tmp_path, ["a" + ".a" * 100_000, "(" * 100_000, "\0"]) == {}
    (tmp_path / "nets.py").write_bytes(b"\xff")
    with pytest.raises(ConvertError, match=r"nets\.py cannot be read: it is no text"):
        gather(tmp_path, [code])


def test_links_out_of_a_folder_of_modules_are_not_followed(tmp_path: Path) -> None:
    secret, folder = tmp_path / "secret.py", tmp_path / "modules"
    secret.write_text("password = 1\n")
    (folder / "own").mkdir(parents=True)
    (folder / "own" / "real.py").write_text("x = 1\n")
    (folder / "inside.py").symlink_to(folder / "own" / "real.py")
    assert gather(folder, ["import inside"]) == {"inside.py": "x = 1\n"}
    (folder / "misc.py").symlink_to(secret)
    with pytest.raises(ConvertError, match=r"misc\.py is a link that leads out of .*modules; put"):
        gather(folder, ["import misc"])
    with (folder / "large.py").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ConvertError, match=r"large\.py is over 4 MB, which no module is"):
        gather(folder, ["import large"])


def test_a_folder_of_modules_goes_with_verify_and_must_be_there(tmp_path: Path) -> None:
    path = with_code(tmp_path / "in.pkl")
    result = run(convert_command, path, tmp_path / "out.pt", "--module-path", tmp_path)
    assert (result.exit_code, "--module-path goes with --verify" in result.output) == (2, True)
    result = run(export_command, path, tmp_path / "out.npz", "--module-path", tmp_path / "none")
    assert (result.exit_code, "does not exist" in result.output) == (2, True)
