"""Resolve the complete settings of a sweep from the options, the space file, the preset and the defaults.

Options have precedence over the space file, the file over the preset, and the preset over the defaults. Without a
dataset, the ``drawn`` part of a file or a preset has precedence over the rest of it, and the settings that all sweeps
over drawn faces share come last, before the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from attgan.attributes import CELEBA, PUBLISHED, check_names
from attgan.errors import UserError
from flows.settings import SweepSettings, refusal_of
from flows.settings.sweep import MOST_TRIALS
from flows.settings.training import NetworkShape
from flows.sweep.space import preset
from flows.sweep.space.axes import (
    Axis,
    Choices,
    Range,
    draws,
    grid_size,
    parse_axis,
    parse_space,
    refuse_switch,
    value_text,
)
from flows.urls import DEFAULT_BUNDLE

_SHAPE = tuple(name for name in NetworkShape.model_fields if name != "fresh_discriminator")
_USUAL_TRIALS = 10
# Settings that no preset has.
_OF_THE_COMMAND = ("preset", "space_file", "destination", "dry_run")
# Settings that were chosen for a space. Another space has its own.
_OF_A_SPACE = ("search", "trials", "scheduler", "grace_steps")
# Metrics that mean something else for each value of these settings: weighted sums, by their weights; and what is
# measured on the faces that a strategy edits or shows as real.
_DEPENDS_ON = {
    "generator_loss": (
        "lambda_reconstruction",
        "lambda_attributes",
        "lambda_pairs",
        "lambda_edges",
        "adversarial",
        "strategy",
    ),
    "discriminator_loss": ("lambda_classification", "adversarial", "strategy"),
    "adversarial": ("adversarial", "strategy"),
    "critic": ("adversarial", "strategy"),
    "reconstruction": ("strategy",),
    "attributes": ("strategy",),
    "classification": ("strategy",),
    "real_accuracy": ("strategy",),
    "fake_accuracy": ("strategy",),
    "critic_accuracy": ("strategy",),
}
# Metrics that contain the critic's value of edited faces itself, not its difference from that of real ones.
_WITH_LEVEL = frozenset({"generator_loss", "adversarial"})
# What a paired training measures of the metrics: it has no discriminator.
PAIRED_METRICS = frozenset({"quality", "edited_accuracy", "ssim", "psnr", "generator_loss", "reconstruction"})


@dataclass(frozen=True)
class _Layer:
    """The settings and axes of one source, and the beginning of refusals that concern it."""

    settings: Mapping[str, Any]
    axes: tuple[Axis, ...] | None
    where: str


def resolve(settings: SweepSettings) -> SweepSettings:
    """Apply preset, space file and defaults, so that search, number of trials and all axes are set.

    Resolving resolved settings changes nothing.

    Raises:
        UserError: a space that is empty, malformed or searches what cannot be searched; options that contradict each
            other; a space file that is missing or malformed.
    """
    layers = _layers(settings)
    merged, axes = _merge(layers)
    if merged.get("from_scratch") and not any(map(_names_data, layers)):
        fresh = preset.read_shared(preset.DRAWN_FRESH).settings
        merged = {name: value for name, value in fresh.items() if name not in {a.name for a in axes}} | merged
    if not axes and merged.get("trials") != 1:
        raise UserError(
            "space-empty",
            "--space: is empty; name a setting and its values, such as lambda_reconstruction=1,10,50, or give "
            "--trials 1 for one trial with the settings as they are",
        )
    merged |= {name: getattr(settings, name) for name in ("preset", "destination", "dry_run")}
    merged["space"] = [axis.text for axis in axes]
    merged["search"] = merged.get("search") or _usual_search(axes)
    if merged.get("scheduler", "none") == "none":
        _refuse_grace(settings)
        merged["grace_steps"] = None
    elif merged.get("second_metric"):
        raise UserError(
            "asha-with-two-metrics",
            f"--second-metric {merged['second_metric']}: ASHA compares one metric; add --scheduler none",
        )
    if settings.warm_start and merged["search"] != "optuna":
        raise UserError(
            "warm-start-without-optuna",
            f"--warm-start {settings.warm_start}: only a search that learns from results uses it; add --search optuna",
        )
    resolved = SweepSettings.model_validate(merged)
    _check(resolved, axes)
    return resolved.model_copy(update={"trials": _count_trials(resolved, axes)})


def axes_of(settings: SweepSettings) -> tuple[Axis, ...]:
    """The axes of resolved settings."""
    return parse_space(settings.space)


def strategies_of(settings: SweepSettings, axes: tuple[Axis, ...]) -> tuple[str, ...]:
    """The strategies of resolved settings' trials."""
    searched = (axis.values for axis in axes if isinstance(axis, Choices) and axis.name == "strategy")
    return next(searched, (settings.strategy,))


