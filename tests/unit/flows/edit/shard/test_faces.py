"""The photographs of a chunk are searched together, and each gets its own faces."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

import flows.edit.shard.faces
from attgan.data.codec import Decoded
from attgan.detection import Face
from attgan.drawn_faces import draw, sample_face
from attgan.editing.placement import TEMPLATE, Pixels
from flows.edit.job import resolve
from flows.edit.ledger import Row
from flows.edit.shard.faces import find_faces
from flows.edit.shard.item import Item
from flows.settings import EditSettings

MakeSettings = Callable[..., EditSettings]


class WidthDetector:
    """Finds a face in every image that is wider than high, as confident as the image is wide."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[int, ...]]] = []

    def find(self, images: Sequence[Pixels]) -> list[list[Face]]:
        self.calls.append([image.shape[:2] for image in images])
        return [
            [Face((10, 10, 120, 150), TEMPLATE.astype(np.float32), image.shape[1] / 1000)]
            if image.shape[1] > image.shape[0]
            else []
            for image in images
        ]


def item(pixels: Pixels | None) -> Item:
    return Item(Row("a", "a", "e"), 1, image=None if pixels is None else Decoded(pixels, "PNG"))


def blank(width: int, height: int) -> Pixels:
    return np.full((height, width, 3), 200, np.uint8)


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> WidthDetector:
    made = WidthDetector()
    monkeypatch.setattr(flows.edit.shard.faces, "detector_of", lambda min_face, on_gpu: made)
    return made


def test_photographs_are_searched_in_one_call(detector: WidthDetector, settings: MakeSettings) -> None:
    chunk = [
        item(pixels)
        for pixels in (blank(910, 400), draw(sample_face(3)), None, blank(300, 400), blank(950, 410))
    ]
    find_faces(chunk, 64, resolve(settings(bundle="default", min_confidence=0.5)))
    assert detector.calls == [[(400, 910), (400, 300), (410, 950)]]
    assert [len(image.faces) for image in chunk] == [1, 1, 0, 0, 1]
    confidences = [row["confidence"] for image in chunk for row in image.row.faces or ()]
    assert confidences == [0.91, 0.95]
    # The aligned image's own face has no row.
    assert chunk[1].faces[0].row is None
    assert (chunk[3].row.status, chunk[3].row.stage) == ("skipped", "find")


def test_image_that_is_not_aligned_as_declared_is_skipped(
    detector: WidthDetector, settings: MakeSettings
) -> None:
    chunk = [item(blank(300, 200)), item(blank(200, 200))]
    find_faces(chunk, 64, resolve(settings(bundle="default", faces="aligned")))
    assert (chunk[0].row.status, chunk[0].row.stage) == ("skipped", "find")
    assert len(chunk[1].faces) == 1
    assert not any(detector.calls)
