"""One training in one process: the plain function behind the flow's task, and behind a sweep's trials."""

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
from attgan.training.memory import keep_freed_memory
from attgan.training.plan import Card
from attgan.training.run_folder.progress import PROGRESS, OnProgress
from attgan.training.trainer import train
from flows.runtime.stages import set_torch_threads
from flows.settings import AlignSettings, TrainSettings
from flows.settings.training import RunSettings
from flows.storage import Store, open_store
from flows.training.data import open_data, shared_folder
from flows.training.start import Start, judged_by, licence_line, make_start
from flows.training.stopping import OPENING, stop_requests

_SECONDS_BETWEEN = 2.0


@dataclass(frozen=True)
class Workplace:
    """What a loop of the library is given.

    Attributes:
        start: the networks.
        faces: the data, decoded if they fit into memory.
        folder: of the run.
        device: "cpu" or "cuda".
        card: of the result.
        should_stop: whether to end after this step.
        opening: for what comes before the first step.
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
) -> dict[str, Any]:
    """Train, or go on with what the destination holds. It asks neither Prefect nor Ray for anything.

    Args:
        settings: what to train; without ``cpus``, all that this process may use.
        command: the id of the command that looks on, and that alone can ask it to stop by the run's marker.
        should_stop: asked at each step, beside that marker and SIGTERM.
        on_progress: told at most every two seconds, and at each validation.

    Returns:
        The fields of :class:`attgan.training.run_folder.progress.Outcome`.

    Raises:
        UserError: a mistake in the settings, or another run at the destination.
        Diverged: the losses are not finite or exploded; the last good state is kept.
        StorageError: the storage failed after its retries; the run can be taken up again.
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
            report_pairs=partial(at.opening.tell, what="faces rendered with glasses"),
        )
    return asdict(outcome)


def ready_process(settings: RunSettings) -> int:
    """Make this process one that trains; returns how many threads it may use."""
    threads = max(1, int(settings.cpus or len(os.sched_getaffinity(0))))
    set_torch_threads(threads)
    if settings.device == "cpu":
        keep_freed_memory()
    return threads


@contextlib.contextmanager
def workplace(
    settings: TrainSettings | AlignSettings, command: str | None, should_stop: Callable[[], bool] | None
) -> Iterator[Workplace]:
    """Open all that a loop needs, and close it afterwards."""
    threads = ready_process(settings)
    store = open_store(settings.destination, option="--destination")
    filesystem, path = store.filesystem()
    with stop_requests(store, command, should_stop) as asked:
        start = make_start(settings)
        size = start.generator.config.image_size
        opening = Opening(store)
        with open_data(settings, size, start.attributes, threads=threads, report=opening.tell) as faces:
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
    """Tells, where the loop will tell its progress, how far the decoding is that comes before."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told = time.monotonic()

    def tell(self, done: int, total: int, what: str = "images decoded") -> None:
        """So many of so many are done."""
        if time.monotonic() - self._told < _SECONDS_BETWEEN:
            return
        self._told = time.monotonic()
        words = {"state": OPENING, "note": f"{done:,} of {total:,} {what}"}
        self._store.put(PROGRESS, json.dumps(words).encode())


def _about(settings: TrainSettings | AlignSettings, faces: Faces, start: Start) -> str:
    """Where the weights come from, for the card. No addresses: a bundle is passed on."""
    manifest = faces.dataset.manifest
    data = f"the dataset *{manifest.subset.name}* ({manifest.counts.rows:,} rows, seed {manifest.seed})"
    if isinstance(settings, TrainSettings):
        how = f"Trained on {data} with the strategy *{settings.strategy}* for {settings.attribute}"
        evaluator = f" Edits were judged by: {judged_by(settings, start)}."
    else:
        how, evaluator = f"The discriminator was trained on {data} against the generator as it is", ""
    chosen = "\n".join(f"- {name}: {value}" for name, value in settings.config.model_dump().items())
    generator = "a bundle's" if start.licence is not None else start.generator_from
    return f"{how}. The generator it began with: {generator}.{evaluator}\n\nSettings:\n\n{chosen}"
