"""What a training says of itself: before it begins, and when it is done."""

from __future__ import annotations

from typing import Any

from torch import nn

from attgan.models import inspect_bundle
from attgan.models.discriminator import freeze_lowest
from flows.runtime.terminal import print_line, print_rows
from flows.settings import TrainSettings
from flows.storage import join, open_store
from flows.training.start import judged_by
from flows.training.train.preparation import Prepared

BUNDLE = "bundle"
_MEASURES = {
    "quality": "quality (SSIM × edits seen)",
    "psnr": "PSNR of the reconstruction, dB",
    "ssim": "SSIM of the reconstruction",
    "classifier_accuracy": "classifier, accuracy over all attributes",
    "target_accuracy": "classifier, accuracy on the attribute",
    "edited_accuracy": "edited faces whose attribute is seen",
    "critic_accuracy": "critic, real told from edited",
    "generator_loss": "generator's loss, held out",
    "discriminator_loss": "discriminator's loss, held out",
}


def plan(prepared: Prepared) -> dict[str, Any]:
    """What will be trained, by name."""
    settings, start, faces, table = prepared.settings, prepared.start, prepared.faces, prepared.table
    manifest = faces.dataset.manifest
    config = start.generator.config
    rows: dict[str, Any] = {
        "dataset": f"{settings.dataset} ({manifest.subset.name}, {manifest.counts.rows:,} rows)",
        "rows": f"{prepared.rows:,} to train on, {len(faces.held_out):,} held out",
        "strategy": prepared.strategy.name,
    }
    if isinstance(settings, TrainSettings):
        if settings.subset != "all":
            rows["rows"] += f" ({settings.subset}: out of {len(faces.training):,})"
        rows["strategy"] += f", {settings.attribute}"
        rows["streams"] = (
            f"{prepared.source_rows:,} rows are edited ({prepared.strategy.source}), "
            f"{prepared.real_rows:,} shown as real ({prepared.strategy.real})"
        )
    rows["steps"] = (
        f"{table.steps:,} of {settings.batch_size} images, {table.steps_per_epoch:,} in an epoch"
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
        rows["judge of edits"] = place + judged_by(settings, start)
        if start.evaluator is not None and start.evaluator.licence is not None:
            rows["judge's licence"] = start.evaluator.licence
    rows["device"] = settings.device
    rows["licence"] = prepared.licence if prepared.finished is None else _licence_there(prepared)
    rows["destination"] = prepared.store.url
    return rows


def plan_rows(prepared: Prepared) -> list[dict[str, Any]]:
    """:func:`plan` and all other settings, as rows of a table."""
    shown = plan(prepared)
    others = prepared.settings.config.model_dump()
    shown |= {f"--{name.replace('_', '-')}": value for name, value in others.items() if name not in shown}
    return [{"what": what, "value": value} for what, value in shown.items()]


def opening_lines(prepared: Prepared) -> list[str]:
    """The lines with which a run begins."""
    return [f"{what}: {value}" for what, value in plan(prepared).items()]


def result(prepared: Prepared, outcome: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What the flow returns: where the bundle is, what was measured, how it ended."""
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
        "result": f"as after step {shown['best_step']:,}" if shown["best_step"] else "as at the end",
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


def _licence_there(prepared: Prepared) -> str:
    """The line in the finished run's bundle: this call's options may say another, which the weights do not carry."""
    url = join(prepared.store.url, BUNDLE)
    filesystem, path = open_store(url, option="--destination").filesystem()
    return inspect_bundle(path, filesystem, f"--destination {url}").config.licence


def _count(network: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters"


def _frozen(prepared: Prepared) -> str:
    if not isinstance(prepared.settings, TrainSettings):
        return "the whole generator"
    names = freeze_lowest(prepared.start.discriminator, prepared.settings.freeze_d)
    return ", ".join(names) or "nothing"
