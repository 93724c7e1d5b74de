"""A Ray cluster with a virtual clock, in place of Ray's ``remote``, ``wait`` and ``get`` in the driver's process.

The clock moves with the CPU time of the driver's thread, and jumps to the next event while the driver waits. Tasks are
carried out one after the other by a process of their own (:mod:`tests.benchmarks.virtual_worker`), and the clock stands
still meanwhile. So a cluster of any size fits on one machine, and the driver is as slow as it really is.
"""

from __future__ import annotations

import contextlib
import heapq
import importlib
import json
import math
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from unittest import mock

import ray
from ray import cloudpickle

from flows.edit.ledger import STAGES
from flows.edit.shard.live_counts import live_prefix
from flows.runtime.local_stack import LOCAL_RAY
from tests.benchmarks.virtual_worker import Fate, Outcome

ADDRESS = "virtual:6379"
# Seconds until Ray notices that a process or a node has died.
_PROCESS_NOTICED, _NODE_NOTICED = 1.0, 15.0


@dataclass(frozen=True)
class Conditions:
    """The cluster, and what happens in it.

    Attributes:
        workers: tasks that run at the same time.
        per_node: workers of a node.
        rate: images per second of a worker; the median of its shards.
        spread: of that rate, as the standard deviation of its logarithm.
        deaths: share of the attempts at a task whose process dies.
        storage_errors: share of the attempts that fail for the storage, and that Prefect repeats in the worker.
        node_lost_every: mean seconds between two losses of a node.
        node_back: seconds until another node has taken its place.
        cold: seconds until a new process has loaded the model.
        reported: share of the attempts that go through Prefect's task engine and are reported to the server. Below 1
            a simulation takes less time, and the workers' calls are those of this share.
        minutes: real ones after which the simulation is broken off.
        seed: of everything random.
    """

    workers: int = 1000
    per_node: int = 16
    rate: float = 14.0
    spread: float = 0.3
    deaths: float = 0.01
    storage_errors: float = 0.01
    node_lost_every: float = 60.0
    node_back: float = 90.0
    cold: float = 8.0
    reported: float = 1.0
    minutes: float = math.inf
    seed: int = 0


class Reference:
    """Stands in for ``ray.ObjectRef``."""


@dataclass
class _Attempt:
    """``key`` is that of its live report."""

    reference: Reference
    payload: bytes
    restarts: int
    key: str


@dataclass
class _Node:
    workers: list[_Worker] = field(default_factory=list)
    lost_at: float = 0.0
    is_up: bool = True


@dataclass(frozen=True, eq=False)
class _Worker:
    node: _Node


@dataclass
class Totals:
    """What has happened.

    Attributes:
        planned: real seconds and CPU seconds of the driver's process until the first submission.
        driver: CPU seconds of the driver's thread since then.
        busy: virtual seconds of all workers at tasks, lost attempts included.
        waited: virtual seconds in which workers had nothing to do, and the driver submitted a task afterwards.
        payload: bytes of the largest submission.
        happened: how often what has happened.
    """

    planned: tuple[float, float] = (0.0, 0.0)
    driver: float = 0.0
    busy: float = 0.0
    waited: float = 0.0
    payload: int = 0
    happened: Counter[str] = field(default_factory=Counter)


