"""The pipeline flow: subset → align → sweep → edit, each one a subflow.

A discriminator is aligned on random faces, and the trials take the user's subset, by default faces with eyeglasses and
twice as many others. So from labelled faces two datasets are made.

Each subflow recognises its own earlier result by the settings that are recorded in it. So a step that is complete is
skipped, and one that was stopped resumes.
"""

from __future__ import annotations

import time
from collections.abc import Set
from dataclasses import dataclass
from typing import Any, TypeVar

from prefect import State, flow, get_run_logger
from pydantic import ValidationError

from attgan.attributes import PUBLISHED, parse_edits
from attgan.data.manifest import MANIFEST
from attgan.drawn_faces.dataset import IMAGE_FOLDER
from attgan.errors import UserError
from attgan.models import GeneratorConfig
from attgan.training.run_folder.checkpoint import LATEST
from attgan.training.run_folder.run_files import RESULT
from flows.dataset.datasets import read_manifest_of
from flows.dataset.drawn_faces import draw_faces
from flows.dataset.subset import subset
from flows.dataset.subset.plan import resolve_subset
from flows.edit.fingerprint import hash_of
from flows.edit.flow import edit
from flows.runtime import reporting
from flows.runtime.cluster import connection, nodes
from flows.runtime.running import Unfinished, refusals_as_states, run_subflow
from flows.settings import (
    AlignSettings,
    EditSettings,
    PipelineSettings,
    Settings,
    SubsetSettings,
    SweepSettings,
    refusal_of,
)
from flows.storage import bundles, has, join, open_store
from flows.sweep.flow import sweep
from flows.sweep.prerequisites.alignment import ALIGNED, SHARED, needs_alignment
from flows.sweep.prerequisites.places import DATASET, FACES
from flows.sweep.results.best_bundle import BEST
from flows.sweep.results.result_files import REPORT
from flows.sweep.space.resolve import resolve
from flows.training.flow import align
from flows.training.report import BUNDLE

EDITED, RANDOM = "edited", "random"
# Options of the subset that do not apply to a random one.
_OF_A_SUBSET = frozenset({"subset", "ratio", "count"})
_FIXED = {"destination", "dry_run"}
# The model that is aligned is the one that the trials start from.
_STARTS = {"bundle"}

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Steps:
    """The settings of the four flows, checked before the first of them starts.

    Attributes:
        align: None if there is nothing to align: the sweep starts from scratch, with new discriminators, or with a
            bundle that has a discriminator.
        random: makes the dataset to align on; None if there is nothing to align, or the trials' is of random faces.
        kept: one line for each step that an older version has made in another way, and whose result is used.
    """

    subset: SubsetSettings
    random: SubsetSettings | None
    align: AlignSettings | None
    sweep: SweepSettings
    edit: EditSettings
    kept: list[str]


@flow(name="pipeline", flow_run_name="pipeline {settings.preset}", validate_parameters=True)
@refusals_as_states
def pipeline(settings: PipelineSettings) -> dict[str, Any] | State[Any]:
    """Make a dataset, align a discriminator, run a sweep, and edit images with the best model."""
    log = get_run_logger()
    steps = make_steps(settings)
    if settings.dry_run:
        reporting.table("pipeline-dry-run", describe(settings), "What the pipeline would do")
        return {}
    # In a process of a deployment nothing has connected yet, and this flow has no task of its own.
    connection.connect_ray()
    check_places(settings)
    started = time.monotonic()
    if settings.source is None:
        draw_faces(join(settings.place, FACES), settings.images, settings.seed, log)
    for line in steps.kept:
        log.info("%s", line)
    run_subflow(subset, steps.subset)
    if steps.random is not None:
        run_subflow(subset, steps.random)
    if steps.align is not None:
        run_subflow(align, steps.align)
    swept = run_subflow(sweep, steps.sweep)
    if swept["best"] is None:
        raise Unfinished(
            "no trial of the sweep has weights that can be compared, so there is no model to edit with"
        )
    edited = run_subflow(edit, _named(steps.edit, swept["digest"]))
    result = {
        "dataset": steps.subset.destination,
        "start": steps.sweep.bundle or "from scratch",
        "trials": swept["trials"],
        "best trial": swept["best"]["label"],
        "bundle": steps.edit.bundle,
        "edited": edited["destination"],
        "seconds": round(time.monotonic() - started, 1),
    }
    rows = [{"what": what, "value": value} for what, value in result.items()]
    reporting.table("pipeline-result", rows, f"Result, {settings.place}")
    return result


