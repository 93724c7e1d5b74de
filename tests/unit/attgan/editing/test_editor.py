"""The editor returns the generator's faces, with the same bits in any batch."""

import numpy as np
import pytest
import torch

from attgan.editing.editor import Editor, make_editor
from attgan.models import AttributeClassifier, ClassifierConfig, Generator, GeneratorConfig, fresh

RANDOM = np.random.default_rng(1)
FACES = RANDOM.integers(0, 255, (7, 64, 64, 3), dtype=np.uint8)
TARGETS = RANDOM.choice([-0.5, 0.5], (7, 13)).astype(np.float32)


@pytest.fixture(scope="module")
def editor() -> Editor:
    return make_editor(fresh(Generator, GeneratorConfig(image_size=64, width=4), seed=0), "cpu", batch_size=4)


def test_editor_is_the_generator_from_pixels_to_pixels(editor: Editor) -> None:
    edited = editor.edit(FACES, TARGETS)
    assert edited.shape == FACES.shape
    assert edited.dtype == np.uint8
    with torch.no_grad():
        images = torch.from_numpy(FACES).permute(0, 3, 1, 2).double() / 127.5 - 1
        wanted = editor.generator.double()(images, torch.from_numpy(TARGETS).double())
    editor.generator.float()
    pixels = ((wanted + 1) * 127.5).clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(edited - pixels).max() < 0.51


def test_number_of_faces_does_not_change_a_bit(editor: Editor) -> None:
    one_by_one = [editor.edit(FACES[i : i + 1], TARGETS[i : i + 1])[0] for i in range(len(FACES))]
    np.testing.assert_array_equal(editor.edit(FACES, TARGETS), np.stack(one_by_one))


def test_predictions_do_not_depend_on_the_number_of_faces() -> None:
    config = ClassifierConfig(image_size=64, width=4)
    classifier = fresh(AttributeClassifier, config, seed=0).eval()
    generator = fresh(Generator, GeneratorConfig(image_size=64, width=4), seed=0)
    images = torch.from_numpy(FACES).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        classifier.head.weight.mul_(100)
        # So that about half of all faces have each attribute.
        classifier.head.bias -= classifier(images).mean(0)
        wanted = (classifier(images) > 0).numpy()
    with_classifier = make_editor(generator, "cpu", batch_size=4, classifier=classifier)
    predicted = with_classifier.recognise(FACES)
    assert predicted is not None
    assert len(np.unique(predicted, axis=0)) > 1
    np.testing.assert_array_equal(predicted, wanted)
    one_by_one = [with_classifier.recognise(FACES[i : i + 1]) for i in range(len(FACES))]
    np.testing.assert_array_equal(predicted, np.concatenate(one_by_one))
    none = with_classifier.recognise(FACES[:0])
    assert none is not None
    assert none.shape == (0, 13)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_number_of_faces_does_not_change_a_bit_on_a_gpu() -> None:
    generator = fresh(Generator, GeneratorConfig(image_size=64, width=4), seed=0)
    on_gpu = make_editor(generator, "cuda", batch_size=8)
    whole = on_gpu.edit(FACES, TARGETS)
    np.testing.assert_array_equal(on_gpu.edit(FACES[:3], TARGETS[:3]), whole[:3])
