"""The plan of a sweep: its settings, places and trials, before any of them runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import ValidationError

from attgan.data.manifest import MANIFEST
from attgan.errors import UserError
from attgan.training.config import TrainingConfig
from attgan.training.validation import ValidationDraw
from flows.settings import SweepSettings, TrainSettings, refusal_of
from flows.settings.training import NetworkShape
from flows.storage import Store, bundles, join, open_store
from flows.sweep import fingerprint
from flows.sweep.records import TRIALS, read_trials, trial_folder
from flows.sweep.space.axes import Axis, draws, grid, label
from flows.sweep.space.resolve import axes_of, resolve, strategies_of
from flows.training.evaluators import open_evaluator
from flows.words import counted

__all__ = ["Places", "SweepPlan", "Trial", "describe", "make_plan", "make_trial", "resolve", "write_or_check"]

# The folder for the measurements of the starting bundle.
START = "start"


@dataclass(frozen=True)
class Places:
    """URLs of what a sweep needs before its first trial.

    Attributes:
        dataset: of the trials.
        bundle: that they start from, with an aligned discriminator; None from scratch.
        evaluator: the evaluator of their edits; None for the bundle's classifier.
    """

    dataset: str
    bundle: str | None
    evaluator: str | None


@dataclass(frozen=True)
class Trial:
    """One training of a sweep.

    Attributes:
        number: from 0.
        changes: the searched settings, in the order of the sweep's axes.
        settings: of the training, with the trial's folder as the destination.
    """

    number: int
    changes: dict[str, Any]
    settings: TrainSettings

    @property
    def name(self) -> str:
        """Its folder's name: ``003`` for 3."""
        return f"{self.number:03d}"

    @property
    def label(self) -> str:
        """Short words for figures and tables: ``λ1 50, FreezeD 4``."""
        return label(self.changes)

    @property
    def url(self) -> str:
        """The URL of its folder."""
        return self.settings.destination


@dataclass(frozen=True)
class SweepPlan:
    """A sweep that may begin or resume.

    Attributes:
        settings: resolved.
        axes: what is searched.
        places: what its trials need.
        store: its folder. Like any store, it cannot be sent to another process.
        digests: of ``dataset``, ``bundle`` and ``evaluator``; None for what does not exist.
        known: the trials in their order: all of a grid or a random search, but only the ones so far of Optuna's.
    """

    settings: SweepSettings
    axes: tuple[Axis, ...]
    places: Places
    store: Store
    digests: dict[str, str | None]
    known: list[Trial]

    @property
    def count(self) -> int:
        """How many trials there will be at most."""
        return self.settings.trials or len(self.known)

    @property
    def validation(self) -> ValidationDraw:
        """What decides the faces that all trials are validated on."""
        return validation_of(self.settings)

    def folder(self, number: int) -> Store:
        """The folder of a trial, by its number."""
        return trial_folder(self.store, number)

    def all_trials(self) -> list[Trial]:
        """The known trials, and those that a search has suggested since the plan was made."""
        suggested = read_trials(self.store, len(self.known))
        return [*self.known, *(self.trial(record["number"], record["changes"]) for _, record in suggested)]

    def trial(self, number: int, changes: Mapping[str, Any]) -> Trial:
        """The trial of that number with these changes.

        Raises:
            UserError: a change names no setting, or breaks its rule.
        """
        return make_trial(self.settings, self.places, self.store.url, number, changes)


def validation_of(settings: SweepSettings) -> ValidationDraw:
    """What decides the faces that all trials are validated on, also where they search the seed or the strategy."""
    return ValidationDraw(settings.seed, strategies_of(settings, axes_of(settings)))


def make_plan(settings: SweepSettings, *, places: Places) -> SweepPlan:
    """Plan the trials of resolved settings. Writes nothing.

    Raises:
        UserError: something at the places is missing or damaged; the destination cannot be written to.
        StorageError: the storage failed.
    """
    store = open_store(settings.place, option="--destination")
    store.check(write=True)
    axes = axes_of(settings)
    plan = SweepPlan(settings, axes, places, store, _digests(places), [])
    if settings.search == "optuna":
        known = plan.all_trials()[: plan.count]
    else:
        known = [plan.trial(number, changes) for number, changes in enumerate(_drawn(settings, axes))]
    plan.known.extend(known)
    return plan


