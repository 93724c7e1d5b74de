"""Faces are found where they were drawn, with their landmarks, whatever the other photographs are."""

import hashlib
import json
from importlib import resources

import numpy as np
import pytest
import torch

from attgan.detection import Face, FaceDetector, make_mtcnn
from attgan.detection.cascade import Cascade, load_cascade
from attgan.detection.similarity import apply
from attgan.drawn_faces import draw, sample_face
from tests.support.images.scenes import photograph, placement

# Where this detector finds the landmarks of an aligned picture, drawn or photographed, to about two pixels.
ALIGNED = np.array([[69.2, 111], [108.8, 111], [89, 135.5], [70.6, 153.2], [107.2, 153.2]])


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return make_mtcnn()


def same(one: list[Face], other: list[Face]) -> bool:
    return len(one) == len(other) and all(
        a.box == b.box and a.confidence == b.confidence and (a.landmarks == b.landmarks).all()
        for a, b in zip(one, other, strict=True)
    )


def error(face: Face, matrix: np.ndarray) -> float:
    """Mean distance of the landmarks from where they should be, in shares of the distance between the eyes."""
    wanted = apply(matrix, ALIGNED)
    distance = np.hypot(*(face.landmarks - wanted).T).mean()
    return float(distance / np.hypot(*(wanted[1] - wanted[0])))


def test_every_drawn_face_is_found_once(detector: FaceDetector) -> None:
    found = detector.find([draw(sample_face(seed)) for seed in range(12)])
    assert [len(faces) for faces in found] == [1] * 12
    middle = np.mean([faces[0].landmarks for faces in found], axis=0)
    assert np.abs(middle - ALIGNED).max() < 2.5


@pytest.mark.parametrize(("scale", "degrees"), [(0.6, -25), (1.0, 25), (3.1, 0)])
def test_faces_are_found_at_any_size_and_rotation(
    detector: FaceDetector, scale: float, degrees: float
) -> None:
    matrix = placement(120, 90, scale, degrees)
    faces = detector.find([photograph(840, 860, {3: matrix})])[0]
    assert len(faces) == 1
    assert error(faces[0], matrix) < 0.12


def test_several_faces_are_found_the_most_confident_first(detector: FaceDetector) -> None:
    places = {1: placement(20, 30, 0.9), 2: placement(300, 40, 1.3), 5: placement(560, 20, 0.7, 12)}
    faces = detector.find([photograph(760, 400, places)])[0]
    assert len(faces) == 3
    for matrix in places.values():
        assert min(error(face, matrix) for face in faces) < 0.12
    assert [face.confidence for face in faces] == sorted((f.confidence for f in faces), reverse=True)


def test_no_face_is_found_where_there_is_none(detector: FaceDetector) -> None:
    random = np.random.default_rng(0)
    noise = random.integers(0, 255, (200, 260, 3), dtype=np.uint8)
    ramp = np.broadcast_to(np.linspace(0, 255, 300).astype(np.uint8)[:, None], (240, 300, 3))
    assert detector.find([noise, ramp, np.zeros((150, 150, 3), np.uint8)]) == [[], [], []]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (333, 17)])
def test_photographs_too_small_for_a_face_have_none(detector: FaceDetector, height: int, width: int) -> None:
    assert detector.find([np.full((height, width, 3), 120, np.uint8)]) == [[]]


def test_result_does_not_depend_on_the_other_photographs(detector: FaceDetector) -> None:
    images = [draw(sample_face(seed)) for seed in range(3)]
    images.append(photograph(500, 300, {7: placement(200, 20, 1.2), 8: placement(10, 40)}))
    images.append(np.zeros((64, 64, 3), np.uint8))
    together = detector.find(images)
    backwards = detector.find(images[::-1])[::-1]
    for image, one, other in zip(images, together, backwards, strict=True):
        alone = detector.find([image])[0]
        assert same(alone, one)
        assert same(alone, other)


def test_faces_of_a_reduced_photograph_are_in_its_own_pixels() -> None:
    small = make_mtcnn(longest_side=400)
    matrix = placement(400, 300, 5.0)
    faces = small.find([photograph(2000, 1600, {9: matrix})])[0]
    assert len(faces) == 1
    assert error(faces[0], matrix) < 0.12


def test_weights_are_those_that_were_measured() -> None:
    data = (resources.files("attgan.detection") / "mtcnn.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert header["__metadata__"]["source"].startswith("mtcnn 1.0.0")
    assert (
        hashlib.sha256(data).hexdigest() == "f445355935d40e9c894c8a206e59135ec5cb0f878798634c91a43c4ac54be93f"
    )
    assert load_cascade().state_dict().keys() == Cascade().state_dict().keys()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_finds_the_faces_of_the_cpu(detector: FaceDetector) -> None:
    images = [draw(sample_face(seed)) for seed in range(40)]
    on_gpu = make_mtcnn("cuda")
    found = on_gpu.find(images)
    for image, one, other in zip(images, detector.find(images), found, strict=True):
        assert same(on_gpu.find([image])[0], other)
        assert len(one) == len(other)
        assert np.abs(one[0].landmarks - other[0].landmarks).max() < 0.5
