"""What a bench prints."""

from __future__ import annotations

from typing import Any

from flows.bench.bench import Result
from flows.bench.together import bottleneck, combined, with_twice
from flows.runtime.terminal import print_line, print_rows

_STAGES = {  # of the flow, by what they are called here
    "storage, GET": ("fetch",),
    "storage, PUT": ("put",),
    "codec": ("decode", "encode"),
    "generator": ("edit",),
}


def show(result: Result) -> None:
    """Print a bench's ceilings, what the flow reached of them, and what holds it up."""
    nodes, load, slowest = result.cluster, result.load, bottleneck(result.ceilings)
    print_rows("Ceilings: each stage by itself, on all workers at once", ceiling_rows(result))
    print_rows("The edit flow, on the same workers", flow_rows(result))
    better = with_twice(result.ceilings, slowest)
    print_line(f"the bottleneck is {slowest.stage}: twice as much of it would allow {better:,.0f} images/s")
    print_line(
        f"{result.workers} workers on {nodes.nodes} node(s) with {nodes.cpus:g} CPUs and {nodes.gpus:g} GPUs; "
        f"they are ready after {result.start:.1f} s and grow to {result.reached.peak_mb:,} MB"
    )
    if load.processes > load.cores / 4:
        others = f"{load.processes:.1f} of this machine's {load.cores} cores"
        print_line(
            f"other work wanted {others} before: the rates are lower than they could be, the ratios hold"
        )


def ceiling_rows(result: Result) -> list[dict[str, Any]]:
    """A row per stage, and one for all of them together."""
    together = combined(result.ceilings)
    rows = []
    for ceiling in result.ceilings:
        busy = sum(result.reached.busy[stage] for stage in _STAGES.get(ceiling.stage, ()))
        rows.append(
            {
                "stage": ceiling.stage,
                "images/s": f"{ceiling.rate:,.0f}",
                "busy when all do their best": f"{together / ceiling.rate:.0%}",
                "of": "the cores" if ceiling.on_cores else "its own",
                "in the flow, images per busy second": f"{result.reached.images / busy:,.0f}" if busy else "",
            }
        )
    rows.append(
        dict.fromkeys(rows[0], "") | {"stage": "all together, at best", "images/s": f"{together:,.0f}"}
    )
    return rows


def flow_rows(result: Result) -> list[dict[str, Any]]:
    """What the flow reached, within its shards and from its start to its end."""
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
