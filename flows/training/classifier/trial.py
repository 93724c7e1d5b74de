"""A classifier's training in this process: the function that the flow's task calls."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attgan.data.loading.loader import Faces
from attgan.evaluation.attribute_scores import AttributeScore, mean_scores
from attgan.models.card import read_card
from attgan.training.classifier.trainer import Fitted, fit_classifier
from attgan.training.run_folder.progress import OnProgress
from attgan.training.run_folder.run_files import RESULT
from flows.settings import ClassifierSettings, SweepEvaluatorSettings
from flows.storage import Store
from flows.storage.bundles import save_copy
from flows.training.classifier.plan import ClassifierPlan, prepare, refuse_foreign_bundle, run_folder
from flows.training.data import open_data, shared_folder
from flows.training.stopping import stop_requests
from flows.training.trial import Opening, ready_process

_HEADING = "### Source attributes of unlabelled faces"


def classifier_trial(
    settings: ClassifierSettings,
    *,
    command: str | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Train, or resume the run at the destination, and write the bundle. Uses neither Prefect nor Ray.

    Args:
        settings: what to train; without ``cpus``, with all CPUs that this process may use.
        command: the id of the command that watches this training. Only this command can stop it by the run's marker.
        should_stop: another reason to stop, asked at each step.
        on_progress: called at most every two seconds, and at each validation.

    Returns:
        ``ended`` ("finished" or "stopped"), ``reason`` and ``step``. If it has finished, also ``best_step``, ``digest``
        and ``scores``, with one mapping for each attribute.

    Raises:
        UserError: a mistake in the settings, or another run at the destination.
        Diverged: the loss is not finite or has exploded. The last good state is kept.
        StorageError: the storage failed after its retries. The run can resume.
    """
    prepared = prepare(settings)
    if prepared.finished is not None:
        return prepared.finished
    bundle, store = prepared.bundle, prepared.store
    size, names = bundle.config.generator.image_size, bundle.config.attributes
    fitting = fitted_classifier(
        settings,
        store,
        size,
        names,
        bundle=bundle.digest,
        command=command,
        should_stop=should_stop,
        on_progress=on_progress,
    )
    with fitting as (_, fitted):
        outcome = outcome_of(fitted)
        if fitted.classifier is None:
            return outcome
        outcome["digest"] = _write_bundle(prepared, fitted)
    outcome |= {"best_step": fitted.best_step, "scores": [_known(score) for score in fitted.scores]}
    run_folder(store).write(RESULT, (json.dumps(outcome, indent=1) + "\n").encode())
    return outcome


@contextlib.contextmanager
def fitted_classifier(
    settings: ClassifierSettings | SweepEvaluatorSettings,
    store: Store,
    size: int,
    attributes: Sequence[str],
    *,
    bundle: str | None = None,
    command: str | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: OnProgress | None = None,
) -> Iterator[tuple[Faces, Fitted]]:
    """The faces, and a classifier that was trained on them. Inside this context a stop request is still deferred.

    Args:
        settings: what to train.
        store: the run's folder.
        size: of the faces, in pixels.
        attributes: that it predicts.
        bundle: digest of the bundle that it is for, if any.
        command, should_stop, on_progress: as for :func:`classifier_trial`.

    Raises:
        UserError, Diverged, StorageError: as :func:`classifier_trial`.
    """
    threads = ready_process(settings)
    opening = Opening(store)
    with (
        stop_requests(store, command, should_stop) as asked,
        open_data(settings, size, attributes, threads=threads, report=opening.report) as faces,
    ):
        yield (
            faces,
            fit_classifier(
                faces,
                settings.config,
                run_folder(store),
                bundle=bundle,
                device=settings.device,
                on_progress=on_progress,
                should_stop=asked,
                keep_pairs=shared_folder(),
            ),
        )


def outcome_of(fitted: Fitted) -> dict[str, Any]:
    """How a training ended, in the form that :func:`flows.training.driver.drive` takes."""
    return {"ended": fitted.ended, "reason": fitted.reason, "step": fitted.step}


def _write_bundle(prepared: ClassifierPlan, fitted: Fitted) -> str:
    """Write the bundle with the classifier to the destination; returns its digest."""
    settings, bundle = prepared.settings, prepared.bundle
    about, metrics = read_card(bundle.card)
    # Another command may have written a bundle since the start.
    refuse_foreign_bundle(settings, bundle, begun=True)
    means = mean_scores(fitted.scores)
    saved = save_copy(
        bundle,
        settings.destination,
        classifier=fitted.classifier,
        licence=prepared.licence,
        about=f"{about.split(_HEADING)[0].rstrip()}\n\n{_about(prepared, fitted.scores)}",
        metrics=metrics
        | {f"source attributes: {name.replace('_', ' ')}": value for name, value in means.items()},
        # A bundle at the destination is this run's own: an earlier attempt was killed right after writing it.
        overwrite=True,
    )
    return saved.digest


def _about(prepared: ClassifierPlan, scores: tuple[AttributeScore, ...]) -> str:
    faces = prepared.faces
    manifest = faces.dataset.manifest
    rows = "\n".join(
        f"| {score.attribute} | {score.share:.3f} | {score.accuracy:.3f} | {score.balanced_accuracy:.3f} |"
        for score in scores
    )
    return (
        f"{_HEADING}\n\nThe classifier was trained on the dataset *{manifest.subset.name}* "
        f"({len(faces.training):,} rows, seed {prepared.settings.seed}) and measured on held-out faces:\n\n"
        f"| attribute | share | accuracy | balanced accuracy |\n| --- | --- | --- | --- |\n{rows}"
    )


def _known(score: AttributeScore) -> dict[str, Any]:
    """A score for JSON, with null in place of NaN."""
    return {name: None if value != value else value for name, value in score._asdict().items()}
