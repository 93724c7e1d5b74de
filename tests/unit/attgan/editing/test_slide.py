"""The slide shows a photograph's faces, unedited and with rising intensity."""

import numpy as np
import pytest

from attgan.attributes import parse_edits
from attgan.data.codec import Decoded
from attgan.detection import FaceDetector, make_mtcnn
from attgan.editing.editor import Editor, make_editor
from attgan.editing.photographs import EditOptions, Photograph
from attgan.editing.placement import Pixels
from attgan.editing.slide import slide
from attgan.errors import DataError
from attgan.models import Bundle, load_bundle
from attgan.models.default import default_bundle_path
from tests.support.images.scenes import photograph, placement

PANEL = 96


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(default_bundle_path(), with_discriminator=False)


@pytest.fixture(scope="module")
def editor(bundle: Bundle) -> Editor:
    return make_editor(bundle.generator, "cpu", 4, bundle.classifier)


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return make_mtcnn()


@pytest.fixture(scope="module")
def options(bundle: Bundle) -> EditOptions:
    names = bundle.config.attributes
    return EditOptions(names, parse_edits(["Eyeglasses=1"], names=names))


def opened(pixels: Pixels) -> Photograph:
    return Photograph(Decoded(pixels, "PNG"), "a")


def test_panels_show_ever_stronger_edits(
    editor: Editor, detector: FaceDetector, options: EditOptions
) -> None:
    pixels = photograph(500, 540, {3: placement(120, 110, 1.5, 10)})
    before = pixels.copy()
    strip = slide(opened(pixels), editor, detector, options, [0.1, 0.5, 1.0], panel=PANEL)
    np.testing.assert_array_equal(pixels, before)
    assert strip.shape == (PANEL, 4 * PANEL, 3)
    panels = np.split(strip.astype(float), 4, axis=1)
    steps = [np.abs(panel - panels[0]).mean() for panel in panels]
    assert steps[0] < steps[1] < steps[3]


def test_photograph_without_a_face_is_refused(
    editor: Editor, detector: FaceDetector, options: EditOptions
) -> None:
    with pytest.raises(DataError) as refused:
        slide(opened(photograph(640, 480, {})), editor, detector, options, [1.0])
    assert refused.value.stage == "find"
