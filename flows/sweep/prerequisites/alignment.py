"""The discriminator of a bundle that has none: it is aligned with the generator before the trials, on random faces."""

from __future__ import annotations

from attgan.errors import UserError
from attgan.models import BundleInfo
from attgan.training.run_folder.run_files import RESULT
from flows.dataset.datasets import read_manifest_of
from flows.runtime import reporting
from flows.runtime.running import run_subflow
from flows.settings import AlignSettings, SweepSettings
from flows.storage import has, join
from flows.storage.bundles import inspect
from flows.sweep.fingerprint import SWEEP
from flows.training.flow import align
from flows.training.report import BUNDLE

ALIGNED = "aligned"
SHARED = (set(AlignSettings.model_fields) & set(SweepSettings.model_fields)) - {"patience", "dry_run"}
"""Settings that an alignment takes from the sweep. Not patience: the sweep's is meant for its trials."""


def needs_alignment(settings: SweepSettings, start: BundleInfo | None) -> bool:
    """Whether a discriminator is aligned before the trials: their bundle, ``start``, has none, and they want one."""
    return start is not None and start.config.discriminator is None and not settings.fresh_discriminator


def refuse_to_align_on_subset(settings: SweepSettings) -> None:
    """Refuse to align on a subset of one attribute, where that is far more frequent than among all faces.

    Raises:
        UserError: the dataset to align on is such a subset, or there is none; the bundle is missing.
    """
    if settings.bundle is None or not needs_alignment(settings, inspect(settings.bundle)):
        return
    option = "--align-dataset" if settings.align_dataset else "--dataset"
    url = settings.align_dataset or settings.dataset
    if url is not None and (subset := read_manifest_of(url, option).subset).attribute is not None:
        raise UserError(
            "alignment-needs-random",
            f"{option} {url}: is the subset {subset.name}, and a discriminator is aligned on random faces; name a "
            "dataset of such with --align-dataset (attgan subset --subset random makes one), or a --bundle that has a "
            "discriminator",
        )


def align_first(settings: SweepSettings, dataset: str, log: reporting.Log) -> str:
    """Make the starting bundle with a discriminator that is trained against its generator; returns its URL.

    Args:
        settings: of the sweep, which names a bundle.
        dataset: of the trials.
        log: of the flow run.

    Raises:
        UserError: the alignment refuses its settings.
        Unfinished: it was stopped or failed. The same command resumes.
    """
    assert settings.bundle is not None
    aligned = join(settings.place, ALIGNED)
    # A sweep keeps the discriminator that it began with, also where an older version made that in another way.
    if has(settings.place, SWEEP) and has(aligned, RESULT):
        return join(aligned, BUNDLE)
    options = settings.model_dump(include=SHARED) | {
        "dataset": settings.align_dataset or dataset,
        "destination": aligned,
        "bundle": settings.bundle,
        "max_steps": settings.align_steps,
        "fresh_discriminator": False,
        "gpus": settings.gpus_per_trial,
    }
    chosen = AlignSettings.model_validate(options)
    log.info(
        "the bundle has no discriminator: one is aligned with its generator first, on at most %s random images of %s",
        f"{chosen.random_images:,}",
        chosen.dataset,
    )
    try:
        result = run_subflow(align, chosen)
    except UserError as error:
        raise UserError(error.code, _sweep_option(settings, error.line)) from None
    bundle: str = result["bundle"]
    return bundle


def _sweep_option(settings: SweepSettings, refusal: str) -> str:
    """The line of an alignment's refusal, with the sweep's name of the option."""
    names = {"--max-steps ": "--align-steps ", "--gpus ": "--gpus-per-trial "}
    if settings.align_dataset:
        names["--dataset "] = "--align-dataset "
    for theirs, ours in names.items():
        if refusal.startswith(theirs):
            return ours + refusal.removeprefix(theirs)
    return refusal
