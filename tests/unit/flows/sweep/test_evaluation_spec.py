"""What trials are measured on, and that it is measured once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyarrow import fs

from attgan.data.loading.loader import open_faces
from attgan.data.shards import open_dataset
from attgan.evaluation.edit_measures import choose_test_faces, edit_faces
from attgan.models import inspect_bundle, load_bundle
from flows.storage import open_store
from flows.sweep.evaluation_spec import (
    EDITED,
    MEASURES,
    EvaluationSpec,
    measure_weights,
    pack_faces,
    unpack_faces,
)
from flows.sweep.plan import Places
from tests.support.data.drawn_dataset import write_drawn_dataset
from tests.support.finished_sweep import NAMES, SIZE
from tests.support.refusals import refused


@pytest.fixture
def spec(places: Places) -> EvaluationSpec:
    assert places.judge is not None
    return EvaluationSpec(places.dataset, places.judge, "Eyeglasses", faces=3, seed=5, validation_share=0.2)


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
    assert content["judge"]["balanced_accuracy"] is not None, "both kinds of faces tell how good the judge is"
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


def test_a_sweep_that_was_moved_is_not_measured_again(
    places: Places, spec: EvaluationSpec, tmp_path: Path
) -> None:
    assert places.bundle is not None
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in Path(places.bundle).iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    first = measure_weights(str(tmp_path), places.bundle, spec)
    assert measure_weights(str(tmp_path), str(moved), spec) == first


def test_faces_that_the_judge_does_not_take_are_refused_by_its_option(
    places: Places, spec: EvaluationSpec, tmp_path: Path
) -> None:
    assert places.bundle is not None
    with refused("classifier-missing"):
        measure_weights(str(tmp_path), places.bundle, replace(spec, judge=places.bundle))


def test_faces_without_the_attribute_have_to_be_there(
    places: Places, spec: EvaluationSpec, tmp_path: Path
) -> None:
    assert places.bundle is not None
    write_drawn_dataset(tmp_path / "faces", 20, glasses_share=1.0)
    with refused("test-faces-missing"):
        measure_weights(str(tmp_path), places.bundle, replace(spec, dataset=str(tmp_path / "faces")))
    assert not (tmp_path / MEASURES).exists()


def test_faces_are_packed_without_pickles_and_always_alike() -> None:
    faces = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    packed = pack_faces(faces, 255 - faces)
    original, edited = unpack_faces(packed)
    assert (original == faces).all()
    assert (edited == 255 - faces).all()
    assert packed == pack_faces(faces, 255 - faces)
