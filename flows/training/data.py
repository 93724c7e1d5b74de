"""Open the dataset of a training. Refusals name the option that is wrong."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel

from attgan.data.loading.loader import Faces, open_faces
from attgan.data.shards import Dataset, open_dataset
from attgan.data.stored import check_size
from attgan.errors import UserError
from attgan.training.strategies import PAIRED
from flows.settings import AlignSettings, ClassifierSettings, SweepEvaluatorSettings, TrainSettings
from flows.storage import open_store

_GIGABYTE = 2**30


def open_data(
    settings: TrainSettings | AlignSettings | ClassifierSettings | SweepEvaluatorSettings,
    size: int,
    attributes: Sequence[str],
    *,
    decode: bool = True,
    threads: int = 1,
    report: Callable[[int, int], None] | None = None,
) -> Faces:
    """The faces to train on.

    Args:
        settings: which dataset, and how much of it is held out.
        size: of the faces.
        attributes: of the labels.
        decode: whether to decode now all images that fit into the cache.
        threads: that decode.
        report: receives the number of decoded rows and the number of all rows.

    Raises:
        UserError: no such dataset, one that is damaged or has smaller faces, or an attribute that is unknown there.
    """
    store = open_store(settings.dataset, option="--dataset")
    store.check()
    where = f"--dataset {settings.dataset}"
    limit = None if settings.cache_gb is None else int(settings.cache_gb * _GIGABYTE)
    try:
        dataset = _open(*store.filesystem())
        _check_size(settings, dataset, size)
        return open_faces(
            dataset,
            size=size,
            attributes=attributes,
            seed=settings.seed,
            validation_share=settings.validation_share,
            cache_bytes=limit if decode else 0,
            threads=threads,
            shared=shared_folder(),
            report=report,
            required=_required(settings),
        )
    except UserError as error:
        line = error.line if error.line.startswith("--") else f"{where}: {error.line}"
        raise UserError(error.code, line) from None


def _required(settings: BaseModel) -> list[str] | None:
    """The labels that must be known for every row; None for all. Training with pairs only needs its own attribute."""
    if isinstance(settings, TrainSettings) and settings.strategy == PAIRED.name:
        return [settings.attribute]
    if isinstance(settings, ClassifierSettings) and settings.rendered:
        return [settings.attribute]
    return None


def shared_folder() -> Path:
    """The folder where this machine's processes share decoded faces: in ``ATTGAN_CACHE_DIR`` or a temporary folder."""
    chosen = os.environ.get("ATTGAN_CACHE_DIR") or os.path.join(
        tempfile.gettempdir(), f"attgan-{os.getuid()}"
    )
    return Path(chosen).absolute() / "faces"


def _open(filesystem: object, path: str) -> Dataset:
    try:
        return open_dataset(filesystem, path)
    except UserError as error:
        raise UserError(error.code, error.line.removeprefix(f"{path}/")) from None


def _check_size(
    settings: TrainSettings | AlignSettings | ClassifierSettings | SweepEvaluatorSettings,
    dataset: Dataset,
    size: int,
) -> None:
    option = f"--size {size}" if settings.bundle is None else f"--bundle {settings.bundle}: of {size} px"
    try:
        check_size(dataset.manifest.images, size)
    except UserError as error:
        stored = dataset.manifest.images.side
        raise UserError(
            error.code,
            f"{option}: --dataset {settings.dataset} has faces of {stored} pixels, and none is enlarged",
        ) from None