class _Clock:
    """Stands in for the module ``time``."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.monotonic = monotonic

    def __reduce__(self) -> tuple[Any, ...]:
        # Each submission has the flow in it, and so what the flow refers to. Without this, each would have all the
        # submissions before it.
        return importlib.import_module, ("time",)


class VirtualCluster:
    """The cluster. Attributes: ``now`` is the virtual time since the first submission, ``totals`` what has happened."""

    def __init__(self, conditions: Conditions, execute: Callable[[bytes, Fate], Outcome]) -> None:
        self.now = 0.0
        self.totals = Totals()
        self.conditions, self._execute = conditions, execute
        self._random = random.Random(conditions.seed)
        self._nodes = [_Node() for _ in range(-(-conditions.workers // conditions.per_node))]
        for number in range(conditions.workers):
            node = self._nodes[number // conditions.per_node]
            node.workers.append(_Worker(node))
        self._idle = deque((0.0, worker) for node in self._nodes for worker in node.workers)
        self._queue: deque[_Attempt] = deque()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = iter(range(10**12))
        self._results: dict[Reference, bytes | Exception] = {}
        # Of each attempt with a live report: when it began, seconds per image, and the outcome that it will have.
        self._at_work: dict[str, tuple[float, float, Outcome]] = {}
        self._began = time.perf_counter(), time.process_time()
        self._has_work = False
        self._mark = 0.0
        for node in self._nodes:
            self._will_be_lost(node)

    # ── in place of Ray ─────────────────────────────────────────────────────────────────────────────────────────────

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Ray's functions, and the clocks of what looks at the time in the driver, are this cluster's."""
        clock = _Clock(self._clock)
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.dict("os.environ", {"RAY_ADDRESS": ADDRESS, LOCAL_RAY: ADDRESS}))
            for name, replacement in {
                "remote": self._remote,
                "wait": self._wait,
                "get": self._get,
                "nodes": self._ray_nodes,
                "is_initialized": lambda: True,
                "get_runtime_context": lambda: SimpleNamespace(gcs_address=ADDRESS),
            }.items():
                stack.enter_context(mock.patch.object(ray, name, replacement))
            stack.enter_context(
                mock.patch("flows.runtime.cluster.watch.cluster_id_at", return_value="virtual")
            )
            stack.enter_context(mock.patch("flows.runtime.internals.values_below", self._live_reports))
            stack.enter_context(mock.patch("flows.runtime.internals.remove_values"))
            for module in ("flows.edit.flow", "flows.runtime.cluster.capacity", "flows.runtime.reporting"):
                stack.enter_context(mock.patch(f"{module}.time", clock))
            yield

    def _remote(self, **options: Any) -> Callable[[Any], Any]:
        def decorate(function: Any) -> Any:
            def submit(*args: Any, **kwargs: Any) -> Reference:
                if not options.get("max_retries"):
                    # A worker that is started early. All of this cluster's are.
                    return Reference()
                # Ray pickles the function at each submission, too, because prefect_ray decorates it anew each time.
                payload = cloudpickle.dumps((function, args, kwargs))
                parameters = kwargs["parameters"]
                key = f"{live_prefix(parameters['run_url'])}{parameters['shard']}"
                with self._standing_still():
                    return self._submit(payload, options["max_retries"], key)

            return SimpleNamespace(remote=submit, options=lambda **named: SimpleNamespace(remote=submit))

        return decorate

    def _wait(
        self, references: Sequence[Reference], *, num_returns: int, timeout: float
    ) -> tuple[list[Reference], list[Reference]]:
        assert num_returns == 1
        if time.perf_counter() - self._began[0] > 60 * self.conditions.minutes:
            # The flow ends as after Ctrl-C.
            raise KeyboardInterrupt
        with self._standing_still():
            until = self.now + timeout
            while True:
                done = next((one for one in references if one in self._results), None)
                if done is not None:
                    return [done], [one for one in references if one is not done]
                if self.now >= until:
                    return [], list(references)
                self._advance(min([until, *(event[0] for event in self._events[:1])]))

    def _get(self, reference: Reference, timeout: float | None = None) -> Any:
        result = self._results.pop(reference)
        if isinstance(result, Exception):
            raise result
        return cloudpickle.loads(result)

    def _live_reports(self, prefix: str) -> dict[str, bytes]:
        """What the workers report about the shards that they are at. The driver asks from a thread."""
        found = {}
        for key, (began, per_image, outcome) in list(self._at_work.items()):
            busy = min(self.now - began, outcome.seconds)
            images = min(int(busy / per_image), outcome.images)
            report = {
                "attempt": f"{began:.6f}",
                "counts": {"edited": images},
                "seconds": dict.fromkeys(STAGES, busy / len(STAGES)),
                "bytes_in": 10_000 * images,
                "bytes_out": 10_000 * images,
            }
            found[key] = json.dumps(report).encode()
        return found

    def _ray_nodes(self) -> list[dict[str, Any]]:
        return [
            {"Alive": True, "Resources": {"CPU": float(len(node.workers))}}
            for node in self._nodes
            if node.is_up
        ]

    # ── the clock ───────────────────────────────────────────────────────────────────────────────────────────────────

    @contextlib.contextmanager
    def _standing_still(self) -> Iterator[None]:
        """Add what the driver has computed since the last call, and leave out what happens within this one."""
        self._catch_up()
        try:
            yield
        finally:
            self._mark = time.thread_time()

    def _catch_up(self) -> None:
        if self._has_work:
            spent = time.thread_time() - self._mark
            self.totals.driver += spent
            self._advance(self.now + spent)

    def _clock(self) -> float:
        return self.now + time.thread_time() - self._mark if self._has_work else 0.0

    def _advance(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, happen = heapq.heappop(self._events)
            happen()
        self.now = max(self.now, until)

    def _at(self, when: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), happen))

    # ── tasks ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _submit(self, payload: bytes, restarts: int, key: str) -> Reference:
        if not self._has_work:
            self._has_work = True
            real, cpu = self._began
            self.totals.planned = time.perf_counter() - real, time.process_time() - cpu
        attempt = _Attempt(Reference(), payload, restarts, key)
        if self._idle:
            since, worker = self._idle.popleft()
            self.totals.waited += self.now - since
            self._start(worker, attempt)
        else:
            self._queue.append(attempt)
        self.totals.happened["tasks submitted"] += 1
        self.totals.payload = max(self.totals.payload, len(payload))
        return attempt.reference

    def _start(self, worker: _Worker, attempt: _Attempt) -> None:
        some, conditions = self._random, self.conditions
        fate = Fate(
            seconds_per_image=some.lognormvariate(0, conditions.spread) / conditions.rate,
            dies_at=some.random() if some.random() < conditions.deaths else None,
            storage_fails_at=some.random() if some.random() < conditions.storage_errors else None,
            node_left=worker.node.lost_at - self.now,
            is_reported=some.random() < conditions.reported,
        )
        outcome = self._execute(attempt.payload, fate)
        self._at_work[attempt.key] = self.now, fate.seconds_per_image, outcome
        self.totals.busy += outcome.seconds
        self.totals.happened.update(outcome.happened)
        self._at(self.now + outcome.seconds, lambda: self._end(worker, attempt, outcome))

    def _end(self, worker: _Worker, attempt: _Attempt, outcome: Outcome) -> None:
        if outcome.state is not None:
            self._at_work.pop(attempt.key, None)
            self._results[attempt.reference] = outcome.state
            self.totals.happened["tasks done"] += 1
            self._free(worker)
            return
        error: Exception
        if outcome.node_lost:
            error, noticed = ray.exceptions.NodeDiedError("its node was lost"), self.now + _NODE_NOTICED
        else:
            error, noticed = ray.exceptions.WorkerCrashedError(), self.now + _PROCESS_NOTICED
            self._at(self.now + self.conditions.cold, lambda: self._free(worker))
        if attempt.restarts:
            again = replace(attempt, restarts=attempt.restarts - 1)
            self._at(noticed, lambda: self._restart(again))
        else:
            self._at(noticed, lambda: self._results.__setitem__(attempt.reference, error))
        self.totals.happened[f"attempts lost with their {'node' if outcome.node_lost else 'process'}"] += 1

    def _restart(self, attempt: _Attempt) -> None:
        self._queue.appendleft(attempt)
        if self._idle:
            self._free(self._idle.popleft()[1])

    def _free(self, worker: _Worker) -> None:
        if not worker.node.is_up:
            # It comes back with its node.
            return
        if self._queue:
            self._start(worker, self._queue.popleft())
        else:
            self._idle.append((self.now, worker))

    # ── nodes ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _will_be_lost(self, node: _Node) -> None:
        mean = self.conditions.node_lost_every * len(self._nodes)
        node.lost_at = self.now + self._random.expovariate(1 / mean)
        self._at(node.lost_at, lambda: self._lose(node))

    def _lose(self, node: _Node) -> None:
        node.is_up = False
        self._idle = deque((since, worker) for since, worker in self._idle if worker.node is not node)
        self._at(self.now + self.conditions.node_back, lambda: self._return(node))
        self.totals.happened["nodes lost"] += 1

    def _return(self, node: _Node) -> None:
        node.is_up = True
        self._will_be_lost(node)
        for worker in node.workers:
            self._free(worker)
