"""PSNR and SSIM against a plain NumPy reference and known values; accuracies against counting."""

import numpy as np
import pytest
import torch

from attgan.evaluation.metrics import psnr, right_attributes, right_verdicts, ssim


def noise(seed: int, count: int = 2, side: int = 24) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, side, side, generator=generator) * 2 - 1


def plain_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """One (H, W) channel in [-1, 1], brought to [0, 255], window by window as the paper writes it."""
    x, y = (x + 1) * 127.5, (y + 1) * 127.5
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            covariance = (window * (a - mean_a) * (b - mean_b)).sum()
            above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
            values.append(above / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)))
    return float(np.mean(values))


@pytest.mark.parametrize("contrast", [1.0, 0.01])
def test_ssim_is_the_papers(contrast: float) -> None:
    """Also of nearly white images, in which the variances are hardly above the resolution of float32."""
    x, y = ((1 - contrast) + contrast * image for image in (noise(0), 0.7 * noise(0) + 0.3 * noise(1)))
    expected = [
        np.mean([plain_ssim(a, b) for a, b in zip(one, other, strict=True)])
        for one, other in zip(x.double().numpy(), y.double().numpy(), strict=True)
    ]
    assert ssim(x, y).numpy() == pytest.approx(expected, abs=2e-5)


def test_psnr_is_that_of_the_eight_bit_images() -> None:
    bytes_x = np.random.default_rng(0).integers(0, 256, (1, 3, 16, 16))
    bytes_y = np.random.default_rng(1).integers(0, 256, (1, 3, 16, 16))
    expected = 10 * np.log10(255**2 / np.mean((bytes_x - bytes_y) ** 2.0))
    x, y = (torch.from_numpy(b / 127.5 - 1) for b in (bytes_x, bytes_y))
    assert psnr(x, y).item() == pytest.approx(expected, abs=1e-4)


def test_an_attribute_is_right_when_its_logit_has_the_labels_sign() -> None:
    logits = torch.tensor([[2.0, -1.0], [-0.1, 0.3]])
    labels = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    assert right_attributes(logits, labels).tolist() == [[1, 0], [1, 1]]


def test_the_critics_threshold_is_halfway_wherever_its_values_lie() -> None:
    real, fake = torch.tensor([5.0, 9.0, 5.5]), torch.tensor([1.0, 2.0, 8.0])
    for shift in (0.0, 1000.0):
        right_real, right_fake = right_verdicts(real + shift, fake + shift)
        assert right_real.tolist() == [0, 1, 1]
        assert right_fake.tolist() == [1, 1, 0]
