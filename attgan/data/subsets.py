"""Draws the rows of a training set: all, only those with an attribute, those and others, or random ones.

Every image gets a random sort key, the BLAKE2b hash (RFC 7693) of its name under the seed, and the images with the
lowest keys are drawn. So a draw depends on the seed and the names alone: not on the order of the label file, the random
numbers of a library, or the machine. Where some images are missing, the others are still drawn as before. A second key,
independent of the first, orders the rows, so that each part of a dataset is a random sample of the whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from attgan.attributes import CELEBA, check_names
from attgan.data.celeba import PARTITION_FILE, PARTITIONS, Labels
from attgan.errors import UserError

DEFAULT_RATIO = 1 / 3
RANDOM_ROWS = 70_000
"""Rows of a random subset unless another number is given, or all of fewer: what the reference study aligns on."""

FORMS = "all, <attribute>-only, <attribute>-extended or random"
_DRAW, _ORDER = b"attgan draw", b"attgan order"


class Subset(BaseModel):
    """A subset's rule, resolved: what :func:`parse_subset` makes and a manifest records.

    Attributes:
        name: ``all``, ``<attribute>-only``, ``<attribute>-extended`` or ``random``, the attribute in lower
            case with hyphens.
        attribute: one of :data:`attgan.attributes.CELEBA`; None for ``all`` and ``random``.
        ratio: share of rows with the attribute, in (0, 1]; None unless extended.
        count: number of rows of a random subset; None there for :data:`RANDOM_ROWS` or all of fewer, and for others.
        partitions: those it is restricted to, in CelebA's order; empty for no restriction.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    attribute: str | None = None
    ratio: float | None = None
    count: int | None = None
    partitions: tuple[str, ...] = ()


class Share(NamedTuple):
    """How many of a set's rows have an attribute; ``share`` is in [0, 1]."""

    name: str
    rows: int
    share: float


def parse_subset(
    name: str, *, ratio: float | None = None, count: int | None = None, partitions: Sequence[str] = ()
) -> Subset:
    """Resolve a subset's name and its options.

    Args:
        name: ``all``, ``eyeglasses-only``, ``Wearing_Hat-extended``, ``random`` …: any case, hyphens or
            underscores.
        ratio: for ``-extended``: share of rows with the attribute, in (0, 1]; a third when not given.
        count: for ``random``: number of rows; when not given 70,000, or all if there are fewer.
        partitions: names (``train``, ``valid``, ``test``) or CelebA's numbers (``0``, ``1``, ``2``).

    Raises:
        UserError: not such a name, attribute or partition, or an option that does not belong to the subset.
    """
    plain = name.strip().lower().replace("_", "-")
    stem, _, form = plain.rpartition("-")
    if plain in ("all", "random"):
        attribute, form = None, plain
    elif form in ("only", "extended") and stem:
        attribute = _find_attribute(stem.replace("-", "_"), f"--subset {name}")
        plain = f"{attribute.lower().replace('_', '-')}-{form}"
    else:
        raise UserError("subset-unknown", f"--subset {name}: must be {FORMS}")
    if ratio is not None and form != "extended":
        raise UserError(
            "subset-option-mismatch",
            f"--ratio {ratio:g}: belongs to <attribute>-extended, the subset is {plain}",
        )
    if ratio is not None and not 0 < ratio <= 1:
        raise UserError("setting-invalid", f"--ratio {ratio:g}: must be above 0 and at most 1")
    if count is not None and form != "random":
        raise UserError(
            "subset-option-mismatch", f"--count {count}: belongs to random, the subset is {plain}"
        )
    if count is not None and count < 1:
        raise UserError("setting-invalid", f"--count {count}: must be at least 1")
    return Subset(
        name=plain,
        attribute=attribute,
        ratio=(ratio or DEFAULT_RATIO) if form == "extended" else None,
        count=count,
        partitions=_parse_partitions(partitions),
    )


def eligible(labels: Labels, subset: Subset) -> np.ndarray:
    """``(N,)`` bool: which rows are in the subset's partitions.

    Raises:
        UserError: the subset names partitions, and the labels have none.
    """
    if not subset.partitions:
        return np.ones(len(labels), dtype=bool)
    if labels.partition is None:
        raise UserError(
            "partition-file-missing",
            f"--partitions {','.join(subset.partitions)}: the source has no {PARTITION_FILE}.txt",
        )
    return np.isin(labels.partition, [PARTITIONS.index(name) for name in subset.partitions])


