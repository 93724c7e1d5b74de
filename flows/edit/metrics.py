"""Prometheus metrics of a run, on a port of the flow's process, or pushed to a Pushgateway."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, push_to_gateway, start_http_server
from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from attgan.errors import UserError
from flows.edit.ledger import STAGES, STATUSES
from flows.edit.run import EditRun
from flows.edit.run_counts import RunCounts, Totals
from flows.runtime.repeating import repeated
from flows.runtime.reporting import Log

JOB = "attgan-edit"
# Seconds between two pushes, and that one may take.
_PUSH_EVERY, _PUSH_SECONDS = 10.0, 5.0


@contextlib.contextmanager
def exposed(run: EditRun, counts: RunCounts, before: int, log: Log) -> Iterator[None]:
    """Serve and push the metrics of a run while the block runs, as its settings say. They never end a run.

    Args:
        run: the run.
        counts: what its shards have done under this command.
        before: images that earlier commands have done.
        log: for one line when the metrics cannot be served, or no longer pushed.

    Raises:
        UserError: the Pushgateway's URL has a password in it.
    """
    settings = run.settings
    registry = CollectorRegistry()
    registry.register(_RunCollector(run.run_id, run.inputs, before, counts.totals))
    with contextlib.ExitStack() as stack:
        if settings.metrics_port is not None:
            try:
                server, _ = start_http_server(settings.metrics_port, settings.metrics_host, registry)
            except OSError as error:
                log.warning("metrics are not served at port %s: %s", settings.metrics_port, error)
            else:
                stack.callback(server.server_close)
                stack.callback(server.shutdown)
                log.info("metrics at http://%s:%s/metrics", settings.metrics_host, server.server_port)
        if settings.metrics_push is not None:
            stack.enter_context(_pushing(settings.metrics_push, run.run_id, registry, log))
        yield


class _RunCollector(Collector):
    """Makes the metrics anew at each scrape. Every label value is there from the start, at zero."""

    def __init__(self, run_id: str, inputs: int, before: int, totals: Callable[[], Totals]) -> None:
        self._run_id, self._inputs, self._before, self._totals = run_id, inputs, before, totals

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        now = self._totals()
        statuses: dict[str, float] = {status: now.counts[status] for status in STATUSES}
        busy = {stage: now.seconds[stage] for stage in STAGES}
        left = self._inputs - self._before - now.images
        yield self._family(Counter, "images", "Images that this command has done.", statuses, "status")
        yield self._family(Counter, "input_bytes", "Bytes read from the source.", now.bytes_in)
        yield self._family(Counter, "output_bytes", "Bytes written to the destination.", now.bytes_out)
        yield self._family(Counter, "stage_seconds", "Busy seconds of stages, which overlap.", busy, "stage")
        yield self._family(
            Counter, "shard_retries", "Attempts at shards besides the first ones.", now.retries
        )
        yield self._family(Gauge, "shards", "Shards of this command.", now.shards, "state")
        yield self._family(Gauge, "planned_images", "Images of the run.", self._inputs)
        yield self._family(Gauge, "images_left", "Images of the run that are not done yet.", left)

    def _family(
        self,
        kind: type[Counter] | type[Gauge],
        name: str,
        about: str,
        values: Mapping[str, float] | float,
        label: str = "",
    ) -> Metric:
        labels = ["run", label] if label else ["run"]
        family = kind(f"attgan_edit_{name}", about, labels=labels)
        if isinstance(values, Mapping):
            for value, number in values.items():
                family.add_metric([self._run_id, value], number)
        else:
            family.add_metric([self._run_id], values)
        return family


def _pushing(url: str, run_id: str, registry: CollectorRegistry, log: Log) -> AbstractContextManager[None]:
    """Push the metrics every ten seconds while a block runs, and at its end."""
    if "@" in url:
        raise UserError(
            "metrics-push-password",
            f"--metrics-push {url}: a password would be stored with the run's settings",
        )

    def push() -> None:
        push_to_gateway(url, JOB, registry, {"run": run_id}, timeout=_PUSH_SECONDS)

    return repeated(
        "metrics-push",
        push,
        _PUSH_EVERY,
        failed=lambda error: log.warning("metrics cannot be pushed to %s: %s", url, error),
        at_end=push,
        patience=2 * _PUSH_SECONDS,
    )
