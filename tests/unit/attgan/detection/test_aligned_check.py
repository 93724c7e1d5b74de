"""Aligned images are looked at for a face, wherever they come from, and what shows none is refused."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from attgan.detection import Face, make_mtcnn
from attgan.detection.aligned_check import BATCH, holds_face
from attgan.drawn_faces import draw, sample_face
from attgan.editing.photo import find_places
from attgan.editing.placement import TEMPLATE
from tests.support.images.pictures import noise
from tests.support.images.scenes import photograph, placement


class Fixed:
    """A detector that finds the same faces everywhere, and counts how often it was asked."""

    def __init__(self, *faces: Face) -> None:
        self.faces, self.asked = list(faces), 0

    def find(self, images: object) -> list[list[Face]]:
        self.asked += 1
        return [self.faces]


def page(width: int, height: int) -> np.ndarray:
    """A page of text."""
    picture = Image.new("RGB", (width, height), "white")
    lines = "\n".join("the total of this invoice is due" for _ in range(12))
    ImageDraw.Draw(picture).multiline_text(
        (8, 8), lines, fill="black", font=ImageFont.load_default(max(1, width // 16))
    )
    return np.array(picture)


def faceless(width: int, height: int) -> list[np.ndarray]:
    blank = np.full((height, width, 3), 200, np.uint8)
    slope = np.broadcast_to(
        np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, width, 3)
    ).copy()
    grain = np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return [blank, slope, grain, page(width, height), photograph(width, height, {})]


def drawn(side: int | None = None) -> np.ndarray:
    """A drawn face, 178×218, or the square of it at a size."""
    face = draw(sample_face(3))
    if side is None:
        return face
    return np.array(Image.fromarray(face[24:194, 4:174]).resize((side, side), Image.Resampling.BILINEAR))


@pytest.mark.parametrize(("width", "height"), [(178, 218), (356, 436), (128, 128), (300, 300), (1, 1)])
def test_pictures_without_a_face_are_refused(width: int, height: int) -> None:
    assert not holds_face(faceless(width, height)).any()


def test_faces_are_accepted_at_every_size() -> None:
    large = np.array(Image.fromarray(drawn()).resize((712, 872)))
    assert holds_face([drawn(), large, drawn(32), drawn(64), drawn(128), drawn(500)]).all()


def test_the_answer_does_not_depend_on_what_comes_along() -> None:
    images = [drawn(), *faceless(178, 218)] * BATCH
    alone = [bool(holds_face([image])[0]) for image in images[:6]]
    assert holds_face(images).tolist() == alone * BATCH
    assert holds_face([]).tolist() == []


def test_images_of_other_proportions_are_no_aligned_faces() -> None:
    with pytest.raises(ValueError, match="178×218"):
        holds_face([np.zeros((100, 120, 3), np.uint8)])


def test_only_what_the_look_refuses_is_searched() -> None:
    nothing = Fixed()
    ((face, whole),) = find_places(drawn(), nothing)
    assert face is None
    assert whole.box is not None
    assert nothing.asked == 0
    assert find_places(page(178, 218), nothing) == []
    assert nothing.asked == 1


def test_an_answer_that_is_known_is_not_asked_for_again() -> None:
    nothing = Fixed()
    assert len(find_places(page(178, 218), nothing, face_seen=True)) == 1
    assert find_places(drawn(), nothing, face_seen=False) == []
    assert nothing.asked == 1


def test_aligned_images_are_taken_as_they_are_where_that_is_asked_for() -> None:
    nothing = Fixed()
    for image in (page(178, 218), page(200, 200)):
        ((face, _),) = find_places(image, nothing, "aligned")
        assert face is None
    assert nothing.asked == 0


@pytest.mark.parametrize(("x", "is_whole"), [(0.0, True), (35.0, True), (120.0, False)])
def test_a_face_that_the_look_missed_is_the_aligned_one_only_where_that_one_would_be(
    x: float, is_whole: bool
) -> None:
    found = Face((30.0, 60.0, 150.0, 190.0), np.add(TEMPLATE, (x, 0)).astype(np.float32), 1.0)
    ((face, _),) = find_places(noise(1), Fixed(found), face_seen=False)
    assert (face is None) == is_whole


def test_a_square_without_a_found_face_is_one_only_if_it_looks_like_one() -> None:
    # The detector sees no face of fewer pixels than the least that is asked for.
    nothing = Fixed()
    assert len(find_places(drawn(32), nothing)) == 1
    assert find_places(page(200, 200), nothing) == []


def test_a_photograph_of_celebas_proportions_has_its_faces_searched() -> None:
    scene = photograph(712, 872, {3: placement(20, 20, 1.2)})
    ((face, _),) = find_places(scene, make_mtcnn())
    assert face is not None
    assert face.box[2] < 300
