"""The quick check accepts aligned faces and refuses pictures without a face."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from attgan.detection.aligned_check import holds_face
from attgan.drawn_faces import draw, sample_face
from tests.support.images.scenes import photograph


def page(width: int, height: int) -> np.ndarray:
    """A page of text: no face."""
    picture = Image.new("RGB", (width, height), "white")
    lines = "\n".join("the total of this invoice is due" for _ in range(12))
    ImageDraw.Draw(picture).multiline_text(
        (8, 8), lines, fill="black", font=ImageFont.load_default(max(1, width // 16))
    )
    return np.array(picture)


def without_a_face(width: int, height: int) -> list[np.ndarray]:
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


@pytest.mark.parametrize(("width", "height"), [(178, 218), (128, 128), (1, 1)])
def test_pictures_without_a_face_are_refused(width: int, height: int) -> None:
    assert not holds_face(without_a_face(width, height)).any()


def test_faces_are_accepted_at_every_size() -> None:
    large = np.array(Image.fromarray(drawn()).resize((712, 872)))
    assert holds_face([drawn(), large, drawn(32), drawn(64), drawn(128), drawn(500)]).all()
