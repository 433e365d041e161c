"""What commands write says that it is synthetic, unless they are told not to; photographs never do."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from stylegan_torch.commands.main import main
from stylegan_torch.drawing.marks import SOURCE_TYPE
from tests import DATA
from tests.tools.certificate import write_certificate

NETWORK = DATA / "sg2-skip.pkl"
PHOTO = "photo.jpg"
COMMANDS: Mapping[str, tuple[object, ...]] = {
    "generate": ("--seeds", 1, "--outdir", "out", "--grid", "out/grid.png"),
    "draw": ("--seeds", 1, "--out", "out/draw.png", "--outdir", "out"),
    "mix": ("--rows", 1, "--cols", 2, "--styles", 0, "--out", "out/mix.png", "--outdir", "out"),
    "edit": ("--directions", "sefa.npz", "--seeds", 1, "--strengths", 1, "--out", "out/edit.png"),
    "look": ("average", "--out", "out/look.png"),
    "project": (PHOTO, "--steps", 1, "--outdir", "out"),
    "bulk": ("--count", 2, "--out", "out", "--format", "folder", "--engine", "none", "--columns", ""),
}
"""What draws pictures, each with all that it can write."""
FILMS: Mapping[str, tuple[object, ...]] = {
    "film.gif": ("film", "--seeds", 1, "--seconds", 0.1, "--out"),
    "film.mp4": ("film", "--seeds", 1, "--seconds", 0.1, "--out"),
    "film.webm": ("film", "--seeds", 1, "--seconds", 0.1, "--out"),
    "project.gif": ("project", PHOTO, "--steps", 1, "--outdir", "out", "--film"),
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)).save(PHOTO)


def run(*arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result


def draw(command: str, *more: object, status: int = 0) -> Result:
    if command == "edit":
        run("directions", "--network", NETWORK, "--method", "sefa", "--out", "sefa.npz", "--force")
    return run(command, *COMMANDS[command], "--network", NETWORK, "--device", "cpu", *more, status=status)


def source_types() -> dict[str, str | None]:
    """Return what the XMP of each picture that was written says."""
    found = {}
    for path in Path("out").rglob("*.png"):
        with Image.open(path) as image:
            fields = image.getxmp().get("xmpmeta", {}).get("RDF", {}).get("Description", {})
            found[path.name] = fields.get("DigitalSourceType")
    assert found
    return found


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("command", COMMANDS)
def test_pictures_are_marked_by_default(command: str, marked: bool) -> None:
    draw(command, *([] if marked else ["--no-mark"]))
    found = source_types()
    assert ("photo-target.png" in found) == (command == "project")
    assert found.pop("photo-target.png", None) is None
    assert set(found.values()) == {SOURCE_TYPE if marked else None}


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("film", FILMS)
def test_films_are_marked_by_default(film: str, marked: bool) -> None:
    options = [] if marked else ["--no-mark"]
    run(*FILMS[film], film, "--network", NETWORK, "--device", "cpu", *options)
    assert comment(Path(film)).get("digitalSourceType") == (SOURCE_TYPE if marked else None)


def comment(film: Path) -> dict[str, Any]:
    if film.suffix == ".gif":
        with Image.open(film) as image:
            return json.loads(image.info["comment"])
    with av.open(film) as container:
        return json.loads({name.lower(): value for name, value in container.metadata.items()}["comment"])


def test_a_set_is_marked_as_its_configuration_says() -> None:
    Path("set.toml").write_text("mark = false\n")
    draw("bulk", "--config", "set.toml")
    assert set(source_types().values()) == {None}


def test_data_sets_of_users_are_not_marked() -> None:
    Path("photos").mkdir()
    Path(PHOTO).rename(f"photos/{PHOTO}")
    run("dataset", "photos", "set.zip", "--resolution", "32x32")
    with ZipFile("set.zip") as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".png"))
        assert SOURCE_TYPE.encode() not in archive.read(name)


@pytest.mark.parametrize("command", COMMANDS)
def test_pictures_are_signed(command: str, certificate: tuple[Path, Path]) -> None:
    import c2pa

    draw(command, "--sign", *certificate)
    for path in Path("out").rglob("*.png"):
        if path.name == "photo-target.png":
            assert b"c2pa" not in path.read_bytes().lower()
        else:
            with c2pa.Reader("image/png", io.BytesIO(path.read_bytes())) as reader:
                assert SOURCE_TYPE in reader.json()
    assert SOURCE_TYPE in source_types().values()


@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_sign_is_told_before_there_is_work(command: str, certificate: tuple[Path, Path]) -> None:
    said = draw(command, "--sign", "none.pem", certificate[1], status=2)
    assert "Invalid value for '--sign': cannot read none.pem: No such file or directory" in said.output
    Path("bad.pem").write_text("nothing")
    for files in (("bad.pem", certificate[1]), (certificate[0], "bad.pem")):
        said = draw(command, "--sign", *files, status=1)
        assert said.stderr.startswith("Error: cannot sign with this certificate and key: ")
        assert said.stderr.count("\n") == 1
        assert not list(Path().glob("out/**/*.png"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_certificate(tmp_path_factory.mktemp("certificate"))
