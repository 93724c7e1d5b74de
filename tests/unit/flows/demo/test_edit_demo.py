"""The demo's smallest size: whatever is drawn, there is a subset to cut."""

import pytest

from attgan.data.subsets import DEFAULT_RATIO
from attgan.drawn_faces import labels
from attgan.drawn_faces.dataset import face_at
from flows.demo.edit_demo import GLASSES_SHARE
from flows.settings import DemoSettings


# Of 20 faces the first 7, or none, would wear glasses.
@pytest.mark.parametrize("seed", [1, 2, 21])
def test_the_fewest_faces_have_some_with_glasses_and_enough_without(seed: int) -> None:
    (fewest,) = (rule.ge for rule in DemoSettings.model_fields["images"].metadata if hasattr(rule, "ge"))
    wear = sum(labels(face_at(number, seed, GLASSES_SHARE))["Eyeglasses"] for number in range(fewest))
    assert 0 < wear <= DEFAULT_RATIO * fewest
