"""The change that an edit makes to a face, as the generator's own training put it into photographs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from attgan.attributes import Edit
from attgan.data.transforms import Pixels
from attgan.editing import compositing
from attgan.editing import difference as thresholded
from attgan.editing.attribute_mask import attribute_mask
from attgan.models import GeneratorConfig

ROUNDING = 2 / 255
"""Differences of this size are halved, and smaller ones vanish: two images in whole grey levels differ so much by
rounding alone, where training saw them unrounded."""

LEAST = 1 / 512
"""Weaker changes move no pixel by a grey level."""


def mask_of(config: GeneratorConfig, edits: Sequence[Edit]) -> Tensor | None:
    """Where in a face the edits may change anything, ``(S, S)``, 0 to 1; None: anywhere."""
    reach = attribute_mask(edits, config.image_size)
    if config.compositing == "thresholded" or reach is None:
        return reach
    return compositing.edit_mask(config.image_size)


SHARPENING, SHARPENING_SIGMA = 0.8, 1.0
"""Where a face is larger in the photograph than the generator draws it, so much of what a Gaussian blur takes from the
change is added to it; sigma is in the generator's pixels. On validation faces, enlarged 2.7 times, the shipped bundle's
glasses are then 4 % sharper, and no farther from rendered ones (19.9 grey levels for 20.0); stronger sharpening is."""


def change_of(
    config: GeneratorConfig, edits: Sequence[Edit], edited: Pixels, unedited: Pixels, side: float
) -> Tensor:
    """How far each pixel of a face is drawn towards black or white.

    Args:
        config: of the generator; its ``compositing`` decides how.
        edits: what was asked for. Other attributes than glasses may show anywhere, and are always thresholded.
        edited: ``(S, S, 3)`` uint8, the generator's output with the edits.
        unedited: likewise, without them.
        side: of the face's square in the photograph, in its pixels.

    Returns:
        ``(3, S, S)`` float32, -1 (black) to 1 (white).
    """
    reach = attribute_mask(edits, len(edited))
    if config.compositing == "thresholded" or reach is None:
        return thresholded.relative_change(edited, unedited, reach)
    before = _planes(unedited)
    difference = _planes(edited) - before
    square = difference * difference
    after = before + difference * (square / (square + ROUNDING * ROUNDING))
    mask = compositing.edit_mask(len(edited))
    change = compositing.relative_change(after, before, mask)
    # A face that is as large as the generator's is what training saw.
    amount = SHARPENING * min(max(side / len(edited) - 1, 0.0), 1.0)
    if amount > 0:
        change = _sharpened(change, amount) * (mask > 0)
    # What would move no pixel by a grey level is left out, so that those pixels stay as they are.
    return torch.where(change.abs() < LEAST, 0.0, change)


def _sharpened(change: Tensor, amount: float) -> Tensor:
    """Unsharp masking of ``(3, S, S)``, within -1 to 1."""
    taps = torch.exp(-0.5 * (torch.arange(-2, 3) / SHARPENING_SIGMA) ** 2)
    taps = (taps / taps.sum())[None, None]
    planes = F.pad(change[:, None], (2, 2, 2, 2), mode="replicate")
    blurred = F.conv2d(F.conv2d(planes, taps[..., None, :]), taps[..., None])[:, 0]
    return torch.lerp(blurred, change, 1 + amount).clamp(-1, 1)


def _planes(face: Pixels) -> Tensor:
    return torch.from_numpy(face).permute(2, 0, 1).float() / 255
