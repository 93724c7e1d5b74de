"""One alignment in this process: the function that the flow's task calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from attgan.training.alignment import align
from attgan.training.run_folder.progress import OnProgress
from flows.settings import AlignSettings
from flows.training.train.trial import workplace


def align_trial(
    settings: AlignSettings,
    *,
    command: str | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Align, or resume the run at the destination. Arguments as for :func:`flows.training.train.trial.train_trial`."""
    with workplace(settings, command, should_stop) as at:
        outcome = align(
            at.start.generator,
            at.start.discriminator,
            at.faces,
            settings.config,
            at.folder,
            device=at.device,
            card=at.card,
            on_progress=on_progress,
            should_stop=at.should_stop,
        )
    return asdict(outcome)
