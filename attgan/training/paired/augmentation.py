"""Augmentation of pairs: both faces are shifted, toned, made grey and blurred alike; the source gets noise and JPEG.

The change that the glasses make is computed after what a camera does to the whole scene (geometry, light, blur), and
added to the source after what it does to single pixels (noise, JPEG). So the network learns glasses that fit the
photograph, and never has to predict noise.

Values are 0 to 1.
"""

from __future__ import annotations

import math

import numpy as np
import simplejpeg
import torch
import torch.nn.functional as F
from torch import Tensor

# Largest rotation in degrees, change of scale, and shift in shares of the side: as face detectors misplace eyes.
_TURN, _SCALE, _SHIFT = 2.5, 0.03, 0.012
# Shares of images that are made grey, blurred, noisy and compressed.
_GREY = 0.15
_BLURRED = 0.3
_NOISY = 0.35
_COMPRESSED = 0.35
_LUMA = torch.tensor([0.299, 0.587, 0.114])


def augment_pair(
    before: Tensor, after: Tensor, random: np.random.Generator, flip: bool
) -> tuple[Tensor, Tensor]:
    """Augment each pair as one photograph.

    Args:
        before, after: ``(N, 3, S, S)``, faces that differ by a pair of glasses.
        random: the source of all randomness.
        flip: whether every second pair is mirrored.

    Returns:
        The source, and the change ``(N, 3, S, S)``, -1 to 1, that leads from it to the target.
    """
    count = len(before)
    # (N, 6, S, S), so that both faces of a pair are moved and blurred alike.
    both = _moved(torch.cat([before, after], dim=1), random, flip)
    both = _blurred(both, random)
    tones = _tones(count, np.random.default_rng(int(random.integers(2**32))))
    first, second = _toned(both[:, :3], *tones), _toned(both[:, 3:], *tones)
    source = _compressed(_noisy(first, random), random)
    return source, second - first


def augment(images: Tensor, random: np.random.Generator, flip: bool) -> Tensor:
    """Augment each of ``(N, 3, S, S)`` faces as one photograph; ``flip`` mirrors every second one."""
    moved = _blurred(_moved(images, random, flip), random)
    return _compressed(_noisy(_toned(moved, *_tones(len(images), random)), random), random)


def _moved(images: Tensor, random: np.random.Generator, flip: bool) -> Tensor:
    count, channels, side, _ = images.shape
    turn = np.deg2rad(random.uniform(-_TURN, _TURN, count))
    scale = np.exp(random.uniform(-_SCALE, _SCALE, count))
    shift = random.uniform(-2 * _SHIFT, 2 * _SHIFT, (count, 2))
    mirror = np.where(random.random(count) < 0.5, -1.0, 1.0) if flip else np.ones(count)
    cos, sin = np.cos(turn) / scale, np.sin(turn) / scale
    matrix = np.stack(
        [np.stack([mirror * cos, -mirror * sin, shift[:, 0]], 1), np.stack([sin, cos, shift[:, 1]], 1)], 1
    )
    grid = F.affine_grid(torch.from_numpy(matrix).float(), [count, channels, side, side], align_corners=False)
    return F.grid_sample(images, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(0, 1)


def _blurred(images: Tensor, random: np.random.Generator) -> Tensor:
    sigmas = np.where(random.random(len(images)) < _BLURRED, random.uniform(0.4, 1.2, len(images)), 0.0)
    sigmas = sigmas * images.shape[-1] / 128
    result = images.clone()
    for index in np.flatnonzero(sigmas):
        result[index] = _gaussian(images[index], float(sigmas[index]))
    return result


def _gaussian(image: Tensor, sigma: float) -> Tensor:
    radius = max(1, math.ceil(2.5 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum())[None, None]
    planes = F.pad(image[:, None], (radius, radius, radius, radius), mode="replicate")
    return F.conv2d(F.conv2d(planes, kernel[..., None, :]), kernel[..., None])[:, 0]


def _tones(count: int, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gain of each colour ``(N, 3, 1, 1)``, gamma, contrast, and saturation ``(N, 1, 1, 1)``."""
    gains = np.exp(random.normal(0, 0.12, (count, 1)) + random.normal(0, 0.035, (count, 3)))
    gamma = np.exp(random.normal(0, 0.13, count))
    contrast = np.exp(random.normal(0, 0.1, count))
    saturation = np.where(random.random(count) < _GREY, 0.0, np.exp(random.normal(0, 0.15, count)))
    return tuple(  # type: ignore[return-value]
        torch.from_numpy(values).float().reshape(count, -1, 1, 1)
        for values in (gains, gamma, contrast, saturation)
    )


def _toned(images: Tensor, gains: Tensor, gamma: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    toned = (images.clamp(1e-4, 1) ** gamma - 0.45) * contrast + 0.45
    toned = toned * gains
    grey = (toned * _LUMA[:, None, None]).sum(1, keepdim=True)
    return (grey + (toned - grey) * saturation).clamp(0, 1)


def _noisy(images: Tensor, random: np.random.Generator) -> Tensor:
    sigmas = np.where(random.random(len(images)) < _NOISY, random.uniform(1, 8, len(images)) / 255, 0.0)
    if not sigmas.any():
        return images
    noise = random.standard_normal(images.shape, dtype=np.float32)
    # A photograph without colour has noise without colour.
    flat = (images.amax(1) - images.amin(1)).amax((1, 2)) < 2 / 255
    noise[flat.numpy()] = noise[flat.numpy()][:, :1]
    return (images + torch.from_numpy(noise * sigmas[:, None, None, None].astype(np.float32))).clamp(0, 1)


def _compressed(images: Tensor, random: np.random.Generator) -> Tensor:
    chosen = np.flatnonzero(random.random(len(images)) < _COMPRESSED)
    qualities = random.integers(40, 95, len(images))
    result = images.clone()
    for index in chosen:
        pixels = (images[index] * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        data = simplejpeg.encode_jpeg(pixels, quality=int(qualities[index]), colorsubsampling="420")
        decoded = simplejpeg.decode_jpeg(data)
        result[index] = torch.from_numpy(decoded).permute(2, 0, 1).float() / 255
    return result
