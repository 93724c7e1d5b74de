"""Prints and saves the result of a bench."""

from __future__ import annotations

import json
from typing import Any

from flows.bench.bench import Result
from flows.bench.estimates import estimate_rows, measured_in
from flows.bench.together import bottleneck, combined, with_twice
from flows.bench.what_if import MeasuredRun
from flows.runtime.terminal import print_line, print_rows
from flows.settings import BenchSettings, EditSettings
from flows.storage import open_store
from flows.words import counted

# The stages of the flow that each measured stage consists of.
_STAGES = {
    "storage, GET": ("fetch",),
    "storage, PUT": ("put",),
    "codec": ("decode", "encode"),
    "generator": ("edit",),
}


def finish(settings: BenchSettings, result: Result) -> None:
    """Print the result, save it if that is asked for, and answer what was asked with it."""
    show(result)
    report = result.reached.report
    if settings.save is not None:
        folder, _, name = settings.save.rpartition("/")
        body = json.dumps(report, indent=2).encode()
        open_store(folder or "/", option="--save").put(name, body, content_type="application/json")
        print_line(f"rates: {settings.save}")
    if settings.what_if:
        show_what_if(settings, measured_in(report, "of this bench"))


def show_what_if(settings: BenchSettings, measured: MeasuredRun) -> None:
    """Print what the rates say about the scenarios of ``--what-if``."""
    like = EditSettings(source="/", destination="/", gpus_per_shard=measured.gpus_per_shard)
    print_rows("What if", estimate_rows(settings, measured, like))


def show(result: Result) -> None:
    """Print the ceilings, what the flow reached of them, and the bottleneck."""
    nodes, load, slowest = result.cluster, result.load, bottleneck(result.ceilings)
    print_rows("Ceilings: each stage alone, on all workers at once", ceiling_rows(result))
    print_rows("The edit flow, on the same workers", flow_rows(result))
    better = with_twice(result.ceilings, slowest)
    print_line(f"the bottleneck is {slowest.stage}: twice its rate would allow {better:,.0f} images/s")
    print_line(
        f"{counted(result.workers, 'worker')} on {counted(nodes.nodes, 'node')} with {counted(nodes.cpus, 'CPU')} and "
        f"{counted(nodes.gpus, 'GPU')}; "
        f"they were ready after {result.start:.1f} s and used up to {result.reached.peak_mb:,} MB"
    )
    if load.processes > load.cores / 4:
        others = f"{load.processes:.1f} of this machine's {load.cores} cores"
        print_line(
            f"other work wanted {others} before: the rates are lower than they could be, the ratios hold"
        )


def ceiling_rows(result: Result) -> list[dict[str, Any]]:
    """A row for each stage, and one for all stages together."""
    together = combined(result.ceilings)
    rows = []
    for ceiling in result.ceilings:
        busy = sum(result.reached.busy[stage] for stage in _STAGES.get(ceiling.stage, ()))
        rows.append(
            {
                "stage": ceiling.stage,
                "images/s": f"{ceiling.rate:,.0f}",
                "busy at the best combined rate": f"{together / ceiling.rate:.0%}",
                "of": "the cores" if ceiling.on_cores else "its own",
                "in the flow, images per busy second": f"{result.reached.images / busy:,.0f}" if busy else "",
            }
        )
    rows.append(
        dict.fromkeys(rows[0], "") | {"stage": "all together, at best", "images/s": f"{together:,.0f}"}
    )
    return rows


def flow_rows(result: Result) -> list[dict[str, Any]]:
    """The rates of the flow, within its shards and from start to end."""
    reached, together = result.reached, combined(result.ceilings)
    return [
        {
            "what": what,
            "seconds": f"{seconds:,.1f}",
            "images/s": f"{reached.images / seconds:,.0f}",
            "of the ceiling": f"{reached.images / seconds / together:.2f}",
        }
        for what, seconds in (
            ("within the shards", reached.shards),
            ("the whole flow, with plan and report", reached.whole),
        )
    ]
