"""What is measured of edits, against the same numbers worked out from the pixels, and on which faces."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyarrow import fs

from attgan.attributes import DEFAULT_STYLE, Edit, label_vector, target_vector, unedited_vector
from attgan.data.loading.loader import Faces, open_faces
from attgan.data.shards import open_dataset
from attgan.editing.change import change_of
from attgan.editing.editor import make_editor
from attgan.editing.styles import style_vector
from attgan.evaluation.edit_measures import choose_test_faces, edit_faces, measure_edits
from attgan.evaluation.evaluator import Evaluator, recognise
from attgan.evaluation.pairs import TruePairs, draw_true_pairs
from attgan.evaluation.region import edit_region
from attgan.models import AttributeClassifier, ClassifierConfig, Generator, GeneratorConfig, fresh
from tests.support.data.drawn_dataset import write_drawn_dataset

NAMES = ("Male", "Bangs", "Eyeglasses", "Bald")
JUDGED = ("Bald", "Eyeglasses", "Bangs", "Young")


@pytest.fixture(scope="module")
def pairs() -> TruePairs:
    return draw_true_pairs(9, size=64, attribute="Eyeglasses", names=NAMES, seed=5)


def strong_generator(**config: Any) -> Generator:
    """Untrained, but the slight differences between its outputs are large."""
    generator = fresh(Generator, GeneratorConfig(n_attributes=4, image_size=64, width=2, **config), 0).eval()
    with torch.no_grad():
        generator.dec_layers[-1].layers[0].weight.mul_(1000)
    return generator


@pytest.fixture(scope="module")
def generator() -> Generator:
    return strong_generator()


@pytest.fixture(scope="module")
def evaluator(pairs: TruePairs, generator: Generator) -> Evaluator:
    """Its thresholds lie amid what it says of edited faces, so that it finds each attribute in some."""
    network = fresh(AttributeClassifier, ClassifierConfig(n_attributes=4, image_size=64, width=2), 3).eval()
    edited = edit_faces(generator, pairs.without, pairs.labels, NAMES, "Eyeglasses")
    with torch.no_grad():
        logits = network(torch.from_numpy(edited).permute(0, 3, 1, 2).float() / 127.5 - 1)
        network.head.bias -= logits.median(dim=0).values
    return Evaluator(network, JUDGED, None, "a test's")


def test_the_numbers_are_those_of_the_pixels(
    pairs: TruePairs, generator: Generator, evaluator: Evaluator
) -> None:
    measured = measure_edits(generator, evaluator, pairs.without, pairs.labels, NAMES, "Eyeglasses")
    same = make_editor(generator, "cpu", 3).edit(pairs.without, label_vector(pairs.labels))
    edited = {
        intensity: edit_faces(
            generator, pairs.without, pairs.labels, NAMES, "Eyeglasses", intensity=intensity
        )
        for intensity in (0.5, 1.0, 1.5)
    }
    seen = {name: recognise(evaluator, faces)[:, 1].mean() for name, faces in edited.items()}
    assert 0 < seen[1.0] < 1
    assert (measured.edit_success, measured.success_weaker, measured.success_stronger) == (
        seen[1.0],
        seen[0.5],
        seen[1.5],
    )
    assert measured.faces == 9
    assert measured.false_positives == recognise(evaluator, pairs.without)[:, 1].mean()
    assert measured.on_reconstruction == recognise(evaluator, same)[:, 1].mean()
    error = (same.astype(float) - pairs.without) ** 2
    decibels = 10 * np.log10(255**2 / error.mean(axis=(1, 2, 3)))
    assert measured.psnr == pytest.approx(decibels.mean(), abs=1e-3)
    assert 0 < measured.ssim < 1
    region = edit_region("Eyeglasses", 64)
    assert region is not None
    change = np.abs(edited[1.0].astype(float) - pairs.without)[:, ~region]
    assert measured.outside == pytest.approx(change.mean())
    kept = recognise(evaluator, edited[1.0]) == recognise(evaluator, pairs.without)
    assert measured.kept_attributes == pytest.approx(kept[:, [0, 2, 3]].mean())


@pytest.mark.parametrize("styles", [(), ("Wayfarer", "Round")])
def test_what_is_measured_is_the_face_with_the_change_that_the_edit_makes(
    pairs: TruePairs, styles: tuple[str, ...]
) -> None:
    generator = strong_generator(styles=styles, compositing="direct" if styles else "thresholded")
    edits = [Edit("Eyeglasses", True, 1.0)]
    asked = target_vector(pairs.labels, edits, NAMES)
    style = np.tile(style_vector(DEFAULT_STYLE, styles), (len(asked), 1)) if styles else asked[:, :0]
    base = unedited_vector(pairs.labels.astype(np.float32), edits, NAMES)
    editor = make_editor(generator, "cpu", 9)
    with_edit = editor.edit(pairs.without, np.concatenate([asked, style], axis=1))
    without = editor.edit(pairs.without, base)
    expected = []
    for face, one, other in zip(pairs.without, with_edit, without, strict=True):
        change = change_of(generator.config, edits, one, other, 64.0).permute(1, 2, 0).numpy()
        # Towards white or black.
        expected.append(face + np.where(change > 0, change * (255.0 - face), change * face))
    found = edit_faces(generator, pairs.without, pairs.labels, NAMES, "Eyeglasses")
    assert np.abs(found - np.stack(expected)).max() <= 0.51
    assert (found != pairs.without).any()


def test_what_an_attribute_excludes_is_not_missed(
    pairs: TruePairs, generator: Generator, evaluator: Evaluator
) -> None:
    plain = replace(pairs, labels=np.zeros_like(pairs.labels))
    measured = measure_edits(generator, evaluator, plain.without, plain.labels, NAMES, "Bald")
    edited = edit_faces(generator, plain.without, plain.labels, NAMES, "Bald")
    kept = recognise(evaluator, edited) == recognise(evaluator, plain.without)
    assert measured.kept_attributes == pytest.approx(kept[:, [1, 3]].mean()), "Bald clears Bangs"


@pytest.fixture
def faces(tmp_path: Path) -> Iterator[Faces]:
    dataset = write_drawn_dataset(tmp_path, 42)
    with open_faces(open_dataset(fs.LocalFileSystem(), str(tmp_path)), size=64, attributes=NAMES) as opened:
        assert dataset.manifest.counts.rows == 42
        yield opened


def test_faces_are_of_the_test_partition_where_there_is_one_and_lack_the_attribute(faces: Faces) -> None:
    lacking = ~faces.labels[:, NAMES.index("Eyeglasses")]
    chosen = choose_test_faces(faces, "Eyeglasses", 99, 0)
    assert chosen.partition == "held out"
    np.testing.assert_array_equal(chosen.rows, faces.held_out[lacking[faces.held_out]])
    faces.training, faces.test = faces.training[:20], faces.training[20:]
    chosen = choose_test_faces(faces, "Eyeglasses", 99, 0)
    assert chosen.partition == "test"
    np.testing.assert_array_equal(chosen.rows, faces.test[lacking[faces.test]])
