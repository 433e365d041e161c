"""Alignment: the published square around a face, what is cut out of a picture, and the faces that are found."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from examples.faces.faces import draw_face, random_face
from stylegan_torch.commands.main import main
from stylegan_torch.errors import StyleGANError
from stylegan_torch.pictures.alignment import Alignment, Crop, cut, face_crop
from stylegan_torch.pictures.archive import Order, Shape, write
from stylegan_torch.pictures.collections import pictures
from stylegan_torch.pictures.decode import DataError
from stylegan_torch.pictures.faces import FaceFinder, GivenLandmarks, Points
from tests import DATA

NETWORK = DATA / "sg2-skip.pkl"
FIVE = np.array([(100.0, 100), (140, 100), (120, 125), (105, 150), (135, 150)])
SMOOTH = 40.0


def run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == status, result.output
    return result.output


def sixty_eight(five: Points) -> Points:
    """Return landmarks in iBUG's order with the eyes and the mouth of five."""
    points = np.full((68, 2), 7.0)
    around = np.array([(-3.0, 0), (-1, -1), (1, -1), (3, 0), (1, 1), (-1, 1)])
    points[36:42], points[42:48], points[[48, 54]] = five[0] + around, five[1] + around, five[3:5]
    return points


# The square.


@pytest.mark.parametrize("points", [FIVE, sixty_eight(FIVE)], ids=["5", "68"])
def test_the_square_of_known_landmarks(points: Points) -> None:
    # x' = (40, 0), y' = (0, -50): side max(4·40, 3.6·50) = 180, centre (120, 100 + 5).
    np.testing.assert_allclose(face_crop(points).quad, [(30, 15), (30, 195), (210, 195), (210, 15)], atol=1e-6)


def test_a_wide_face_is_measured_by_its_eyes() -> None:
    wide = FIVE * (2, 1)  # x' = (80, 0): side 320, centre (240, 105)
    np.testing.assert_allclose(face_crop(wide).quad, [(80, -55), (80, 265), (400, 265), (400, -55)], atol=1e-6)


def test_a_turned_face_is_cut_along_the_mean_of_both_axes() -> None:
    # e1 - e0 = (40, 0), mouth 30 to the right and 40 below: y' = (-30, -40); x' - rotate90(y') = (80, -30).
    points = np.array([(100.0, 100), (140, 100), (0, 0), (140, 140), (160, 140)])
    side, right = 180.0, np.array([80, -30]) / np.hypot(80, 30)
    down = np.array([-right[1], right[0]])
    centre = np.array([120 + 3, 100 + 4])
    signs = [(-1, -1), (-1, 1), (1, 1), (1, -1)]
    expected = [centre + side / 2 * (a * right + b * down) for a, b in signs]
    np.testing.assert_allclose(face_crop(points).quad, expected, atol=1e-6)


@given(st.floats(-3.1, 3.1), st.floats(0.1, 20), st.floats(-500, 500), st.floats(-500, 500))
def test_the_square_goes_with_the_face(angle: float, scale: float, x: float, y: float) -> None:
    turn = scale * np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    moved = FIVE @ turn + (x, y)
    np.testing.assert_allclose(face_crop(moved).quad, face_crop(FIVE).quad @ turn + (x, y), atol=1e-6)


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.zeros((4, 2)), np.full((5, 2), np.nan), FIVE * (-1, 0.8)])
def test_landmarks_of_no_face(points: Points) -> None:
    with pytest.raises(DataError, match="landmarks of"):
        face_crop(points)


# What is cut out.


def _wave(x: Any, y: Any) -> Any:
    """Return colours [..., 3] of a picture that is known between its pixels too."""
    waves = np.sin(x / SMOOTH), np.cos(y / SMOOTH), np.sin((x + y) / SMOOTH)
    return 127.5 + 110 * np.stack(waves, -1)


@pytest.mark.parametrize(("angle", "scale", "side"), [(0, 1, 64), (20, 1.7, 64), (-35, 0.5, 128), (160, 3.3, 24)])
def test_a_turned_picture_comes_back_upright(angle: float, scale: float, side: int) -> None:
    """Hold every value of a crop against the picture's formula; 8-bit values round twice."""
    turned = np.deg2rad(angle)
    across = side * scale / 2 * np.array([np.cos(turned), np.sin(turned)])
    crop = Crop((210.3, 190.8), (across[0], across[1]), (-across[1], across[0]))
    image = Image.fromarray(_wave(*np.meshgrid(np.arange(420), np.arange(400))).round().astype(np.uint8))
    place = (np.arange(side) + 0.5) / side * 2 - 1
    v, u = np.meshgrid(place, place, indexing="ij")
    x, y = (crop.centre[i] + u * crop.across[i] + v * crop.down[i] for i in (0, 1))
    found = np.asarray(cut(image, crop, (side, side))).astype(float)
    assert np.abs(found - _wave(x, y)).max() < 2


