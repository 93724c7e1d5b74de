import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attgan.attributes import CELEBA
from attgan.data.celeba import Labels
from attgan.data.subsets import Subset, draw, eligible, parse_subset
from attgan.errors import UserError
from tests.support.refusals import refused

GLASSES = CELEBA.index("Eyeglasses")


def make_labels(rows: int, positives: int, seed: int = 0, partition: bool = True) -> Labels:
    """``rows`` rows, of which ``positives`` random ones have Eyeglasses."""
    rng = np.random.default_rng(seed)
    attributes = rng.random((rows, 40)) < 0.3
    attributes[:, GLASSES] = rng.permutation(np.arange(rows) < positives)
    return Labels(
        pa.array([f"{i:06d}.jpg" for i in range(1, rows + 1)]),
        attributes,
        rng.choice(3, rows, p=(0.8, 0.1, 0.1)).astype(np.int8) if partition else None,
    )


def ids(labels: Labels, rows: np.ndarray) -> list[str]:
    names: list[str] = labels.take(rows).image_ids.to_pylist()
    return names


def test_names_are_read_in_any_case_with_hyphens_or_underscores() -> None:
    for name in ("eyeglasses-extended", "EYEGLASSES_extended"):
        subset = parse_subset(name)
        assert subset == Subset(name="eyeglasses-extended", attribute="Eyeglasses", ratio=1 / 3)
    for attribute in CELEBA:
        assert parse_subset(f"{attribute}-only").attribute == attribute
        assert parse_subset(f"{attribute.lower().replace('_', '-')}-extended").attribute == attribute


@pytest.mark.parametrize(
    ("name", "options", "rule"),
    [
        ("some", {}, ("subset-unknown", "--subset")),
        ("eyeglases-only", {}, ("attribute-unknown",)),
        ("eyeglasses-extended", {"ratio": 1.1}, ("setting-invalid", "--ratio", "1.1", "0", "1")),
        ("all", {"ratio": 0.5}, ("subset-option-mismatch", "--ratio", "0.5")),
        ("random", {"count": 0}, ("setting-invalid", "--count", "0", "1")),
        ("all", {"partitions": ["dev"]}, ("partition-unknown", "--partitions")),
    ],
)
def test_mistakes_are_refused_by_option(name: str, options: dict[str, object], rule: tuple[str, ...]) -> None:
    with refused(*rule):
        parse_subset(name, **options)  # type: ignore[arg-type]


def test_partitions_without_a_partition_file_are_refused() -> None:
    labels = make_labels(10, 3, partition=False)
    assert eligible(labels, parse_subset("all")).all()
    with refused("partition-file-missing", "--partitions train", "list_eval_partition.txt"):
        draw(labels, parse_subset("all", partitions=["train"]), seed=0)


def test_the_counts_of_the_published_subsets() -> None:
    labels = make_labels(202_599, 13_193)
    rows = draw(labels, parse_subset("eyeglasses-extended"), seed=0)
    assert len(rows) == 39_579
    assert labels.attributes[rows, GLASSES].sum() == 13_193
    assert len(draw(labels, parse_subset("eyeglasses-only"), seed=0)) == 13_193


@given(
    rows=st.integers(1, 60),
    share=st.floats(0, 1),
    at_hand=st.floats(0.2, 1),
    ratio=st.floats(0.1, 1),
    seed=st.integers(0, 2**64 - 1),
    partitions=st.sets(st.sampled_from(["train", "valid", "test"])),
)
def test_extended_has_every_positive_at_hand_and_the_ratio(
    rows: int, share: float, at_hand: float, ratio: float, seed: int, partitions: set[str]
) -> None:
    labels = make_labels(rows, round(share * rows), seed=seed % 1000)
    hand = np.random.default_rng(seed).random(rows) < at_hand
    subset = parse_subset("eyeglasses-extended", ratio=ratio, partitions=sorted(partitions))
    among = eligible(labels, subset) & hand
    positive = labels.attributes[:, GLASSES] & among
    wanted = round(positive.sum() / ratio)
    try:
        drawn = draw(labels, subset, seed, hand)
    except UserError:
        assert not positive.any() or wanted > among.sum()
        return
    assert len(drawn) == len(set(drawn.tolist())) == wanted
    assert among[drawn].all()
    assert set(np.flatnonzero(positive)) <= set(drawn.tolist())


@pytest.mark.parametrize(("rows", "drawn"), [(90, 90), (70_001, 70_000)])
def test_a_random_subset_without_a_count_is_what_the_reference_study_aligns_on(rows: int, drawn: int) -> None:
    labels = make_labels(rows, rows // 15)
    chosen = draw(labels, parse_subset("random"), 0)
    assert len(set(chosen.tolist())) == drawn
    # As frequent as in the data, and not a third of the rows as in the extended subset.
    assert abs(labels.attributes[chosen, GLASSES].mean() - 1 / 15) < 0.01


def test_a_draw_is_the_same_for_ever() -> None:
    # Written down once: another result here means that a seed no longer gives the dataset that it gave.
    labels = make_labels(20, 4)
    drawn = ids(labels, draw(labels, parse_subset("random", count=6), seed=7))
    assert drawn == ["000012.jpg", "000004.jpg", "000018.jpg", "000016.jpg", "000013.jpg", "000007.jpg"]


def test_missing_images_leave_the_others_as_they_were() -> None:
    labels = make_labels(500, 100)
    subset = parse_subset("random", count=100)
    full = draw(labels, subset, 5)
    gone = set(full[:10].tolist())
    hand = np.array([row not in gone for row in range(500)])
    again = draw(labels, subset, 5, hand)
    kept = [row for row in full.tolist() if row not in gone]
    assert set(kept) <= set(again.tolist())
    assert [row for row in again.tolist() if row in set(kept)] == kept


def test_too_few_rows_are_refused_with_what_there_is() -> None:
    labels = make_labels(90, 45)
    with refused("subset-too-few-rows", "45", "90", "0.5"):
        draw(labels, parse_subset("eyeglasses-extended"), 0)
    assert len(draw(labels, parse_subset("eyeglasses-extended", ratio=0.5), 0)) == 90
    with refused("subset-too-few-rows", "--count 91", "90"):
        draw(labels, parse_subset("random", count=91), 0)
    with refused("subset-empty", "--subset all"):
        draw(labels, parse_subset("all"), 0, np.zeros(90, dtype=bool))
    with refused("setting-invalid", "--seed"):
        draw(labels, parse_subset("all"), -1)
