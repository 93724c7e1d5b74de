"""A photograph is edited as one call: its faces, and nothing else of it."""

import numpy as np
import pytest
from PIL import Image

from attgan.attributes import LABEL_SCALE, Edit, parse_edits
from attgan.data import transforms
from attgan.detection import Face, FaceDetector, make_mtcnn
from attgan.drawn_faces import draw, sample_face, with_attribute
from attgan.editing.editor import Editor, make_editor
from attgan.editing.photo import choose_faces, edit_photo, have_already, slide, unedited_vector
from attgan.errors import DataError
from attgan.models import Bundle, load_bundle
from attgan.models.default import default_bundle_path
from tests.support.images.scenes import photograph, placement

PLAIN, OTHER = 3, 1  # seeds of drawn faces without glasses


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(default_bundle_path(), with_discriminator=False)


@pytest.fixture(scope="module")
def names(bundle: Bundle) -> tuple[str, ...]:
    return bundle.config.attributes


@pytest.fixture(scope="module")
def editor(bundle: Bundle) -> Editor:
    return make_editor(bundle.generator, "cpu", 4, bundle.classifier)


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return make_mtcnn()


@pytest.fixture(scope="module")
def edits(names: tuple[str, ...]) -> tuple[Edit, ...]:
    return parse_edits(["Eyeglasses=1"], names=names)


def face(size: float, confidence: float = 1.0) -> Face:
    return Face((0, 0, size * 0.8, size), np.zeros((5, 2), np.float32), confidence)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(axis=2)


def test_faces_are_chosen_by_size_and_confidence() -> None:
    small, large, doubtful, middling = face(39), face(200), face(300, 0.5), face(40)
    faces = [small, large, doubtful, middling]
    assert choose_faces(faces, "all", 40, 0.9) == [large, middling]
    assert choose_faces(faces, "largest", 40, 0.9) == [large]
    assert choose_faces(faces, "all", 0, 0) == [doubtful, large, middling, small]
    assert choose_faces(faces, "largest", 500, 0) == []


@pytest.mark.parametrize("degrees", [0, 30])
@pytest.mark.parametrize("scale", [0.6, 1.7, 4])
def test_a_photograph_gets_glasses_and_stays_itself_elsewhere(
    editor: Editor,
    detector: FaceDetector,
    edits: tuple[Edit, ...],
    names: tuple[str, ...],
    scale: float,
    degrees: float,
) -> None:
    side = round(260 * scale + 200)
    pixels = photograph(side + 40, side, {PLAIN: placement(100, 100, scale, degrees)})
    before = pixels.copy()
    edited, (found,) = edit_photo(pixels, editor, detector, edits, names)
    np.testing.assert_array_equal(pixels, before)
    assert found.face is not None
    assert found.targets is not None
    assert found.targets[names.index("Eyeglasses")] == 1
    assert found.attributes[names.index("Eyeglasses")] == 0
    (again,) = edit_photo(edited, editor, detector, edits, names)[1]
    assert again.attributes[names.index("Eyeglasses")] == 1
    rest = changed(before, edited)
    rows, columns = np.nonzero(rest)
    eyes = found.face.landmarks[:2]
    apart = float(np.hypot(*(eyes[1] - eyes[0])))
    away = np.hypot(columns - eyes[:, 0].mean(), rows - eyes[:, 1].mean()) / apart
    assert away.max() < 2.2
    assert rest.mean() < 0.12


def test_several_faces_and_the_largest_alone(
    editor: Editor, detector: FaceDetector, edits: tuple[Edit, ...], names: tuple[str, ...]
) -> None:
    pixels = photograph(760, 400, {OTHER: placement(20, 30, 0.9), PLAIN: placement(300, 40, 1.3)})
    everybody, both = edit_photo(pixels, editor, detector, edits, names)
    largest, (one,) = edit_photo(pixels, editor, detector, edits, names, which="largest")
    assert len(both) == 2
    assert changed(pixels, everybody)[:, :250].any()
    assert not changed(pixels, largest)[:, :250].any()
    np.testing.assert_array_equal(everybody[:, 300:], largest[:, 300:])
    assert one.face is not None
    assert one.face.box[0] > 250


