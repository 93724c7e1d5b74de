"""The queries of the Grafana board, as Grafana sends them for all runs."""

import json
from pathlib import Path

BOARD = Path(__file__).parents[2] / "infra" / "grafana" / "edit.json"


def queries() -> list[str]:
    panels = json.loads(BOARD.read_text())["panels"]
    written = [target["expr"] for panel in panels for target in panel["targets"]]
    return [query.replace("$run", ".*").replace("$__rate_interval", "1m") for query in written]
