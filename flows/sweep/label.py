"""Short labels for trials in figures and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.sweep.space import value_text

_NAMES = {
    "lambda_reconstruction": "λ1",
    "lambda_attributes": "λ2",
    "lambda_classification": "λ3",
    "lambda_penalty": "penalty",
    "freeze_d": "FreezeD",
    "learning_rate": "rate",
    "discriminator_steps": "n_d",
    "shortcut_layers": "shortcut",
    "inject_layers": "inject",
    "batch_size": "batch",
    "max_steps": "steps",
}


def label(changes: Mapping[str, Any]) -> str:
    """The settings in which a trial differs from others: ``λ1 50, FreezeD 4``."""
    return ", ".join(_words(name, value) for name, value in changes.items()) or "trained"


def _words(name: str, value: Any) -> str:
    if name == "fresh_discriminator":
        return "fresh discriminator" if value else "aligned discriminator"
    if name == "strategy":
        return str(value).capitalize()
    if name == "dataset":
        return str(value).rstrip("/").rpartition("/")[2]
    shown = f"{value:.4g}" if isinstance(value, float) else value_text(value)
    return f"{_NAMES.get(name, name.replace('_', ' '))} {shown}"
