"""Sets of pictures: exactly those that other commands draw and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import converter
from stylegan_torch.drawing.draw import DrawSettings, draw
from stylegan_torch.errors import StyleGANError
from stylegan_torch.measuring import Collection, Generated, MeasureError, PictureSet, Prepared, sets
from stylegan_torch.pictures.decode import DataError, PictureSize
from stylegan_torch.training.dataset import prepare
from tests import DATA
from tests.measuring.pictures import folder_of, random_pictures


def _all(pictures: PictureSet, start: int = 0, size: int = 3) -> tuple[list[int], torch.Tensor]:
    batches = list(pictures.batches(start, size))
    return [i for batch in batches for i in batch.indices], torch.cat([batch.pictures for batch in batches])


@pytest.mark.parametrize("name", ["sg2-skip.pkl", "pg.pkl", "sg1.pkl", "sg3t_64.pkl"])
def test_generated_pictures_are_those_of_their_seeds(name: str) -> None:
    G = converter.load(DATA / name).network("G_ema")
    drawn = Generated(G, 3, seed=5)
    indices, pictures = _all(drawn, size=1)
    assert indices == [0, 1, 2]
    settings = DrawSettings(truncation_psi=1.0 if G.has_w else None)
    expected = np.stack([picture for _, picture in draw(G, [5, 6, 7], settings)]).transpose(0, 3, 1, 2)
    assert np.array_equal(pictures.numpy(), np.broadcast_to(expected, pictures.shape))
    assert torch.equal(drawn.some([2])[2], pictures[2])
    assert drawn.about["seeds"] == "5-7" and drawn.name(2) == "seed 7"


def test_unrounded_pictures_are_near_to_rounded_ones() -> None:
    G = converter.load(DATA / "sg2-skip.pkl").network("G_ema")
    rounded, exact = (_all(Generated(G, 2, values=values))[1] for values in ("8bit", "float"))
    assert exact.dtype == torch.float32 and 0 < (rounded.float() - exact).abs().max() <= 0.5001


def test_truncation() -> None:
    G = converter.load(DATA / "sg2-skip.pkl").network("G_ema")
    assert not torch.equal(_all(Generated(G, 1, truncation_psi=0.5))[1], _all(Generated(G, 1))[1])
    with pytest.raises(MeasureError, match="ProGAN has no truncation"):
        Generated(converter.load(DATA / "pg.pkl").network("G_ema"), 1, truncation_psi=0.5)


def test_classes() -> None:
    G = converter.load(DATA / "ada-cond.pkl").network("G_ema")
    seeds = list(range(400))
    uniform = Generated(G, 400, classes="uniform")._labels(seeds)
    assert uniform.sum(dim=1).eq(1).all() and uniform.sum(dim=0).min() > 15
    assert torch.equal(Generated(G, 9, seed=7, classes="uniform")._labels([7, 8]), uniform[7:9])  # by the seed alone
    some = torch.eye(10)[[3, 3, 3, 8]]
    reals = Generated(G, 400, classes="reals", real_labels=some)._labels(seeds).mean(dim=0)
    assert reals[3] == pytest.approx(0.75, abs=0.08) and reals[3] + reals[8] == pytest.approx(1)
    assert Generated(G, 1, classes=4)._labels([0])[0, 4] == 1 and Generated(G, 1)._labels([0]).sum() == 0
    for classes, message in ((10, "there is no class 10"), ("reals", "the reals have no labels for this network")):
        with pytest.raises(StyleGANError, match=message):
            Generated(G, 1, classes=classes)
    with pytest.raises(MeasureError, match="no classes to draw from"):
        Generated(converter.load(DATA / "sg2-skip.pkl").network("G_ema"), 1, classes="uniform")


def test_a_collection_is_read_as_the_trainer_reads_it(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", random_pictures(5, 24))
    Image.fromarray(random_pictures(1, 32)[0][:, :20]).save(folder / "wide.png")
    reals = Collection(folder, (16, 16))
    expected = prepare(folder, PictureSize(16, 16, 3), tmp_path / "cache")
    assert np.array_equal(_all(reals)[1].numpy(), expected.pictures)
    assert np.array_equal(_all(Prepared(expected.pictures, "all"), size=4)[1].numpy(), expected.pictures)
    assert reals.name(5) == "wide.png" and Collection(folder).size == PictureSize(24, 24, 3)


def test_a_gray_network_is_measured_against_gray_pictures(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", random_pictures(3, 24))
    gray = Collection(folder, (16, 16), channels=1)
    expected = prepare(folder, PictureSize(16, 16, 1), tmp_path / "cache").pictures
    assert np.array_equal(_all(gray)[1].numpy(), np.broadcast_to(expected, (3, 3, 16, 16)))
    assert gray.key != Collection(folder, (16, 16)).key


def test_mirrored_and_chosen_pictures(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", random_pictures(6))
    plain = _all(Collection(folder))[1]
    mirrored = Collection(folder, mirror=True)
    assert len(mirrored) == 12 and mirrored.name(7) == "01.png (mirrored)"
    assert torch.equal(_all(mirrored)[1], torch.cat([plain, plain.flip(3)]))
    assert torch.equal(_all(mirrored, 4)[1], torch.cat([plain, plain.flip(3)])[4:])
    assert torch.equal(mirrored.some([8])[8], plain[2].flip(2))
    memory = Prepared(plain.numpy(), "all", mirror=True)
    assert torch.equal(_all(memory)[1], _all(mirrored)[1])
    rows = Prepared(plain.numpy(), "some", rows=np.array([4, 1]), mirror=True)
    assert torch.equal(_all(rows)[1], torch.cat([plain[[4, 1]], plain[[4, 1]].flip(3)]))
    assert rows.name(3) == "number 1 (mirrored)" and rows.key != memory.key
    few = Collection(folder, count=3, seed=1)
    assert torch.equal(_all(few)[1], plain[torch.from_numpy(few.chosen)]) and len(few) == 3
    with pytest.raises(DataError, match="has 6 pictures, not 7"):
        Collection(folder, count=7)


def test_bad_pictures(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", random_pictures(3))
    (folder / "01.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"01.png is broken, or not a picture; --bad skip leaves"):
        _all(Collection(folder))
    skipping = Collection(folder, skip_bad=True)
    (batch,) = skipping.batches(0, 9)
    assert batch.indices == [0, 2] and batch.skipped == ("01.png is broken, or not a picture",)
    (folder / "00.png").write_bytes(b"")
    assert Collection(folder, skip_bad=True).size == PictureSize(16, 16, 3)
    with pytest.raises(DataError, match=r"00.png is broken"):
        Collection(folder)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="has no pictures"):
        Collection(tmp_path / "none")


def test_labels_of_a_collection(tmp_path: Path) -> None:
    for number, name in enumerate(("cats", "dogs", "cats")):
        folder_of(tmp_path / "photos" / name / str(number), random_pictures(1))
    labels = Collection(tmp_path / "photos").numbers(2)
    assert labels is not None and labels.sum(dim=0).tolist() == [2, 1]
    assert Collection(tmp_path / "photos").numbers(1) is None


def test_some_of_a_collection_keep_the_numbers_of_their_classes(tmp_path: Path) -> None:
    for name in ("cats", "dogs", "emus"):
        folder_of(tmp_path / "photos" / name, random_pictures(2))
    every = Collection(tmp_path / "photos")
    labels = every.numbers(3)
    assert labels is not None
    for seed in range(4):
        some = Collection(tmp_path / "photos", count=2, seed=seed)
        assert torch.equal(some.numbers(3), labels[torch.from_numpy(some.chosen)])  # type: ignore[arg-type]


def test_batches_end_where_parts_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "PART", 5)
    assert [list(span) for span in sets.spans(3, 12, 4)] == [[3, 4], [5, 6, 7, 8], [9], [10, 11]]


def test_every_mode_becomes_rgb() -> None:
    gray = torch.tensor([[[[7]]]], dtype=torch.uint8)
    assert sets.as_rgb(gray).flatten().tolist() == [7, 7, 7]
    clear = torch.tensor([10, 20, 30, 51], dtype=torch.uint8).reshape(1, 4, 1, 1)
    assert sets.as_rgb(clear).flatten().tolist() == [206, 208, 210]  # a fifth of it, and four of white
    with pytest.raises(MeasureError, match="of 2 channels"):
        sets.as_rgb(torch.zeros(1, 2, 1, 1))
