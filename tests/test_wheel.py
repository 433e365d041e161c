"""The wheel and the source archive, built without the internet; `.ci/wheel` tries the wheel where nothing else is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests import HOME

pytest.importorskip("setuptools", "77")

PACKAGES = ("stylegan_torch", "converter", "checkpoints")
NOT_INSTALLED = {"checkpoints/demo/log.csv"}
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _build(kind: str, tree: Path, out: Path) -> Path:
    """Run the build backend in a source tree, as pip and build do."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    command = [sys.executable, "-W", "ignore", "-c", code, str(out)]
    ran = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (made,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


def _contents(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel; the record's lines in order."""
    with zipfile.ZipFile(wheel) as archive:
        found = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    return {
        name: b"\n".join(sorted(text.splitlines())) if name.endswith("RECORD") else text for name, text in found.items()
    }


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", *PACKAGES], cwd=HOME, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no clone: only git tells which files are the project's")
    return [name for name in listed.stdout.split() if (HOME / name).is_file()]


@pytest.fixture(scope="module")
def tree(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source files, where building leaves nothing behind in the clone."""
    folder = tmp_path_factory.mktemp("tree")
    for name in (*tracked, "pyproject.toml", "README.md", "LICENSE"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HOME / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the wheel, built from the source archive, as `.ci/build` does."""
    work = tmp_path_factory.mktemp("built")
    archive = _build("sdist", tree, work)
    with tarfile.open(archive) as files:
        files.extractall(work, filter="data")
    return _contents(_build("wheel", work / archive.name.removesuffix(".tar.gz"), work))


def test_the_source_archive_builds_the_same_wheel(tree: Path, wheel: dict[str, bytes], tmp_path: Path) -> None:
    assert _contents(_build("wheel", tree, tmp_path)) == wheel


def test_the_wheel_has_all_of_the_packages_and_nothing_else(wheel: dict[str, bytes], tracked: list[str]) -> None:
    installed = {name for name in wheel if ".dist-info/" not in name}
    assert installed == set(tracked) - NOT_INSTALLED


def test_each_command_starts_and_pipx_finds_the_main_one(wheel: dict[str, bytes]) -> None:
    entries = next(text.decode() for name, text in wheel.items() if name.endswith("entry_points.txt"))
    for line in re.findall(r"^.+ = (.+)$", entries, re.MULTILINE):
        module, _, function = line.partition(":")
        assert f"def {function}(" in wheel[f"{module.replace('.', '/')}.py"].decode()
    assert "[pipx.run]\nstylegan-torch = stylegan_torch.commands.main:main" in entries


def test_the_index_is_told_the_licence_and_the_pythons_that_were_tried(wheel: dict[str, bytes]) -> None:
    metadata = message_from_bytes(next(text for name, text in wheel.items() if name.endswith("/METADATA")))
    assert metadata["License-Expression"] == "Apache-2.0"
    pythons = {each for each in metadata.get_all("Classifier", []) if each.startswith("Programming Language :: Python")}
    tried = ["3.11", "3.12", "3.13", "3.14"]
    assert pythons == {f"Programming Language :: Python :: {each}" for each in ("3", "3 :: Only", *tried)}
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_image_is_made_of_files_that_are_sent_and_runs_a_command_there_is() -> None:
    steps = (HOME / "Dockerfile").read_text()
    ignored = (HOME / ".dockerignore").read_text().splitlines()
    sent = [line[1:] for line in ignored if line.startswith("!")]
    *copied, _ = re.findall(r"^COPY (.+)$", steps, re.MULTILINE)[0].split()
    assert "*" in ignored
    assert all(any(fnmatch(name, pattern) for pattern in sent) for name in copied)
    (command,) = json.loads(re.findall(r"^ENTRYPOINT (.+)$", steps, re.MULTILINE)[0])
    assert command in PROJECT["scripts"]
    extras = re.findall(r"^ARG EXTRAS=(.+)$", steps, re.MULTILINE)[0].split(",")
    assert set(extras) <= PROJECT["optional-dependencies"].keys()
