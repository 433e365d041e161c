"""Pictures to train on: every container, every mode, everything that can be wrong with them."""

from __future__ import annotations

import io
import json
import ntpath
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stylegan_torch.pictures import collections
from stylegan_torch.pictures.collections import pictures
from stylegan_torch.pictures.decode import DataError, PictureSize, decode
from stylegan_torch.training.dataset import Dataset, labels_used, prepare, stream

SIZE = PictureSize(16, 16, 3)


def _png(color: Any = (200, 100, 50), size: tuple[int, int] = (20, 20), mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, color).save(file, format="PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of two pictures, and files that are none."""
    root = tmp_path / "photos"
    for label, value in (("cats", 10), ("dogs", 200)):
        (root / label).mkdir(parents=True)
        for i in range(2):
            (root / label / f"{i}.png").write_bytes(_png((value, value, i)))
    (root / "cats" / "notes.txt").write_text("not a picture")
    (root / ".hidden.png").write_bytes(b"not a picture")
    return root


def _zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


def _tarred(folder: Path) -> Path:
    path = folder.with_suffix(".tar")
    with tarfile.open(path, "w") as archive:
        for number, file in enumerate(sorted(folder.glob("*/*.png"))):
            for suffix, data in ((".png", file.read_bytes()), (".cls", str(file.parent.name == "dogs").encode())):
                info = tarfile.TarInfo(f"{number:04d}{suffix}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("container", [lambda folder: folder, _zipped, _tarred], ids=["folder", "zip", "webdataset"])
def test_every_container(container: Any, folder: Path, tmp_path: Path) -> None:
    data = prepare(container(folder), SIZE, tmp_path / "cache")
    assert data.pictures[:, 0, 0, 0].tolist() == [10, 10, 200, 200]
    assert data.pictures.shape == (4, 3, 16, 16)
    assert data.classes.tolist() == [0, 0, 1, 1]
    assert data.class_names in (("cats", "dogs"), ("False", "True"))
    assert data.labels(np.array([3, 0]), 2).tolist() == [[0, 1], [1, 0]]
    images = data.images(np.array([2]))
    assert images[0, 0, 0, 0].item() == pytest.approx(200 / 127.5 - 1)


def test_a_folder_of_shards_is_a_webdataset(folder: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    for number in range(2):
        shutil.copy(_tarred(folder), shards / f"{number}.tar")
    assert [picture.name for picture in pictures(shards)][::4] == ["0.tar/0000.png", "1.tar/0000.png"]


def test_numbered_classes_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    for label in ("10", "9", "2"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "a.png").write_bytes(_png())
    assert prepare(tmp_path / "photos", SIZE, tmp_path / "cache").class_names == ("2", "9", "10")


def test_prepared_once(folder: Path, tmp_path: Path) -> None:
    seen: list[str] = []

    def watch(found: Any) -> Any:
        for picture in found:
            seen.append(picture.name)
            yield picture

    for _ in range(2):
        prepare(folder, SIZE, tmp_path / "cache", watch=watch)
    assert len(seen) == 4
    (folder / "cats" / "9.png").write_bytes(_png())  # a new picture: prepared anew
    assert len(prepare(folder, SIZE, tmp_path / "cache", watch=watch)) == 5
    assert len(prepare(folder, PictureSize(8, 8, 1), tmp_path / "cache", watch=watch)) == 5
    assert len(seen) == 4 + 5 + 5


def test_a_killed_preparation_leaves_nothing_in_the_way(folder: Path, tmp_path: Path) -> None:
    def interrupted(found: Any) -> Any:
        yield next(iter(found))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(folder, SIZE, tmp_path / "cache", watch=interrupted)
    assert not list((tmp_path / "cache").rglob("*.u8"))
    assert len(prepare(folder, SIZE, tmp_path / "cache")) == 4


def test_cut_to_the_middle() -> None:
    picture = Image.new("RGB", (48, 16), "red")
    picture.paste("blue", (16, 0, 32, 16))
    file = io.BytesIO()
    picture.save(file, format="PNG")
    assert (decode(file.getvalue(), SIZE)[2] == 255).all()


def test_turned_as_exif_says() -> None:
    picture = Image.new("RGB", (16, 16), "black")
    picture.paste("white", (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    file = io.BytesIO()
    picture.save(file, format="PNG", exif=exif)
    array = decode(file.getvalue(), SIZE)
    assert array[0, 8, 12] == 255
    assert array[0, 8, 4] == 0


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("L", 100, (100, 100, 100)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("LA", (0, 255), (0, 0, 0)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 257 * 7, (7, 7, 7)),
        ("P", 0, (0, 0, 0)),
    ],
)
def test_every_mode(mode: str, color: Any, expected: tuple[int, ...]) -> None:
    assert tuple(decode(_png(color, mode=mode), SIZE)[:, 3, 3]) == expected


def _tiff(values: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(values)).save(file, format="TIFF")
    return file.getvalue()


def _numbers(last: float, dtype: str) -> bytes:
    """Return a picture [16, 16] of 100, but for its last pixel; of 0.5 if that is no more than 1."""
    values = np.full((16, 16), 100 if last > 2 else 0.5, dtype)
    values[-1, -1] = last
    return _tiff(values)


@pytest.mark.parametrize(
    ("last", "dtype", "expected"),
    [
        (1.0, "float32", 128),
        (1.0, "float64", 128),
        (255.0, "float32", 100),
        (200, "int32", 100),
        (200, "int16", 100),
        (65535, "int32", 0),  # 100 of 65535
        (51400, "uint16", 0),
        (200, "uint16", 100),
    ],
)
def test_numbers_are_scaled_by_their_range(last: float, dtype: str, expected: int) -> None:
    picture = decode(_numbers(last, dtype), SIZE)
    assert tuple(picture[:, 3, 3]) == (expected,) * 3
    assert picture[0, -1, -1] == {1.0: 255, 255.0: 255, 200: 200, 65535: 255, 51400: 200}[last]


@pytest.mark.parametrize(
    ("last", "dtype", "message"),
    [
        (-1.0, "float32", "has floats from -1 to 0.5, not from 0 to 1 or to 255"),
        (256.0, "float32", "has floats from 100 to 256"),
        (1.01, "float32", "has floats from 0.5 to 1.01"),
        (float("nan"), "float32", "has floats from nan to nan"),
        (float("inf"), "float32", "has floats from 100 to inf"),
        (65536, "int32", "has integers from 100 to 65536, not from 0 to 255 or to 65535"),
        (-5, "int32", "has integers from -5"),
    ],
)
def test_numbers_beyond_all_ranges_are_refused(last: float, dtype: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        decode(_numbers(last, dtype), SIZE)


def test_sixteen_bits_in_a_portable_map() -> None:
    data = b"P5\n16 16\n65535\n" + np.full(256, 100 * 257, ">u2").tobytes()
    assert (decode(data, SIZE) == 100).all()


def test_other_channels() -> None:
    gray = decode(_png((255, 255, 255)), PictureSize(16, 16, 1))
    assert gray.shape == (1, 16, 16)
    clear = decode(_png((9, 8, 7, 255), mode="RGBA"), PictureSize(16, 16, 4))
    assert tuple(clear[:, 0, 0]) == (9, 8, 7, 255)


def _noisy_jpeg() -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(file, format="JPEG")
    return file.getvalue()


BAD = {
    "broken.jpg": _noisy_jpeg()[:900],
    "tiny.png": _png(size=(1, 1)),
    "text.png": b"no picture at all",
    "empty.png": b"",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures_are_refused_or_skipped(name: str, folder: Path, tmp_path: Path) -> None:
    (folder / "dogs" / name).write_bytes(BAD[name])
    with pytest.raises(DataError, match=rf"dogs/{name} is .*--bad skip"):
        prepare(folder, SIZE, tmp_path / "cache")
    data = prepare(folder, SIZE, tmp_path / "cache", skip_bad=True)
    assert len(data) == 4
    assert [text.split()[0] for text in data.skipped] == [f"dogs/{name}"]


def test_nothing_to_train_on(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty has no pictures"):
        prepare(tmp_path / "empty", SIZE, tmp_path / "cache")
    (tmp_path / "empty" / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match="empty has no usable pictures"):
        prepare(tmp_path / "empty", SIZE, tmp_path / "cache", skip_bad=True)
    with pytest.raises(DataError, match=r"cannot read .*nowhere"):
        prepare(tmp_path / "nowhere", SIZE, tmp_path / "cache")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"notes\.txt is not a folder, a \.zip or a WebDataset"):
        prepare(tmp_path / "notes.txt", SIZE, tmp_path / "cache")


def test_damaged_archives(folder: Path, tmp_path: Path) -> None:
    path = _zipped(folder)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.infolist()[-1].header_offset
    content[start + 60 : start + 90] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"photos\.zip"):
        prepare(path, SIZE, tmp_path / "cache")
    tar = tmp_path / "broken.tar"
    tar.write_bytes(b"no tar" * 200)
    with pytest.raises(DataError, match=r"broken\.tar"):
        prepare(tar, SIZE, tmp_path / "cache")


@given(st.integers(1, 40), st.integers(0, 5), st.integers(0, 200), st.integers(1, 60))
def test_the_stream_is_the_same_from_anywhere(count: int, seed: int, start: int, length: int) -> None:
    whole = stream(count, seed=seed, start=0, length=start + length)
    assert stream(count, seed=seed, start=start, length=length).tolist() == whole[start:].tolist()
    for epoch in range((start + length) // count):
        assert sorted(whole[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_epochs_differ() -> None:
    order = stream(50, seed=0, start=0, length=100)
    assert order[:50].tolist() != order[50:].tolist()
    assert order.tolist() != stream(50, seed=1, start=0, length=100).tolist()


def test_pictures_are_read_when_asked(folder: Path) -> None:
    found = list(pictures(folder))
    assert [(picture.name, picture.label) for picture in found[:2]] == [("cats/0.png", "cats"), ("cats/1.png", "cats")]
    shutil.rmtree(folder)
    with pytest.raises(DataError, match="cannot be read"):
        found[0].decoded(SIZE)


def test_links_to_folders_are_followed_but_not_in_circles(folder: Path, tmp_path: Path) -> None:
    (folder / "cats").rename(tmp_path / "elsewhere")
    (folder / "cats").symlink_to(tmp_path / "elsewhere")
    (folder / "dogs" / "circle").symlink_to(folder)
    assert prepare(folder, SIZE, tmp_path / "cache").class_names == ("cats", "dogs")


def test_odd_zip_files(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir("photos/folder.png")
        for name in ("./photos/cats/a.png", "photos//dogs/b.png"):
            archive.writestr(name, _png())
    data = prepare(path, SIZE, tmp_path / "cache")
    assert data.class_names == ("cats", "dogs")  # below what all have in common


def test_pictures_beside_shards_are_not_passed_over(folder: Path, tmp_path: Path) -> None:
    shutil.copy(_tarred(folder), folder / "backup.tar")
    with pytest.raises(DataError, match=r"both pictures and a WebDataset \(backup.tar\)"):
        prepare(folder, SIZE, tmp_path / "cache")


def test_no_program_is_started_for_a_picture(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    (folder / "dogs" / "z.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\nshowpage\n")
    with pytest.raises(DataError, match=r"z\.png is broken, or not a picture"):
        prepare(folder, SIZE, tmp_path / "cache")


def _official(path: Path, labels: Any, count: int = 30, shard: int = 10, top: str = "") -> Path:
    """Write a zip in the official form, in small shards; the red of a picture is its number."""
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(count):
            name = f"{top}{i // shard:05d}/img{i // shard * 1000 + i % shard:08d}.png"
            archive.writestr(name, _png((i, 0, 0), (16, 16)))
        if labels is not None:
            archive.writestr(f"{top}dataset.json", json.dumps(labels))
    return path


def _names(count: int = 30, shard: int = 10) -> list[str]:
    return [f"{i // shard:05d}/img{i // shard * 1000 + i % shard:08d}.png" for i in range(count)]


CLASSES = [(7 * i + i // 10) % 10 for i in range(30)]
LABELS: dict[str, list[list[Any]]] = {"labels": [[name, label] for name, label in zip(_names(), CLASSES, strict=True)]}


def _unpacked(path: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(path.with_suffix(""))
    return path.with_suffix("")


@pytest.mark.parametrize("container", [lambda path: path, _unpacked], ids=["zip", "folder"])
def test_the_official_labels_are_read(container: Any, tmp_path: Path) -> None:
    shuffled = {"labels": LABELS["labels"][::-1], "other": 1}
    data = prepare(container(_official(tmp_path / "set.zip", shuffled)), SIZE, tmp_path / "cache")
    assert data.pictures[:, 0, 0, 0].tolist() == list(range(30))
    assert data.classes.tolist() == CLASSES
    assert data.names == tuple(_names())
    assert data.class_names == tuple("0123456789")
    assert data.fit_labels(10) is None
    assert data.labels(np.arange(30), 10).argmax(dim=1).tolist() == CLASSES


def test_vectors_are_labels(tmp_path: Path) -> None:
    vectors = [[i, -i / 4, 0.5] for i in range(30)]
    labels = {"labels": [[name, vector] for name, vector in zip(_names(), vectors, strict=True)]}
    data = prepare(_official(tmp_path / "set.zip", labels), SIZE, tmp_path / "cache")
    assert data.labels(np.array([4, 2]), 3).tolist() == [vectors[4], vectors[2]]
    assert data.labels(np.array([4, 2]), 0).shape == (2, 0)
    assert (data.c_dim, data.class_names) == (3, ())


@pytest.mark.parametrize("labels", [{"labels": None}, None], ids=["null", "no file"])
def test_shards_are_no_classes(labels: Any, tmp_path: Path) -> None:
    data = prepare(_official(tmp_path / "set.zip", labels), SIZE, tmp_path / "cache")
    assert data.class_names == ()
    with pytest.raises(DataError, match=r"this network has 3 classes, the data set none: label .* dataset\.json"):
        data.fit_labels(3)


def test_names_of_every_spelling(tmp_path: Path) -> None:
    entries = [[name.replace("/", "\\"), label] for name, label in LABELS["labels"]]
    data = prepare(_official(tmp_path / "a.zip", {"labels": entries}, top="mine/"), SIZE, tmp_path / "cache")
    assert data.classes.tolist() == CLASSES
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for i, name in enumerate(_names()):
            archive.writestr(name.replace("/", "\\"), _png((i, 0, 0)))
        archive.writestr("dataset.json", json.dumps(LABELS))
    assert prepare(tmp_path / "b.zip", SIZE, tmp_path / "cache").classes.tolist() == CLASSES
    one = _official(tmp_path / "one.zip", {"labels": LABELS["labels"][:10]}, count=10)  # all in one folder
    assert prepare(one, SIZE, tmp_path / "cache").classes.tolist() == CLASSES[:10]


def test_folders_of_zip_files_are_found_on_windows_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for label in ("cats", "dogs"):
            archive.writestr(f"my/photos/{label}/1.png", _png())
    with monkeypatch.context() as windows:
        windows.setattr(os.path, "commonpath", ntpath.commonpath)
        found = list(pictures(tmp_path / "a.zip"))
    assert [picture.label for picture in found] == ["cats", "dogs"]


@pytest.mark.parametrize("container", [_zipped, lambda folder: folder], ids=["zip", "folder"])
@pytest.mark.parametrize("count", [10, 30], ids=["one shard", "three"])
def test_labels_are_found_in_the_folder_of_all_pictures(container: Any, count: int, tmp_path: Path) -> None:
    entries = {"labels": LABELS["labels"][:count]}
    with zipfile.ZipFile(_official(tmp_path / "a.zip", entries, count, top="mine/")) as archive:
        archive.extractall(tmp_path / "set")
    (tmp_path / "set" / "README.txt").write_text("what this is")
    data = prepare(container(tmp_path / "set"), SIZE, tmp_path / "cache")
    assert data.classes.tolist() == CLASSES[:count]


@pytest.mark.parametrize("container", [_zipped, lambda folder: folder], ids=["zip", "folder"])
def test_labels_of_parts_are_refused(container: Any, folder: Path, tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        (folder / name / "dataset.json").write_text('{"labels": [["0.png", 5], ["1.png", 6]]}')
    with pytest.raises(DataError, match=r"has cats/dataset.json, dogs/dataset.json, and none for all pictures"):
        prepare(container(folder), SIZE, tmp_path / "cache")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "names", [("a.png", "a.png"), ("a.png", "./a.png"), ("b/a.png", "b\\a.png"), ("../a.png", "b.png")]
)
@pytest.mark.parametrize("container", ["zip", "tar"])
def test_no_picture_of_an_archive_is_lost(container: str, names: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / f"a.{container}"
    if container == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, _png())
    else:
        with tarfile.open(path, "w") as tar:
            for name in names:
                info = tarfile.TarInfo(name.replace("\\", "/"))
                info.size = len(_png())
                tar.addfile(info, io.BytesIO(_png()))
    with pytest.raises(DataError, match=r"is there twice|leads out of it"):
        list(pictures(path))


def _spoilt(path: Path, method: int, at: int, value: bytes) -> Path:
    """Write a zip of two pictures, and other bytes into the first one, from where its header begins."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.png", _png())
        archive.writestr("b.png", _png())
        directory = archive.start_dir
    content = bytearray(path.read_bytes())
    content[at : at + len(value)] = value
    if at == 6:  # encrypted: the directory says so too
        content[directory + 8 : directory + 10] = value
    if at == 8:  # an unknown method
        content[directory + 10 : directory + 12] = value
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("method", "at", "value"),
    [
        (zipfile.ZIP_LZMA, 39, b"\xff" * 20),
        (zipfile.ZIP_BZIP2, 45, b"\xff" * 20),
        (zipfile.ZIP_DEFLATED, 40, b"\xff" * 20),
        pytest.param(
            93, 40, b"\xff" * 20, marks=pytest.mark.skipif(sys.version_info < (3, 14), reason="it unpacks none")
        ),
        (zipfile.ZIP_STORED, 6, b"\1\0"),
        (zipfile.ZIP_STORED, 6, b"\0\x08"),
        (zipfile.ZIP_STORED, 8, b"\x62\0"),
        (zipfile.ZIP_STORED, 30, b"\xff"),
    ],
    ids=["lzma", "bzip2", "deflate", "zstandard", "encrypted", "utf8 flag", "method", "name"],
)
def test_spoilt_members_of_a_zip_are_told_or_skipped(method: int, at: int, value: bytes, tmp_path: Path) -> None:
    path = _spoilt(tmp_path / "a.zip", method, at, value)
    if value == b"\0\x08":  # its name is no UTF-8, which only its own header says
        content = path.read_bytes().replace(b"a.png", b"\xff.png", 1)
        path.write_bytes(content)
    try:
        data = prepare(path, SIZE, tmp_path / "cache", skip_bad=True)
        assert [text.split()[0] for text in data.skipped] in (["a.png"], [])
        assert len(data) == 2 - len(data.skipped)
        refused = bool(data.skipped)
    except DataError:
        refused = True
    assert refused
    with pytest.raises(DataError, match=r"a\.zip"):
        prepare(path, SIZE, tmp_path / "cache")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
@pytest.mark.parametrize("name", ["dogs/z.png", "dataset.json"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_what_may_have_no_end_is_told(make: Any, name: str, folder: Path, tmp_path: Path) -> None:
    make(folder / name)
    with pytest.raises(DataError, match=rf"{name}.*not a regular file"):
        prepare(folder, SIZE, tmp_path / "cache")
    if name != "dataset.json":
        assert len(prepare(folder, SIZE, tmp_path / "cache", skip_bad=True).skipped) == 1


@pytest.mark.parametrize("name", ["dogs/z.png", "dataset.json"])
@pytest.mark.parametrize("container", [_zipped, lambda folder: folder], ids=["zip", "folder"])
def test_files_that_are_too_large(
    container: Any, name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collections, "LIMIT", 1000)
    (folder / name).write_bytes(bytes(1001))
    with pytest.raises(DataError, match=rf"{name} .*has 1,001 bytes: more than 1,000 are not read"):
        prepare(container(folder), SIZE, tmp_path / "cache")


@pytest.mark.parametrize("content", ['{"labels": [["cats/0.png", 1]]}', '{"title": "pets"}', "{"])
def test_labels_that_no_network_needs(content: str, folder: Path, tmp_path: Path) -> None:
    (folder / "dataset.json").write_text(content)
    chosen, note = labels_used(folder, 0)
    assert "photos: dataset.json" in str(note)
    assert len(prepare(folder, SIZE, tmp_path / "cache", labels_from=chosen)) == 4
    with pytest.raises(DataError, match=r"photos: dataset\.json"):
        labels_used(folder, 2)


def test_labels_in_a_sub_folder_are_none(folder: Path, tmp_path: Path) -> None:
    (folder / "cats" / "dataset.json").write_text('{"labels": [["0.png", 5]]}')
    for path in (folder, _zipped(folder)):
        assert prepare(path, SIZE, tmp_path / "cache").class_names == ("cats", "dogs")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged: "),
        ("[" * 100_000, "is damaged: "),
        ("[]", 'has no "labels"'),
        ('{"label": 3}', 'has no "labels"'),
        ('{"labels": 3}', 'has "labels" that are no list'),
        ('{"labels": [["cats/0.png"]]}', r'has the entry \["cats/0.png"\], which is no pair'),
        ('{"labels": [["cats/0.png", 1]]}', "has no label for cats/1.png, and for 2 more"),
        ('{"labels": []}', "has no label for cats/0.png, and for 3 more"),
        ('{"labels": [["cats/0.png", "red"]]}', 'has the label "red" for cats/0.png'),
        ('{"labels": [["cats/0.png", null]]}', "has the label null for cats/0.png"),
        ('{"labels": [["cats/0.png", true]]}', "has the label true for cats/0.png"),
        ('{"labels": [["cats/0.png", []]]}', r"has the label \[\] for cats/0.png"),
        ('{"labels": [["cats/0.png", [NaN]]]}', r"has the label \[NaN\] for cats/0.png"),
        ('{"labels": [["cats/0.png", [1e99]]]}', "has the label .* for cats/0.png"),
        ('{"labels": [["cats/0.png", -1]]}', "has the class -1 for cats/0.png"),
        ('{"labels": [["cats/0.png", 0.5]]}', "has the class 0.5 for cats/0.png"),
        ('{"labels": [["cats/0.png", 1], ["cats/1.png", [1]]]}', "has labels that are vectors and others"),
        ('{"labels": [["cats/0.png", [1]], ["cats/1.png", [1, 2]]]}', "has labels that are vectors and others"),
        ('{"labels": [["cats/0.png", 1], ["cats/0.png", 2]]}', "has two labels for cats/0.png"),
        ('{"labels": [["cats/0.png", 1000000000000]]}', "has the class 1000000000000"),
    ],
)
def test_labels_that_are_wrong(content: str, message: str, folder: Path, tmp_path: Path) -> None:
    (folder / "dataset.json").write_text(content)
    for path in (folder, _zipped(folder)):
        with pytest.raises(DataError, match=f"{path.name}: dataset.json {message}"):
            prepare(path, SIZE, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.u8"))


def test_whole_floats_and_labels_of_other_pictures(folder: Path, tmp_path: Path) -> None:
    names = ["cats/0.png", "cats/1.png", "dogs/0.png", "dogs/1.png", "gone.png"]
    (folder / "dataset.json").write_text(json.dumps({"labels": [[name, 2.0] for name in names]}))
    data = prepare(folder, SIZE, tmp_path / "cache")
    assert data.classes.tolist() == [2] * 4
    assert data.class_names == ("0", "1", "2")


@pytest.mark.parametrize("container", [lambda folder: folder, _zipped], ids=["folder", "zip"])
def test_another_label_is_another_data_set(container: Any, folder: Path, tmp_path: Path) -> None:
    names = ["cats/0.png", "cats/1.png", "dogs/0.png", "dogs/1.png"]
    for label in (0, 1):  # as many bytes, at the same time
        (folder / "dataset.json").write_text(json.dumps({"labels": [[name, label] for name in names]}))
        os.utime(folder / "dataset.json", (1e9, 1e9))
        path = container(folder)
        os.utime(path, (1e9, 1e9))
        assert prepare(path, SIZE, tmp_path / "cache").classes.tolist() == [label] * 4


def test_labels_of_pictures_that_are_skipped(folder: Path, tmp_path: Path) -> None:
    names = ["cats/0.png", "cats/1.png", "dogs/0.png", "dogs/1.png"]
    (folder / "dataset.json").write_text(json.dumps({"labels": [[name, i] for i, name in enumerate(names)]}))
    (folder / "cats" / "1.png").write_bytes(b"broken")
    data = prepare(folder, SIZE, tmp_path / "cache", skip_bad=True)
    assert data.classes.tolist() == [0, 2, 3]
    assert data.names == ("cats/0.png", "dogs/0.png", "dogs/1.png")


def test_numbers_of_a_webdataset_are_classes(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "set.tar"
    with tarfile.open(path, "w") as archive:
        for i, label in enumerate((3, 0)):
            for name, content in ((f"{i}.png", _png()), (f"{i}.cls", str(label).encode())):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    data = prepare(path, SIZE, tmp_path / "cache")
    assert data.classes.tolist() == [3, 0]
    assert data.fit_labels(4) is None


def _with(names: tuple[str, ...], classes: list[int], vectors: Any = None) -> Dataset:
    return Dataset(np.zeros((len(classes), 1, 4, 4), np.uint8), np.array(classes), names, vectors=vectors)


def test_labels_that_do_not_fit_a_network() -> None:
    numbers, names = _with(("0", "1", "2"), [0, 2]), _with(("a", "b"), [0, 1])
    vectors = _with((), [-1, -1], np.zeros((2, 4), np.float32))
    assert numbers.fit_labels(0) == "the labels of the pictures (3 classes) are not used: this network takes none"
    assert "(vectors of 4) are not used" in str(vectors.fit_labels(0))
    assert _with(("a",), [0]).fit_labels(0) is None
    assert numbers.fit_labels(5) == "this network has 5 classes, the data set only the first 3"
    assert vectors.fit_labels(4) is numbers.fit_labels(3) is names.fit_labels(2) is None
    for data, c_dim, message in (
        (numbers, 2, r"this network has 2 classes, the data set 3: begin with .* c_dim = 3"),
        (names, 3, "this network has 3 classes, the data set 2"),  # which of the three?
        (vectors, 3, "this network takes labels of 3 numbers, the data set has vectors of 4"),
        (_with((), [-1, -1]), 2, "this network has 2 classes, the data set none"),
        (_with(("a", "b"), [0, -1]), 2, "pictures of the data set have no class: number 1"),
    ):
        with pytest.raises(DataError, match=message):
            data.fit_labels(c_dim)


@pytest.mark.parametrize("name", ["pictures.u8", "index.json"])
def test_a_damaged_cache_is_made_anew(name: str, folder: Path, tmp_path: Path) -> None:
    prepare(folder, SIZE, tmp_path / "cache")
    (path,) = (tmp_path / "cache").rglob(name)
    path.write_bytes(b"{")
    assert len(prepare(folder, SIZE, tmp_path / "cache")) == 4


def test_a_dataset_knows_its_length() -> None:
    assert len(Dataset(np.zeros((3, 1, 4, 4), np.uint8), np.full(3, -1))) == 3