def make_steps(settings: PipelineSettings) -> Steps:
    """The settings of each step. Reads the bundle that the steps start from, and writes nothing.

    Raises:
        UserError: there is no such bundle, a step's settings are invalid, or no model will have an attribute to edit.
    """
    place = settings.place
    source, dataset = settings.source or join(place, FACES), join(place, DATASET)
    data = {"images": settings.images} if settings.source is None else {"dataset": dataset}
    common = {
        "preset": settings.preset,
        "seed": settings.seed,
        "gpus_per_trial": settings.gpus,
        "node_timeout": settings.node_timeout,
    }
    wanted = {**common, **data, "destination": place}
    resolved = resolve(_checked(SweepSettings, wanted, settings.sweep_options, "--sweep-options", _STARTS))
    size, names = resolved.size or GeneratorConfig().image_size, resolved.attributes or PUBLISHED
    aligns = False
    if not resolved.from_scratch:
        start = bundles.inspect(settings.bundle)
        size, names = start.config.image_size, start.config.attributes
        aligns = needs_alignment(resolved, start)
        wanted["bundle"] = join(place, ALIGNED, BUNDLE) if aligns else settings.bundle
    kept: list[str] = []
    trials = _subset(settings, source, size, kept)
    random, alignment = _alignment(settings, resolved, trials, kept) if aligns else (None, None)
    changed = {
        "source": settings.photos or join(source, IMAGE_FOLDER),
        "destination": settings.edited or join(place, EDITED),
        "bundle": join(place, BEST),
        "labels": None if settings.photos else source,
        "gpus_per_shard": settings.gpus,
        "node_timeout": settings.node_timeout,
        # A sweep that continues may find better weights. Images that earlier weights have edited are then replaced.
        "on_existing": "overwrite" if settings.edited is None else "fail",
    }
    steps = Steps(
        subset=trials,
        random=random,
        align=alignment,
        sweep=_checked(SweepSettings, wanted, settings.sweep_options, "--sweep-options"),
        edit=_checked(EditSettings, changed, settings.edit_options, "--edit-options"),
        kept=kept,
    )
    parse_edits(steps.edit.set, steps.edit.intensity, names)
    return steps


def _subset(settings: PipelineSettings, source: str, size: int, kept: list[str]) -> SubsetSettings:
    """The settings of the trials' dataset. If an older version has made it, a line of ``kept`` says so."""
    place = join(settings.place, DATASET)
    cut = {"source": source, "destination": place, "size": size, "seed": settings.seed}
    cut["node_timeout"] = settings.node_timeout
    cut["subset"] = "all" if settings.source is None else settings.subset
    if "store" not in settings.subset_options and has(place, MANIFEST):
        cut["store"] = read_manifest_of(place, "--destination").images.geometry
        if cut["store"] == "cropped":
            kept.append(
                f"{place}: is used as an older version made it, with faces that were compressed again"
            )
    return _checked(SubsetSettings, cut, settings.subset_options, "--subset-options")


