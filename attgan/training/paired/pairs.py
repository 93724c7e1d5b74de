"""Training pairs: bare faces of a dataset, and the same faces wearing rendered glasses.

For every bare face, a few pairs of glasses are rendered before the first step. Each step then chooses at random, for
each of its faces, one of them, a direction (adding or removing glasses), and how the photograph was taken. All of this
follows from the seed and the step's number.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attgan import glasses
from attgan.attributes import LABEL_SCALE
from attgan.data.loading.loader import Faces
from attgan.data.loading.shared import UNUSED_SECONDS
from attgan.data.manifest import to_bytes
from attgan.data.transforms import CELEBA_CROP, CELEBA_SIZE
from attgan.detection.mtcnn import make_mtcnn
from attgan.editing.compositing import edit_mask
from attgan.editing.placement import TEMPLATE
from attgan.glasses import STYLES, put_on
from attgan.glasses.designs import DEFAULT, design_of, rng_of, sample_design
from attgan.randomness import random_for
from attgan.training.paired.augmentation import augment_pair

# The share of pairs that teach removing glasses instead of adding them.
REMOVED = 0.2
# The share of pairs without named styles; these have the default design.
UNNAMED = 0.1
# The share of pairs with less than full intensity.
FAINT = 0.2
_FACES_AT_A_TIME = 64
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pairs:
    """Bare faces, and the same faces wearing glasses.

    Attributes:
        rows: ``(R,)`` int64, ascending: the dataset's rows of the faces.
        bare: ``(R, S, S, 3)`` uint8.
        worn: ``(R, V, h, S, 3)`` uint8, the rows ``top`` to ``top + h`` of the face with each of V pairs of glasses.
        styles: ``(R, V, k)`` bool.
        unknown: ``(R, n)`` bool, attributes that the dataset does not contain.
        top: the first row of the edit mask.
    """

    rows: NDArray[np.int64]
    bare: NDArray[np.uint8]
    worn: NDArray[np.uint8]
    styles: NDArray[np.bool_]
    unknown: NDArray[np.bool_]
    top: int

    def wearing(self, places: NDArray[np.int64], variants: NDArray[np.int64]) -> NDArray[np.uint8]:
        """``(N, S, S, 3)`` uint8: the faces at ``places`` of :attr:`rows` with one pair each, as in ``variants``."""
        faces = self.bare[places]
        band = self.worn[places, variants]
        faces[:, self.top : self.top + band.shape[1]] = band
        return faces


class PairBatch(NamedTuple):
    """The pairs of one step: N images of S pixels, n attributes and k styles.

    Attributes:
        source: ``(N, 3, S, S)`` in [-1, 1], the photographs.
        target: likewise, what the composites should be.
        unedited: ``(N, n + k)``, the generator's input vector for the photographs as they are.
        edited: ``(N, n + k)``, its input vector for the targets.
    """

    source: Tensor
    target: Tensor
    unedited: Tensor
    edited: Tensor


def render_pairs(
    faces: Faces,
    rows: NDArray[np.int64],
    *,
    variants: int,
    seed: int,
    threads: int = 1,
    report: Callable[[int, int], None] | None = None,
    keep: Path | None = None,
) -> Pairs:
    """Put ``variants`` pairs of glasses on each of the bare faces ``rows``.

    Args:
        faces: of the dataset, at the size of the network.
        rows: ``(R,)`` int64, ascending.
        variants: V, at least 1; the first one has the default design.
        seed: of the choice of designs. The other rows do not affect those of a row.
        threads: threads that render.
        report: called with the number of finished rows and the number of all rows.
        keep: a folder on this machine's disk, where the pairs are kept for the next training on the same faces; where
            that fails, a line in the log says so.
    """
    file = None if keep is None else keep / f"{_digest(faces, rows, variants, seed)}.npz"
    if file is not None and file.exists():
        return _load(file, rows, faces)
    pairs = _render(faces, rows, variants, seed, threads, report)
    if file is not None:
        try:
            _save(file, pairs)
        except OSError as error:
            reason = error.strerror or error
            _log.warning("the next training renders its pairs again, because %s: %s", keep, reason)
    return pairs


def _render(
    faces: Faces,
    rows: NDArray[np.int64],
    variants: int,
    seed: int,
    threads: int,
    report: Callable[[int, int], None] | None,
) -> Pairs:
    size = faces.size
    inside = np.flatnonzero(edit_mask(size).numpy().any(1))
    top, bottom = int(inside[0]), int(inside[-1]) + 1
    bare = np.empty((len(rows), size, size, 3), np.uint8)
    worn = np.empty((len(rows), variants, bottom - top, size, 3), np.uint8)
    styles = np.zeros((len(rows), variants, len(STYLES)), bool)
    detector = make_mtcnn("cpu", min_face=size / 4)

    def render(place: int) -> None:
        (found,) = detector.find([bare[place]])
        landmarks = found[0].landmarks if found else expected_landmarks(size)
        for variant in range(variants):
            rng = random_for(seed, "glasses", int(rows[place]), variant)
            # The first pair of glasses is the one that is drawn if no style is named.
            chosen = sample_design(rng) if variant else DEFAULT
            pair = design_of(chosen)
            worn[place, variant] = put_on(bare[place], landmarks, pair, rng_of(chosen))[top:bottom]
            styles[place, variant] = pair.style_labels

    with ThreadPoolExecutor(threads, "render") as pool:
        for start in range(0, len(rows), _FACES_AT_A_TIME):
            places = range(start, min(start + _FACES_AT_A_TIME, len(rows)))
            images = faces.take(rows[start : places.stop]).images
            bare[start : places.stop] = images.permute(0, 2, 3, 1).numpy()
            list(pool.map(render, places))
            if report is not None:
                report(places.stop, len(rows))
    return Pairs(rows, bare, worn, styles, faces.unknown[rows], top)


def _load(file: Path, rows: NDArray[np.int64], faces: Faces) -> Pairs:
    # A used file becomes recent again, so that _save does not remove it.
    file.touch()
    with np.load(file) as arrays:
        bare, worn, styles = arrays["bare"], arrays["worn"], arrays["styles"]
        return Pairs(rows, bare, worn, styles, faces.unknown[rows], int(arrays["top"]))


def _save(file: Path, pairs: Pairs) -> None:
    """Write the pairs, and remove files in the folder that were not used for a long time.

    Raises:
        OSError: the disk is full, or the folder cannot be written to; no draft is left.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for other in file.parent.glob("*.npz"):
        if other.stat().st_mtime < time.time() - UNUSED_SECONDS:
            other.unlink(missing_ok=True)
    # Another process may save the same pairs: each writes a file of its own, and the last one to rename it wins. Its
    # suffix lets a later training remove the draft of a process that was killed.
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=file.suffix, delete=False) as draft:
        try:
            np.savez(draft, bare=pairs.bare, worn=pairs.worn, styles=pairs.styles, top=np.array(pairs.top))
            draft.flush()
            os.replace(draft.name, file)
        except BaseException:
            os.unlink(draft.name)
            raise


