"""Photographs are searched together, and each gets its own faces, edited in its own way."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from attgan.attributes import PUBLISHED, parse_edits
from attgan.data.codec import Decoded
from attgan.detection import Face
from attgan.drawn_faces import draw, sample_face
from attgan.editing.editor import Editor, make_editor
from attgan.editing.photographs import EditOptions, Photograph, edit_photographs, find_faces, put_back
from attgan.editing.placement import TEMPLATE, Pixels
from attgan.editing.styles import style_of_face
from attgan.models import load_bundle
from attgan.models.default import default_bundle_path

EYEGLASSES = PUBLISHED.index("Eyeglasses")


@dataclass
class WidthDetector:
    """Finds a face in every image that is wider than high, as confident as the image is wide."""

    calls: list[list[tuple[int, ...]]] = field(default_factory=list)

    def find(self, images: Sequence[Pixels]) -> list[list[Face]]:
        self.calls.append([image.shape[:2] for image in images])
        return [
            [Face((10, 10, 120, 150), TEMPLATE.astype(np.float32), image.shape[1] / 1000)]
            if image.shape[1] > image.shape[0]
            else []
            for image in images
        ]


@pytest.fixture(scope="module")
def editor() -> Editor:
    bundle = load_bundle(default_bundle_path(), with_discriminator=False)
    return make_editor(bundle.generator, "cpu", 4, bundle.classifier)


def of(pixels: Pixels, name: str = "a", **changes: Any) -> Photograph:
    return Photograph(Decoded(pixels, "PNG"), name, **changes)


def blank(width: int, height: int) -> Pixels:
    return np.full((height, width, 3), 200, np.uint8)


def options(**changes: Any) -> EditOptions:
    return EditOptions(PUBLISHED, parse_edits(["Eyeglasses=1"]), **changes)


def test_photographs_are_searched_in_one_call() -> None:
    detector = WidthDetector()
    photographs = [
        of(pixels) for pixels in (blank(910, 400), draw(sample_face(3)), blank(300, 400), blank(950, 410))
    ]
    find_faces(photographs, detector, 64, options(min_confidence=0.5))
    assert detector.calls == [[(400, 910), (400, 300), (410, 950)]]
    found = [[face.found for face in photograph.faces] for photograph in photographs]
    assert [[face and face.confidence for face in faces] for faces in found] == [[0.91], [None], [], [0.95]]
    assert [photograph.problem is None for photograph in photographs] == [True, True, False, True]


def test_each_photograph_has_its_own_style_whatever_is_left_alone_beside_it(editor: Editor) -> None:
    labels = np.zeros(len(PUBLISHED))
    wearer, bare = labels.copy(), labels
    wearer[EYEGLASSES] = 1
    asked = options(faces="aligned", style=("mixed",))
    photographs = [
        of(draw(sample_face(3)), "a", labels=wearer.tolist()),
        of(draw(sample_face(4)), "b", labels=bare.tolist()),
    ]
    edit_photographs(photographs, editor, WidthDetector(), asked)
    left, edited = (photograph.faces[0] for photograph in photographs)
    assert (left.left, left.edited) == ("present", None)
    assert edited.style == ",".join(style_of_face(("mixed",), "b", 0))
    assert [photograph.is_left for photograph in photographs] == [True, False]


def test_a_photograph_is_only_changed_where_that_is_allowed(editor: Editor) -> None:
    pixels = draw(sample_face(4))
    photograph, asked = of(pixels.copy()), options(faces="aligned", edit_present=True)
    edit_photographs([photograph], editor, WidthDetector(), asked)
    after = put_back(photograph, editor.generator.config, asked, in_place=False).pixels
    np.testing.assert_array_equal(photograph.image.pixels, pixels)
    np.testing.assert_array_equal(
        put_back(photograph, editor.generator.config, asked, in_place=True).pixels, after
    )
    assert (after != pixels).any()
