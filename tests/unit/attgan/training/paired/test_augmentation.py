"""Both faces of a pair are augmented alike, and only the source gets noise and compression."""

import numpy as np
import torch

from attgan.training.paired.augmentation import augment_pair


def faces(count: int = 40) -> torch.Tensor:
    smooth = torch.linspace(0.2, 0.8, 64).expand(count, 3, 64, 64).clone()
    smooth[:, :, 20:40] *= torch.tensor([1.0, 0.8, 0.7])[:, None, None]
    return smooth


def test_change_has_neither_noise_nor_compression() -> None:
    before = faces()
    after = before.clone()
    after[:, :, :, 40:] = 0.1
    _, change = augment_pair(before, after, np.random.default_rng(0), flip=False)
    # The left half of the faces is equal, far from the change, its blur and its shift.
    assert float(change[..., :30].abs().max()) == 0
    assert float(change[..., 50:].abs().mean()) > 0.2
