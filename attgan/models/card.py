"""The card of a bundle: what a reader must know of a model before using it, as Markdown."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel


def write_card(
    about: str,
    licence: str,
    attributes: Sequence[str],
    settings: Mapping[str, BaseModel],
    metrics: Mapping[str, float],
) -> str:
    """Compose the card.

    Args:
        about: which data and training it comes from, Markdown.
        licence: one line on what the weights may be used for.
        attributes: in the order of the network's vector.
        settings: of each network, by its name.
        metrics: measured qualities; left out where there are none.
    """
    parts = ["# AttGAN bundle", about.strip(), "## Licence", licence]
    parts += ["## Attributes", ", ".join(attributes)]
    for name, config in settings.items():
        parts += [f"## {name.capitalize()}", _table("setting", config.model_dump())]
    if metrics:
        parts += ["## Metrics", _table("metric", {name: f"{value:.4g}" for name, value in metrics.items()})]
    return "\n\n".join(parts) + "\n"


def _table(heading: str, rows: Mapping[str, object]) -> str:
    return "\n".join(
        [
            f"| {heading} | value |",
            "| --- | --- |",
            *(f"| {name} | {value} |" for name, value in rows.items()),
        ]
    )
