"""One training or alignment in this process: the functions that the flows' tasks and a sweep's trials call."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from attgan.data.loading.loader import Faces
from attgan.models.folder import Folder
from attgan.training.alignment import align
from attgan.training.device import keep_freed_memory
from attgan.training.plan import Card
from attgan.training.run_folder.progress import PROGRESS, OnProgress
from attgan.training.trainer import train
from attgan.training.validation import ValidationDraw
from flows.runtime.stages import set_torch_threads
from flows.settings import AlignSettings, TrainSettings
from flows.settings.training import RunSettings
from flows.storage import Store, open_store
from flows.training.data import open_data, shared_folder
from flows.training.start import Start, describe_evaluator, licence_line, make_start
from flows.training.stopping import OPENING, stop_requests

# Seconds between two progress reports.
_REPORT_EVERY = 2.0


@dataclass(frozen=True)
class Workplace:
    """Everything that the library's training loop takes, opened.

    Attributes:
        start: the networks.
        faces: the data, decoded as far as they fit into memory.
        folder: of the run.
        device: "cpu" or "cuda".
        card: for the model card of the result.
        should_stop: returns whether to end after this step.
        opening: reports progress before the first step.
    """

    start: Start
    faces: Faces
    folder: Folder
    device: str
    card: Card
    should_stop: Callable[[], bool]
    opening: Opening


def train_trial(
    settings: TrainSettings,
    *,
    command: str | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: OnProgress | None = None,
    validation: ValidationDraw | None = None,
) -> dict[str, Any]:
    """Train, or resume the run at the destination. Uses neither Prefect nor Ray.

    Args:
        settings: what to train; without ``cpus``, with all CPUs that this process may use.
        command: the id of the command that watches this training. Only this command can stop it by the run's marker.
        should_stop: another reason to stop, asked at each step.
        on_progress: called at most every two seconds, and at each validation.
        validation: of trainings that are compared; by default the settings draw the faces to validate on.

    Returns:
        The fields of :class:`attgan.training.run_folder.progress.Outcome`.

    Raises:
        UserError: a mistake in the settings, or another run at the destination.
        Diverged: the losses are not finite or have exploded. The last good state is kept.
        StorageError: the storage failed after its retries. The run can resume.
    """
    with workplace(settings, command, should_stop) as at:
        outcome = train(
            at.start.generator,
            at.start.discriminator,
            at.faces,
            settings.config,
            at.folder,
            device=at.device,
            card=at.card,
            evaluator=None if at.start.evaluator is None else at.start.evaluator.classifier,
            on_progress=on_progress,
            should_stop=at.should_stop,
            keep_pairs=shared_folder(),
            report_pairs=partial(at.opening.report, what="faces rendered with glasses"),
            validation=validation,
        )
    return asdict(outcome)


def align_trial(
    settings: AlignSettings,
    *,
    command: str | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Align, or resume the run at the destination. Arguments, result and errors as of :func:`train_trial`."""
    with workplace(settings, command, should_stop) as at:
        outcome = align(
            at.start.generator,
            at.start.discriminator,
            at.faces,
            settings.config,
            at.folder,
            device=at.device,
            card=at.card,
            on_progress=on_progress,
            should_stop=at.should_stop,
        )
    return asdict(outcome)


def ready_process(settings: RunSettings) -> int:
    """Prepare this process for training; returns how many threads it may use."""
    threads = max(1, int(settings.cpus or len(os.sched_getaffinity(0))))
    set_torch_threads(threads)
    if settings.device == "cpu":
        keep_freed_memory()
    return threads


@contextlib.contextmanager
def workplace(
    settings: TrainSettings | AlignSettings, command: str | None, should_stop: Callable[[], bool] | None
) -> Iterator[Workplace]:
    """Open everything that a training loop takes, and close it afterwards."""
    threads = ready_process(settings)
    store = open_store(settings.destination, option="--destination")
    filesystem, path = store.filesystem()
    with stop_requests(store, command, should_stop) as asked:
        start = make_start(settings)
        size = start.generator.config.image_size
        opening = Opening(store)
        with open_data(settings, size, start.attributes, threads=threads, report=opening.report) as faces:
            yield Workplace(
                start=start,
                faces=faces,
                folder=Folder(path, filesystem),
                device=settings.device,
                card=Card(
                    licence=licence_line(settings, faces.dataset.manifest.subset.name, start),
                    about=_about(settings, faces, start),
                    classifier=start.classifier,
                ),
                should_stop=asked,
                opening=opening,
            )


class Opening:
    """Reports the progress of what comes before the first step, in the file where the training loop reports its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reported = time.monotonic()

    def report(self, done: int, total: int, what: str = "images decoded") -> None:
        """Report that ``done`` of ``total`` are done."""
        if time.monotonic() - self._reported < _REPORT_EVERY:
            return
        self._reported = time.monotonic()
        words = {"state": OPENING, "note": f"{done:,} of {total:,} {what}"}
        self._store.put(PROGRESS, json.dumps(words).encode())


def _about(settings: TrainSettings | AlignSettings, faces: Faces, start: Start) -> str:
    """The text of the model card on how the weights were made. Without URLs, because bundles are published."""
    manifest = faces.dataset.manifest
    data = f"the dataset *{manifest.subset.name}* ({manifest.counts.rows:,} rows, seed {manifest.seed})"
    if isinstance(settings, TrainSettings):
        how = f"Trained on {data} with the strategy *{settings.strategy}* for {settings.attribute}"
        evaluator = f" Edits were scored by: {describe_evaluator(settings, start)}."
    else:
        how, evaluator = f"The discriminator was trained on {data} against the generator as it is", ""
    chosen = "\n".join(f"- {name}: {value}" for name, value in settings.config.model_dump().items())
    generator = "a bundle's" if start.licence is not None else start.generator_from
    return f"{how}. The generator at the start: {generator}.{evaluator}\n\nSettings:\n\n{chosen}"
