"""What a training reports: before it begins, and at its end."""

from __future__ import annotations

from typing import Any

from torch import nn

from attgan.models import inspect_bundle
from attgan.training.freeze_d import freeze_lowest
from flows.runtime.terminal import print_line, print_rows
from flows.settings import TrainSettings
from flows.storage import join, open_store
from flows.training.prepared_training import PreparedTraining
from flows.training.start import describe_evaluator

BUNDLE = "bundle"
_MEASURES = {
    "quality": "quality (SSIM × edits seen)",
    "psnr": "PSNR of the reconstruction, dB",
    "ssim": "SSIM of the reconstruction",
    "classifier_accuracy": "classifier, accuracy over all attributes",
    "target_accuracy": "classifier, accuracy on the attribute",
    "edited_accuracy": "edited faces in which the attribute is seen",
    "critic_accuracy": "critic, accuracy on real against edited",
    "generator_loss": "generator's loss, held out",
    "discriminator_loss": "discriminator's loss, held out",
}


def describe(prepared: PreparedTraining) -> dict[str, Any]:
    """What will be trained, as names and values."""
    settings, start, faces, table = prepared.settings, prepared.start, prepared.faces, prepared.table
    manifest = faces.dataset.manifest
    config = start.generator.config
    rows: dict[str, Any] = {
        "dataset": f"{settings.dataset} ({manifest.subset.name}, {manifest.counts.rows:,} rows)",
        "rows": f"{prepared.rows:,} to train on, {len(faces.held_out):,} held out",
        "strategy": prepared.strategy.name,
    }
    if prepared.rows < len(faces.training):
        kind = settings.subset if isinstance(settings, TrainSettings) else "random"
        rows["rows"] += f" ({kind}: out of {len(faces.training):,})"
    if isinstance(settings, TrainSettings):
        rows["strategy"] += f", {settings.attribute}"
        rows["streams"] = (
            f"{prepared.source_rows:,} rows are edited ({prepared.strategy.source}), "
            f"{prepared.real_rows:,} shown as real ({prepared.strategy.real})"
        )
    rows["steps"] = (
        f"{table.steps:,}, each on {settings.batch_size} images; {table.steps_per_epoch:,} in an epoch"
        + (
            f"; {table.discriminator_steps} for the discriminator, then 1 for the generator"
            if table.discriminator_steps
            else ""
        )
    )
    rows["attributes"] = ", ".join(start.attributes)
    rows["generator"] = (
        f"{_count(start.generator)}, {config.image_size} px, width {config.width}, {config.shortcut_layers} shortcut, "
        f"{config.inject_layers} inject; {start.generator_from}"
    )
    rows["discriminator"] = f"{_count(start.discriminator)}; {start.discriminator_from}"
    rows["frozen"] = _frozen(prepared)
    if isinstance(settings, TrainSettings):
        place = f"{start.evaluator_from}: " if start.evaluator_from else ""
        rows["evaluator of edits"] = place + describe_evaluator(settings, start)
        if start.evaluator is not None and start.evaluator.licence is not None:
            rows["evaluator's licence"] = start.evaluator.licence
    rows["device"] = settings.device
    rows["licence"] = prepared.licence if prepared.finished is None else _licence_there(prepared)
    rows["destination"] = prepared.store.url
    return rows


def result(prepared: PreparedTraining, outcome: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The flow's result: where the bundle is, what was measured, and how the training ended."""
    return {
        "run": prepared.store.url,
        "bundle": join(prepared.store.url, BUNDLE),
        "digest": outcome["digest"],
        "licence": _licence_there(prepared),
        "reason": outcome["reason"],
        "step": outcome["step"],
        "epoch": outcome["epoch"],
        "best_step": outcome["best_step"],
        "measured": dict(outcome["best"] or outcome["check"]),
        "seconds": round(seconds, 1),
    }


def result_rows(shown: dict[str, Any]) -> list[dict[str, Any]]:
    """The table at the end."""
    rows: dict[str, Any] = {
        "ended": f"after step {shown['step']:,}, epoch {shown['epoch']:.2f}: {shown['reason']}",
        "result": f"the weights of step {shown['best_step']:,}" if shown["best_step"] else "the last weights",
    }
    measured = shown["measured"]
    rows |= {words: f"{measured[name]:.4g}" for name, words in _MEASURES.items() if name in measured}
    rows |= {"licence": shown["licence"], "digest": shown["digest"][:16]}
    return [{"what": what, "value": value} for what, value in rows.items()]


def show(shown: dict[str, Any]) -> None:
    """Print a result to the terminal."""
    print_rows("Result", result_rows(shown))
    print_line(f"bundle: {shown['bundle']}")
    print_line(f"curves, grids and metrics: {shown['run']}/")


def _licence_there(prepared: PreparedTraining) -> str:
    """The licence line in the finished run's bundle. The options of this command may give another one in vain."""
    url = join(prepared.store.url, BUNDLE)
    filesystem, path = open_store(url, option="--destination").filesystem()
    return inspect_bundle(path, filesystem, f"--destination {url}").config.licence


def _count(network: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters"


def _frozen(prepared: PreparedTraining) -> str:
    if not isinstance(prepared.settings, TrainSettings):
        return "the whole generator"
    names = freeze_lowest(prepared.start.discriminator, prepared.settings.freeze_d)
    return ", ".join(names) or "nothing"