def draw(labels: Labels, subset: Subset, seed: int, available: np.ndarray | None = None) -> np.ndarray:
    """Draw a subset.

    Args:
        labels: all rows.
        subset: the rule.
        seed: 0 to 2^64 - 1.
        available: ``(N,)`` bool, the rows to draw from; None for all.

    Returns:
        ``(n,)`` int64 rows of ``labels``, in the seed's order.

    Raises:
        UserError: there are too few rows for the subset's ratio or count, or none at all.
    """
    among = eligible(labels, subset)
    if available is not None:
        among = among & available
    where = "" if available is None else " available"
    if subset.attribute is not None:
        positive = labels.attributes[:, CELEBA.index(subset.attribute)]
        rows = np.flatnonzero(among & positive)
        if subset.ratio is not None:
            others = np.flatnonzero(among & ~positive)
            rest = _count_rest(len(rows), len(others), subset, where)
            rows = np.concatenate([rows, _lowest(labels, others, rest, seed)])
    else:
        rows = np.flatnonzero(among)
        if subset.count is not None and subset.count > len(rows):
            raise UserError(
                "subset-too-few-rows", f"--count {subset.count:,}: there are {len(rows):,} rows{where}"
            )
        if subset.name == "random":
            rows = _lowest(labels, rows, subset.count or RANDOM_ROWS, seed)
    if not len(rows):
        raise UserError("subset-empty", f"--subset {subset.name}: there are no such rows{where}")
    return rows[np.argsort(_sort_keys(labels, rows, seed, _ORDER), kind="stable")]


def shares(attributes: np.ndarray) -> list[Share]:
    """The attributes of ``(n, 40)`` bool by descending share; equal ones in CelebA's order."""
    counts = attributes.sum(axis=0)
    order = np.argsort(-counts, kind="stable")
    total = max(len(attributes), 1)
    return [Share(CELEBA[i], int(counts[i]), float(counts[i]) / total) for i in order]


def _count_rest(positives: int, others: int, subset: Subset, where: str) -> int:
    assert subset.ratio is not None
    rest = round(positives / subset.ratio) - positives
    if rest > others:
        lowest = np.ceil(1000 * positives / (positives + others)) / 1000
        raise UserError(
            "subset-too-few-rows",
            f"--ratio {subset.ratio:.3g}: {positives:,} rows with {subset.attribute} call for {rest:,} "
            f"without, there are {others:,}{where}; a ratio from {lowest:g} on can be met",
        )
    return rest


def _lowest(labels: Labels, rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The ``count`` rows with the lowest sort keys."""
    return rows[np.argsort(_sort_keys(labels, rows, seed, _DRAW), kind="stable")[:count]]


def _sort_keys(labels: Labels, rows: np.ndarray, seed: int, purpose: bytes) -> np.ndarray:
    """``(n,)`` uint64: a random sort key for each row; those of different purposes are independent."""
    if not 0 <= seed < 2**64:
        raise UserError("setting-invalid", f"--seed {seed}: must be from 0 to 2^64 - 1")
    blank = hashlib.blake2b(digest_size=8, key=seed.to_bytes(8, "little"), person=purpose)
    digests = []
    for image_id in labels.image_ids.take(pa.array(rows)).to_pylist():
        key = blank.copy()
        key.update(image_id.encode())
        digests.append(key.digest())
    return np.frombuffer(b"".join(digests), dtype="<u8")


def _find_attribute(text: str, option: str) -> str:
    name = {name.lower(): name for name in CELEBA}.get(text, text)
    check_names([name], CELEBA, option)
    return name


def _parse_partitions(partitions: Sequence[str]) -> tuple[str, ...]:
    numbers = {str(number): name for number, name in enumerate(PARTITIONS)}
    chosen = set()
    for given in partitions:
        name = numbers.get(given.strip(), given.strip().lower())
        if name not in PARTITIONS:
            raise UserError(
                "partition-unknown",
                f"--partitions {given}: must be among {', '.join(PARTITIONS)} (or 0, 1, 2)",
            )
        chosen.add(name)
    return tuple(name for name in PARTITIONS if name in chosen)
