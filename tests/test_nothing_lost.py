"""Full disks, kills, names that are taken, and arguments that make no sense: no file is lost, and none is left half."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

import stylegan_torch.commands.convert
import stylegan_torch.commands.generate
from tests.tools.hostile import (
    Job,
    check_refused,
    run,
    run_limited,
    tf_network,
    write_tf,
)
from tests.tools.official import write_pickle

# Full disks, kills, and what may not be written.

_BIG: dict[str, Any] = {"fmap_base": 256, "fmap_max": 64, "latent_size": 64}


@pytest.fixture
def big(tmp_path: Path) -> Path:
    return write_tf(tmp_path / "big.pkl", **_BIG)


def _targets(folder: Path) -> list[Path]:
    targets = [folder / f"target{i}" / f"out{suffix}" for i, suffix in enumerate((".pt", ".npz", ".safetensors"))]
    for target in targets:
        target.parent.mkdir(parents=True)
    return targets


def test_no_space_left(big: Path, tmp_path: Path) -> None:
    targets = [target for i, room in enumerate((0, 4096, 100_000)) for target in _targets(tmp_path / str(i))]
    jobs = [Job([big, target], {"RLIMIT_FSIZE": (0, 4096, 100_000)[i // 3]}) for i, target in enumerate(targets)]
    targets.append(tmp_path / "pictures" / "seed0001.png")
    draw = ["--network", big, "--seeds", "1", "--outdir", targets[-1].parent]
    jobs.append(Job(draw, {"RLIMIT_FSIZE": 100}, generate=True))
    for target, (status, stderr, *_) in zip(targets, run_limited(jobs), strict=True):
        check_refused(status, stderr, target, target.parent, ["cannot write"])


def test_no_space_left_for_a_name_taken(big: Path, tmp_path: Path) -> None:
    targets = [*_targets(tmp_path / "forced"), *_targets(tmp_path / "kept")]
    for target in targets:
        target.write_text("precious")
    jobs = [Job([big, target, *["--force"] * (i < 3)], {"RLIMIT_FSIZE": 4096}) for i, target in enumerate(targets)]
    for target, (status, stderr, *_) in zip(targets, run_limited(jobs), strict=True):
        assert status == 1
        assert stderr.count("\n") == 1
        assert target.read_text() == "precious"
        assert list(target.parent.iterdir()) == [target]


# A process that is killed when half of the file is written.
_KILL = """
def finish(self, path, force):
    size = os.fstat(self.descriptor).st_size
    assert size > 100_000
    os.ftruncate(self.descriptor, size // 2)
    os.kill(os.getpid(), signal.SIGKILL)
import stylegan_torch.files.atomic
stylegan_torch.files.atomic._Temporary.finish = finish
"""


def test_killed_while_writing(big: Path, tmp_path: Path) -> None:
    targets = _targets(tmp_path)
    old = tmp_path / "old.pt"
    old.write_text("precious")
    jobs = [Job([big, target], before=_KILL) for target in targets]
    jobs.append(Job([big, old, "--force"], before=_KILL))
    assert [ended.status for ended in run_limited(jobs)] == [-signal.SIGKILL] * 4
    assert old.read_text() == "precious"
    for target in targets:
        assert list(target.parent.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["big.pkl", "old.pt"]


def test_pipes_do_not_hang(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.pkl"
    os.mkfifo(pipe)
    jobs = [Job([pipe, tmp_path / "target" / "out.pt"]), Job(["--inspect", pipe])]
    for status, stderr, *_ in run_limited(jobs):
        check_refused(status, stderr, pipe, tmp_path / "target", ["not a regular file"])


def test_targets_that_cannot_be_written(tmp_path: Path) -> None:
    path = write_tf(tmp_path / "tf.pkl")
    folder, file = tmp_path / "folder.pt", tmp_path / "file"
    folder.mkdir()
    file.touch()
    for target in (folder, file / "out.pt", file / "sub" / "out.pt"):
        status, stderr = run(stylegan_torch.commands.convert.main, path, target)
        check_refused(status, stderr, target, tmp_path / "missing")
    assert list(folder.iterdir()) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.pt", "tf.pkl"]


def test_targets_that_may_not_be_written(tmp_path: Path) -> None:
    path, folder = write_tf(tmp_path / "tf.pkl"), tmp_path / "folder"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write everywhere")
    status, stderr = run(stylegan_torch.commands.convert.main, path, folder / "out.pt")
    check_refused(status, stderr, folder / "out.pt", folder)


def test_pictures_that_cannot_be_written(tmp_path: Path) -> None:
    path, file = write_tf(tmp_path / "tf.pkl"), tmp_path / "file"
    file.touch()
    status, stderr = run(stylegan_torch.commands.generate.main, "--network", path, "--seeds", "1", "--outdir", file)
    check_refused(status, stderr, file, tmp_path / "missing", ["cannot"])
    grid = file / "sheet.png"
    out = ["--outdir", tmp_path / "out"]
    status, stderr = run(stylegan_torch.commands.generate.main, "--network", path, "--seeds", "1", *out, "--grid", grid)
    check_refused(status, stderr, file, tmp_path / "missing", ["cannot write"])
    assert not (tmp_path / "out").exists()


def test_names_are_not_markup(tmp_path: Path) -> None:
    folder = tmp_path / "a["
    folder.mkdir()
    path, out = write_tf(folder / "b].pkl"), tmp_path / "c[" / "d]"  # to rich, [/b] ends something
    assert run(stylegan_torch.commands.convert.main, path, folder / "e].pt") == (0, "")
    assert run(stylegan_torch.commands.generate.main, "--network", path, "--seeds", "1", "--outdir", out) == (0, "")


@pytest.mark.parametrize("suffix", [".pt", ".npz", ".safetensors"])
def test_nothing_is_overwritten(suffix: str, tmp_path: Path) -> None:
    sound, broken = write_tf(tmp_path / "tf.pkl"), tmp_path / "broken.pkl"
    broken.write_bytes(sound.read_bytes()[:-100])
    target = tmp_path / f"out{suffix}"
    target.write_text("precious")
    for args in ([sound, target], [broken, target], [broken, target, "--force"]):
        status, stderr = run(stylegan_torch.commands.convert.main, *args)
        assert status == 1
        assert stderr.startswith("Error: ") and stderr.count("\n") == 1
        assert target.read_text() == "precious"
        assert sorted(tmp_path.iterdir()) == sorted([sound, broken, target])
    assert run(stylegan_torch.commands.convert.main, sound, target, "--force") == (0, "")
    assert target.stat().st_size > 1000


def test_pictures_are_not_overwritten(tmp_path: Path) -> None:
    path, out = write_tf(tmp_path / "tf.pkl"), tmp_path / "out"
    out.mkdir()
    (out / "seed0002.png").write_text("precious")
    status, stderr = run(stylegan_torch.commands.generate.main, "--network", path, "--seeds", "1-3", "--outdir", out)
    assert status == 1
    assert "seed0002.png exists" in stderr
    assert [p.read_text() for p in out.iterdir()] == ["precious"]


# Arguments.

USAGE = [
    ["{src}"],
    [],
    ["{src}", "{dst}", "more"],
    ["{src}", "{dst}", "--networks", "g_foo"],
    ["{src}", "{dst}", "--networks", ""],
    ["{src}", "{dst}", "--networks", "g,"],
    ["{src}", "{dst}", "--what"],
    ["--inspect", "{src}", "{dst}"],
    ["--inspect"],
    ["{src}", "{dst}.zip"],
]


@pytest.mark.parametrize("args", USAGE, ids=" ".join)
def test_conversions_that_make_no_sense(args: list[str], tmp_path: Path) -> None:
    src, dst = write_tf(tmp_path / "tf.pkl"), tmp_path / "out.pt"
    given = [arg.format(src=src, dst=dst) for arg in args]
    status, stderr = run(stylegan_torch.commands.convert.main, *given)
    assert status == 2, stderr
    assert "Error: " in stderr
    assert list(tmp_path.iterdir()) == [src]


def test_networks_that_are_not_in_the_file(tmp_path: Path) -> None:
    src = write_tf(tmp_path / "tf.pkl")
    status, stderr = run(stylegan_torch.commands.convert.main, src, tmp_path / "target" / "out.pt", "--networks", "d")
    check_refused(status, stderr, src, tmp_path / "target", ["no network D"])


PICTURES = [
    [],
    *(["--seeds", seeds] for seeds in ("", "a", "5-1", "-1", "1-", "1,,2", "1.5", "4294967296", "0-2000000", "²")),
    ["--seeds", "1", "--class", "0"],
    ["--seeds", "1", "--class", "-1"],
    ["--seeds", "1", "--class", "x"],
    ["--seeds", "1", "--truncation", "x"],
    ["--seeds", "1", "--truncation", "nan"],
    ["--seeds", "1", "--truncation-cutoff", "-1"],
    ["--seeds", "1", "--noise-mode", "loud"],
    ["--seeds", "1", "--batch", "0"],
    ["--seeds", "1", "--dtype", "int8"],
    ["--seeds", "1", "--grid", "sheet.jpg"],
    ["--seeds", "1", "--device", "toaster"],
]


@pytest.mark.parametrize("args", PICTURES, ids=" ".join)
def test_pictures_that_make_no_sense(args: list[str], tmp_path: Path) -> None:
    src = write_tf(tmp_path / "tf.pkl")
    status, stderr = run(stylegan_torch.commands.generate.main, "--network", src, "--outdir", tmp_path / "out", *args)
    assert status == 2, stderr
    assert "Error: " in stderr
    assert list(tmp_path.iterdir()) == [src]


@pytest.mark.parametrize("args", [["--class", "3"], ["--class", "4"]])
def test_classes_beyond_the_last(args: list[str], tmp_path: Path) -> None:
    src = write_tf(tmp_path / "in.pkl", label_size=3)
    status, stderr = run(
        stylegan_torch.commands.generate.main, "--network", src, "--seeds", "1", "--outdir", tmp_path / "out", *args
    )
    assert (status, list(tmp_path.iterdir())) == (2, [src])
    assert "classes 0 to 2" in stderr


@pytest.mark.parametrize("args", [["--truncation", "0.7"], ["--truncation-cutoff", "2"]])
def test_progan_has_no_truncation(args: list[str], tmp_path: Path) -> None:
    src = tmp_path / "in.pkl"
    write_pickle(src, tf_network("G_paper", latent_size=4))
    status, stderr = run(
        stylegan_torch.commands.generate.main, "--network", src, "--seeds", "1", "--outdir", tmp_path / "out", *args
    )
    assert (status, list(tmp_path.iterdir())) == (2, [src])
    assert "ProGAN has no truncation" in stderr