def _layers(settings: SweepSettings) -> list[_Layer]:
    """All sources, in the order of rising precedence."""
    given = {name: value for name, value in settings.chosen.items() if name not in _OF_THE_COMMAND}
    space = given.pop("space", None)
    command = _Layer(_with_start(given, ""), None if space is None else parse_space(space), "")
    built_in = preset.read_preset(settings.preset)
    own = preset.read_space_file(settings.space_file) if settings.space_file else preset.Preset()
    theirs, ours = f"--space-file {settings.space_file}", f"--preset {settings.preset}"
    named = [command, _layer(own, theirs)]
    # The default preset is a search, and no experiment of the reference study.
    is_search = settings.preset == "default"
    report = _layer(preset.Layer() if is_search else preset.read_shared(preset.REPORT), ours)
    if any(_names_data(layer) for layer in named):
        return [report, _layer(built_in, ours), *reversed(named)]
    return [
        report,
        _layer(preset.read_shared(preset.DRAWN), ours),
        _layer(built_in, ours),
        _layer(built_in.drawn, ours),
        _layer(own, theirs),
        _layer(own.drawn, theirs),
        command,
    ]


def _layer(source: preset.Layer, where: str) -> _Layer:
    """The layer of a file, checked.

    Raises:
        UserError: a mistake in it; the line begins with ``where``.
    """
    try:
        checked = SweepSettings.model_validate(source.settings)
    except ValidationError as error:
        raise refusal_of(error, where) from None
    for name, value in source.settings.items():
        if isinstance(value, bool):
            refuse_switch(name, value, f"{where}: --{name.replace('_', '-')}")
    settings = {name: getattr(checked, name) for name in source.settings}
    axes = None
    if source.space is not None:
        axes = tuple(parse_axis(name, values, f"{where}: space") for name, values in source.space.items())
    return _Layer(_with_start(settings, f"{where}: "), axes, f"{where}: ")


