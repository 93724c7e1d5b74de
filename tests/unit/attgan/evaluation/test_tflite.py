"""A TFLite file gives verdicts and the features before its last layer; what is no such file is refused."""

import numpy as np
import pytest

from attgan.evaluation.eye_region import eye_region
from attgan.evaluation.tflite import SIZE, load_eye_network
from tests.support.data.tiny_tflite import mean_colour_network
from tests.support.images.pictures import noise
from tests.support.refusals import refused


def test_logit_and_features_are_those_of_the_eye_region() -> None:
    network = load_eye_network(mean_colour_network((1.0, -0.5, 0.25), -20.0), "--evaluator x")
    faces = np.stack([noise(seed, SIZE, SIZE) for seed in range(4)])
    logits, features = network.look(faces)
    means = np.stack([eye_region(face, 128, 64).mean(axis=(0, 1)) for face in faces])
    np.testing.assert_allclose(features, means, rtol=1e-4)
    np.testing.assert_allclose(logits, means @ [1.0, -0.5, 0.25] - 20, rtol=1e-4)
    assert network.feature_name == "means (3 numbers)"


@pytest.mark.parametrize("data", [b"", b"TFL3 is not enough", mean_colour_network((1, 1, 1), 0)[:200]])
def test_what_is_no_network_is_refused(data: bytes) -> None:
    with refused("eye-network-unreadable", "--evaluator"):
        load_eye_network(data, "--evaluator x")
