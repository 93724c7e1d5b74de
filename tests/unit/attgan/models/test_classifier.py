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
