"""Features in parts: interrupted, damaged, cached, always the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stylegan_torch.measuring import (
    Collection,
    Features,
    MeasureError,
    Prepared,
    features,
    features_folder,
    features_of,
    sets,
)
from stylegan_torch.measuring import open_extractor as opened
from stylegan_torch.measuring.extractors import Extractor
from tests.measuring.pictures import folder_of, random_pictures


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "PART", 4)
    monkeypatch.setattr(features, "PART", 4)


def _counting(extractor: Extractor, fail_after: int | None = None) -> tuple[Extractor, list[int]]:
    """Return an extractor that counts its pictures, and may be interrupted."""
    seen: list[int] = []

    def network(pictures: Tensor) -> dict[str, Tensor]:
        if fail_after is not None and sum(seen) >= fail_after:
            raise KeyboardInterrupt
        seen.append(len(pictures))
        return extractor.network(pictures)

    return replace(extractor, network=network), seen


def _same(a: Features, b: Features) -> bool:
    return torch.equal(a.layers["features"], b.layers["features"]) and a.content == b.content


def test_what_was_interrupted_goes_on_to_the_same_features(tmp_path: Path) -> None:
    reals = Prepared(np.stack(random_pictures(11)).transpose(0, 3, 1, 2), "eleven")
    extractor = opened("random-convolutions")
    whole = features_of(reals, extractor, batch=3)
    stopping, _ = _counting(extractor, fail_after=7)
    with pytest.raises(KeyboardInterrupt):
        features_of(reals, stopping, folder=tmp_path, batch=3)
    counting, seen = _counting(extractor)
    assert _same(features_of(reals, counting, folder=tmp_path, batch=3), whole)
    assert sum(seen) == 7  # the first part of four was there
    assert _same(features_of(reals, counting, folder=tmp_path, batch=3), whole) and sum(seen) == 7
    (tmp_path / "part-000001.npz").write_bytes(b"damaged")
    assert _same(features_of(reals, counting, folder=tmp_path, batch=3), whole)
    assert sum(seen) == 7 + 7


def test_skipped_pictures_stay_skipped(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", random_pictures(9))
    for number in (0, 1, 2, 3, 6):
        (folder / f"{number:02d}.png").write_bytes(b"")
    reals = Collection(folder, (16, 16), skip_bad=True)
    for _ in range(2):
        found = features_of(reals, opened("pixels"), folder=tmp_path / "cache")
        assert found.indices.tolist() == [4, 5, 7, 8] and len(found.skipped) == 5
        assert found.layers["features"].shape == (4, 3072)


def test_other_pictures_have_other_folders(tmp_path: Path) -> None:
    folder, pixels = folder_of(tmp_path / "photos", random_pictures(4)), opened("pixels")
    sets_: list[Collection] = [
        Collection(folder),
        Collection(folder, mirror=True),
        Collection(folder, (8, 8)),
        Collection(folder, count=3),
        Collection(folder, count=3, seed=1),
    ]
    places = {features_folder(each, pixels, tmp_path) for each in sets_}
    places.add(features_folder(sets_[0], opened("random-convolutions"), tmp_path))
    before = features_folder(sets_[0], pixels, tmp_path)
    assert features_folder(Collection(folder), pixels, tmp_path) == before
    folder_of(folder, random_pictures(5, seed=1))
    places.add(features_folder(Collection(folder), pixels, tmp_path))
    assert len(places) == 7


def test_content_is_that_of_the_pictures(tmp_path: Path) -> None:
    pixels = opened("pixels")

    def content(seeds: list[int]) -> str:
        values = np.stack([random_pictures(1, 16, seed)[0] for seed in seeds]).transpose(0, 3, 1, 2)
        return features_of(Prepared(values, "some"), pixels).content

    assert content([1, 2]) == content([1, 2]) != content([2, 1])


def test_random_convolutions_are_the_same_at_every_run_and_tell_pictures_apart() -> None:
    from stylegan_torch.measuring import frechet_distance

    images = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 255
    first, second = (opened("random-convolutions")(images)["features"] for _ in range(2))
    assert torch.equal(first, second) and first.shape == (40, 480)
    assert first.double().sum().item() == pytest.approx(FIRST_SUM, rel=1e-5)
    blurred = torch.nn.functional.avg_pool2d(images, 3, 1, 1)
    little, much = (opened("random-convolutions")(x)["features"] for x in (images.lerp(blurred, 0.1), blurred))
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-6)
    assert 0 < frechet_distance(first, little) < frechet_distance(first, much)


FIRST_SUM = 2055.38265
"""Recorded: reports of different versions compare only while it stays."""


def test_pictures_that_an_extractor_cannot_take() -> None:
    with pytest.raises(MeasureError, match="at least 16×16"):
        opened("random-convolutions")(torch.zeros(1, 3, 8, 16))
    assert opened("pixels")(torch.zeros(1, 3, 8, 16))["features"].shape == (1, 3072)
    with pytest.raises(MeasureError, match="takes pictures of 8 bits"):
        replace(opened("pixels"), floats=False)(torch.zeros(1, 3, 8, 8))


def test_watching_sees_every_batch(tmp_path: Path) -> None:
    seen = []

    def watch(batches: Iterator[sets.Batch], what: str, left: int) -> Iterator[sets.Batch]:
        for batch in batches:
            seen.append((len(batch.indices), what, left))
            yield batch

    reals = Prepared(np.stack(random_pictures(5)).transpose(0, 3, 1, 2), "five")
    features_of(reals, opened("pixels"), watch=watch, what="Looking")  # type: ignore[arg-type]
    assert seen == [(4, "Looking", 5), (1, "Looking", 5)]