def test_an_upright_crop_of_whole_pixels_is_those_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 100, 3), np.uint8)
    crop = Crop((49.5, 39.5), (32, 0), (0, 32))  # pixels 18 to 81, 8 to 71
    found = np.asarray(cut(Image.fromarray(pixels), crop, (16, 16))).astype(float)
    means = pixels[8:72, 18:82].reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(found - means).max() < 1


def test_what_is_beyond_the_picture_is_mirrored_and_blurred() -> None:
    ramp = np.tile(np.arange(100, dtype=np.uint8) * 2, (100, 1))
    crop = Crop((9.5, 49.5), (40, 0), (0, 40))
    found = np.asarray(cut(Image.fromarray(ramp), crop, (80, 80))).astype(float)
    assert found.shape == (80, 80)
    np.testing.assert_allclose(found[:, 32:], np.tile(np.arange(2, 50) * 2, (80, 1)), atol=2)
    np.testing.assert_allclose(found[40, :24], np.arange(29, 5, -1) * 2, atol=3)  # a ramp stays one when blurred
    stripes = Image.fromarray(np.tile((np.arange(100) % 2 * 255).astype(np.uint8), (100, 1)))
    far = np.asarray(cut(stripes, crop, (80, 80)))[:, :20]
    assert np.ptp(far) < 40


def test_a_crop_larger_than_the_picture() -> None:
    image = Image.fromarray(np.full((30, 20, 3), 99, np.uint8))
    found = cut(image, Crop((10, 15), (100, 7), (-7, 100)), (16, 16))
    assert (np.asarray(found) == 99).all()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_modes_stay(mode: str) -> None:
    assert cut(Image.new(mode, (40, 40)), Crop((0, 0), (9, 2), (-2, 9)), (8, 8)).mode == mode


@pytest.mark.parametrize(
    ("crop", "size", "words"),
    [
        (Crop((500, 0), (9, 0), (0, 9)), 8, "beside"),
        (Crop((5, 5), (9e9, 0), (0, 9e9)), 8, "far larger"),
        (Crop((5, 5), (3, 0), (0, 3)), 64, "is too small, 6×6 pixels"),
    ],
)
def test_crops_that_show_nothing(crop: Crop, size: int, words: str) -> None:
    with pytest.raises(DataError, match=words):
        cut(Image.new("RGB", (40, 40)), crop, (size, size))


# Faces.


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    pytest.importorskip("dlib")
    return FaceFinder()


def _drawn(seed: int, canvas: tuple[int, int], *places: tuple[int, int]) -> Image.Image:
    face = draw_face(random_face(seed)).resize((256, 256), Image.Resampling.BICUBIC)
    image = Image.new("RGB", canvas, face.getpixel((0, 0)))
    for number, place in enumerate(places):
        image.paste(face if not number else face.resize((200, 200)), place)
    return image


@pytest.mark.parametrize("seed", [1, pytest.param(5, marks=pytest.mark.long), 20])
def test_a_drawn_face_is_found_and_comes_to_its_place(finder: FaceFinder, seed: int) -> None:
    image = _drawn(seed, (420, 330), (150, 60))
    (points,) = finder.of(image)
    assert points.shape == (68, 2)
    eyes = points[36:48].mean(axis=0) - (150, 60)
    assert abs(eyes - (128, 128)).max() < 30
    (aligned,) = Alignment(finder).made(image, 256, "a.png")
    (again,) = finder.of(aligned)
    known = face_crop(again)  # of what is aligned, it is the picture itself
    np.testing.assert_allclose(known.quad, [(0, 0), (0, 256), (256, 256), (256, 0)], atol=18)


@pytest.mark.parametrize("angle", [-20, 15])
def test_a_turned_face_comes_upright(finder: FaceFinder, angle: float) -> None:
    image = _drawn(1, (420, 420), (82, 82))
    edge = image.getpixel((0, 0))
    turned = image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=edge)
    (upright,), (back,) = (Alignment(finder).made(each, 64, "a.png") for each in (image, turned))
    (as_it_is,) = Alignment(box=(82, 82, 338, 338)).made(turned, 64, "a.png")
    crooked, found, known = (
        np.asarray(each.resize((64, 64))).astype(float)[12:52, 12:52] for each in (as_it_is, back, upright)
    )
    assert np.abs(found - known).mean() < 10
    assert np.abs(crooked - known).mean() > 20


