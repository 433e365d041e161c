"""What a picture of a set is follows from its number alone."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan_torch.bulk.samples import (
    LAST_SEED,
    BulkError,
    Classes,
    Recipe,
    parse_classes,
    parse_random_move,
    parse_range,
    sample,
)


@given(count=st.integers(1, 60), attempts=st.integers(1, 4), first=st.integers(0, 1000))
def test_no_two_pictures_and_no_replacement_share_a_seed(count: int, attempts: int, first: int) -> None:
    recipe = Recipe(first_seed=first)
    seeds = [sample(recipe, count, 1, index, n).seed for index in range(count) for n in range(attempts)]
    assert sorted(seeds) == list(range(first, first + count * attempts))


def test_a_sample_is_the_same_whenever_it_is_asked_for() -> None:
    recipe = Recipe(truncation=(0.5, 1.0), mixing="2-3", moves=(parse_random_move("pca:0=-2,2"),))
    assert sample(recipe, 100, 1, 42, 3) == sample(recipe, 100, 1, 42, 3)
    assert sample(recipe, 100, 1, 42).composition != sample(recipe, 100, 1, 43).composition


def test_variations_keep_the_seed_and_move_from_it() -> None:
    recipe = Recipe(first_seed=5, variations=3, moves=(parse_random_move("pca:0=-2,2@1-2"),))
    drawn = [sample(recipe, 6, 1, index) for index in range(6)]
    assert [(each.identity, each.variation, each.seed) for each in drawn] == [
        (0, 0, 5),
        (0, 1, 5),
        (0, 2, 5),
        (1, 0, 6),
        (1, 1, 6),
        (1, 2, 6),
    ]
    assert [len(each.composition.moves) for each in drawn] == [0, 1, 1, 0, 1, 1]
    strengths = [move.strength for each in drawn for move in each.composition.moves]
    assert len(set(strengths)) == 4 and all(-2 <= strength <= 2 for strength in strengths)
    again = sample(recipe, 6, 1, 1, attempt=1)
    assert again.seed == 5 and again.composition.moves != drawn[1].composition.moves
    assert sample(recipe, 6, 1, 0, attempt=1).composition.moves  # or it could not be replaced


def test_other_choices_for_the_same_seeds() -> None:
    one, other = ([sample(Recipe(truncation=(0, 1), choices=choices), 9, 1, i) for i in range(9)] for choices in (0, 1))
    assert [each.seed for each in one] == [each.seed for each in other]
    assert all(a.composition.truncation_psi != b.composition.truncation_psi for a, b in zip(one, other, strict=True))


def test_classes_in_turn_are_balanced_and_weights_are_kept() -> None:
    balanced = [sample(Recipe(classes=Classes((0, 1, 2))), 30, 1, i).composition.class_index for i in range(30)]
    assert Counter(balanced) == {0: 10, 1: 10, 2: 10}
    weighted = Recipe(classes=parse_classes("4:3,7:1"))  # type: ignore[arg-type]
    drawn = Counter(sample(weighted, 4000, 1, i).composition.class_index for i in range(4000))
    assert set(drawn) == {4, 7} and abs(drawn[4] - 3000) < 150


def test_several_networks_draw_in_turn() -> None:
    assert [sample(Recipe(), 5, 2, i).network for i in range(5)] == [0, 1, 0, 1, 0]


def test_there_may_be_no_seeds_left() -> None:
    with pytest.raises(BulkError, match="picture 1: there are no seeds left after 3 rejected"):
        sample(Recipe(first_seed=LAST_SEED - 4), 2, 1, 1, 3)


@pytest.mark.parametrize("text", ["pca", "pca:0=1", "pca:0=2,1", "pca:0=a,b", "pca:x=0,1", "pca:0=0,inf"])
def test_moves_that_make_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match="pca"):
        parse_random_move(text)


@pytest.mark.parametrize("text", ["", "x", "1-", "1-0.5", "-1", "0-inf", "nan"])
def test_ranges_that_make_no_sense(text: str) -> None:
    if text == "1-":
        assert parse_range(text) == (1.0, 1.0)
        return
    with pytest.raises(ValueError, match="is not a number"):
        parse_range(text)


@pytest.mark.parametrize("text", ["", "x", "1,", "1:0", "1:-1", "1:2,3", "-1", "1:inf"])
def test_classes_that_make_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match="class"):
        parse_classes(text)
