"""The bundled network, and the faces it was trained on."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import checkpoints
import converter
from examples.faces.faces import SIDE, draw_face, main, random_face
from stylegan_torch.measuring import Generated, Prepared, features_of, frechet_distance, open_extractor
from stylegan_torch.training.recipes import new_networks, read_recipe

RECIPE = Path(checkpoints.__file__).parent / "demo" / "recipe.toml"


def test_the_bundled_network_is_the_recipes_in_official_form() -> None:
    assert checkpoints.DEMO.stat().st_size < 4_000_000
    content = converter.load(checkpoints.DEMO)
    assert content.provenance["origin"]["name"] == "faces.pkl"
    generator, discriminator = read_recipe(RECIPE)[0].configs()
    assert content.networks["G_ema"].config.channels == generator.channels  # type: ignore[union-attr]
    assert content.networks["D"].config.channels == discriminator.channels  # type: ignore[union-attr]
    assert list(content.networks) == ["G_ema", "G", "D"]


def test_the_bundled_network_is_trained() -> None:
    extractor, count = open_extractor("random-convolutions"), 300
    faces = np.stack([np.asarray(draw_face(random_face(seed))).transpose(2, 0, 1) for seed in range(count)])
    trained = converter.load(checkpoints.DEMO).network("G_ema")
    untrained = new_networks(read_recipe(RECIPE)[0])["G"]
    real, *drawn = (
        features_of(pictures, extractor, batch=50).layers["features"]
        for pictures in (Prepared(faces, "faces"), Generated(trained, count), Generated(untrained, count))
    )
    near, far = (frechet_distance(each, real) for each in drawn)
    assert near < 0.1 * far


def test_faces_follow_from_their_seeds_and_differ() -> None:
    pictures = [np.asarray(draw_face(random_face(seed))) for seed in range(20)]
    assert all(picture.shape == (SIDE, SIDE, 3) for picture in pictures)
    assert np.array_equal(pictures[3], np.asarray(draw_face(random_face(3))))
    for i, picture in enumerate(pictures[1:]):
        assert np.abs(picture.astype(int) - pictures[i]).mean() > 10


@pytest.mark.parametrize("field", ["hair", "glasses", "hat", "beard", "smile", "skin", "tilt"])
def test_faces_vary(field: str) -> None:
    assert len({repr(getattr(random_face(seed), field)) for seed in range(60)}) >= 5


def test_faces_command(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path / "faces.zip"), "--count", "3"])
    assert result.exit_code == 0, result.output
    with zipfile.ZipFile(tmp_path / "faces.zip") as archive:
        assert archive.namelist() == ["face00000.png", "face00001.png", "face00002.png"]
        with archive.open("face00002.png") as file, Image.open(file) as image:
            assert np.array_equal(np.asarray(image), np.asarray(draw_face(random_face(2))))
    assert CliRunner().invoke(main, [str(tmp_path / "faces.zip"), "--count", "3"]).exit_code == 1
    assert CliRunner().invoke(main, [str(tmp_path / "dark.zip"), "--count", "1", "--negative"]).exit_code == 0
    with (
        zipfile.ZipFile(tmp_path / "dark.zip") as archive,
        archive.open("face00000.png") as file,
        Image.open(file) as image,
    ):
        assert np.array_equal(255 - np.asarray(image), np.asarray(draw_face(random_face(0))))
