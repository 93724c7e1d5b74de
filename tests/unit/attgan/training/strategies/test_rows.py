"""Which rows a subset and a strategy take, and that a run trains on those alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from attgan.data.loading.loader import Faces
from attgan.training.strategies import STRATEGIES
from attgan.training.strategies.rows import stream_rows, subset_rows
from tests.support.refusals import refused
from tests.support.small_training import record_order, small_config, small_train


@pytest.fixture
def glasses(small_faces: Faces) -> int:
    return small_faces.attributes.index("Eyeglasses")


def let_have(faces: Faces, column: int, count: int) -> None:
    """So many rows to train on have the attribute, and no other row."""
    faces.labels[:, column] = False
    faces.labels[faces.training[::2][:count], column] = True


def test_only_those_with_the_attribute_or_twice_as_many_others_beside_them(
    small_faces: Faces, glasses: int
) -> None:
    let_have(small_faces, glasses, 15)
    has = small_faces.labels[:, glasses]
    only = subset_rows(small_faces, "only", glasses, 0)
    np.testing.assert_array_equal(only, small_faces.training[has[small_faces.training]])
    draws = [subset_rows(small_faces, "extended", glasses, seed) for seed in (0, 0, 1)]
    for rows in draws:
        assert len(np.unique(rows)) == len(rows) == 45
        assert np.isin(rows, small_faces.training).all()
        assert (np.diff(rows) > 0).all()
        np.testing.assert_array_equal(rows[has[rows]], only)
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    assert subset_rows(small_faces, "all", glasses, 0) is small_faces.training


def test_a_dataset_without_a_kind_that_a_subset_needs_is_refused(small_faces: Faces, glasses: int) -> None:
    small_faces.labels[:, glasses] = True
    with refused("training-rows-missing", "--subset extended"):
        subset_rows(small_faces, "extended", glasses, 0)
    let_have(small_faces, glasses, 0)
    for subset in ("only", "extended"):
        with refused("training-rows-missing", "--subset", f"{subset}"):
            subset_rows(small_faces, subset, glasses, 0)


def test_the_streams_are_taken_from_the_subset(small_faces: Faces, glasses: int) -> None:
    let_have(small_faces, glasses, 15)
    extended = subset_rows(small_faces, "extended", glasses, 0)
    source, real = stream_rows(small_faces, extended, STRATEGIES["alternate"], glasses, 4)
    assert (len(source), len(real)) == (30, 15)
    np.testing.assert_array_equal(np.sort(np.concatenate([source, real])), extended)
    only = subset_rows(small_faces, "only", glasses, 0)
    with refused("training-rows-missing", "--strategy alternate"):
        stream_rows(small_faces, only, STRATEGIES["alternate"], glasses, 4)
    with refused("batch-too-large", "--batch-size 16", "15"):
        stream_rows(small_faces, only, STRATEGIES["inverse"], glasses, 16)


def test_a_run_trains_on_its_subset_and_is_validated_on_the_same_faces(
    small_faces: Faces, glasses: int, tmp_path: Path
) -> None:
    record_order(small_faces, tmp_path / "order")
    checks = []
    for subset in ("all", "only"):
        (tmp_path / "order").unlink(missing_ok=True)
        run = tmp_path / subset
        outcome = small_train(small_faces, run, small_config(subset=subset, max_steps=3))
        rows = [json.loads(line)[2] for line in (tmp_path / "order").read_text().splitlines()]
        assert small_faces.labels[rows, glasses].all() == (subset == "only")
        checks.append(json.loads((run / "metrics.jsonl").read_text().splitlines()[0]))
        assert outcome.ended == "finished"
    assert checks[0] == checks[1], "before the first step the same faces measure the same"
    with refused("run-settings-differ", "--subset all"):
        small_train(small_faces, tmp_path / "only", small_config(max_steps=3))
