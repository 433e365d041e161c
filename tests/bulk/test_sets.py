"""Sets: every layout, drawn, resumed, verified, and read by the programs they are for."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from stylegan_torch import bulk
from stylegan_torch.bulk import table
from stylegan_torch.drawing.draw import DrawSettings, draw
from stylegan_torch.errors import StyleGANError
from stylegan_torch.files.checkpoint import load
from stylegan_torch.pictures.collections import pictures
from tests.tools.small_set import hashes, made, network_file, planned

LAYOUTS: list[Any] = ["webdataset", "zip", "huggingface", "folder"]
KINDS: list[Any] = ["png", "webp", "jpeg", "npy"]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One set of ten pictures of five classes in each layout."""
    folder = tmp_path_factory.mktemp("sets")
    for layout in LAYOUTS:
        made(
            folder / layout,
            planned(folder, c_dim=5, classes="balanced", layout=layout, encoding=bulk.Encoding("png", columns=())),
        )
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_set_is_as_planned_and_a_second_run_draws_nothing(layout: str, sets: Path) -> None:
    before = hashes(sets / layout)
    assert bulk.verify(sets / layout, redraw=1.0) == bulk.Findings((), 10, 10)
    assert bulk.run(sets / layout).drawn == 0
    assert hashes(sets / layout) == before


def test_the_pictures_are_those_of_stylegan_generate(sets: Path) -> None:
    G = load(network_file(sets, 5))
    with tarfile.open(sets / "webdataset" / "00001.tar") as tar:
        content = tar.extractfile("000000006.png").read()  # type: ignore[union-attr]
        record: Any = json.load(tar.extractfile("000000006.json"))  # type: ignore[arg-type]
    ((_, wanted),) = draw(G, [6], DrawSettings(class_index=1), fast=True)
    assert np.abs(np.asarray(Image.open(io.BytesIO(content))).astype(int) - wanted).max() <= 1
    assert (record["seed"], record["class"], record["index"]) == (6, 1, 6)


def test_tar_files_are_the_same_whoever_writes_them_when(sets: Path) -> None:
    with tarfile.open(sets / "webdataset" / "00000.tar") as tar:
        members = tar.getmembers()
    assert [member.name for member in members][:3] == ["000000000.png", "000000000.json", "000000001.png"]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}


