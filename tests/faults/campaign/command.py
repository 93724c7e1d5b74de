"""The edit command without Prefect and Ray, in a process of its own that may die at any point.

The processes are forked off one that has loaded everything and started nothing, so that each costs milliseconds.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from attgan.errors import UserError
from flows.edit import lease
from flows.edit.job import resolve
from flows.edit.plan.prepared_run import NothingToDo, prepare
from flows.edit.report import finish
from flows.edit.run import read_report
from flows.edit.shard.one_shard import edit_shard
from flows.runtime.running import Unfinished
from flows.settings import EditSettings
from flows.storage.s3 import aws
from tests.faults.campaign.faulty_store import Fault, Script, install
from tests.support.forking import FORKING
from tests.support.waiting import LIMIT

# "died": without a word. "failed": an infrastructure error. "refused": a user's mistake. "lost": the lease was.
End = Literal["done", "nothing", "refused", "lost", "failed", "died"]


@dataclass(frozen=True)
class Outcome:
    """How a command ended; ``text`` says why, ``report`` is that of the run or, where nothing was to do, None."""

    end: End
    text: str = ""
    report: dict[str, Any] | None = None
    unchanged: int = 0


@dataclass(frozen=True)
class Job:
    """A command to run.

    Attributes:
        settings: of the edit.
        journal: a file to which its operations are added.
        fault: at most one.
        environment: variables that lead to the storage.
        constants: of :mod:`flows.edit.lease`, where the usual ones are too long.
        linger: seconds to stay between the last shard and the end, for leases to be renewed in.
    """

    settings: EditSettings
    journal: Path
    fault: Fault | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)
    linger: float = 0.0


class Command:
    """A job at work."""

    def __init__(self, job: Job) -> None:
        ours, theirs = FORKING.Pipe(duplex=False)
        self._answer = ours
        self._process = FORKING.Process(target=_work, args=(job, theirs))
        with _STARTING:
            self._process.start()
        theirs.close()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def is_alive(self) -> bool:
        """Whether it is still there, at work or frozen."""
        return self._process.is_alive()

    def wait(self, seconds: float = LIMIT) -> Outcome:
        """How it ended.

        Raises:
            TimeoutError: it has not; it is killed.
        """
        try:
            if not self._answer.poll(seconds):
                self._process.kill()
                raise TimeoutError(f"process {self.pid} is still at work after {seconds:g} s")
            outcome: Outcome = self._answer.recv()
        except EOFError:
            outcome = Outcome("died")
        self._answer.close()
        self._process.join()
        return outcome


def run(job: Job) -> Outcome:
    """Run a job to its end."""
    return Command(job).wait()


_STARTING = threading.Lock()


def _work(job: Job, answer: Connection) -> None:
    os.environ.update(job.environment)
    for name, value in job.constants.items():
        setattr(lease, name, value)
    aws.READ_SECONDS = 2  # type: ignore[assignment]  # how long an answer that never comes is waited for
    log = logging.getLogger("campaign")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    script = Script(job.settings, job.journal, job.fault)
    install(script)
    try:
        outcome = _edit(job, script, log)
    except UserError as error:
        outcome = Outcome("refused", str(error))
    except Unfinished as error:
        outcome = Outcome("lost", str(error))
    except Exception as error:
        outcome = Outcome("failed", "".join(traceback.format_exception(error)))
    answer.send(outcome)
    answer.close()
    # Threads that are still at an operation go with the process, as they would after a kill.
    os._exit(0)


def _edit(job: Job, script: Script, log: logging.Logger) -> Outcome:
    """What the flow does, one shard after another."""
    settings = job.settings
    request = resolve(settings)
    with lease.held(request.destination, log) as held:

        def look() -> None:
            if held.lost:
                raise Unfinished(f"the lease was taken over by {held.lost}")

        prepared = prepare(request)
        if isinstance(prepared, NothingToDo):
            return Outcome("nothing", unchanged=prepared.not_planned.unchanged)
        if prepared.is_reported:
            return Outcome("done", report=read_report(prepared.store))
        script.phase = "shard"
        summaries = []
        for shard, todo in prepared.todo.items():
            look()
            summaries.append(edit_shard(prepared.run.url, shard, settings, todo.generation))
        time.sleep(job.linger)
        look()
        script.phase = "finish"
        report, _ = finish.finish(prepared, summaries, 0.0)
        return Outcome("done", report=report)