def test_many_faces_fill_more_than_one_batch(
    editor: Editor, detector: FaceDetector, edits: tuple[Edit, ...], names: tuple[str, ...]
) -> None:
    places = {PLAIN + 100 * i: placement(180 * (i % 3), 220 * (i // 3)) for i in range(6)}
    pixels = photograph(3 * 180 + 20, 2 * 220 + 20, places)
    assert len(edit_photo(pixels, editor, detector, edits, names)[1]) == 6 > editor.batch_size


def test_a_photograph_without_a_face_comes_back_as_it_is(
    editor: Editor, detector: FaceDetector, edits: tuple[Edit, ...], names: tuple[str, ...]
) -> None:
    pixels = photograph(640, 480, {})
    edited, faces = edit_photo(pixels, editor, detector, edits, names)
    assert faces == []
    np.testing.assert_array_equal(edited, pixels)
    with pytest.raises(DataError, match="no face"):
        slide(pixels, editor, detector, edits, names, [1.0])


def test_a_face_too_small_or_too_uncertain_is_left(
    editor: Editor, detector: FaceDetector, edits: tuple[Edit, ...], names: tuple[str, ...]
) -> None:
    pixels = photograph(400, 420, {PLAIN: placement(100, 100, 0.8)})
    assert edit_photo(pixels, editor, detector, edits, names, min_face=300)[1] == []
    assert edit_photo(pixels, editor, detector, edits, names, min_confidence=1.01)[1] == []


@pytest.mark.parametrize("scale", [1, 2])
def test_an_aligned_image_needs_no_finder(
    editor: Editor, edits: tuple[Edit, ...], names: tuple[str, ...], scale: int
) -> None:
    class Unasked:
        def find(self, images: object) -> list[list[Face]]:
            raise AssertionError("asked about an aligned image")

    picture = Image.fromarray(draw(sample_face(PLAIN, glasses_share=0.0)))
    pixels = np.array(picture.resize((178 * scale, 218 * scale)))
    box = transforms.face_box(178 * scale, 218 * scale)
    assert box is not None
    whole, (found,) = edit_photo(pixels, editor, Unasked(), edits, names, paste="whole")
    assert found.face is None
    assert found.targets is not None
    face = editor.edit(transforms.take_face(pixels, box, editor.size)[None], found.targets[None])[0]
    expected = pixels.copy()
    square = np.s_[box.top : box.top + box.side, box.left : box.left + box.side]
    expected[square] = transforms.resize(face, box.side, "bicubic")
    np.testing.assert_array_equal(whole, expected)
    edited, _ = edit_photo(pixels, editor, Unasked(), edits, names)
    assert 0 < changed(pixels, edited).mean() < 0.25


def test_a_square_image_is_an_aligned_face_or_a_photograph_by_what_it_shows(
    editor: Editor, detector: FaceDetector, edits: tuple[Edit, ...], names: tuple[str, ...]
) -> None:
    square = draw(sample_face(PLAIN, glasses_share=0.0))[24:194, 4:174]
    scene = photograph(500, 500, {PLAIN: placement(100, 200)})
    assert edit_photo(square, editor, detector, edits, names)[1][0].face is None
    assert edit_photo(scene, editor, detector, edits, names)[1][0].face is not None
    assert edit_photo(scene, editor, detector, edits, names, which="aligned")[1][0].face is None
    assert edit_photo(square, editor, detector, edits, names, which="all")[1][0].face is not None
    with pytest.raises(DataError, match="aligned"):
        edit_photo(scene[:400], editor, detector, edits, names, which="aligned")


def test_the_whole_face_or_the_difference_alone(
    editor: Editor, detector: FaceDetector, edits: tuple[Edit, ...], names: tuple[str, ...]
) -> None:
    pixels = photograph(500, 540, {PLAIN: placement(120, 110, 1.5, 10)})
    difference, _ = edit_photo(pixels, editor, detector, edits, names, paste="difference")
    whole, (found,) = edit_photo(pixels, editor, detector, edits, names, paste="whole")
    assert changed(pixels, whole).sum() > 3 * changed(pixels, difference).sum()
    column = names.index("Eyeglasses")
    assert found.attributes[column] == 0
    for edited in (whole, difference):
        assert edit_photo(edited, editor, detector, edits, names)[1][0].attributes[column] == 1


@pytest.mark.parametrize("on_present", ["copy", "skip", "edit"])
def test_a_face_with_glasses_is_left_unless_told_otherwise(
    editor: Editor, detector: FaceDetector, edits: tuple[Edit, ...], names: tuple[str, ...], on_present: str
) -> None:
    wearing = draw(with_attribute(sample_face(PLAIN, glasses_share=0.0), "Eyeglasses", True))
    pixels = np.full((460, 420, 3), 110, np.uint8)
    pixels[100:318, 100:278] = wearing
    edited, (found,) = edit_photo(pixels, editor, detector, edits, names, on_present=on_present)  # type: ignore[arg-type]
    assert found.attributes[names.index("Eyeglasses")] == 1
    assert (found.targets is None) == (on_present != "edit")
    assert changed(pixels, edited).any() == (on_present == "edit")


def test_a_grey_photograph_is_edited_as_any(
    editor: Editor, detector: FaceDetector, edits: tuple[Edit, ...], names: tuple[str, ...]
) -> None:
    coloured = photograph(420, 460, {PLAIN: placement(100, 100, 1.2)})
    grey = np.repeat(np.array(Image.fromarray(coloured).convert("L"))[..., None], 3, axis=2)
    edited, faces = edit_photo(grey, editor, detector, edits, names)
    assert len(faces) == 1
    assert changed(grey, edited).any()


def test_without_a_classifier_nothing_is_known_of_a_face(
    bundle: Bundle, detector: FaceDetector, edits: tuple[Edit, ...], names: tuple[str, ...]
) -> None:
    blind = make_editor(bundle.generator, "cpu", 2)
    pixels = photograph(420, 460, {PLAIN: placement(100, 100, 1.2)})
    edited, (found,) = edit_photo(pixels, blind, detector, edits, names)
    assert np.isnan(found.attributes).all()
    assert changed(pixels, edited).any()


def test_the_same_photograph_gives_the_same_bits(
    editor: Editor, detector: FaceDetector, edits: tuple[Edit, ...], names: tuple[str, ...]
) -> None:
    pixels = photograph(500, 540, {PLAIN: placement(120, 110, 1.5, 10)})
    one, _ = edit_photo(pixels, editor, detector, edits, names)
    other, _ = edit_photo(pixels, editor, detector, edits, names)
    np.testing.assert_array_equal(one, other)


def test_a_slide_shows_ever_stronger_edits(
    editor: Editor, detector: FaceDetector, edits: tuple[Edit, ...], names: tuple[str, ...]
) -> None:
    pixels = photograph(500, 540, {PLAIN: placement(120, 110, 1.5, 10)})
    strip = slide(pixels, editor, detector, edits, names, [0.1, 0.5, 1.0], panel=96)
    assert strip.shape == (96, 4 * 96, 3)
    panels = np.split(strip.astype(float), 4, axis=1)
    steps = [np.abs(panel - panels[0]).mean() for panel in panels]
    assert steps[0] < steps[1] < steps[3]


def test_have_already_needs_all_that_is_asked_and_knows_nothing_of_the_unknown() -> None:
    names = ("Eyeglasses", "Young")
    edits = parse_edits(["Eyeglasses=1", "Young=0"], names=names)
    attributes = np.array([[1, 0], [1, 1], [np.nan, 0]], np.float32)
    assert have_already(attributes, edits, names).tolist() == [True, False, False]


def test_without_the_edit_a_face_has_the_opposite_of_it_and_else_its_own_attributes() -> None:
    names = ("Eyeglasses", "Young", "Male")
    edits = parse_edits(["Eyeglasses=1@2"], names=names)
    attributes = np.array([[1, 0, np.nan], [np.nan, 1, 1]], np.float32)
    expected = LABEL_SCALE * np.array([[-1, -1, 0], [-1, 1, 1]])
    np.testing.assert_allclose(unedited_vector(attributes, edits, names), expected)
    assert np.isnan(attributes[1, 0]), "what it was given is left alone"
