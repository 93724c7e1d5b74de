"""Runs so small that they take seconds; as a program, one to kill: ``python -m tests.support.small_training``."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from pyarrow import fs

from attgan.attributes import PUBLISHED
from attgan.data.loading.loader import Batch, Faces, open_faces
from attgan.data.shards import open_dataset
from attgan.models import Discriminator, DiscriminatorConfig, Generator, GeneratorConfig, fresh
from attgan.models.folder import Folder
from attgan.training.config import AlignmentConfig, TrainingConfig
from attgan.training.plan import Card
from attgan.training.run_folder.progress import Outcome
from attgan.training.trainer import train

SIZE = 64
CARD = Card("drawn faces: free to use", "A test.")
SMALL: dict[str, Any] = {
    "batch_size": 6,
    "learning_rate": 1e-3,
    "epochs": 3,
    "discriminator_steps": 2,
    "checks_per_epoch": 2,
    "validation_images": 6,
}


def small_generator(width: int = 2) -> Generator:
    return fresh(Generator, GeneratorConfig(image_size=SIZE, width=width), 0)


def small_discriminator(width: int = 2) -> Discriminator:
    return fresh(Discriminator, DiscriminatorConfig(image_size=SIZE, width=width, hidden=16), 1)


def small_config(**changes: Any) -> TrainingConfig:
    return TrainingConfig(**(SMALL | changes))


def small_alignment(**changes: Any) -> AlignmentConfig:
    shared = {name: value for name, value in SMALL.items() if name in AlignmentConfig.model_fields}
    return AlignmentConfig(**(shared | changes))


def small_train(faces: Faces, folder: Path | Folder, config: TrainingConfig, **options: Any) -> Outcome:
    place = folder if isinstance(folder, Folder) else Folder(folder)
    return train(small_generator(), small_discriminator(), faces, config, place, card=CARD, **options)


def open_small(data: Path) -> Faces:
    return open_faces(open_dataset(fs.LocalFileSystem(), str(data)), size=SIZE, attributes=PUBLISHED)


def stop_after(calls: int) -> Any:
    """Says yes when it has been asked so often."""
    left = iter([False] * calls)
    return lambda: next(left, True)


def record_order(faces: Faces, file: Path) -> None:
    """From now on every batch that is taken leaves a line: stream, number, rows."""
    original = faces.batches

    def recorded(rows: Any, batch_size: int, *, name: str, start: int = 0, **options: Any) -> Iterator[Batch]:
        with file.open("a") as log:
            for number, batch in enumerate(
                original(rows, batch_size, name=name, start=start, **options), start
            ):
                log.write(json.dumps([name, number, batch.rows.tolist()]) + "\n")
                log.flush()
                yield batch

    faces.batches = recorded  # type: ignore[method-assign]


def main(data: str, run: str, order: str, settings: str) -> None:
    torch.set_num_threads(1)
    with open_small(Path(data)) as faces:
        record_order(faces, Path(order))
        small_train(faces, Path(run), small_config(**json.loads(settings)))


if __name__ == "__main__":
    main(*sys.argv[1:])