def test_several_faces_and_none(finder: FaceFinder) -> None:
    two = _drawn(1, (620, 300), (340, 20), (20, 40))
    large, small = finder.of(two)
    assert large[:, 0].mean() > 340 > small[:, 0].mean()
    with pytest.raises(DataError, match="has 2 faces"):
        Alignment(finder).made(two, 64, "two.png")
    (one,) = Alignment(finder, "largest").made(two, 64, "two.png")
    both = Alignment(finder, "all").made(two, 64, "two.png")
    assert len(both) == 2
    assert np.array_equal(np.asarray(one), np.asarray(both[0]))
    with pytest.raises(DataError, match="no face"):
        Alignment(finder).made(Image.new("RGB", (300, 200)), 64, "none.png")


def test_large_pictures_are_looked_at_in_a_smaller_size(finder: FaceFinder) -> None:
    image = _drawn(1, (420, 330), (150, 60))
    (points,), (large,) = finder.of(image), finder.of(image.resize((420 * 4, 330 * 4), Image.Resampling.BICUBIC))
    assert np.abs(large / 4 - points).mean() < 4


def test_a_finder_that_cannot_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    (tmp_path / "a.dat").write_bytes(b"nothing")
    with pytest.raises(StyleGANError, match=r"a\.dat is damaged, or not a shape predictor"):
        FaceFinder(tmp_path / "a.dat")
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(StyleGANError, match=r"stylegan-torch\[align\]"):
        FaceFinder()


# Landmarks that are given.


def test_files_of_landmarks(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FIVE)
    (tmp_path / "a.json").write_text(json.dumps(FIVE.tolist()))
    (tmp_path / "a.txt").write_text("\n".join(f"{x}, {y}" for x, y in FIVE) + "\n\n")
    (tmp_path / "named.json").write_text(json.dumps({"b/c.png": [FIVE.tolist(), (3 * FIVE).tolist()], "d.png": []}))
    image = Image.new("RGB", (300, 300))
    for name in ("a.npy", "a.json", "a.txt"):
        (points,) = GivenLandmarks(tmp_path / name).of(image, "any.png")
        assert np.array_equal(points, FIVE)
    known = GivenLandmarks(tmp_path / "named.json")
    assert np.array_equal(known.of(image, "b/c.png"), [3 * FIVE, FIVE])  # the largest first
    assert known.of(image, "x/d.png") == []
    with pytest.raises(DataError, match="has no landmarks in"):
        known.of(image, "e.png")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", "{"),
        ("a.json", "[[1, 2]]"),
        ("a.json", '{"a": 3}'),
        ("a.txt", "a b"),
        ("a.npy", "x"),
        ("a.npy", ""),
        ("a.npy", "PK\x03\x04"),
        ("a.txt", "1 2 3"),
    ],
)
def test_files_of_something_else(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(StyleGANError, match="is damaged, or has no landmarks"):
        GivenLandmarks(tmp_path / name)


@pytest.mark.parametrize("points", [FIVE * 1j, FIVE * 1e300, FIVE * np.nan, FIVE > 0, FIVE.astype(str)], ids=str)
def test_numbers_that_are_no_places(tmp_path: Path, points: np.ndarray[Any, Any]) -> None:
    np.save(tmp_path / "a.npy", points)
    with pytest.raises(StyleGANError, match="is damaged, or has no landmarks"):
        GivenLandmarks(tmp_path / "a.npy")


# Commands.


def test_project_with_landmarks_and_with_a_box(tmp_path: Path) -> None:
    photo, points = tmp_path / "photo.png", tmp_path / "points.json"
    image = _drawn(1, (420, 330), (150, 60))
    image.save(photo)
    five = FIVE + np.array((150, 60))
    points.write_text(json.dumps(five.tolist()))
    options = ["--network", NETWORK, "--steps", 1, "--outdir", tmp_path / "out", "--force"]
    output = run("project", photo, "--landmarks", points, *options)
    assert "420×330 pixels, its face aligned" in output
    aim = np.asarray(Image.open(tmp_path / "out" / "photo-target.png"))
    assert np.array_equal(aim, np.asarray(cut(image, face_crop(five), (32, 32))))
    assert "cut to the box 150,60,406,316, resized to 32×32" in run(
        "project", photo, "--box", "150,60,406,316", *options
    )
    aim = np.asarray(Image.open(tmp_path / "out" / "photo-target.png"))
    expected = image.crop((150, 60, 406, 316)).resize((32, 32), Image.Resampling.LANCZOS)
    assert np.array_equal(aim, np.asarray(expected))
    assert "the box (0, 0, 421, 9) goes beyond" in run("project", photo, "--box", "0,0,421,9", *options, status=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--box", "1,2,3"], "is not left,top,right,bottom"),
        (["--box", "5,0,5,9"], "is not left,top,right,bottom"),
        (["--box", "0,0,9,9", "--align"], "--box goes without"),
        (["--face", "largest"], "go with --align"),
    ],
)
def test_options_that_make_no_sense(tmp_path: Path, options: list[str], words: str) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "photo.png")
    assert words in run("project", tmp_path / "photo.png", *options, status=2)