def _with_start(settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Set both ``bundle`` and ``from_scratch`` if one of them is given, so that neither of a lower layer remains.

    Raises:
        UserError: they contradict each other.
    """
    bundle, scratch = settings.get("bundle"), settings.get("from_scratch")
    if scratch and bundle is not None:
        raise UserError(
            "scratch-with-bundle",
            f"{where}--from-scratch: starts without a bundle, and --bundle {bundle} names one",
        )
    if scratch is None and "bundle" not in settings:
        return dict(settings)
    if scratch is None:
        scratch = bundle is None
    return {**settings, "from_scratch": scratch, "bundle": None if scratch else bundle or DEFAULT_BUNDLE}


def _names_data(layer: _Layer) -> bool:
    return bool(layer.settings.get("dataset"))


def _merge(layers: list[_Layer]) -> tuple[dict[str, Any], tuple[Axis, ...]]:
    """Merge the settings and axes of all layers.

    A value fixes the axis of the same name in a lower layer. A space replaces the whole space of a lower layer.

    Raises:
        UserError: a source both fixes and searches a setting.
    """
    merged: dict[str, Any] = {}
    axes: dict[str, Axis] = {}
    for layer in layers:
        if layer.axes is not None:
            axes = {axis.name: axis for axis in layer.axes}
            merged = {name: value for name, value in merged.items() if name not in _OF_A_SPACE}
        # A bundle has its own shape, so the shape that a lower layer sets for fresh networks does not apply.
        if layer.settings.get("bundle") is not None:
            merged = {name: value for name, value in merged.items() if name not in _SHAPE}
        for name, value in layer.settings.items():
            if layer.axes is not None and name in axes:
                option = f"--{name.replace('_', '-')} {value_text(value)}"
                raise UserError(
                    "setting-fixed-and-searched",
                    f"{layer.where}{option}: is one value for all trials, and --space searches {name}",
                )
            axes.pop(name, None)
            merged[name] = value
    # A searched setting has no fixed value. Values stay in ``merged`` until here, because a later space may drop the
    # axis again.
    return {name: value for name, value in merged.items() if name not in axes}, tuple(axes.values())


def _usual_search(axes: tuple[Axis, ...]) -> str:
    return "random" if any(isinstance(axis, Range) for axis in axes) else "grid"


def _refuse_grace(settings: SweepSettings) -> None:
    if settings.chosen.get("grace_steps") is not None:
        raise UserError(
            "grace-without-asha",
            f"--grace-steps {settings.grace_steps}: is an option of ASHA; add --scheduler asha",
        )


def _count_trials(settings: SweepSettings, axes: tuple[Axis, ...]) -> int:
    """The largest possible number of trials.

    Raises:
        UserError: a grid that is too large to be intended.
    """
    size = grid_size(axes)
    if settings.search == "grid" and settings.trials is None and (size or 0) > MOST_TRIALS:
        raise UserError(
            "grid-too-large",
            f"--space: is a grid of {size:,} trials; name fewer values, or --trials {MOST_TRIALS}",
        )
    usual = MOST_TRIALS if settings.search == "grid" else _USUAL_TRIALS
    count = min(settings.trials or usual, size or MOST_TRIALS)
    return len(draws(axes, count, settings.seed)) if settings.search == "random" else count


def _check(settings: SweepSettings, axes: tuple[Axis, ...]) -> None:
    """Check rules that concern more than one option.

    Raises:
        UserError: options that do not go together.
    """
    if settings.second_metric == settings.metric:
        raise UserError(
            "metric-twice", f"--second-metric {settings.second_metric}: is --metric already; name another one"
        )
    _check_metrics(settings, axes)
    for axis in axes:
        if isinstance(axis, Range) and settings.search == "grid":
            raise UserError(
                "grid-with-range",
                f"--search grid: {axis.text} is a range; use --search random or optuna",
            )
        if settings.bundle is not None and axis.name in _SHAPE:
            raise UserError(
                "bundle-fixes-shape",
                f"--space {axis.text}: is fixed by the bundle; only --from-scratch takes it",
            )
        if settings.bundle is None and axis.name == "fresh_discriminator":
            raise UserError(
                "scratch-with-discriminator",
                f"--space {axis.text}: with --from-scratch every discriminator is fresh",
            )
    if settings.bundle is None:
        check_names(settings.attributes or (), CELEBA, "--attributes")
        where = f"--attribute {settings.attribute}"
        check_names([settings.attribute], settings.attributes or PUBLISHED, where)
    else:
        for name in _SHAPE:
            if (value := getattr(settings, name)) is not None:
                words = " ".join(value) if isinstance(value, list) else value
                raise UserError(
                    "bundle-fixes-shape",
                    f"--{name.replace('_', '-')} {words}: is fixed by the bundle; only --from-scratch takes it",
                )


def _check_metrics(settings: SweepSettings, axes: tuple[Axis, ...]) -> None:
    """Refuse metrics that a trial would not measure, or that mean something else in each trial.

    Raises:
        UserError: such a metric.
    """
    strategies = strategies_of(settings, axes)
    if "paired" in strategies and len(strategies) > 1:
        raise UserError(
            "metric-not-comparable",
            "--space strategy: paired is validated on other images than the other strategies, so no metric compares "
            "them; search them in two sweeps",
        )
    for option, metric in (("--metric", settings.metric), ("--second-metric", settings.second_metric)):
        if "paired" in strategies and metric not in PAIRED_METRICS | {"steps", None}:
            raise UserError(
                "metric-not-measured",
                f"{option} {metric}: is not measured by --strategy paired, which has no discriminator; use quality",
            )
        for axis in axes:
            if axis.name in _DEPENDS_ON.get(metric or "", ()):
                raise UserError(
                    "metric-not-comparable",
                    f"{option} {metric}: means something else for each {axis.name}, which --space searches, so it "
                    "cannot compare the trials; use quality",
                )
        if metric in _WITH_LEVEL and settings.adversarial == "wgan" and "paired" not in strategies:
            raise UserError(
                "metric-level-arbitrary",
                f"{option} {metric}: contains the critic's values, and under --adversarial wgan each trial's critic "
                "has a level of its own, so it cannot compare the trials; use quality",
            )