def write_or_check(plan: SweepPlan) -> None:
    """Claim the destination for this sweep with ``sweep.json``, or check that it is this sweep's.

    Raises:
        UserError: it holds another sweep, and the line names the first option that differs.
        StorageError: the storage failed.
    """
    fingerprint.check_same(plan.store, plan.settings, plan.digests)
    fingerprint.write(plan.store, fingerprint.content(plan.settings, plan.digests))


def make_trial(
    settings: SweepSettings, places: Places, folder: str, number: int, changes: Mapping[str, Any]
) -> Trial:
    """One trial of the sweep in ``folder``.

    Raises:
        UserError: as :meth:`SweepPlan.trial`.
    """
    fixed = settings.model_dump(include={*TrainingConfig.model_fields, *NetworkShape.model_fields})
    whole = {
        **fixed,
        "dataset": places.dataset,
        "bundle": places.bundle,
        "evaluator": places.evaluator,
        "destination": join(folder, TRIALS, f"{number:03d}"),
        "cpus": settings.cpus_per_trial,
        "gpus": settings.gpus_per_trial,
        "cache_gb": settings.cache_gb,
        "licence": settings.licence,
        **changes,
    }
    try:
        checked = TrainSettings.model_validate(whole)
    except ValidationError as error:
        raise refusal_of(error, f"trial {number:03d}") from None
    return Trial(number, {name: getattr(checked, name) for name in changes}, checked)


def describe(settings: SweepSettings) -> list[dict[str, Any]]:
    """What a sweep would do, as rows of a table. Needs no server.

    Raises:
        UserError: as :func:`resolve`.
    """
    settings = resolve(settings)
    axes = axes_of(settings)
    data = settings.dataset or f"{settings.images:,} drawn faces"
    better = "higher" if settings.mode == "max" else "lower"
    rows: dict[str, Any] = {
        "preset": settings.preset,
        "dataset": data,
        "start": settings.bundle or "fresh networks",
        "aligned": _aligned_on(settings, data),
        "evaluator": settings.evaluator or "the classifier of the start, or one that is trained first",
        "search": f"{settings.search}, {counted(settings.trials or 0, 'trial')}",
        "scheduler": settings.scheduler,
        "metric": f"{settings.metric}, {better} is better",
        "each trial": f"{counted(settings.cpus_per_trial, 'CPU')}, {counted(settings.gpus_per_trial, 'GPU')}",
        "destination": settings.place,
    }
    rows |= {f"axis {axis.name}": axis.text.partition("=")[2] for axis in axes}
    places = Places(dataset=settings.place, bundle=settings.bundle, evaluator=settings.evaluator)
    if settings.search != "optuna":
        for number, changes in enumerate(_drawn(settings, axes)):
            trial = make_trial(settings, places, settings.place, number, changes)
            rows[f"trial {trial.name}"] = trial.label
    searched = {axis.name for axis in axes}
    shown = {*TrainingConfig.model_fields, *NetworkShape.model_fields} - searched
    fixed = {name: value for name, value in settings if name in shown and value is not None}
    rows |= {f"--{name.replace('_', '-')}": value for name, value in fixed.items()}
    return [{"what": what, "value": value} for what, value in rows.items()]


def _aligned_on(settings: SweepSettings, data: str) -> str:
    """What a discriminator is aligned on before the trials, if the bundle has none."""
    if settings.bundle is None:
        return "no: every discriminator is fresh"
    return f"if the bundle has no discriminator: on at most 70,000 random images of {settings.align_dataset or data}"


def _drawn(settings: SweepSettings, axes: tuple[Axis, ...]) -> list[dict[str, Any]]:
    """The changes of all trials of a grid or a random search."""
    count = settings.trials or 1
    if settings.search == "grid":
        return list(islice(grid(axes), count))
    return draws(axes, count, settings.seed)


def _digests(places: Places) -> dict[str, str | None]:
    return {
        "dataset": hashlib.sha256(_manifest(places.dataset)).hexdigest(),
        "bundle": None if places.bundle is None else bundles.inspect(places.bundle).digest,
        "evaluator": None if places.evaluator is None else open_evaluator(places.evaluator).digest,
    }


def _manifest(url: str) -> bytes:
    store = open_store(url, option="--dataset")
    store.check()
    try:
        return store.get(MANIFEST).data
    except FileNotFoundError:
        raise UserError(
            "manifest-missing", f"--dataset {url}: {MANIFEST} is missing; a finished dataset has one"
        ) from None
