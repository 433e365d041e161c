"""What all commands have in common: streams and pipes, what is told before PyTorch is imported, folders, classes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

import converter
from stylegan_torch.commands import given
from stylegan_torch.commands.main import HOMES, main
from stylegan_torch.commands.networks import names_of
from stylegan_torch.drawing.draw import DrawSettings, resolve
from stylegan_torch.editing import latents
from stylegan_torch.errors import StyleGANError
from stylegan_torch.files import atomic as files
from tests import DATA

NETWORK = DATA / "sg2-skip.pkl"
CONDITIONAL = DATA / "ada-cond.pkl"
OLD = ("convert", "generate", "verify", "export-tf")
_START = "import sys; from stylegan_torch.commands.main import main; main(sys.argv[1:])"


def run(*arguments: object, status: int = 0, **more: Any) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], **more)
    assert result.exit_code == status, result.output
    return result


def process(*arguments: object, **more: Any) -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, "-c", _START, *map(str, arguments)]
    return subprocess.run(words, stderr=subprocess.PIPE, check=False, **more)


# What networks are called.


@pytest.mark.parametrize(
    ("networks", "names"),
    [
        (["a/one.pkl", "b/two.pkl"], ["one.pkl", "two.pkl"]),
        (["a/one.pkl", "b/one.pkl"], ["a/one.pkl", "b/one.pkl"]),
        (["https://me:word@host/a/one.pkl?sign=x#y", "two.pkl"], ["one.pkl", "two.pkl"]),
        (["https://host/a.zip?sign=x!one.pkl", "b.zip"], ["a.zip!one.pkl", "b.zip"]),
        (["https://me@host/one.pkl", "https://other/one.pkl?a"], ["https://host/one.pkl", "https://other/one.pkl"]),
        (["https://host/get?id=1", "https://host/get?id=2"], ["get (1)", "get (2)"]),
    ],
)
def test_networks_are_called_differently_and_by_nothing_secret(networks: list[str], names: list[str]) -> None:
    assert names_of(networks) == names


# What is printed.


PRINTING = [["--help"], ["convert", "--list"], ["convert", "--inspect", "--json", str(NETWORK)], ["look", "--help"]]


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_for_what_is_printed_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = process(*arguments, stdout=full)
    assert done.returncode == 1
    assert done.stderr == b"Error: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_reader_that_goes_is_no_error_to_tell(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = process(*arguments, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_notes_that_cannot_be_told_stop_nothing(tmp_path: Path) -> None:
    options = ["--network", str(CONDITIONAL), "--seeds", "1", "--out", str(tmp_path / "a.png")]
    words = [sys.executable, "-c", _START, "draw", *options]  # which has a note on the class that is not given
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=writing, check=False)
    os.close(writing)
    assert done.returncode == 0
    assert b"1 picture in" in done.stdout


def test_what_a_stream_cannot_spell_is_no_error() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "iso8859-2"}
    done = process("convert", "--list", "stylegan2-ada-cifar*", stdout=subprocess.PIPE, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"32?" in done.stdout


# One name for all.


def test_help_lists_every_command() -> None:
    text = run("--help").output
    assert [line.split()[0] for line in text.partition("Commands:")[2].splitlines() if line[2:3].strip()] == list(HOMES)


@pytest.mark.parametrize("name", HOMES)
def test_usage_says_how_it_was_called(name: str) -> None:
    text = " ".join(run(name, "--help").output.split())
    assert text.startswith(f"Usage: main {name} ")
    assert ("folders that are missing are made" in text) == ("--force " in text)


def test_convert_and_generate_work_as_sub_commands(tmp_path: Path) -> None:
    run("convert", NETWORK, tmp_path / "net.pt")
    run("generate", "--network", tmp_path / "net.pt", "--seeds", 1, "--outdir", tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "seed0001.png").exists()
    run("convert", NETWORK, tmp_path / "net.pt", status=1)
    run("convert", NETWORK, status=2)


# What is told before PyTorch is imported.

_NO_TORCH = """
import json, os, sys
sys.modules["torch"] = None  # importing it is an error
from click.testing import CliRunner
from stylegan_torch.commands.main import main
for line in sys.stdin:
    result = CliRunner().invoke(main, json.loads(line))
    print(json.dumps([result.exit_code, result.output]), flush=True)