def _alignment(
    settings: PipelineSettings, resolved: SweepSettings, trials: SubsetSettings, kept: list[str]
) -> tuple[SubsetSettings | None, AlignSettings]:
    """The settings of the alignment, and those of its dataset of random faces, unless the trials' has such.

    Args:
        settings: of the pipeline.
        resolved: of the sweep.
        trials: of the trials' dataset.
        kept: receives a line if an older version has begun the alignment, on the trials' dataset.
    """
    aligned, random = join(settings.place, ALIGNED), join(settings.place, RANDOM)
    values = resolved.model_dump(include=SHARED) | {
        "dataset": trials.destination,
        "destination": aligned,
        "bundle": settings.bundle,
        "gpus": settings.gpus,
        "max_steps": resolved.align_steps,
    }
    made = None
    if resolve_subset(trials).attribute is not None:
        begun = has(aligned, LATEST) or has(aligned, RESULT)
        if begun and not has(random, MANIFEST):
            values["random_images"] = None
            kept.append(f"{aligned}: is used as an older version began it, on the images of the trials")
        else:
            values["dataset"] = random
            options = {
                name: value
                for name, value in settings.subset_options.items()
                if name.replace("-", "_") not in _OF_A_SUBSET
            }
            cut = trials.model_dump(include={"source", "size", "seed"})
            cut |= {"destination": random, "subset": "random"}
            made = _checked(SubsetSettings, cut, options, "--subset-options")
    return made, _checked(AlignSettings, values, settings.align_options, "--align-options", _STARTS)


def describe(settings: PipelineSettings) -> list[dict[str, str]]:
    """The rows of the table that a dry run prints. Writes nothing.

    Raises:
        UserError: as :func:`make_steps`.
    """
    steps = make_steps(settings)
    place, trials = settings.place, resolve(steps.sweep).trials
    drawn = f"{settings.images:,} drawn faces"
    made = [
        ("subset", steps.subset.source if settings.source else drawn, join(place, DATASET), MANIFEST),
        ("sweep", f"{settings.preset}, up to {trials:,} trials", place, REPORT),
        ("edit", steps.edit.source, steps.edit.destination, ""),
    ]
    if steps.align is not None:
        made.insert(1, ("align", steps.align.bundle, join(place, ALIGNED), RESULT))
    if steps.random is not None:
        random = "70,000 random faces, or all of fewer"
        made.insert(1, ("subset", f"{steps.random.source}: {random}", join(place, RANDOM), MANIFEST))
    return [
        {"step": step, "of": of, "makes": makes, "there already": "yes" if end and has(makes, end) else "no"}
        for step, of, makes, end in made
    ]


def _named(settings: EditSettings, digest: str) -> EditSettings:
    """The settings with a run id derived from all that the run depends on, so that a finished run is recognised."""
    if settings.run_id:
        return settings
    made_of = [
        digest,
        settings.model_dump(mode="json", exclude={"cpus_per_shard", "gpus_per_shard", "node_timeout"}),
    ]
    return settings.model_copy(update={"run_id": f"pipeline-{hash_of(made_of)}"})


def check_places(settings: PipelineSettings) -> None:
    """Check the places that would otherwise be needed hours later.

    Raises:
        UserError: one cannot be used, or a node does not see it.
    """
    for option, url in {"--source": settings.source, "--photos": settings.photos}.items():
        if url is not None:
            open_store(url, option=option).check()
            nodes.require_reachable({option: url})
    open_store(settings.place, option="--destination").check(write=True)
    if settings.edited is not None:
        open_store(settings.edited, option="--edited").check(write=True)
    nodes.require_reachable({}, settings.place)


def _checked(
    kind: type[S], values: dict[str, Any], options: dict[str, Any], where: str, also: Set[str] = frozenset()
) -> S:
    """The settings of a step: the pipeline's values, overridden by the user's options for this step.

    Args:
        kind: the settings model.
        values: the pipeline's values.
        options: the user's, by field name or as on the command line.
        where: the name of the user's option, for messages.
        also: further names that only the pipeline sets.

    Raises:
        UserError: an option is invalid, or is one that only the pipeline sets.
    """
    options = {name.replace("-", "_"): value for name, value in options.items()}
    for name in sorted((_FIXED | also) & set(options)):
        raise UserError(
            "pipeline-option-fixed",
            f"{where}: {name} cannot be set for one step; --{name.replace('_', '-')} sets it for all",
        )
    try:
        return kind.model_validate(values | options)
    except ValidationError as error:
        raise refusal_of(error, where) from None
