"""The editor: faces in, edited faces out, the same bits whatever the batch."""

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


def test_it_is_the_generator_between_pixels_and_pixels(editor: Editor) -> None:
    edited = editor.edit(FACES, TARGETS)
    assert edited.shape == FACES.shape
    assert edited.dtype == np.uint8
    with torch.no_grad():
        images = torch.from_numpy(FACES).permute(0, 3, 1, 2).double() / 127.5 - 1
        wanted = editor.generator.double()(images, torch.from_numpy(TARGETS).double())
    editor.generator.float()
    pixels = ((wanted + 1) * 127.5).clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(edited - pixels).max() < 0.51


def test_how_many_come_along_does_not_change_a_bit(editor: Editor) -> None:
    one_by_one = [editor.edit(FACES[i : i + 1], TARGETS[i : i + 1])[0] for i in range(len(FACES))]
    np.testing.assert_array_equal(editor.edit(FACES, TARGETS), np.stack(one_by_one))


def test_another_target_gives_another_face(editor: Editor) -> None:
    assert (editor.edit(FACES, TARGETS) != editor.edit(FACES, -TARGETS)).any()


def test_no_faces_is_fine(editor: Editor) -> None:
    assert editor.edit(FACES[:0], TARGETS[:0]).shape == (0, 64, 64, 3)


def test_what_the_classifier_sees_does_not_depend_on_how_many_come_along() -> None:
    config = ClassifierConfig(image_size=64, width=4)
    classifier = fresh(AttributeClassifier, config, seed=0).eval()
    generator = fresh(Generator, GeneratorConfig(image_size=64, width=4), seed=0)
    images = torch.from_numpy(FACES).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        classifier.head.weight.mul_(100)
        classifier.head.bias -= classifier(images).mean(0)  # about half of all faces have each attribute
        wanted = (classifier(images) > 0).numpy()
    seeing = make_editor(generator, "cpu", batch_size=4, classifier=classifier)
    seen = seeing.recognise(FACES)
    assert seen is not None
    assert len(np.unique(seen, axis=0)) > 1
    np.testing.assert_array_equal(seen, wanted)
    one_by_one = [seeing.recognise(FACES[i : i + 1]) for i in range(len(FACES))]
    np.testing.assert_array_equal(seen, np.concatenate(one_by_one))
    none = seeing.recognise(FACES[:0])
    assert none is not None
    assert none.shape == (0, 13)


def test_without_a_classifier_nothing_is_seen(editor: Editor) -> None:
    assert editor.recognise(FACES) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_too_how_many_come_along_does_not_change_a_bit() -> None:
    generator = fresh(Generator, GeneratorConfig(image_size=64, width=4), seed=0)
    on_gpu = make_editor(generator, "cuda", batch_size=8)
    whole = on_gpu.edit(FACES, TARGETS)
    np.testing.assert_array_equal(on_gpu.edit(FACES[:3], TARGETS[:3]), whole[:3])