def test_webdataset_reads_it(sets: Path) -> None:
    if not importlib.util.find_spec("webdataset"):
        pytest.skip("webdataset is not here")
    code = """if True:
        import sys, webdataset
        read = webdataset.WebDataset(sys.argv[1:], shardshuffle=False).decode("pil").to_tuple("png", "json")
        print([(record["seed"], *image.size) for image, record in read])
    """
    shards = sorted(map(str, (sets / "webdataset").glob("*.tar")))
    # By itself, as it leaves files open.
    done = subprocess.run([sys.executable, "-c", code, *shards], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([(seed, 16, 16) for seed in range(10)])


def test_datasets_reads_it(sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    read = datasets.load_dataset(str(sets / "huggingface"), split="train", cache_dir=str(tmp_path))
    assert list(read["seed"]) == list(range(10))
    assert read[0]["image"].size == (16, 16) and read[9]["class"] == 4


def test_our_trainer_reads_it(sets: Path) -> None:
    for layout, place in (("zip", "zip/dataset.zip"), ("folder", "folder")):
        read = list(pictures(sets / place))
        assert len(read) == 10, layout
        assert Counter(str(each.label) for each in read) == Counter({str(c): 2 for c in range(5)}), layout


def test_nvidias_zip(sets: Path) -> None:
    """Read as their programs do: pictures sorted by name, labels by those names."""
    with zipfile.ZipFile(sets / "zip" / "dataset.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        labels = dict(json.loads(archive.read("dataset.json"))["labels"])
        sizes = {Image.open(io.BytesIO(archive.read(name))).size for name in names}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    assert names[3] == "000000/img000000003.png" and sizes == {(16, 16)}
    assert [labels[name] for name in names] == [0, 1, 2, 3, 4] * 2
    assert not list((sets / "zip").glob("0*.zip"))  # once joined


def test_tables_are_read_by_pyarrow(tmp_path: Path) -> None:
    columns = ("sharpness", "phash", "score", "w")
    made(tmp_path / "set", planned(tmp_path, 4, encoding=bulk.Encoding("png", columns=columns)))
    read = pyarrow.parquet.read_table(tmp_path / "set" / "00000.parquet")
    assert read.column_names == table.columns(columns)
    row = read.to_pylist()[2]
    assert len(row["w"]) == load(network_file(tmp_path)).num_ws * 8
    assert len(row["phash"]) == 16 and row["sharpness"] > 0 and np.isfinite(row["score"])


@pytest.mark.parametrize("kind", KINDS)
def test_encoders(kind: Any, tmp_path: Path) -> None:
    plan = planned(tmp_path, 3, encoding=bulk.Encoding(kind, columns=()))
    made(tmp_path / "set", plan)
    assert bulk.verify(tmp_path / "set", redraw=1.0) == bulk.Findings((), 3, 3)


def test_what_is_damaged_or_missing_is_drawn_again(sets: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(sets / "webdataset", tmp_path / "set"))
    before = hashes(place)
    flipped = place / "00000.tar"
    content = bytearray(flipped.read_bytes())
    content[700] ^= 1
    flipped.write_bytes(content)
    (place / "00001.parquet").unlink()
    (place / "records" / "00002.json").write_text("[" * 100)
    assert bulk.run(place).drawn == 10
    assert hashes(place) == before


def _flip(place: Path) -> None:
    path = place / "00001.tar"
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


def _rewritten(place: Path, change: Any) -> None:
    """Change a shard, and let its records agree, as one would who wants to deceive."""
    record = json.loads((place / "records" / "00000.json").read_text())
    rows = table.read((place / "00000.parquet").read_bytes())
    files = {}
    with tarfile.open(place / "00000.tar") as tar:
        for member in tar:
            content: Any = tar.extractfile(member)
            files[member.name] = content.read()
    change(files, rows)
    for row in rows:
        row["sha256"] = hashlib.sha256(files[f"{row['key']}.png"]).hexdigest()
    with tarfile.open(place / "00000.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    table.write(place / "00000.parquet", rows, table.columns(()))
    for name in record["files"]:
        content = (place / name).read_bytes()
        record["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (place / "records" / "00000.json").write_text(json.dumps(record))


def _foreign(files: dict[str, bytes], rows: list[dict[str, Any]]) -> None:
    files["000000001.png"] = files["000000002.png"]


def _wrong_seed(files: dict[str, bytes], rows: list[dict[str, Any]]) -> None:
    rows[1]["seed"] = 77


def _false_attempt(files: dict[str, bytes], rows: list[dict[str, Any]]) -> None:
    rows[1]["attempt"], rows[1]["seed"] = 1, 11


def _left_out(files: dict[str, bytes], rows: list[dict[str, Any]]) -> None:
    del rows[1]


DECEITS: dict[str, tuple[Any, str]] = {
    "a flipped bit": (_flip, "00001.tar is not what was written"),
    "a missing shard": (lambda place: (place / "records" / "00001.json").unlink(), "shard 1 is missing"),
    "a missing file": (lambda place: (place / "00002.tar").unlink(), "00002.tar is missing"),
    "a foreign picture": (lambda place: _rewritten(place, _foreign), "picture 1 is not what the network draws for it"),
    "a wrong seed": (lambda place: _rewritten(place, _wrong_seed), "picture 1: its seed is 77, not 1"),
    "a false replacement": (
        lambda place: _rewritten(place, _false_attempt),
        "picture 1: it is said to replace others that nothing rejected",
    ),
    "a picture left out": (
        lambda place: _rewritten(place, _left_out),
        "shard 0 has not the pictures 0 to 3, one after the other",
    ),
}


@pytest.mark.parametrize("deceit", DECEITS.values(), ids=DECEITS)
def test_verify_finds(deceit: tuple[Any, str], sets: Path, tmp_path: Path) -> None:
    change, words = deceit
    place = Path(shutil.copytree(sets / "webdataset", tmp_path / "set"))
    change(place)
    assert words in bulk.verify(place, redraw=1.0).faults


def test_another_plan_is_refused(sets: Path) -> None:
    with pytest.raises(bulk.BulkError, match=r"holds a set of another plan \(its count is 10, not 11\)"):
        bulk.begin(sets / "webdataset", planned(sets, 11, c_dim=5, classes="balanced"))


def test_another_network_is_refused(sets: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(sets / "webdataset", tmp_path / "set"))
    (place / "00000.tar").unlink()
    with pytest.raises(StyleGANError, match="holds other weights than the network this set was begun with"):
        bulk.run(place, networks=[network_file(tmp_path)])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"count": 0}, "count is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"classes": bulk.Classes((9,))}, "there is no class 9"),
        ({"recipe": bulk.Recipe(variations=2)}, "variations of one seed need directions"),
        ({"recipe": bulk.Recipe(first_seed=1 << 32)}, "seeds from 0"),
        ({"encoding": bulk.Encoding(columns=("beauty",))}, "there is no column beauty"),
        ({"encoding": bulk.Encoding("npy"), "layout": "huggingface"}, "choose png, webp or jpeg"),
        ({"encoding": bulk.Encoding("webp"), "layout": "zip"}, "png and npy only"),
        ({"filters": [bulk.Filter("program", 0.5, "no.such:thing")]}, "there is no function no.such:thing"),
        ({"filters": [bulk.Filter("side", 0, "pca")]}, "'pca' is not a direction"),
        ({"family": "progan", "recipe": bulk.Recipe(truncation=(0.5, 0.5))}, "ProGAN has no"),
    ],
)
def test_plans_that_make_no_set(settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(StyleGANError, match=words):
        planned(tmp_path, **settings)


@pytest.mark.parametrize("family", ["progan", "stylegan1", "stylegan3"])
def test_every_family(family: str, tmp_path: Path) -> None:
    made(tmp_path / "set", planned(tmp_path, 5, family=family))
    assert bulk.verify(tmp_path / "set", redraw=1.0) == bulk.Findings((), 5, 5)


def test_broken_manifests_are_told_in_one_line(sets: Path, tmp_path: Path) -> None:
    good = json.loads((sets / "folder" / "manifest.json").read_text())
    plans: list[Any] = [{}, [1], good["plan"] | {"count": "x"}, None]
    for number, plan in enumerate(plans):  # and a manifest of a later version
        place = tmp_path / str(number)
        place.mkdir()
        (place / "manifest.json").write_text(json.dumps(good | {"plan": plan}))
        with pytest.raises(bulk.BulkError, match=r"manifest\.json"):
            bulk.read_plan(place)


def test_a_plan_is_read_as_it_was_written(sets: Path) -> None:
    plan = planned(
        sets,
        recipe=bulk.Recipe(truncation=(0, 1), moves=(bulk.parse_random_move("pca:0=-1,1@2"),), variations=2),
        filters=[bulk.Filter("best", 0.5)],
        calibrate=8,
    )
    assert bulk.Plan.of_json(plan.to_json()) == plan
    assert dataclasses.replace(plan, hardware="another").name == plan.name


@pytest.mark.parametrize("content", ["{", "[]", '{"x": [1]}', '{"1": 2}', "[" * 100_000])
def test_a_broken_list_of_what_is_excluded_is_told(content: str, tmp_path: Path) -> None:
    bulk.begin(tmp_path / "set", planned(tmp_path, 2))
    (tmp_path / "set" / "excluded.json").write_text(content)
    with pytest.raises(bulk.BulkError, match=r"excluded\.json is damaged: remove it"):
        bulk.run(tmp_path / "set")
