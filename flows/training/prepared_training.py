"""Check a training in the driver, in seconds and before its first step, and work out everything that it will do."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from attgan.attributes import check_names
from attgan.data.loading.loader import Faces
from attgan.errors import UserError
from attgan.models.folder import Folder
from attgan.training.run_folder.run_files import RUN, check_same, config_fingerprint, read_result
from attgan.training.schedule import StepSchedule, step_schedule
from attgan.training.strategies import PAIRED, STRATEGIES, Strategy
from attgan.training.strategies.rows import random_rows, stream_rows, subset_rows
from attgan.training.validation import choose_rows
from flows.settings import AlignSettings, ClassifierSettings, TrainSettings
from flows.storage import Store, is_within, open_store
from flows.storage.bundles import place_of
from flows.training.data import open_data
from flows.training.start import Start, licence_line, make_start
from flows.training.sweep_settings import with_best_settings

# Options of fresh networks, and their names in the network's settings.
_SHAPE = {
    "size": "image_size",
    "width": "width",
    "shortcut-layers": "shortcut_layers",
    "inject-layers": "inject_layers",
    "encoder-activation": "encoder_activation",
    "decoder-activation": "decoder_activation",
    "slope": "slope",
}
_DISCRIMINATOR = {"discriminator-activation": "activation", "head-activation": "head_activation"}


@dataclass(frozen=True)
class PreparedTraining:
    """A training or an alignment that is checked: it may begin, resume, or have finished.

    Attributes:
        settings: of the run.
        store: its folder.
        start: the networks that it starts with.
        faces: its data; no image has been decoded.
        strategy: which network sees which images.
        rows: the number of rows to train on.
        source_rows, real_rows: how many of them are edited, and how many are shown as real.
        table: its steps.
        finished: the outcome of a run that has finished; else None.
    """

    settings: TrainSettings | AlignSettings
    store: Store
    start: Start
    faces: Faces
    strategy: Strategy
    rows: int
    source_rows: int
    real_rows: int
    table: StepSchedule
    finished: dict[str, Any] | None

    @property
    def licence(self) -> str:
        """The licence line of the result."""
        return licence_line(self.settings, self.faces.dataset.manifest.subset.name, self.start)


def prepare(settings: TrainSettings | AlignSettings) -> PreparedTraining:
    """Check everything that can be known before the first step. Writes nothing.

    Raises:
        UserError: a place that is missing, a bundle and a dataset that do not fit together, too few rows, or another
            run at the destination.
    """
    if isinstance(settings, TrainSettings):
        settings = with_best_settings(settings)
    store = open_store(settings.destination, option="--destination")
    refuse_overlap(settings, store.url)
    store.check(write=True)
    start = make_start(settings)
    name, attribute = "permutation", 0
    if isinstance(settings, TrainSettings):
        check_names([settings.attribute], start.attributes, f"--attribute {settings.attribute}")
        name = settings.strategy
        attribute = start.attributes.index(settings.attribute)
    strategy = STRATEGIES[name]
    faces = open_data(settings, start.generator.config.image_size, start.attributes, decode=False)
    if isinstance(settings, TrainSettings):
        rows = subset_rows(faces, settings.subset, attribute, settings.seed)
    else:
        rows = random_rows(faces, settings.random_images, settings.seed)
    source, real = stream_rows(faces, rows, strategy, attribute, settings.batch_size)
    choose_rows(faces, strategy, attribute, settings.validation_images, settings.seed)
    alternates = settings.discriminator_steps if isinstance(settings, TrainSettings) else None
    if strategy is PAIRED:
        alternates = 0
    return PreparedTraining(
        settings=settings,
        store=store,
        start=start,
        faces=faces,
        strategy=strategy,
        rows=len(rows),
        source_rows=len(source),
        real_rows=len(real),
        table=step_schedule(settings.config, len(source), alternates),
        finished=_find(settings, store, start, faces),
    )


def refuse_overlap(
    settings: TrainSettings | AlignSettings | ClassifierSettings, destination: str, *, may_hold: bool = False
) -> None:
    """Refuse a destination that is, holds (unless it may) or lies inside the dataset, the bundle or the evaluator.

    Raises:
        UserError: they overlap.
    """
    places = {"--dataset": settings.dataset, "--bundle": settings.bundle}
    if isinstance(settings, TrainSettings):
        places["--evaluator"] = settings.evaluator
    for option, named in places.items():
        place = named if named is None or option == "--dataset" else place_of(named, option)
        if place is None:
            continue
        if is_within(destination, place) or (not may_hold and is_within(place, destination)):
            raise UserError(
                "destination-overlaps-source",
                f"--destination {destination}: must not {'be' if may_hold else 'be, hold'} or lie inside "
                f"{option} {place}",
            )


def _find(
    settings: TrainSettings | AlignSettings, store: Store, start: Start, faces: Faces
) -> dict[str, Any] | None:
    """The outcome of the run at the destination; None if it has not finished or there is none.

    Raises:
        UserError: the destination holds another run.
    """
    filesystem, path = store.filesystem()
    folder = Folder(path, filesystem)
    kind = "training" if isinstance(settings, TrainSettings) else "alignment"
    wanted = config_fingerprint(
        kind,
        settings.config,
        faces,
        start.generator,
        start.discriminator,
        device=settings.device,
        classifier=start.classifier,
        evaluator=None if start.evaluator is None else start.evaluator.classifier,
    )
    try:
        begun = check_same(folder, wanted)
    except UserError:
        if settings.bundle is None:
            _refuse_another_shape(folder, start)
        raise
    if not begun:
        return None
    outcome = read_result(folder)
    return asdict(outcome) if outcome else None


def _refuse_another_shape(folder: Folder, start: Start) -> None:
    """Refuse to resume a training from scratch with another network shape, and name the option.

    Without this check the refusal would be about another bundle or other data, which the user did not name.

    Raises:
        UserError: the shape or the attributes differ.
    """
    try:
        before = json.loads(folder.read(RUN))
        network, names = before["start"]["generator"]["settings"], before["data"]["attributes"]
        other = before["start"]["discriminator"]["settings"]
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        # A damaged file is refused by the next function that reads it.
        return
    now, now_other = start.generator.config.model_dump(), start.discriminator.config.model_dump()
    values = {option: (network.get(name), now[name]) for option, name in _SHAPE.items()}
    values |= {option: (other.get(name), now_other[name]) for option, name in _DISCRIMINATOR.items()}
    values["attributes"] = (" ".join(names), " ".join(start.attributes))
    for option, (old, new) in values.items():
        if old != new:
            raise UserError(
                "run-settings-differ",
                f"--{option} {new}: {folder.path} holds a run with {old}, and a run resumes with its own settings; "
                "choose another --destination for others",
            )
