"""`stylegan dataset`: what the official programs read of it, its labels, and going on after a kill."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from stylegan_torch.commands.main import main
from stylegan_torch.pictures import archive, decode
from stylegan_torch.pictures.archive import Order, Shape, write

Read = tuple[list[np.ndarray[Any, Any]], Any]


def official(path: Path) -> Read:
    """Read a data set by the official programs' rules: pictures [C, H, W] by name, labels as they train on them."""
    Image.init()
    with zipfile.ZipFile(path) as file:
        assert all(info.compress_type == zipfile.ZIP_STORED for info in file.infolist())
        names = sorted(name for name in file.namelist() if Path(name).suffix.lower() in Image.EXTENSION)
        pictures = [np.asarray(Image.open(io.BytesIO(file.read(name)))) for name in names]
        entries = json.loads(file.read("dataset.json"))["labels"]
    assert names == [f"{i // 1000:05d}/img{i:08d}.png" for i in range(len(names))]
    arrays = [picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1) for picture in pictures]
    (shape,) = {array.shape for array in arrays}
    assert shape[0] in (1, 3)
    assert shape[1] == shape[2]
    assert shape[1] & (shape[1] - 1) == 0
    if entries is None:
        return arrays, None
    labels = np.array([dict(entries)[name] for name in names])
    return arrays, labels.astype({1: np.int64, 2: np.float32}[labels.ndim])


