"""Train an evaluator for a sweep if neither the user nor the starting bundle has one, once, before the trials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import State

from attgan.evaluation.evaluator import Evaluator, save_evaluator
from attgan.models.folder import Folder
from attgan.training.run_folder.progress import OnProgress
from flows.runtime import reporting
from flows.settings import SweepEvaluatorSettings
from flows.storage import join, open_store
from flows.training.classifier.trial import fitted_classifier, outcome_of
from flows.training.driver import drive
from flows.training.flow import training_task
from flows.training.start import joined_licence

TRAINING = "training"


def train_evaluator(settings: SweepEvaluatorSettings, log: reporting.Log) -> dict[str, Any] | State[Any]:
    """Train an evaluator on Ray, and show the progress.

    Returns:
        The outcome, or a failed state with one line.

    Raises:
        UserError: the worker refused.
    """
    training = open_store(join(settings.destination, TRAINING), option="--destination")
    return drive(training_task("train-judge", evaluator_trial), settings, training, log)


def evaluator_trial(
    settings: SweepEvaluatorSettings,
    *,
    command: str | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Train an evaluator, or resume, and write it. Uses neither Prefect nor Ray.

    Args:
        settings: what to train, and where.
        command: the id of the command that watches this training. Only this command can stop it by the run's marker.
        should_stop: another reason to stop, asked at each step.
        on_progress: called at most every two seconds, and at each validation.

    Returns:
        ``ended`` ("finished" or "stopped"), ``reason`` and ``step``. If it has finished, also ``digest``.

    Raises:
        UserError: a mistake in the settings, or another training in the folder.
        Diverged: the loss is not finite or has exploded.
        StorageError: the storage failed after its retries. The training can resume.
    """
    training = open_store(join(settings.destination, TRAINING), option="--destination")
    fitting = fitted_classifier(
        settings,
        training,
        settings.size,
        settings.attributes,
        command=command,
        should_stop=should_stop,
        on_progress=on_progress,
    )
    with fitting as (faces, fitted):
        outcome = outcome_of(fitted)
        if fitted.classifier is None:
            return outcome
        subset = faces.dataset.manifest.subset.name
        evaluator = Evaluator(
            classifier=fitted.classifier,
            names=tuple(settings.attributes),
            scores=fitted.scores,
            about=f"trained on the dataset {subset} ({len(faces.training):,} rows, seed {settings.seed})",
            faces=len(faces.held_out),
            licence=joined_licence(None, settings.licence, subset),
        )
        filesystem, path = open_store(settings.destination, option="--destination").filesystem()
        save_evaluator(Folder(path, filesystem), evaluator)
    return outcome | {"digest": evaluator.digest}
