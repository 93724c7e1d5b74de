"""The losses and the validation of the paired strategy: composites compared with their targets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from attgan.editing.compositing import composite, edit_mask
from attgan.evaluation.metrics import psnr, right_attributes, ssim
from attgan.models import AttributeClassifier, Generator
from attgan.training.losses import reconstruction_loss
from attgan.training.paired.pairs import PairBatch, Pairs, draw_pairs
from attgan.training.validation import HIGHEST_PSNR

_BATCH = 32
_SCALES = (1, 2, 4)


class PairedWeights(NamedTuple):
    """Weights of the terms, each a mean over images, colours and pixels.

    Attributes:
        pairs: distance of the composite from its target, a mean over three scales.
        edges: distance of their gradients, along both axes: a frame's few edge pixels decide how it looks.
        reconstruction: distance of the unedited output from the photograph.
    """

    pairs: float = 100.0
    edges: float = 50.0
    reconstruction: float = 20.0


class PairedLosses(NamedTuple):
    """Scalars; only ``total`` can be differentiated."""

    total: Tensor
    pairs: Tensor
    edges: Tensor
    reconstruction: Tensor


def paired_losses(generator: Generator, batch: PairBatch, weights: PairedWeights) -> PairedLosses:
    """The generator's losses on one batch of pairs. The photographs are encoded once, for both outputs.

    Args:
        generator: on the batch's device.
        batch: N pairs.
        weights: of the terms.
    """
    composed, unedited = composites(generator, batch)
    distance = (composed - (batch.target + 1) / 2).mul(2)
    # A generator that is unsure where a thin rim is minimises the L1 distance by drawing none. At coarser scales, where
    # the rim is a smear, drawing it lowers the loss.
    pairs = torch.stack([_coarser(distance, scale).abs().mean() for scale in _SCALES]).mean()
    edges = distance.diff(dim=2).abs().mean() + distance.diff(dim=3).abs().mean()
    reconstruction = reconstruction_loss(unedited, batch.source)
    total = weights.pairs * pairs + weights.edges * edges + weights.reconstruction * reconstruction
    return PairedLosses(total, pairs.detach(), edges.detach(), reconstruction.detach())


def _coarser(distance: Tensor, scale: int) -> Tensor:
    return distance if scale == 1 else functional.avg_pool2d(distance, scale)


def composites(generator: Generator, batch: PairBatch) -> tuple[Tensor, Tensor]:
    """The images that a user would receive, ``(N, 3, S, S)`` in [0, 1], and the unedited outputs in [-1, 1]."""
    features = generator.encode(batch.source)
    edited = generator.decode(features, batch.edited)
    unedited = generator.decode(features, batch.unedited)
    mask = edit_mask(batch.source.shape[-1]).to(batch.source.device)
    face, with_edit, without = ((image + 1) / 2 for image in (batch.source, edited.float(), unedited.float()))
    return composite(face, with_edit, without, mask), unedited.float()


def hold_out_pairs(pairs: Pairs, labels: np.ndarray, attribute: int, seed: int) -> list[PairBatch]:
    """Fixed pairs of all held-out faces: glasses are added, at full intensity, with their styles named.

    Args:
        pairs: of the held-out faces.
        labels: ``(R, n)`` bool, of these faces.
        attribute: column of the glasses.
        seed: of the run.
    """
    return [
        draw_pairs(
            pairs,
            pairs.rows[start : start + _BATCH],
            torch.from_numpy(labels[start : start + _BATCH].astype(np.float32)),
            attribute=attribute,
            seed=seed,
            purpose="held-out pairs",
            step=start,
            flip=False,
            plain=True,
        )
        for start in range(0, len(pairs.rows), _BATCH)
    ]


@torch.no_grad()
def validate_pairs(
    generator: Generator,
    held_out: list[PairBatch],
    weights: PairedWeights,
    classifier: AttributeClassifier | None,
    attribute: int,
) -> dict[str, float]:
    """Measure a generator, in evaluation mode, on fixed pairs.

    Args:
        generator: on the pairs' device.
        held_out: as :func:`hold_out_pairs` returned them.
        weights: of the losses.
        classifier: predicts which composites have glasses; None if there is none.
        attribute: column of the glasses.

    Returns:
        ``generator_loss`` with its terms; ``pair_ssim``, of composites and targets within the edit mask's rows;
        ``edited_accuracy``, the share of composites with glasses; ``psnr`` and ``ssim`` of the reconstruction; and
        ``quality``, the pair's SSIM, by which the best state is chosen.
    """
    sums: dict[str, float] = {}
    count = 0
    rows = np.flatnonzero(edit_mask(held_out[0].source.shape[-1]).numpy().any(1))
    band = slice(int(rows[0]), int(rows[-1]) + 1)
    for batch in held_out:
        losses = paired_losses(generator, batch, weights)
        composed, unedited = composites(generator, batch)
        values = {
            "generator_loss": losses.total,
            "pairs": losses.pairs,
            "edges": losses.edges,
            "reconstruction": losses.reconstruction,
            "pair_ssim": ssim(composed[:, :, band] * 2 - 1, batch.target[:, :, band]).mean(),
            "psnr": psnr(unedited, batch.source).clamp(max=HIGHEST_PSNR).mean(),
            "ssim": ssim(unedited, batch.source).mean(),
        }
        if classifier is not None:
            predicted = classifier(composed * 2 - 1)
            values["edited_accuracy"] = right_attributes(predicted, torch.ones_like(predicted))[
                :, attribute
            ].mean()
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(batch.source)
        count += len(batch.source)
    numbers = {name: total / count for name, total in sums.items()}
    return numbers | {"quality": numbers["pair_ssim"]}