def test_a_data_set_of_aligned_faces(tmp_path: Path) -> None:
    folder = tmp_path / "party"
    folder.mkdir()
    images = {name: _drawn(seed, (300, 300), (20, 20)) for name, seed in (("a.png", 1), ("b.png", 5), ("c.png", 20))}
    for name, image in images.items():
        image.save(folder / name)
    given = {"a.png": FIVE.tolist(), "b.png": [], "c.png": [FIVE.tolist(), (FIVE + 40).tolist()]}
    (tmp_path / "points.json").write_text(json.dumps(given))
    options = [folder, tmp_path / "faces.zip", "--landmarks", tmp_path / "points.json"]
    assert "give a resolution" in run("dataset", *options, status=2)
    options += ["--resolution", "32x32"]
    assert "b.png has no face that is found; --bad skip leaves" in run("dataset", *options, status=1)
    output = run("dataset", *options, "--bad", "skip", "--force")
    assert "Skipped c.png has 2 faces" in output
    assert "1 pictures of 32×32 in colour" in output
    output = run("dataset", *options, "--bad", "skip", "--face", "all", "--force")
    assert "Skipped b.png has no face" in output
    assert "3 pictures of 32×32 in colour" in output
    made = [Image.open(io.BytesIO(each.content())) for each in pictures(tmp_path / "faces.zip")]
    expected = [
        cut(images["a.png"], face_crop(FIVE), (32, 32)),
        *(cut(images["c.png"], face_crop(points), (32, 32)) for points in (FIVE, FIVE + 40)),
    ]
    for one, other in zip(made, expected, strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(other))
    output = run("dataset", *options, "--bad", "skip", "--face", "all", "--force", "--max-images", "2")
    assert "2 pictures of 32×32" in output


def test_colours_stay_where_other_pictures_are_skipped(tmp_path: Path) -> None:
    folder = tmp_path / "party"
    folder.mkdir()
    Image.new("L", (300, 300), 128).save(folder / "a.png")
    _drawn(1, (300, 300), (20, 20)).save(folder / "b.png")
    (tmp_path / "points.json").write_text(json.dumps({"b.png": FIVE.tolist()}))
    options = ("--landmarks", tmp_path / "points.json", "--resolution", "32x32", "--max-images", 1, "--bad", "skip")
    assert "1 pictures of 32×32 in colour" in run("dataset", folder, tmp_path / "faces.zip", *options)
    (folder / "a.png").unlink()
    boxed = run("dataset", folder, tmp_path / "boxes.zip", "--box", "0,0,64,64", "--bad", "skip")
    assert "1 pictures of 64×64 in colour" in boxed


def test_labels_go_with_every_face(tmp_path: Path) -> None:
    for folder in ("cats", "dogs"):
        (tmp_path / "pets" / folder).mkdir(parents=True)
        _drawn(1, (300, 300), (20, 20)).save(tmp_path / "pets" / folder / "a.png")
    (tmp_path / "points.json").write_text(
        json.dumps({"cats/a.png": [FIVE.tolist(), (FIVE + 30).tolist()], "dogs/a.png": FIVE.tolist()})
    )
    alignment = Alignment(GivenLandmarks(tmp_path / "points.json"), "all")
    made = write(tmp_path / "pets.zip", Order(tmp_path / "pets", Shape((16, 16)), "folders", alignment=alignment))
    assert made.count == 3
    with zipfile.ZipFile(tmp_path / "pets.zip") as archive:
        labels = json.loads(archive.read("dataset.json"))["labels"]
    assert [label for _, label in labels] == [0, 0, 1]
