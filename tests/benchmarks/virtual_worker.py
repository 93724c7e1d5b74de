"""The process that carries out the tasks of a :class:`~tests.benchmarks.virtual_cluster.VirtualCluster`.

What a Ray worker runs is run here: Prefect's task engine with its retries and its reports to the server, the reading of
the shard's plan and the writing of its ledger. Only the images are left out, and seconds are counted instead of spent.
"""

from __future__ import annotations

import contextlib
import functools
import math
import multiprocessing
import os
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from flows.edit.ledger import Summary
from flows.settings import EditSettings
from tests.benchmarks.api_calls import ApiCalls, counted_calls

REPORTED = "tasks reported as done"
# Seconds that Prefect takes in a worker for each task, beside a server that is at work.
_PREFECT_SECONDS = 0.2
# Isolated images are edited one after the other.
_ISOLATED = 2.0
# One image of so many is broken.
_BROKEN = 1000


@dataclass(frozen=True)
class Fate:
    """What is to happen to an attempt at a task.

    Attributes:
        seconds_per_image: of its worker.
        dies_at: the share of the shard that is done when its process dies; None if it does not.
        storage_fails_at: the share that is done when the storage fails, once; None if it does not.
        node_left: seconds until its node is lost.
        is_reported: whether it goes through Prefect's task engine, which reports it to the server.
    """

    seconds_per_image: float
    dies_at: float | None = None
    storage_fails_at: float | None = None
    node_left: float = math.inf
    is_reported: bool = True


@dataclass(frozen=True)
class Outcome:
    """The end of an attempt.

    Attributes:
        seconds: that it has taken, by the virtual clock.
        state: the task run's final state, pickled; None if the process died.
        node_lost: whether it died with its node.
        images: of its shard.
        happened: how often what has happened.
    """

    seconds: float
    state: bytes | None
    node_lost: bool = False
    images: int = 0
    happened: dict[str, int] = field(default_factory=dict)


@contextlib.contextmanager
def worker_process(
    variables: Mapping[str, str],
) -> Iterator[tuple[Callable[[bytes, Fate], Outcome], ApiCalls]]:
    """A function that carries out a task, and the process's calls to Prefect, which are complete at the end."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    child = spawn.Process(target=_serve, args=(there, dict(variables)), daemon=True)
    # It logs to the server, as a worker does, and not to the terminal.
    with mock.patch.dict(os.environ, {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}):
        child.start()
    there.close()
    calls = ApiCalls()

    def execute(payload: bytes, fate: Fate) -> Outcome:
        here.send((payload, fate))
        outcome: Outcome = here.recv()
        return outcome

    try:
        yield execute, calls
        here.send(None)
        calls.add(here.recv())
    finally:
        here.close()
        child.join(60)
        child.kill()


class _Died(BaseException):
    pass


@dataclass
class _Process:
    """The attempt that is being carried out. It also stands in for the module ``time`` in Prefect's task engine."""

    fate: Fate
    spent: float = _PREFECT_SECONDS
    died: bool = False
    node_lost: bool = False
    images: int = 0
    happened: Counter[str] = field(default_factory=Counter)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def sleep(self, seconds: float) -> None:
        """Spend seconds of the virtual clock."""
        left = self.fate.node_left - self.spent
        if seconds >= left:
            self.spent, self.node_lost = max(self.spent, self.fate.node_left), True
            self.die()
        self.spent += seconds

    def die(self) -> None:
        self.died = True
        raise _Died


_process = _Process(Fate(0.0))


def _serve(pipe: Any, variables: dict[str, str]) -> None:
    global _process
    os.environ.update(variables)
    # Prefect's engine reads the certificates again for each task: a third of the time that one takes here.
    ssl.create_default_context = functools.cache(ssl.create_default_context)
    import prefect.task_engine as engine
    import ray
    from ray import cloudpickle

    from flows.edit.shard import isolation, one_shard

    # Workers of Ray are always connected.
    ray.is_initialized = lambda: True
    one_shard.edit_shard = _edit_shard
    isolation.edit_shard_in_isolation = _edit_in_isolation
    emit = engine.emit_task_run_state_change_event
    engine.emit_task_run_state_change_event = lambda **event: None if _process.died else emit(**event)
    with counted_calls() as calls:
        while (work := pipe.recv()) is not None:
            payload, fate = work
            _process = engine.time = _Process(fate)
            function, args, kwargs = cloudpickle.loads(payload)
            state = None
            with contextlib.suppress(_Died):
                state = function(*args, **kwargs) if fate.is_reported else _unreported(**kwargs)
            state = None if _process.died else cloudpickle.dumps(state)
            if fate.is_reported and state is not None:
                _process.happened[REPORTED] += 1
            did = _process
            pipe.send(Outcome(did.spent, state, did.node_lost, did.images, dict(did.happened)))
        _drain()
    pipe.send(calls)


def _unreported(task: Any, parameters: dict[str, Any], **others: Any) -> Any:
    """What Prefect's task engine does for our tasks, without its server."""
    from prefect.states import Completed

    from flows.storage import StorageError

    try:
        summary = task.fn(**parameters)
    except StorageError:
        _process.sleep(task.retry_delay_seconds[0])
        summary = task.fn(**parameters)
    return Completed(data=summary)


def _drain() -> None:
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for service in (APILogWorker, EventsWorker):
        service.drain_all(timeout=600)


def _edit_shard(run_url: str, shard: int, settings: EditSettings, generation: int = 0) -> Summary:
    return _edit(run_url, shard, settings, generation)


def _edit_in_isolation(run_url: str, shard: int, settings: EditSettings, generation: int = 0) -> Summary:
    _process.happened["shards in isolation"] += 1
    return _edit(run_url, shard, settings, generation, isolated=True)


def _edit(
    run_url: str, shard: int, settings: EditSettings, generation: int, isolated: bool = False
) -> Summary:
    """Edit a shard without its images: read its plan, spend the time, write its ledger."""
    from flows.edit.shard.one_shard import close_shard, open_shard
    from flows.storage import StorageError

    opened = open_shard(run_url, shard, settings, generation)
    fate, _process.images = _process.fate, len(opened.items)
    seconds = len(opened.items) * fate.seconds_per_image * (_ISOLATED if isolated else 1)
    if fate.storage_fails_at is not None and not _process.happened["attempts that the storage failed"]:
        _process.sleep(seconds * fate.storage_fails_at)
        _process.happened["attempts that the storage failed"] += 1
        raise StorageError("the storage failed, as it was to")
    if fate.dies_at is not None and not isolated:
        _process.sleep(seconds * fate.dies_at)
        _process.die()
    _process.sleep(seconds)
    for number, item in enumerate(opened.items):
        row = item.row
        row.bytes_in = item.size
        if (shard + number) % _BROKEN == 0:
            row.stage, row.reason = "decode", "truncated"
            continue
        row.status, row.output_etag, row.bytes_out = "edited", row.source_etag, item.size
        row.width, row.height, row.attributes_from = 178, 218, "classifier"
    busy = seconds / 6
    stages = dict.fromkeys(("fetch", "decode", "find", "edit", "encode", "put"), busy)
    return close_shard(opened, stages, seconds, isolated=isolated)