def _run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["dataset", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def _photo(path: Path, size: tuple[int, int], seed: int, mode: str = "RGB") -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    array = rng.integers(0, 256, shape).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return array


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve pictures of 16×16 in three folders."""
    for i in range(12):
        _photo(tmp_path / "photos" / "abc"[i % 3] / f"{i:02d}.png", (16, 16), i)
    return tmp_path / "photos"


def _expected(folder: Path) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(Image.open(path)).transpose(2, 0, 1) for path in sorted(folder.rglob("*.png"))]


def _same(found: list[np.ndarray[Any, Any]], expected: list[np.ndarray[Any, Any]]) -> None:
    assert len(found) == len(expected)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_pictures_that_fit_stay_as_they_are(photos: Path, tmp_path: Path) -> None:
    output = _run(photos, tmp_path / "new" / "set.zip")
    assert "12 pictures of 16×16 in colour, no labels" in output
    assert "the 3 sub-folders are no classes without --labels folders" in output
    pictures, labels = official(tmp_path / "new" / "set.zip")
    _same(pictures, _expected(photos))
    assert labels is None
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["set.zip"]


def test_folders_as_labels(photos: Path, tmp_path: Path) -> None:
    output = _run(photos, tmp_path / "set.zip", "--labels", "folders")
    assert output.splitlines()[1:] == ["class 0: a", "class 1: b", "class 2: c"]
    pictures, labels = official(tmp_path / "set.zip")
    _same(pictures, _expected(photos))
    assert labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    _run(tmp_path / "set.zip", tmp_path / "again.zip")  # its own dataset.json is gone by
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "set.zip").read_bytes()
    assert official(_made(tmp_path / "set.zip", tmp_path / "without.zip", "--labels", "none"))[1] is None
    _photo(photos / "alone.png", (16, 16), 5)
    assert "photos has no label for alone.png" in _run(photos, tmp_path / "x.zip", "--labels", "folders", status=1)


def _made(source: Path, target: Path, *options: object) -> Path:
    _run(source, target, *options)
    return target


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([3, 0, 5], [3, 0, 5]),
        (["cat", "ant", "cat"], [1, 0, 1]),
        ([[0.5, 1], [0, 0], [-3, 2.25]], [[0.5, 1], [0, 0], [-3, 2.25]]),
        ([0.5, 1, 0.1], [[0.5], [1], [np.float32(0.1)]]),
        (["3.0", "0", "5.0"], [3, 0, 5]),
    ],
    ids=["numbers", "names", "vectors", "one number", "whole floats"],
)
@pytest.mark.parametrize("heading", ["", "name,label\n"])
def test_a_table_as_labels(labels: Any, expected: Any, heading: str, tmp_path: Path) -> None:
    for i in range(3):
        _photo(tmp_path / "photos" / "x" / f"{i}.png", (8, 8), i)
    rows = [[f"x/{i}.png", *(label if isinstance(label, list) else [label])] for i, label in enumerate(labels)]
    text = heading + "".join(",".join(map(str, row)) + "\n" for row in reversed(rows))
    (tmp_path / "labels.csv").write_text(text)
    made = _made(tmp_path / "photos", tmp_path / "set.zip", "--labels", tmp_path / "labels.csv")
    assert official(made)[1].tolist() == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.png,1\n", "labels.csv has no label for 1.png"),
        ("0.png,1\n1.png\n", "labels.csv has no label for 1.png"),
        ("0.png,1\n1.png,2\n1.png,3\n", "labels.csv has two labels for 1.png"),
        ("0.png,1\n1.png,-1\n", "the class -1 for 1.png"),
        ("0.png,1,2\n1.png,1\n", "labels that are vectors and others that are not, or not as long"),
        ("0.png,1,2\n1.png,a,2\n", "the label a,2 for 1.png, which is no vector"),
        ("\xff", "is no table in UTF-8"),
    ],
)
def test_tables_that_are_wrong(text: str, message: str, tmp_path: Path) -> None:
    for i in range(2):
        _photo(tmp_path / "photos" / f"{i}.png", (8, 8), i)
    (tmp_path / "labels.csv").write_bytes(text.encode("latin-1"))
    output = _run(tmp_path / "photos", tmp_path / "set.zip", "--labels", tmp_path / "labels.csv", status=1)
    assert message in output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.csv", "photos"]


def _resized(array: np.ndarray[Any, Any], size: tuple[int, int], how: Image.Resampling) -> np.ndarray[Any, Any]:
    return np.asarray(Image.fromarray(array).resize(size, how))


@pytest.mark.parametrize("how", ["lanczos", "box"])
def test_shapes(how: Any, tmp_path: Path) -> None:
    wide = _photo(tmp_path / "photos" / "wide.png", (50, 31), 0)
    filters = {"lanczos": Image.Resampling.LANCZOS, "box": Image.Resampling.BOX}
    made = {
        name: official(_made(tmp_path / "photos", tmp_path / f"{name}.zip", "--resize-filter", how, *options))[0][0]
        for name, options in {
            "stretched": ["--resolution", "16x16"],
            "cut": ["--resolution", "16", "--transform", "center-crop"],
            "bars": ["--resolution", "16x8", "--transform", "center-crop-wide"],
        }.items()
    }
    expected = {
        "stretched": _resized(wide, (16, 16), filters[how]),
        "cut": _resized(wide[:, 9:40], (16, 16), filters[how]),
        "bars": np.pad(_resized(wide[3:28], (16, 8), filters[how]), ((4, 4), (0, 0), (0, 0))),
    }
    for name, picture in made.items():
        assert np.array_equal(picture.transpose(1, 2, 0), expected[name]), name


def test_what_is_narrower_than_wide_is_cut_at_the_sides() -> None:
    narrow = Image.new("RGB", (100, 90))
    assert Shape((16, 4), "center-crop-wide").made(narrow).size == (16, 16)
    made = np.asarray(Shape((16, 4), "center-crop-wide").made(Image.new("RGB", (1000, 32), "white")))
    assert (made[6:10] == 255).all()
    assert not made[:6].any()
    assert not made[10:].any()


def test_what_wide_would_enlarge_is_refused_or_left_out(tmp_path: Path) -> None:
    _photo(tmp_path / "photos" / "0.png", (40, 30), 0)
    _photo(tmp_path / "photos" / "1.png", (15, 30), 0)
    options = ("--resolution", "16x12", "--transform", "center-crop-wide")
    output = _run(tmp_path / "photos", tmp_path / "set.zip", *options, status=1)
    assert "1.png is too small, 15×30 pixels" in output
    output = _run(tmp_path / "photos", tmp_path / "set.zip", *options, "--bad", "skip")  # goes on with what there is
    assert "Skipped 1.png is too small" in output
    assert len(official(tmp_path / "set.zip")[0]) == 1


def test_gray_only_if_all_are(tmp_path: Path) -> None:
    gray = _photo(tmp_path / "photos" / "0.png", (8, 8), 0, "L")
    assert np.array_equal(official(_made(tmp_path / "photos", tmp_path / "gray.zip"))[0][0], gray[None])
    _photo(tmp_path / "photos" / "1.png", (8, 8), 1)
    pictures, _ = official(_made(tmp_path / "photos", tmp_path / "both.zip"))
    assert np.array_equal(pictures[0], np.stack([gray] * 3))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_gray_if_all_that_are_usable_are(mode: str, tmp_path: Path) -> None:
    other = "RGB" if mode == "L" else "L"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "0.png").write_bytes(b"broken")
    _photo(tmp_path / "photos" / "1.png", (1, 1), 0, other)  # far too small
    expected = _photo(tmp_path / "photos" / "2.png", (16, 16), 1, mode)
    _photo(tmp_path / "photos" / "3.png", (16, 16), 2, other)
    options = ("--max-images", 1, "--bad", "skip", "--resolution", 16)
    pictures, _ = official(_made(tmp_path / "photos", tmp_path / "set.zip", *options))
    assert np.array_equal(pictures[0], expected[None] if mode == "L" else expected.transpose(2, 0, 1))


def test_pictures_of_several_sizes_leave_nothing_in_the_way_of_what_is_advised(tmp_path: Path) -> None:
    for i, side in enumerate((16, 16, 8)):
        _photo(tmp_path / "photos" / f"{i}.png", (side, side), i)
    output = _run(tmp_path / "photos", tmp_path / "set.zip", status=1)
    assert "--resolution and --transform make all of one size" in output
    _run(tmp_path / "photos", tmp_path / "set.zip", "--resolution", 8)
    assert len(official(tmp_path / "set.zip")[0]) == 3


def test_a_table_through_a_pipe(photos: Path, tmp_path: Path) -> None:
    rows = "".join(f"{path.relative_to(photos)},{i}.0\n" for i, path in enumerate(sorted(photos.rglob("*.png"))))
    arguments = ["dataset", str(photos), str(tmp_path / "set.zip"), "--labels", "-"]
    result = CliRunner().invoke(main, arguments, input=rows)
    assert result.exit_code == 0, result.output
    assert official(tmp_path / "set.zip")[1].tolist() == list(range(12))


def test_names_from_an_archive_do_not_steer_the_terminal(tmp_path: Path) -> None:
    pixel = io.BytesIO()
    Image.new("L", (1, 1)).save(pixel, format="PNG")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as file:
        for name, content in (("a\x1b[31m/0.png", pixel.getvalue()), ("b/1.png\x1b]0;x.png", b"broken")):
            file.writestr(name, content)
        file.writestr("b/2.png", pixel.getvalue())
    output = _run(tmp_path / "photos.zip", tmp_path / "set.zip", "--labels", "folders", "--bad", "skip")
    assert "Skipped b/1.png\\x1b]0;x.png is broken" in output
    assert "class 0: a\\x1b[31m" in output
    assert "\x1b" not in output


def test_at_most_so_many(photos: Path, tmp_path: Path) -> None:
    (photos / "a" / "00.png").write_bytes(b"broken")
    made = _made(photos, tmp_path / "set.zip", "--max-images", 5, "--bad", "skip", "--labels", "folders")
    pictures, labels = official(made)
    _same(pictures, _expected_without_first(photos)[:5])
    assert labels.tolist() == [0, 0, 0, 1, 1]


def _expected_without_first(folder: Path) -> list[np.ndarray[Any, Any]]:
    (folder / "a" / "00.png").unlink()
    return _expected(folder)


def test_labels_of_a_webdataset(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        for i, label in enumerate((7, 2)):
            _photo(tmp_path / "one.png", (8, 8), i)
            for name, data in ((f"{i}.png", (tmp_path / "one.png").read_bytes()), (f"{i}.cls", str(label).encode())):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    assert official(_made(tmp_path / "photos.tar", tmp_path / "set.zip"))[1].tolist() == [7, 2]


class _Stop(BaseException):
    """What the process is stopped by."""


def test_stopped_anywhere_it_goes_on_to_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    (photos / "b" / "04.png").write_bytes(b"broken")
    order = Order(photos, Shape((8, 8), "center-crop"), "folders", skip_bad=True)
    whole = write(tmp_path / "whole.zip", order)
    target = tmp_path / "set.zip"
    for stop in (0, 3, 3, 9, 11):

        def watch(pictures: Any, _: int, stop: int = stop) -> Any:
            for index, picture in enumerate(pictures):
                if index == stop:
                    raise _Stop
                yield picture

        with pytest.raises(_Stop):
            write(target, order, watch=watch)
        assert not target.exists()
    again = write(target, order)
    assert target.read_bytes() == (tmp_path / "whole.zip").read_bytes()
    assert again.skipped == whole.skipped
    assert len(again.skipped) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "set.zip", "whole.zip"]


def test_what_was_done_is_not_done_again(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[bytes] = []

    def opened(data: bytes) -> Image.Image:
        looked_at.append(data)
        return decode.decode_image(data)

    monkeypatch.setattr(archive, "decode_image", opened)

    def watch(pictures: Any, _: int) -> Any:
        yield from [next(pictures) for _ in range(7)]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "set.zip", Order(photos), watch=watch)
    assert len(looked_at) == 7
    write(tmp_path / "set.zip", Order(photos))
    assert len(looked_at) == 12


def test_killed_it_goes_on(photos: Path, tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from stylegan_torch.pictures import archive\n"
        "archive.SAVE_SECONDS = 0\n"
        "def watch(pictures, _):\n"
        "    for index, picture in enumerate(pictures):\n"
        "        if index == 8: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        yield picture\n"
        "archive.write(Path(sys.argv[2]), archive.Order(Path(sys.argv[1])), watch=watch)\n"
    )
    target = tmp_path / "set.zip"
    done = subprocess.run([sys.executable, "-c", program, str(photos), str(target)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    assert json.loads((tmp_path / "set.zip.part" / "state.json").read_text())["seen"] == 8
    with (tmp_path / "set.zip.part" / "pictures.zip").open("r+b") as file:  # a picture that was being written
        file.seek(0, 2)
        file.write(bytes(500))
    write(target, Order(photos))
    write(tmp_path / "whole.zip", Order(photos))
    assert target.read_bytes() == (tmp_path / "whole.zip").read_bytes()


def test_a_full_disk_leaves_what_is_whole(photos: Path, tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from stylegan_torch.pictures import archive\n"
        "archive.SAVE_SECONDS = 0\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\n"
        "archive.write(Path(sys.argv[2]), archive.Order(Path(sys.argv[1])))\n"
    )
    target = tmp_path / "set.zip"
    command = [sys.executable, "-c", program, str(photos), str(target)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "File too large" in done.stderr.splitlines()[-1]
    assert json.loads((tmp_path / "set.zip.part" / "state.json").read_text())["seen"] in (4, 5, 6)
    write(target, Order(photos))
    write(tmp_path / "whole.zip", Order(photos))
    assert target.read_bytes() == (tmp_path / "whole.zip").read_bytes()


def test_another_order_does_not_go_on(photos: Path, tmp_path: Path) -> None:
    def watch(pictures: Any, _: int) -> Any:
        yield next(pictures)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "set.zip", Order(photos), watch=watch)
    output = _run(photos, tmp_path / "set.zip", "--resolution", 8, status=1)
    assert "set.zip.part is what is left of a data set of other pictures, or of other options" in output
    _run(photos, tmp_path / "set.zip", "--resolution", 8, "--force")
    assert [picture.shape for picture in official(tmp_path / "set.zip")[0]] == [(3, 8, 8)] * 12
    output = _run(photos, tmp_path / "set.zip", status=1)
    assert "set.zip exists; use --force to replace it" in output


def test_more_than_a_shard(tmp_path: Path) -> None:
    pixel = io.BytesIO()
    Image.new("L", (1, 1)).save(pixel, format="PNG")
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as file:
        for i in range(1001):
            file.writestr(f"{i}.png", pixel.getvalue())
    assert len(official(_made(tmp_path / "many.zip", tmp_path / "set.zip"))[0]) == 1001


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{photos}", "set.tar"), "set.tar does not end in .zip"),
        (
            ("{photos}", "set.zip", "--resolution", "20"),
            "20x20: pictures must be square, and their width a",
        ),
        (("{photos}", "set.zip", "--resolution", "16x8"), "16x8: pictures must be square"),
        (("{photos}", "set.zip", "--resolution", "big"), "'big' is not a size such as 256x256"),
        (("{photos}", "set.zip", "--transform", "center-crop"), "center-crop needs a size"),
        (
            ("{photos}", "set.zip", "--resolution", "8x16", "--transform", "center-crop-wide"),
            "must be at most as high as wide",
        ),
        (("{photos}", "set.zip", "--labels", "names"), "'names' is neither folders, nor none, nor a .csv"),
        (("{photos}", "{photos}/set.zip"), "itself, or inside it"),
        (("nowhere", "set.zip"), "cannot read nowhere"),
        (("{empty}", "set.zip"), "empty has no pictures"),
        (("{photos}", "set.zip", "--labels", "nowhere.csv"), "cannot read nowhere.csv"),
        (("{odd}", "set.zip"), "odd: 0.png is 16×9 pixels, not square"),
        (("{sizes}", "set.zip"), "1.png is 8 pixels wide, the others are 16"),
        (("{photos}", "/proc/nowhere/set.zip"), "/proc/nowhere"),
    ],
)
def test_bad_requests_get_one_line(arguments: Any, message: str, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    _photo(tmp_path / "odd" / "0.png", (16, 9), 0)
    for name, side in (("0.png", 16), ("1.png", 8)):
        _photo(tmp_path / "sizes" / name, (side, side), 0)
    names = {name: tmp_path / name for name in ("photos", "empty", "odd", "sizes")}
    given = [argument.format(**names) for argument in arguments]
    given[1] = str(tmp_path / given[1])
    before = sorted(tmp_path.rglob("*"))
    result = CliRunner().invoke(main, ["dataset", *given])
    assert result.exit_code in (1, 2)
    assert message in " ".join(result.output.split())
    assert "unexpected" not in result.output
    assert result.exit_code == 2 or result.output.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_two_at_once(photos: Path, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from stylegan_torch.pictures.archive import Order, write\n"
        "def watch(pictures, _):\n"
        "    print('begun', flush=True)\n"
        "    sys.stdin.read()\n"
        "    return pictures\n"
        "write(Path(sys.argv[2]), Order(Path(sys.argv[1])), watch=watch)\n"
    )
    command = [sys.executable, "-c", program, str(photos), str(tmp_path / "set.zip")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdin is not None
        first.stdout.readline()
        assert "set.zip is being made by another process" in _run(photos, tmp_path / "set.zip", status=1)
        first.stdin.close()
    assert first.returncode == 0
    assert len(official(tmp_path / "set.zip")[0]) == 12
