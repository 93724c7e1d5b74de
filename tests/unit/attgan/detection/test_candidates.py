"""Boxes of several photographs are squared, corrected and suppressed."""

import numpy as np

from attgan.detection.candidates import Candidates, best_faces, best_rows, concatenate


def candidates(boxes: list[list[float]], confidence: list[float], image: list[int]) -> Candidates:
    return Candidates(np.array(image), np.array(boxes, float), np.array(confidence, np.float32))


def test_squared_boxes_keep_their_centres() -> None:
    squares = candidates([[0, 0, 10, 30]], [1], [0]).squared()
    np.testing.assert_allclose(squares.boxes, [[-10, 0, 20, 30]])


def test_overlapping_boxes_are_suppressed_within_a_group_only() -> None:
    found = candidates([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], [0.8, 0.9, 0.7], [0, 0, 0])
    assert best_rows(found, found.image, 0.7).tolist() == [1, 2]
    assert sorted(best_rows(found, np.array([0, 1, 1]), 0.7)) == [0, 1, 2]


def test_face_inside_another_is_suppressed_in_the_same_photograph_only() -> None:
    boxes = [[0.0, 0, 100, 100], [30, 30, 60, 60]]
    inside = candidates(boxes, [0.9, 0.8], [0, 0])
    assert best_rows(inside, inside.image, 0.7).tolist() == [0, 1]
    assert best_faces(inside, 0.7).tolist() == [0]
    assert best_faces(candidates(boxes, [0.9, 0.8], [0, 1]), 0.7).tolist() == [0, 1]


def test_no_parts_give_no_candidates() -> None:
    assert len(concatenate([])) == 0
