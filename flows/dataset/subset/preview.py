"""The dry run of a subset, as text: what it would draw among all labelled rows, and among those with images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from attgan.attributes import CELEBA
from attgan.data.celeba import Labels
from attgan.data.stored import pack_image
from attgan.data.subsets import draw, eligible, shares
from attgan.errors import DataError, UserError
from flows.dataset.subset.plan import IMAGES, Plan, Source, make_plan, read_source, resolve_subset
from flows.settings import SubsetSettings
from flows.storage import open_store

# Images that are packed to estimate the size of cropped ones.
_SAMPLE = 48
# Bytes of a row in a part, besides its image.
_BYTES_PER_ROW = 30


@dataclass(frozen=True)
class _Column:
    """One of the two columns of figures.

    Attributes:
        rows: the number of rows.
        eligible: how many of them may be drawn.
        drawn: the labels of the drawn rows; None if there are too few.
    """

    rows: int
    eligible: int
    drawn: Labels | None


def describe(settings: SubsetSettings) -> str:
    """Describe what a run would make. Writes nothing, and needs neither Prefect nor Ray.

    Reads the label files, the list of images and, for cropped storage, a few images. If too few images are available,
    the text says so, and still has the figures of the labelled rows.

    Raises:
        UserError: a mistake in the settings or in the label files, or too few labelled rows.
    """
    source = read_source(settings.source)
    plan: Plan | None = None
    refusal = []
    try:
        plan = make_plan(settings, source)
    except UserError as error:
        refusal = ["", f"a run would be refused: {error}"]
    columns = _columns(settings, source, plan)
    lines = [f"{settings.subset} of {settings.source}, seed {settings.seed}", ""]
    lines += [*_count_lines(settings, columns, plan), "", *_attribute_lines(columns)]
    if source.unlabelled:
        lines += [
            "",
            f"{source.unlabelled:,} files in {IMAGES}/ are not used: the label file has no row for them",
        ]
    return "\n".join(lines + refusal)


def _columns(settings: SubsetSettings, source: Source, plan: Plan | None) -> tuple[_Column, _Column]:
    subset = resolve_subset(settings)
    among = eligible(source.labels, subset)
    everywhere = source.labels.take(draw(source.labels, subset, settings.seed))
    return (
        _Column(len(among), int(among.sum()), everywhere),
        _Column(
            int(source.available.sum()), int((among & source.available).sum()), plan.labels if plan else None
        ),
    )


def _count_lines(settings: SubsetSettings, columns: tuple[_Column, _Column], plan: Plan | None) -> list[str]:
    subset = resolve_subset(settings)
    lines = [_line("", "labelled", "with image"), _line("rows", *(f"{c.rows:,}" for c in columns))]
    if subset.partitions:
        lines.append(_line(f"in {', '.join(subset.partitions)}", *(f"{c.eligible:,}" for c in columns)))
    lines.append(_drawn_line("drawn", columns, lambda drawn: f"{len(drawn):,}"))
    if subset.attribute:
        index = CELEBA.index(subset.attribute)
        name = f"with {subset.attribute}"
        lines.append(_drawn_line(name, columns, lambda drawn: f"{int(drawn.attributes[:, index].sum()):,}"))
    size = settings.rows_per_part
    lines.append(_drawn_line("parts", columns, lambda drawn: f"{-(-len(drawn) // size):,}"))
    if plan is not None:
        each = _bytes_per_row(plan)
        name = f"expected bytes ({settings.store})"
        lines.append(_drawn_line(name, columns, lambda drawn: f"{len(drawn) * each / 1e6:,.1f} MB"))
    return lines


def _attribute_lines(columns: tuple[_Column, _Column]) -> list[str]:
    tables = [{s.name: s.share for s in shares(c.drawn.attributes)} if c.drawn else {} for c in columns]
    names = list(tables[0])
    texts = ([f"{table[name]:.2f}" if table else "-" for table in tables] for name in names)
    return [
        _line("attribute", "labelled", "with image"),
        *(_line(name, *text) for name, text in zip(names, texts, strict=True)),
    ]


def _drawn_line(name: str, columns: tuple[_Column, _Column], text: Callable[[Labels], str]) -> str:
    return _line(name, *(text(column.drawn) if column.drawn else "-" for column in columns))


def _line(what: str, labelled: str, available: str) -> str:
    return f"{what:<28} {labelled:>12} {available:>12}"


def _bytes_per_row(plan: Plan) -> float:
    """The mean size of a row in a part: from the listing, or for cropped images measured on a few of them."""
    if plan.settings.store == "original":
        return float(plan.sizes.mean()) + _BYTES_PER_ROW
    store = open_store(plan.images, option="--source")
    kept = []
    for name in plan.labels.image_ids[:_SAMPLE].to_pylist():
        try:
            kept.append(len(pack_image(store.get(name).data, "cropped", plan.settings.size).data))
        except (DataError, FileNotFoundError):
            continue
    return float(np.mean(kept)) + _BYTES_PER_ROW if kept else float("nan")
