"""Which faces of an image are edited: aligned images by a quick check, photographs by the face detector."""

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from attgan.detection import Face, FaceDetector
from attgan.drawn_faces import draw, sample_face
from attgan.editing.face_selection import Faces, choose_faces, find_places
from attgan.editing.placement import TEMPLATE, Placement
from attgan.errors import DataError
from tests.support.images.pictures import noise


class FixedDetector:
    """A detector that finds the same faces in every image, and counts its calls."""

    def __init__(self, *faces: Face) -> None:
        self.faces, self.calls = list(faces), 0

    def find(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        self.calls += 1
        return [self.faces for _ in images]


def blank(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), 200, np.uint8)


def drawn_face(side: int | None = None) -> np.ndarray:
    """A drawn face, 178×218, or the square of it at a size."""
    face = draw(sample_face(3))
    if side is None:
        return face
    return np.array(Image.fromarray(face[24:194, 4:174]).resize((side, side), Image.Resampling.BILINEAR))


def face_of_size(size: float, confidence: float = 1.0) -> Face:
    return Face((0, 0, size * 0.8, size), np.zeros((5, 2), np.float32), confidence)


def places(
    image: np.ndarray, detector: FaceDetector, which: Faces = "auto"
) -> list[tuple[Face | None, Placement]]:
    """The faces to edit of one image."""
    (found,) = find_places([image], detector, which)
    assert not isinstance(found, DataError)
    return found


def test_faces_are_chosen_by_size_and_confidence() -> None:
    small, large, doubtful, medium = (
        face_of_size(39),
        face_of_size(200),
        face_of_size(300, 0.5),
        face_of_size(40),
    )
    faces = [small, large, doubtful, medium]
    assert choose_faces(faces, "all", 40, 0.9) == [large, medium]
    assert choose_faces(faces, "largest", 40, 0.9) == [large]
    assert choose_faces(faces, "all", 0, 0) == [doubtful, large, medium, small]
    assert choose_faces(faces, "largest", 500, 0) == []


def test_detector_runs_only_where_the_quick_check_sees_no_face() -> None:
    detector = FixedDetector()
    ((face, whole),) = places(drawn_face(), detector)
    assert face is None
    assert whole.box is not None
    assert detector.calls == 0
    assert places(blank(178, 218), detector) == []
    assert detector.calls == 1


def test_images_declared_as_aligned_are_not_checked() -> None:
    detector = FixedDetector()
    for image in (blank(178, 218), blank(200, 200)):
        ((face, _),) = places(image, detector, "aligned")
        assert face is None
    assert detector.calls == 0
    (refused,) = find_places([blank(300, 200)], detector, "aligned")
    assert isinstance(refused, DataError)
    assert refused.stage == "find"


@pytest.mark.parametrize(("x", "is_aligned"), [(0.0, True), (35.0, True), (120.0, False)])
def test_detected_face_counts_as_aligned_only_at_its_place(x: float, is_aligned: bool) -> None:
    found = Face((30.0, 60.0, 150.0, 190.0), np.add(TEMPLATE, (x, 0)).astype(np.float32), 1.0)
    ((face, _),) = places(noise(1), FixedDetector(found))
    assert (face is None) == is_aligned