def _digest(faces: Faces, rows: NDArray[np.int64], variants: int, seed: int) -> str:
    """A digest of all that decides the pairs, including the renderer's source code."""
    total = hashlib.sha256(to_bytes(faces.dataset.manifest))
    total.update(f"{faces.size} {variants} {seed}".encode())
    total.update(np.ascontiguousarray(rows, dtype="<i8").tobytes())
    for source in sorted(Path(glasses.__file__).parent.glob("*.py")):
        total.update(source.read_bytes())
    return total.hexdigest()[:32]


def expected_landmarks(size: int) -> NDArray[np.float64]:
    """``(5, 2)``: the usual landmarks of an aligned face, in pixels of its square of side ``size``."""
    margin = (np.array(CELEBA_SIZE) - CELEBA_CROP) / 2
    expected: NDArray[np.float64] = (TEMPLATE - margin) * (size / CELEBA_CROP)
    return expected


def draw_pairs(
    pairs: Pairs,
    rows: NDArray[np.int64],
    labels: Tensor,
    *,
    attribute: int,
    seed: int,
    purpose: str,
    step: int,
    flip: bool,
    plain: bool = False,
) -> PairBatch:
    """Choose and augment the pairs of one step.

    Args:
        pairs: of the whole training.
        rows: ``(N,)``, the dataset's rows of the faces.
        labels: ``(N, n)`` in {0, 1}, of these faces on the CPU.
        attribute: column of the glasses.
        seed, purpose, step: they decide all that is random.
        flip: whether every second pair is mirrored.
        plain: glasses are only added, at full intensity, with their styles named; for validation.
    """
    random = random_for(seed, purpose, step)
    count = len(rows)
    places = np.searchsorted(pairs.rows, rows)
    variants = random.integers(pairs.worn.shape[1], size=count)
    remove = random.random(count) < (0 if plain else REMOVED)
    unnamed = random.random(count) < (0 if plain else UNNAMED)
    variants[unnamed] = 0
    before, after = _images(pairs.bare[places]), _images(pairs.wearing(places, variants))
    intensity = np.where(random.random(count) < (0 if plain else FAINT), random.uniform(0.3, 1.0, count), 1.0)
    mask = edit_mask(before.shape[-1])
    source, change = augment_pair(before, after, random, flip)
    backwards = torch.from_numpy(remove)[:, None, None, None]
    # A backwards pair has the photograph with glasses as its source, and the one without as its target.
    source = torch.where(backwards, (source + change * mask).clamp(0, 1), source)
    change = (
        torch.where(backwards, -change, change) * torch.from_numpy(intensity).float()[:, None, None, None]
    )
    target = (source + change * mask).clamp(0, 1)
    values = _attribute_values(labels, pairs.unknown[places], random)
    styles = np.where(pairs.styles[places, variants], LABEL_SCALE, -LABEL_SCALE)
    styles[unnamed | remove] = 0.0
    unedited = np.concatenate([values, np.zeros_like(styles)], 1)
    edited = np.concatenate([values, styles], 1)
    unedited[:, attribute] = np.where(remove, LABEL_SCALE, -LABEL_SCALE)
    edited[:, attribute] = np.where(remove, -intensity, intensity)
    return PairBatch(
        source * 2 - 1,
        target * 2 - 1,
        torch.from_numpy(unedited.astype(np.float32)),
        torch.from_numpy(edited.astype(np.float32)),
    )


def _attribute_values(
    labels: Tensor, unknown: NDArray[np.bool_], random: np.random.Generator
) -> NDArray[np.float64]:
    """±0.5 by the labels. Unknown ones are random, so that the network learns to ignore them."""
    values: NDArray[np.float64] = (2 * labels.numpy() - 1) * LABEL_SCALE
    chosen = random.integers(-1, 2, values.shape) * LABEL_SCALE
    return np.where(unknown, chosen, values)


def _images(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
