import pytest
import torch

from attgan.models import AttributeClassifier, ClassifierConfig, fresh


@pytest.mark.parametrize("size", [64, 192])
def test_face_of_any_size_gets_one_logit_per_attribute(faces, size):
    classifier = fresh(AttributeClassifier, ClassifierConfig(width=4, image_size=size, n_attributes=5), 0)
    logits = classifier(faces(3, size))
    assert logits.shape == (3, 5)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    with pytest.raises(ValueError, match="images of shape"):
        classifier(faces(3, size + 32))


def test_larger_face_is_reduced_first(lived_in, faces):
    """What is finer than 64 px plays no part: a face of 128 px and its means over 2×2 pixels look the same."""
    large = lived_in(AttributeClassifier, ClassifierConfig(width=4, image_size=128))
    small = AttributeClassifier(ClassifierConfig(width=4, image_size=64)).eval()
    small.load_state_dict(large.state_dict())
    images = faces(2, 128)
    means = images.reshape(2, 3, 64, 2, 64, 2).mean((3, 5))
    with torch.inference_mode():
        torch.testing.assert_close(large(images), small(means))
