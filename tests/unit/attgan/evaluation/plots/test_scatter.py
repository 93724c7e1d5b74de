"""The picture of trials by two metrics."""

import io

from PIL import Image

from attgan.evaluation.plots.scatter import Point, draw_front


def points(*, on_front: bool) -> list[Point]:
    return [Point(f"{number:03d}", 100.0 * number, 0.5 + number / 20, on_front) for number in range(5)]


def test_the_front_looks_different_from_other_trials_and_the_bytes_are_stable() -> None:
    front, others = (
        draw_front(points(on_front=on_front), x="steps", y="quality") for on_front in (True, False)
    )
    assert front == draw_front(points(on_front=True), x="steps", y="quality")
    assert front != others
    with Image.open(io.BytesIO(front)) as image:
        assert (image.format, image.size) == ("PNG", (700, 460))
