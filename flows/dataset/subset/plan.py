"""The plan of a subset run: which images are available, which are drawn, and which part each one belongs to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from attgan.data.celeba import Labels, read_labels
from attgan.data.manifest import SCHEMA, Counts
from attgan.data.subsets import DEFAULT_RATIO, Subset, draw, eligible, parse_subset
from attgan.errors import UserError
from flows.dataset.subset.part import PartTask, pack_rows
from flows.settings import SubsetSettings
from flows.storage import is_within, join, open_store

IMAGES = "img_align_celeba"


@dataclass(frozen=True)
class Source:
    """A folder in CelebA's layout.

    Attributes:
        images: URL of the folder that holds the images: ``img_align_celeba/``, or the folder of that name
            within it, where some mirrors unpack to.
        labels: all ``N`` rows of the label files.
        sizes: ``(N,)`` int64, bytes of each row's image file; -1 if it is missing.
        unlabelled: the number of image files without a row.
    """

    images: str
    labels: Labels
    sizes: np.ndarray
    unlabelled: int

    @property
    def available(self) -> np.ndarray:
        """``(N,)`` bool: the rows whose image file exists."""
        return self.sizes >= 0


@dataclass(frozen=True)
class Plan:
    """The dataset that a run makes.

    Attributes:
        settings: the settings of the run.
        subset: the rule by which rows are drawn.
        images: URL of the folder that holds the images.
        labels: of the ``n`` drawn rows, in their final order.
        sizes: ``(n,)`` int64, bytes of their image files.
        counts: assuming that every image can be opened.
        digest: SHA-256 of all that determines the content of the parts.
    """

    settings: SubsetSettings
    subset: Subset
    images: str
    labels: Labels
    sizes: np.ndarray
    counts: Counts
    digest: str

    @property
    def parts(self) -> int:
        """The number of parts."""
        return -(-len(self.labels) // self.settings.rows_per_part)

    def tasks(self, destination: str) -> Iterator[PartTask]:
        """The argument of each part's task, in order."""
        step = self.settings.rows_per_part
        for index in range(self.parts):
            rows = np.arange(index * step, min((index + 1) * step, len(self.labels)))
            yield PartTask(
                images=self.images,
                destination=destination,
                index=index,
                plan=self.digest,
                geometry=self.settings.store,
                size=self.settings.size,
                cpus=max(1, int(self.settings.cpus_per_part)),
                rows=pack_rows(self.labels.take(rows), self.sizes[rows]),
            )


def read_source(url: str) -> Source:
    """Read the label files of a folder and list its images.

    Raises:
        UserError: the folder does not exist, or has no usable label files.
    """
    store = open_store(url, option="--source")
    store.check()
    labels = read_labels(*store.filesystem(), where=f"--source {store.url}")
    images, files = _list_images(join(store.url, IMAGES))
    sizes = np.array([files.get(name, -1) for name in labels.image_ids.to_pylist()], dtype=np.int64)
    return Source(images, labels, sizes, len(files) - int((sizes >= 0).sum()))


def _list_images(url: str) -> tuple[str, dict[str, int]]:
    """The folder of the images and the sizes of its files. It is ``url`` or the folder of the same name in it."""
    found: dict[str, dict[str, int]] = {"": {}, IMAGES: {}}
    for info in open_store(url, option="--source").list():
        folder, _, name = info.key.rpartition("/")
        if name and folder in found:
            found[folder][name] = info.size
    if len(found[IMAGES]) > len(found[""]):
        return join(url, IMAGES), found[IMAGES]
    return url, found[""]


def resolve_subset(settings: SubsetSettings) -> Subset:
    """The rule by which rows are drawn.

    Raises:
        UserError: see :func:`attgan.data.subsets.parse_subset`.
    """
    extended = settings.subset.lower().endswith("extended")
    ratio = settings.ratio if extended or settings.ratio != DEFAULT_RATIO else None
    return parse_subset(settings.subset, ratio=ratio, count=settings.count, partitions=settings.partitions)


def make_plan(settings: SubsetSettings, source: Source | None = None) -> Plan:
    """Draw among the images that are available. Writes nothing.

    Args:
        settings: of the run.
        source: the result of :func:`read_source`, if it has been read already.

    Raises:
        UserError: a mistake in the settings or in the label files, or too few rows for the subset.
    """
    subset = resolve_subset(settings)
    source = source or read_source(settings.source)
    among = eligible(source.labels, subset)
    total, available = int(among.sum()), int((among & source.available).sum())
    if not available:
        raise UserError(
            "images-missing",
            f"--source {settings.source}: none of its {total:,} labelled images is in {IMAGES}/",
        )
    rows = draw(source.labels, subset, settings.seed, source.available)
    labels, sizes = source.labels.take(rows), source.sizes[rows]
    counts = Counts(
        labelled=len(among),
        eligible=total,
        at_hand=available,
        not_at_hand=total - available,
        chosen=len(rows),
        unreadable=0,
        rows=len(rows),
    )
    digest = _digest(settings, subset, labels, sizes)
    return Plan(settings, subset, source.images, labels, sizes, counts, digest)


def refuse_overlap(settings: SubsetSettings) -> str:
    """The destination, after a check that it does not overlap the source.

    Raises:
        UserError: there is none, or it holds the source, or lies among the source's images.
    """
    if settings.destination is None:
        raise UserError("option-required", "--destination: is required, except for a --dry-run")
    images = join(settings.source, IMAGES)
    if is_within(settings.destination, images) or is_within(settings.source, settings.destination):
        raise UserError(
            "destination-overlaps-source",
            f"--destination {settings.destination}: must not hold --source {settings.source} or lie among its "
            "images",
        )
    return settings.destination


def _digest(settings: SubsetSettings, subset: Subset, labels: Labels, sizes: np.ndarray) -> str:
    choices = {
        "schema": SCHEMA,
        "subset": subset.model_dump(mode="json"),
        "seed": settings.seed,
        "store": settings.store,
        "size": settings.size,
        "rows_per_part": settings.rows_per_part,
    }
    digest = hashlib.sha256(json.dumps(choices, sort_keys=True).encode())
    digest.update("\n".join(labels.image_ids.to_pylist()).encode())
    for column in (labels.attributes, labels.partition, labels.identity, sizes):
        digest.update(b"\0none\0" if column is None else column.astype("<i8").tobytes())
    return digest.hexdigest()