"""
_MISSING = "missing.npz"
EARLY: list[tuple[list[str], int, str]] = [
    (["--help"], 0, "export-tf"),
    *((([name, "--help"]), 0, name) for name in HOMES),
    (["convert", _MISSING, "out.pt"], 1, "missing.npz: no such file"),
    (["convert", "--inspect", _MISSING], 1, "missing.npz: no such file"),
    (["convert", "--inspect", "empty"], 1, "empty: is empty"),
    (["convert", "--inspect", "folder"], 1, "folder: is a directory"),
    (["convert", "network.pkl", "there.pt"], 1, "there.pt exists"),
    (["convert", "network.pkl", "there.pt/out.pt"], 1, "cannot write there.pt/out.pt: Not a directory"),
    (["convert", "network.pkl", "-"], 2, "name a file, not -"),
    (["convert", "https://", "out.pt"], 1, "only https"),
    (["convert", "stylegan2-ffhq", "out.pt"], 1, "did you mean"),
    (["convert", "nets/stylegan2-ffhq.pkl", "out.pt"], 1, "no network of that name in the catalogue\n"),
    (["convert", "progan-lsun-cat-256x256", "out.pt"], 1, "in a browser"),
    (["convert", "network.pkl", "out.pt", "--verify", "--json"], 2, "--json goes with --inspect"),
    (["generate", "--seeds", "1", "--network", _MISSING], 1, "missing.npz: no such file"),
    (["generate", "--seeds", "3-1"], 2, "runs backwards"),
    (["generate", "--seeds", "1", "--outdir", "there.pt"], 1, "cannot write there.pt/seed0001.png"),
    (["generate", "--seeds", "1", "--grid", "there.pt"], 2, "does not end in .png"),
    (["generate", "--seeds", "1", "--grid", "there.png"], 1, "there.png exists"),
    (["verify", _MISSING, "network.pkl"], 1, "missing.npz: no such file"),
    (["verify", "network.pkl", _MISSING], 1, "cannot read missing.npz"),
    (["verify", "network.pkl", "network.pkl", "--report", "a.txt"], 2, "does not end in .html"),
    (["export-tf", _MISSING, "out.npz"], 1, "missing.npz: no such file"),
    (["export-tf", _MISSING, "--show-source"], 1, "missing.npz: no such file"),
    (["export-tf", "network.pkl", "out.pt"], 2, "must end in .npz"),
    (["export-tf", "network.pkl", "there.npz"], 1, "there.npz exists"),
    (["explore", "--network", _MISSING], 1, "missing.npz: no such file"),
    (["explore", "--directions", _MISSING], 1, "cannot read missing.npz"),
    (["explore", "--host", "192.0.2.1"], 1, "cannot listen"),
    (["draw", "--latents", _MISSING], 1, "cannot read missing.npz"),
    (["draw", "--seeds", "1", "--mix", f"{_MISSING}@coarse"], 1, "cannot read missing.npz"),
    (["draw", "--seeds", "1", "--mix", "2@course"], 2, "'course' is not a layer"),
    (["draw", "--seeds", "1", "--move", f"{_MISSING}:0=1"], 1, "missing.npz is neither pca nor sefa"),
    (["draw", "--seeds", "1", "--out", "there.png"], 1, "there.png exists"),
    (["draw", "--seeds", "1", "--save-latents", "there.png"], 2, "does not end in .npz"),
    (["draw"], 2, "--seeds and --latents"),
    (["mix", "--rows", _MISSING, "--cols", "1"], 1, "cannot read missing.npz"),
    (["mix", "--rows", "1", "--cols", "x"], 2, "'x' is not a seed"),
    (["mix", "--rows", "1", "--cols", "2", "--styles", "0-x"], 2, "'0-x' is not a layer"),
    (["film", "--seeds", "1", "--network", _MISSING], 1, "missing.npz: no such file"),
    (["film", "--latents", _MISSING, "--out", "film.gif"], 1, "cannot read missing.npz"),
    (["film", "--seeds", "1", "--out", "film.avi"], 2, "does not end in .mp4, .webm or .gif"),
    (["film", "--seeds", "1", "--out", "film.gif", "--crf", "20"], 2, "no CRF"),
    (["drag", "--points", "1,1:2,2"], 2, "--seed and --latents"),
    (["drag", "--seed", "1", "--points", "1,1"], 2, "not a point and its target"),
    (["drag", "--seed", "1", "--points", "1,1:2,2", "--mask", _MISSING], 1, "cannot read missing.npz"),
    (["drag", "--seed", "1", "--points", "1,1:2,2", "--out", "there.png"], 1, "there.png exists"),
    (["project", _MISSING], 1, "cannot read missing.npz"),
    (["project", "photo.png", "--begin", _MISSING], 1, "cannot read missing.npz"),
    (["project", "photo.png", "--distance", _MISSING], 1, "--trust-distance"),
    (["project", "photo.png", "--distance", _MISSING, "--trust-distance"], 1, "cannot read missing.npz"),
    (["project", "photo.png", "--resume"], 1, "to resume from"),
    (["directions", "--method", "boundary", "--labels", _MISSING], 1, "cannot read missing.npz"),
    (["directions", "--method", "boundary", "--labels", "empty"], 1, "has no labels"),
    (["directions", "--out", "there.png"], 2, "does not end in .npz or .safetensors"),
    (["directions", "--layers", "low"], 2, "'low' is not a layer"),
    (["edit", "--directions", _MISSING, "--seeds", "1"], 1, "cannot read missing.npz"),
    (["edit", "--directions", "there.npz", "--seeds", "1", "--strengths", "a"], 2, "not a list of numbers"),
    (["look", "nearest", "--among", _MISSING], 1, "cannot read missing.npz"),
    (["look", "noise", "--latents", _MISSING], 1, "cannot read missing.npz"),
    (["look", "noise", "--truncation", "inf"], 2, "not a finite number"),
    (["measure", "ppl", "--network", _MISSING], 1, "missing.npz: no such file"),
    (["measure", "ppl", "--distance", _MISSING], 1, "--trust-distance"),
    (["measure", "fid"], 2, "give the real pictures with --reals"),
    (["measure", "fid", "--reals", _MISSING], 1, "cannot read missing.npz"),
    (["measure", "fid", "--reals", "folder", "--features", _MISSING], 1, "cannot read missing.npz"),
    (["measure", "eqt", "--out", "there.pt"], 2, "does not end in .json"),
    (["memorisation", _MISSING], 1, "cannot read missing.npz"),
    (["memorisation", "folder", "--page", "there.png"], 2, "does not end in .html"),
    (["rate", _MISSING], 1, "cannot read missing.npz"),
    (["rate", "folder", "--network", _MISSING], 1, "missing.npz: no such file"),
    (["project", "photo.png", "--tune-steps", "3"], 2, "go with --tune"),
    (["blend", "network.pkl", _MISSING, "--out", "c.pt"], 1, "missing.npz: no such file"),
    (["blend", "network.pkl", "network.pkl", "--out", "there.pt"], 1, "there.pt exists"),
    (["blend", "network.pkl", "--out", "c.pt"], 2, "two networks at least"),
    (["surgery", _MISSING, "--add-alpha", "--out", "c.pt"], 1, "missing.npz: no such file"),
    (["surgery", "network.pkl", "--add-alpha", "--out", "there.pt"], 1, "there.pt exists"),
    (["surgery", "network.pkl", "--out", "c.pt"], 2, "say what to change"),
    (["train", _MISSING, "--outdir", "run", "--resume"], 1, "cannot read missing.npz"),
    (["train", "folder", "--outdir", "run", "--network", _MISSING], 1, "missing.npz: no such file"),
    (["train", "folder", "--outdir", "run", "--config", _MISSING], 1, "cannot read missing.npz"),
    (["train", "folder", "--outdir", "run", "--resume", "--metrics", "fod"], 2, "no measure 'fod'"),
    (["train", "folder", "--outdir", "there.pt", "--resume"], 1, "Not a directory"),
]


@pytest.fixture(scope="module")
def early(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str]]:
    """What all these say, in one process that cannot import PyTorch."""
    folder = tmp_path_factory.mktemp("early")
    (folder / "folder").mkdir()
    (folder / "empty").touch()
    for name in ("network.pkl", "there.pt", "there.png", "there.npz", "photo.png"):
        (folder / name).write_text("something")
    lines = "\n".join(json.dumps(arguments) for arguments, _, _ in EARLY)
    done = subprocess.run(
        [sys.executable, "-c", _NO_TORCH], input=lines, capture_output=True, text=True, cwd=folder, check=True
    )
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["folder", "empty", "network.pkl", "there.pt", "there.png", "there.npz", "photo.png"]
    )
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("number", "case"), list(enumerate(EARLY)), ids=lambda each: " ".join(each[0]) if isinstance(each, tuple) else ""
)
def test_told_without_pytorch(number: int, case: tuple[list[str], int, str], early: list[tuple[int, str]]) -> None:
    _, status, words = case
    code, output = early[number]
    assert words in output
    assert code == status
    assert "unexpected" not in output
    if status == 1:
        assert output.startswith("Error: ")
        assert output.count("\n") == 1


# What comes through standard input and pipes.


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, which must be empty in the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def left(temporary: Path) -> list[Path]:
    """What we left there; PyTorch has a folder of its own."""
    return list(temporary.glob("stylegan*"))


def test_a_network_from_standard_input(temporary: Path, tmp_path: Path) -> None:
    data = NETWORK.read_bytes()
    run("convert", "-", tmp_path / "piped.pt", input=data)
    origin = converter.load(tmp_path / "piped.pt").provenance["origin"]
    assert (origin["name"], origin["size"]) == ("stdin", len(data))
    run("convert", NETWORK, tmp_path / "named.pt")
    a, b = (converter.load(tmp_path / name).network("G_ema") for name in ("piped.pt", "named.pt"))
    assert all(torch.equal(one, b.state_dict()[name]) for name, one in a.state_dict().items())
    assert "stylegan2" in run("convert", "--inspect", "-", input=data).output
    run("generate", "--network", "-", "--seeds", 1, "--outdir", tmp_path / "a", input=data)
    run("generate", "--network", NETWORK, "--seeds", 1, "--outdir", tmp_path / "b")
    with Image.open(tmp_path / "a" / "seed0001.png") as one, Image.open(tmp_path / "b" / "seed0001.png") as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))
    assert left(temporary) == []


def test_latents_and_photographs_from_standard_input(temporary: Path, tmp_path: Path) -> None:
    G = converter.load(NETWORK, ["G_ema"]).network("G_ema")
    latents.save(tmp_path / "me.npz", latents.from_seeds(G, [3]))
    mine = (tmp_path / "me.npz").read_bytes()
    run("draw", "--network", NETWORK, "--latents", "-", "--out", tmp_path / "a.png", input=mine)
    run("draw", "--network", NETWORK, "--latents", tmp_path / "me.npz", "--out", tmp_path / "b.png")
    with Image.open(tmp_path / "a.png") as one, Image.open(tmp_path / "b.png") as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))
    mixing = ["mix", "--network", NETWORK, "--rows", "-", "--cols", 1, "--out", tmp_path / "mix.png"]
    run(*mixing, "--outdir", tmp_path / "each", input=mine)
    assert (tmp_path / "each" / "stdin_0-1.png").exists()
    photo = (tmp_path / "a.png").read_bytes()
    said = run("project", "-", "--network", NETWORK, "--steps", 1, "--outdir", tmp_path / "out", input=photo).output
    assert said.startswith("standard input: 32×32 pixels")
    assert (tmp_path / "out" / "stdin.npz").exists()
    assert left(temporary) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_network_through_a_named_pipe(temporary: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.pkl"
    os.mkfifo(pipe)
    with subprocess.Popen(
        [sys.executable, "-c", f"open({str(pipe)!r}, 'wb').write(open({str(NETWORK)!r}, 'rb').read())"]
    ):
        assert "pipe.pkl" in run("convert", pipe, tmp_path / "net.pt").output
    assert left(temporary) == []


@pytest.mark.parametrize("option", ["--mix", "--move"])
def test_what_may_have_no_end_is_no_file(option: str, tmp_path: Path) -> None:
    endless = tmp_path / "endless.npz"
    endless.symlink_to("/dev/zero")
    value = f"{endless}{'@coarse' if option == '--mix' else ':0=1'}"
    output = run("draw", "--seeds", 1, option, value, "--out", tmp_path / "a.png", status=1).output
    assert output.startswith(f"Error: {endless} is n")
    assert run("draw", "--latents", endless, status=1).output == f"Error: {endless} is not a regular file\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
@pytest.mark.parametrize("option", ["--mix", "--move"])
def test_a_pipe_that_is_part_of_an_option_is_no_file(option: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    value = f"{tmp_path / 'pipe.npz'}{'@coarse' if option == '--mix' else ':0=1'}"
    done = process("draw", "--seeds", 1, option, value, "--out", tmp_path / "a.png", timeout=100)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"pipe.npz is n" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="file names are UTF-8 here")
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_names_that_are_not_utf8(suffix: str, tmp_path: Path) -> None:
    source, target = tmp_path / "a\udcff.pkl", tmp_path / f"b\udcff{suffix}"
    source.write_bytes(NETWORK.read_bytes())
    run("convert", source, target)
    assert "file  a\\udcff.pkl" in run("convert", "--inspect", target).output
    assert converter.load(target).provenance["origin"]["name"] == "a\\udcff.pkl"


def test_names_in_a_file_do_not_steer_the_terminal(tmp_path: Path) -> None:
    source = tmp_path / "a\x1b[31m.pkl"
    source.write_bytes(NETWORK.read_bytes())
    run("convert", source, tmp_path / "b.pt")
    output = run("convert", "--inspect", tmp_path / "b.pt").output
    assert "a\\x1b[31m.pkl" in output
    assert "\x1b" not in output


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="there is no /dev/fd here")
def test_a_network_through_process_substitution(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, NETWORK.read_bytes()[:100])
    os.close(writing)
    done = process("convert", f"/dev/fd/{reading}", tmp_path / "net.pt", pass_fds=[reading])
    os.close(reading)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert done.stderr.startswith(f"Error: /dev/fd/{reading}: ".encode())
    assert b"stylegan-torch-" not in done.stderr


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "Error: standard input is empty"),
        (b"hello", 'Error: standard input: is only the text "hello"'),
        (NETWORK.read_bytes()[:5000], "Error: standard input: "),
    ],
)
def test_what_is_no_network_is_one_line(data: bytes, words: str, temporary: Path, tmp_path: Path) -> None:
    result = run("convert", "-", tmp_path / "net.pt", input=data, status=1)
    assert result.stderr.startswith(words)
    assert result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]
    assert left(temporary) == []


def test_what_never_ends_is_refused(temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given, "LIMIT", 1 << 20)
    monkeypatch.setattr(given, "CHUNK", 1 << 16)
    result = run("convert", "-", tmp_path / "net.pt", input=bytes(1 << 21), status=1)
    assert "standard input sends more than" in result.stderr
    assert left(temporary) == []


def test_no_room_for_what_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(given, "TemporaryFile", full)
    monkeypatch.setattr(Path, "symlink_to", full)
    result = run("convert", "-", tmp_path / "net.pt", input=b"x", status=1)
    assert result.stderr.count("\n") == 1
    assert "No space left on device; TMPDIR names another folder" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_standard_input_is_read_once_and_not_for_nothing(tmp_path: Path) -> None:
    assert "only once" in run("mix", "--rows", "-", "--cols", "-", status=2).stderr
    (tmp_path / "net.pt").touch()
    reading, writing = os.pipe()  # nothing ever comes: whoever reads it, waits
    done = process("convert", "-", tmp_path / "net.pt", stdin=reading)
    assert b"net.pt exists" in done.stderr
    os.close(reading)
    os.close(writing)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals here")
def test_a_terminal_is_not_waited_for(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    done = process("convert", "-", tmp_path / "net.pt", stdin=theirs)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 1
    assert done.stderr == b"Error: standard input is a terminal: pipe a file into it, or name one\n"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="files without a name are Linux's")
def test_a_killed_command_leaves_nothing_of_what_came(temporary: Path) -> None:
    start = "import os, sys; from stylegan_torch.commands import given; copy = given._copy\n"
    start += "def kill(*some): copy(*some); os.kill(os.getpid(), 9)\n"
    start += "given._copy = kill; from stylegan_torch.commands.main import main; main(['convert', '--inspect', '-'])"
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run([sys.executable, "-c", start], input=NETWORK.read_bytes(), env=environment, check=False)
    assert done.returncode == -9
    assert [path for path in temporary.rglob("*") if path.is_file()] == []


# Folders.


def written(folder: Path) -> list[Sequence[object]]:
    me = folder.parent / "me.npz"
    return [
        ("convert", NETWORK, folder / "net.pt"),
        ("convert", NETWORK, folder / "net.npz"),
        ("generate", "--seeds", 1, "--outdir", folder / "out", "--grid", folder / "grids" / "grid.png"),
        ("draw", "--seeds", 1, "--out", folder / "draw.png", "--outdir", folder / "each", "--save-latents", me),
        ("mix", "--rows", 1, "--cols", 2, "--out", folder / "mix.png", "--outdir", folder / "each"),
        (
            "film",
            "--seeds",
            1,
            "--seconds",
            0.1,
            "--out",
            folder / "film.gif",
            "--save-latents",
            folder / "w" / "a.npz",
        ),
        ("directions", "--out", folder / "sefa.npz"),
        ("look", "average", "--out", folder / "look.png", "--save-latents", folder / "w" / "a.npz"),
        ("rate", DATA.parent.parent / "docs" / "images", "--bad", "skip", "--out", folder / "scores.csv"),
    ]


@pytest.mark.parametrize("number", range(9))
def test_folders_are_made(number: int, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "er"
    run(*written(folder)[number])
    assert folder.is_dir()


def test_a_folder_goes_again_if_nothing_comes_into_it(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with pytest.raises(StyleGANError, match="broken"), files.new_file(tmp_path / "old" / "a" / "b" / "x.pt"):
        raise StyleGANError("broken")
    assert [path.name for path in tmp_path.rglob("*")] == ["old"]


def test_no_file_is_called_minus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ("generate", "--seeds", "1", "--outdir", "-"),
        ("draw", "--seeds", "1", "--out", "-"),
        ("rate", str(DATA), "--out", "-"),
        ("export-tf", str(NETWORK), "-"),
        ("train", str(DATA), "--resume", "--outdir", "-"),
    ):
        assert "name a file, not -" in run(*arguments, status=2).stderr
    assert list(tmp_path.iterdir()) == []


# Classes, truncation, noise.


def conditional(folder: Path) -> dict[str, Sequence[object]]:
    out = folder / "out.png"
    return {
        "generate": ("--seeds", 1, "--outdir", folder),
        "draw": ("--seeds", 1, "--out", out),
        "mix": ("--rows", 1, "--cols", 2, "--styles", "0-3", "--out", out),
        "film": ("--seeds", 1, "--seconds", 0.1, "--out", folder / "film.gif"),
        "edit": ("--seeds", 1, "--directions", folder / "sefa.npz", "--strengths", 0, "--out", out),
        "look": ("truncation", "--seeds", 1, "--out", out),
        "project": (folder / "photo.png", "--steps", 1, "--outdir", folder / "out"),
        "rate": (folder / "photo.png",),
    }


@pytest.mark.parametrize("name", conditional(Path()))
def test_without_a_class_there_is_a_note(name: str, tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "photo.png")
    if name == "rate":
        (tmp_path / "photo.png").rename(tmp_path / "other.png")
        (tmp_path / "photo.png").mkdir()
        (tmp_path / "other.png").rename(tmp_path / "photo.png" / "photo.png")
    if name == "edit":
        run("directions", "--network", CONDITIONAL, "--out", tmp_path / "sefa.npz")
    arguments = (name, *conditional(tmp_path)[name], "--network", CONDITIONAL)
    assert run(*arguments).stderr.count("Note: no --class given; taking an all-zero label (10 classes).\n") == 1
    force = () if name == "rate" else ("--force",)
    assert "--class" not in run(*arguments, *force, "--class", 2).stderr


def test_latents_need_no_class(tmp_path: Path) -> None:
    run(
        "draw",
        "--network",
        CONDITIONAL,
        "--seeds",
        1,
        "--class",
        1,
        "--save-latents",
        tmp_path / "me.npz",
        "--out",
        tmp_path / "a.png",
    )
    given_latents = ("--network", CONDITIONAL, "--latents", tmp_path / "me.npz", "--out", tmp_path / "b.png")
    assert "--class" not in run("draw", *given_latents).stderr
    assert "--class" not in run("look", "noise", *given_latents, "--force").stderr


@pytest.mark.parametrize(("name", "mixing"), [("sg1", 1.0), ("sg2-skip", 0.5), ("ada", 0.5), ("ada1_skip64", 1.0)])
def test_default_truncation_is_the_releases_own(name: str, mixing: float, tmp_path: Path) -> None:
    network = DATA / f"{name}.pkl"
    G = converter.load(network, ["G_ema"]).network("G_ema")
    own = resolve(G, DrawSettings())
    expected = latents.from_seeds(G, [5], own["truncation_psi"], truncation_cutoff=own["truncation_cutoff"]).ws
    common = ("--network", network, "--save-latents", tmp_path / "a.npz", "--force", "--out", tmp_path / "a.png")
    run("directions", "--network", network, "--out", tmp_path / "sefa.npz")
    for arguments in (
        ("draw", "--seeds", 5),
        ("edit", "--seeds", 5, "--directions", tmp_path / "sefa.npz", "--strengths", 0),
    ):
        run(*arguments, *common)
        assert torch.equal(latents.load(tmp_path / "a.npz", G).ws, expected)
    run("mix", "--rows", 5, "--cols", 5, *common)
    assert torch.equal(latents.load(tmp_path / "a.npz", G).ws, latents.from_seeds(G, [5], mixing).ws)


@pytest.mark.parametrize(("name", "option"), [("generate", "--noise-mode"), ("draw", "--noise"), ("film", "--noise")])
def test_one_vocabulary_for_noise(name: str, option: str) -> None:
    [parameter] = [each for each in main.get_command(None, name).params if option in each.opts]  # type: ignore
    assert tuple(parameter.type.choices) == ("official", "const", "random", "none")  # type: ignore
