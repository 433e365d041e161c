"""Filters: what is rejected is listed with its score, and replaced in its place, so that the count is exact."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stylegan_torch import bulk
from stylegan_torch.bulk import table
from stylegan_torch.bulk.duplicates import repeated
from stylegan_torch.bulk.filters import perceptual_hash, sharpness
from tests.tools.small_set import hashes, made, planned


def rows_and_rejected(place: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rows = [row for path in sorted(place.glob("*.parquet")) for row in table.read(path.read_bytes())]
    records = [json.loads(path.read_text()) for path in sorted((place / "records").iterdir())]
    return rows, [each for record in records for each in record["rejected"]]


def test_the_best_share(tmp_path: Path) -> None:
    plan = planned(tmp_path, 24, filters=[bulk.Filter("best", 0.5)], calibrate=64)
    made(tmp_path / "set", plan)
    rows, rejected = rows_and_rejected(tmp_path / "set")
    threshold = plan.filters[0].threshold
    assert threshold is not None
    assert all(json.loads(row["scores"])["best"] >= threshold for row in rows)
    assert rejected and all(each["score"] < threshold and each["filter"] == "best" for each in rejected)
    assert len({row["seed"] for row in rows} | {each["seed"] for each in rejected}) == 24 + len(rejected)
    assert all(row["seed"] == row["index"] + 24 * row["attempt"] for row in rows)
    assert bulk.verify(tmp_path / "set", redraw=1.0).faults == ()


@pytest.mark.long
def test_sides_of_a_direction(tmp_path: Path) -> None:
    made(tmp_path / "beyond", planned(tmp_path, 8, filters=[bulk.Filter("side", 0.2, "pca:0")]))
    rows, rejected = rows_and_rejected(tmp_path / "beyond")
    assert all(json.loads(row["scores"])["side(pca:0)"] > 0.2 for row in rows)
    assert all(each["score"] <= 0.2 for each in rejected)
    made(tmp_path / "balanced", planned(tmp_path, 8, filters=[bulk.Filter("balance", 0, "pca:0")]))
    rows, _ = rows_and_rejected(tmp_path / "balanced")
    assert [json.loads(row["scores"])["balance(pca:0)"] > 0 for row in rows] == [True, False] * 4


def test_a_program_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_taste.py").write_text("def odd(picture, what): return what['seed'] % 2 and picture.ndim == 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    made(tmp_path / "set", planned(tmp_path, 5, filters=[bulk.Filter("program", 0.5, "my_taste:odd")]))
    rows, _ = rows_and_rejected(tmp_path / "set")
    assert [row["seed"] for row in rows] == [5, 1, 7, 3, 9]


def test_no_two_are_alike_in_the_whole_set(tmp_path: Path) -> None:
    """Also across shards, whatever the order: the later of two is drawn anew."""
    plan = planned(tmp_path, 30, filters=[bulk.Filter("distinct", 9)])
    made(tmp_path / "one", plan)
    made(tmp_path / "other", plan, shards=range(plan.shards - 1, -1, -1))
    bulk.run(tmp_path / "other")
    rows, rejected = rows_and_rejected(tmp_path / "one")
    values = [int(row["phash"], 16) for row in rows]
    assert len(values) == 30 and repeated(values, 9) == []
    assert {each["filter"] for each in rejected} == {"distinct"}
    assert any(each["score"] is None for each in rejected)  # which only the look at all shards rejected
    assert hashes(tmp_path / "one") == hashes(tmp_path / "other")
    assert bulk.verify(tmp_path / "one").faults == ()


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.integers(0, 20), st.randoms())
def test_repeats_are_found_as_by_comparing_all(values: list[int], bits: int, chance: Any) -> None:
    values += [value ^ (1 << chance.randrange(64)) ^ (1 << chance.randrange(64)) for value in values]
    kept, wanted = list[int](), list[int]()
    for place, value in enumerate(values):
        if any((value ^ other).bit_count() <= bits for other in kept):
            wanted.append(place)
        else:
            kept.append(value)
    assert repeated(values, bits) == wanted


def test_sharpness_by_hand() -> None:
    flat = np.full((5, 5), 9, np.uint8)
    dot = flat.copy()
    dot[2, 2] = 10  # Laplacian -4 there, 1 at its four neighbours, 0 at the other four
    assert sharpness(Image.fromarray(flat)) == 0
    assert sharpness(Image.fromarray(dot)) == pytest.approx((16 + 4) / 9)
    assert sharpness(Image.fromarray(flat[:2])) == 0


def test_perceptual_hashes_see_what_eyes_see() -> None:
    ramp = Image.fromarray(np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8))
    other = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))
    brighter = ramp.point(lambda value: value + 20)
    assert (perceptual_hash(ramp) ^ perceptual_hash(brighter)).bit_count() <= 4
    assert (perceptual_hash(ramp) ^ perceptual_hash(other)).bit_count() > 16
    assert f"{perceptual_hash(other):016x}" == str(imagehash.phash(other))


@pytest.mark.parametrize(("package", "words"), [("imagehash", "need imagehash"), ("pyarrow", "need pyarrow")])
def test_what_is_missing_is_told(package: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bulk.begin(tmp_path / "set", planned(tmp_path, 2))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(bulk.BulkError, match=rf"{words}: pip install 'stylegan-torch\[bulk\]'"):
        bulk.run(tmp_path / "set")
