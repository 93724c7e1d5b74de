"""The model card of a bundle, as Markdown."""

import re
from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from attgan.version import SOFTWARE

_NUMBER = r"-?\d+(\.\d+)?(e[+-]\d+)?|nan|-?inf"


def write_card(
    about: str,
    licence: str,
    attributes: Sequence[str],
    settings: Mapping[str, BaseModel],
    metrics: Mapping[str, float],
) -> str:
    """Write the model card.

    Args:
        about: the data and the training, Markdown.
        licence: one line: what the weights may be used for.
        attributes: in the order of the network's vector.
        settings: of each network, by its name.
        metrics: measured values; without any, the card has no such section.
    """
    parts = ["# AttGAN bundle", about.strip(), "## Licence", licence, "## Software", SOFTWARE]
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


def read_card(card: str) -> tuple[str, dict[str, float]]:
    """The parts of a card that are stored nowhere else: ``about`` and the metrics.

    Of a card that :func:`write_card` did not write, the whole text is ``about``.
    """
    start, licence, metrics = "# AttGAN bundle\n\n", "\n\n## Licence\n\n", "\n\n## Metrics\n\n"
    if not card.startswith(start) or licence not in card:
        return card.strip(), {}
    about = card.removeprefix(start).split(licence)[0]
    rows = re.findall(r"^\| (.+) \| (\S+) \|$", card.partition(metrics)[2], re.MULTILINE)
    return about, {name: float(value) for name, value in rows if re.fullmatch(_NUMBER, value)}
