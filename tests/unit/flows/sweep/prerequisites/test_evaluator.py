"""A sweep's own evaluator, and what trials are measured on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyarrow import fs

from attgan.attributes import CELEBA
from attgan.data.loading.loader import open_faces
from attgan.data.shards import open_dataset
from attgan.evaluation.edit_measures import choose_test_faces, edit_faces, measure_edits
from attgan.models import inspect_bundle, load_bundle
from flows.settings import SweepEvaluatorSettings
from flows.storage import open_store
from flows.sweep.plan import Places, SweepPlan
from flows.sweep.prerequisites.evaluator import (
    EvaluationSpec,
    calls,
    measure_weights,
    unpack_faces,
)
from flows.sweep.records import EDITED, MEASURES
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.data.stored_dataset import write_dataset
from tests.support.finished_sweep import NAMES, SIZE
from tests.support.refusals import refused


def settings(folder: Path, name: str) -> SweepEvaluatorSettings:
    return SweepEvaluatorSettings(
        dataset=str(folder / "faces"),
        destination=str(folder / name),
        size=64,
        attributes=list(NAMES[:2]),
        width=2,
        batch_size=8,
        min_steps=12,
        max_steps=12,
        cpus=1,
    )


@pytest.fixture
def spec(places: Places) -> EvaluationSpec:
    assert places.evaluator is not None
    return EvaluationSpec(
        places.dataset, places.evaluator, "Eyeglasses", faces=3, seed=5, validation_share=0.2
    )


def test_fixed_faces_without_the_attribute_are_edited_and_measured(
    places: Places, spec: EvaluationSpec, tmp_path: Path
) -> None:
    assert places.bundle is not None
    content = measure_weights(str(tmp_path), places.bundle, spec)
    original, edited = unpack_faces(open_store(str(tmp_path)).get(EDITED).data)
    dataset = open_dataset(fs.LocalFileSystem(), places.dataset)
    generator = load_bundle(places.bundle).generator
    with open_faces(dataset, size=SIZE, attributes=NAMES, seed=5, validation_share=0.2) as faces:
        rows = choose_test_faces(faces, "Eyeglasses", 3, 5).rows
        batch = faces.take(rows)
    images, labels = batch.images.permute(0, 2, 3, 1).numpy(), batch.labels.numpy()
    assert not labels[:, 0].any()
    assert (original == images).all()
    assert (edited == edit_faces(generator, images, labels, NAMES, "Eyeglasses")).all()
    assert content["measured"]["faces"] == 3
    assert content["partition"] == "held out", "the drawn dataset has no test partition"
    assert content["evaluator"]["balanced_accuracy"] is not None, (
        "both kinds of faces tell how good the evaluator is"
    )
    assert content["made_of"]["bundle"] == inspect_bundle(places.bundle).digest


def test_what_was_measured_of_the_same_weights_on_the_same_faces_is_left_alone(
    places: Places, spec: EvaluationSpec, tmp_path: Path
) -> None:
    assert places.bundle is not None
    store = open_store(str(tmp_path))
    first = measure_weights(str(tmp_path), places.bundle, spec)
    etags = [store.head(key).etag for key in (MEASURES, EDITED)]
    assert measure_weights(str(tmp_path), places.bundle, spec) == first
    assert [store.head(key).etag for key in (MEASURES, EDITED)] == etags
    other = measure_weights(str(tmp_path), places.bundle, replace(spec, faces=2))
    assert other["measured"]["faces"] == 2
    assert len(unpack_faces(store.get(EDITED).data)[0]) == 2


def test_faces_without_the_attribute_have_to_be_there(
    places: Places, spec: EvaluationSpec, tmp_path: Path
) -> None:
    assert places.bundle is not None
    write_drawn_dataset(tmp_path / "faces", 20, glasses_share=1.0)
    with refused("test-faces-missing"):
        measure_weights(str(tmp_path), places.bundle, replace(spec, dataset=str(tmp_path / "faces")))
    assert not (tmp_path / MEASURES).exists()


def test_faces_are_measured_of_which_no_other_attribute_is_known(
    places: Places, spec: EvaluationSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A paired sweep may take such a dataset."""
    assert places.bundle is not None
    unknown = np.ones((20, len(CELEBA)), dtype=bool)
    unknown[:, CELEBA.index("Eyeglasses")] = False
    write_dataset(tmp_path / "faces", (10, 10), unknown=unknown)
    seen: list[np.ndarray] = []
    monkeypatch.setattr(
        "flows.sweep.prerequisites.evaluator.measure_edits",
        lambda *arguments, **options: seen.append(arguments[3]) or measure_edits(*arguments, **options),
    )
    content = measure_weights(str(tmp_path), places.bundle, replace(spec, dataset=str(tmp_path / "faces")))
    assert content["measured"]["faces"] == 3
    assert np.array_equal(seen[0], [[0, np.nan, np.nan]] * 3, equal_nan=True)


def test_the_start_and_each_trial_with_weights_are_measured_alike(finished: SweepPlan) -> None:
    todo = list(calls(finished))
    places = [finished.store.url + place for place in ("/start", "/trials/000", "/trials/001", "/trials/002")]
    assert [call["place"] for call in todo] == places, "the last trial failed before it had any"
    assert [call["bundle"] for call in todo] == [
        finished.places.bundle,
        *(f"{at}/bundle" for at in places[1:]),
    ]
    assert len({(call["spec"], call["device"], call["threads"]) for call in todo}) == 1
