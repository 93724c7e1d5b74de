"""Real kills, with Prefect, Ray and S3: of what works on a run, and of the servers that it needs, at some shards done.

The command is ``attgan edit``, and so is the one that takes it up. What is disturbed never has a chance to say so.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

from flows.edit.lease import LEASE
from flows.edit.report.finished_runs import find_report
from flows.settings import EditSettings, ReportSettings
from flows.storage import join, open_store
from infra.local.environment import inherited
from tests.faults.campaign.case import Case, MakeJob
from tests.faults.campaign.command import Job, Outcome
from tests.faults.campaign.scenario import LARGE, LARGE_SHARD, Scenario
from tests.support.processes import kill_all
from tests.support.servers.servers import Servers
from tests.support.servers.two_nodes import two_nodes
from tests.support.waiting import wait_until

SHARDS = LARGE // LARGE_SHARD
# Seconds after its ledger, when its worker is in the middle of the next one.
_INTO_A_SHARD = 0.4
# Seconds for a command, which may have to wait for servers and leases.
PATIENCE = 300.0
_SHORT_LEASE = "; ".join(
    f"lease.{name} = {value}" for name, value in (("RENEW_SECONDS", 1.0), ("EXPIRED_SECONDS", 6.0))
)
_WITH_SHORT_LEASE = f"from flows.edit import lease; {_SHORT_LEASE}; from flows.cli import main; main()"


class Edit:
    """``attgan edit`` as a process, in a group of its own.

    Args:
        settings: of the edit.
        environment: that leads to the servers.
        short_lease: whether its lease expires after some seconds instead of a minute.
    """

    def __init__(
        self, settings: EditSettings, environment: Mapping[str, str], *, short_lease: bool = False
    ) -> None:
        self._log = tempfile.TemporaryFile("w+b")  # noqa: SIM115  # goes with this object
        python = ["-c", _WITH_SHORT_LEASE] if short_lease else ["-m", "flows.cli"]
        self.process = subprocess.Popen(
            [sys.executable, *python, "edit", *options_of(settings)],
            env={**inherited(), **environment},
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def said(self) -> str:
        """What it has printed."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def signal(self, number: int) -> None:
        """Send a signal to it and what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def wait(self, destination: str) -> Outcome:
        """How it ended. It is killed if it takes longer than :data:`PATIENCE`."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.process.wait()
            return Outcome("failed", f"still at work after {PATIENCE:g} s: {self.said()[-2000:]}")
        said = self.said()
        if code < 0:
            return Outcome("died", said[-1000:])
        if code == 2:
            return Outcome("refused", said.strip().splitlines()[-1])
        if code:
            return Outcome("lost" if "was taken over by" in said else "failed", said[-1500:])
        if "nothing to do" in said:
            return Outcome("nothing", said)
        return Outcome("done", said, find_report(ReportSettings(run=destination)))


def holder(settings: EditSettings) -> int:
    """The process that holds the destination's lease."""
    lease: dict[str, Any] = json.loads(open_store(settings.destination).get(LEASE).data)
    return int(lease["pid"])


def options_of(settings: EditSettings) -> list[str]:
    """The command line of these settings."""
    changed = settings.model_dump(exclude_defaults=True)
    return [f"--{name.replace('_', '-')}={value}" for name, value in changed.items() if value is not None]


@dataclass(frozen=True)
class Kill:
    """Something is done to a run of which so many shards are done.

    Attributes:
        must_end: whether the command is to end well all the same.
        ways: how the command is started; by default on the stack.
    """

    kind: str
    shards: int
    strike: Callable[[Edit], None]
    servers: Servers = field(repr=False)
    must_end: bool = False
    short_lease: bool = False

    @property
    def point(self) -> str:
        return f"at {self.shards / SHARDS:.0%} of the shards"

    def disturb(self, make_job: MakeJob, wrong: list[str]) -> tuple[list[Outcome], int]:
        settings = make_job().settings
        edit = Edit(settings, self.servers.environment, short_lease=self.short_lease)
        try:
            caught = wait_for_shards(edit.process, settings, self.shards, edit.said)
            if caught:
                time.sleep(_INTO_A_SHARD if self.shards < SHARDS else 0)
                self.strike(edit)
            outcome = edit.wait(settings.destination)
        finally:
            edit.signal(signal.SIGKILL)
        if self.must_end and outcome.end != "done":
            wrong.append(f"it should have ended well: {outcome}")
        return [outcome], int(caught)


@dataclass(frozen=True)
class NodeKill:
    """One of a cluster's two nodes is lost, with all that runs on it; the driver is on the other one."""

    shards: int
    servers: Servers = field(repr=False)

    kind = "Ray node killed"

    @property
    def point(self) -> str:
        return f"at {self.shards / SHARDS:.0%} of the shards"

    def disturb(self, make_job: MakeJob, wrong: list[str]) -> tuple[list[Outcome], int]:
        settings = make_job().settings
        with two_nodes(self.servers.environment) as nodes:
            process = nodes.start("edit", *options_of(settings))
            caught = wait_for_shards(process, settings, self.shards, lambda: nodes.log.read_text()[-2000:])
            nodes.kill("worker")
            code = process.wait(PATIENCE)
            said = nodes.log.read_text()[-1500:]
        if code:
            wrong.append(f"a lost node has ended the command with {code}: {said}")
            return [Outcome("failed", said)], int(caught)
        report = find_report(ReportSettings(run=settings.destination))
        return [Outcome("done", said, report)], int(caught)


@dataclass(frozen=True)
class Frozen:
    """The driver is frozen for longer than its lease lasts; another command takes over; then it wakes up.

    As long as it is frozen it holds the cluster's CPUs, so the other one cannot end before.
    """

    shards: int
    servers: Servers = field(repr=False)

    kind = "driver frozen, taken over"

    @property
    def point(self) -> str:
        return f"at {self.shards / SHARDS:.0%} of the shards"

    def disturb(self, make_job: MakeJob, wrong: list[str]) -> tuple[list[Outcome], int]:
        settings = make_job().settings
        first = Edit(settings, self.servers.environment, short_lease=True)
        second: Edit | None = None
        try:
            caught = wait_for_shards(first.process, settings, self.shards, first.said)
            first.signal(signal.SIGSTOP)
            second = Edit(settings, self.servers.environment, short_lease=True)
            wait_until(
                lambda: holder(settings) == second.process.pid,
                lambda: f"another one to take over: {second.said()}",
            )
            first.signal(signal.SIGCONT)
            ended = first.wait(settings.destination)
            outcome = second.wait(settings.destination)
        finally:
            for edit in (first, second):
                if edit is not None:
                    edit.signal(signal.SIGKILL)
        if outcome.end != "done":
            wrong.append(f"the command that took over: {outcome}")
        if ended.end != "lost":
            wrong.append(f"the command that was frozen did not stop: {ended}")
        return [outcome, ended], int(caught)


@dataclass(frozen=True)
class Second:
    """Two commands for the same destination are given at the same time."""

    servers: Servers = field(repr=False)

    kind = "second command"
    point = "at the same time"

    def disturb(self, make_job: MakeJob, wrong: list[str]) -> tuple[list[Outcome], int]:
        settings = make_job().settings
        both = [Edit(settings, self.servers.environment, short_lease=True) for _ in range(2)]
        try:
            outcomes = [edit.wait(settings.destination) for edit in both]
        finally:
            for edit in both:
                edit.signal(signal.SIGKILL)
        ends = sorted(outcome.end for outcome in outcomes)
        if ends == ["done", "nothing"]:
            # One began when the other had ended.
            return outcomes, 0
        refused = [outcome.text for outcome in outcomes if outcome.end == "refused"]
        if ends != ["done", "refused"] or "[destination-in-use]" not in refused[0]:
            wrong.append(f"of two commands: {outcomes}")
        return outcomes, 1


def all_cases(scenario: Scenario, servers: Servers) -> list[Case]:
    """Every kill, some of them at several points."""

    def kill_driver(edit: Edit) -> None:
        edit.signal(signal.SIGKILL)

    def restart(name: str) -> Callable[[Edit], None]:
        def strike(edit: Edit) -> None:
            servers.kill(name)
            servers.start(name)

        return strike

    half = SHARDS // 2
    kills = [
        *(Kill("driver killed", at, kill_driver, servers) for at in (0, 1, SHARDS // 4, half, SHARDS - 2, SHARDS)),
        *(Kill("worker killed", at, kill_workers(servers, 1), servers, must_end=True) for at in (1, half, SHARDS - 4)),
        Kill("all workers killed", half, kill_workers(servers, 9), servers, must_end=True),
        *(Kill("S3 server restarted", at, restart("s3"), servers, must_end=True) for at in (2, half)),
        *(Kill("Prefect server restarted", at, restart("prefect"), servers, must_end=True) for at in (2, half)),
        Kill("Ray head restarted", half, restart("ray"), servers),
        Frozen(half, servers),
        Second(servers),
        *(NodeKill(at, servers) for at in (2, half)),
    ]  # fmt: skip
    return [Case(scenario, (kill,)) for kill in kills]


def kill_workers(servers: Servers, count: int) -> Callable[[Edit], None]:
    """Kills so many of the processes that are at a shard, at the first moment when there is one."""

    def strike(edit: Edit) -> None:
        def at_work() -> list[psutil.Process]:
            assert edit.process.poll() is None, f"it ended before: {edit.said()}"
            return servers.shard_workers()

        found = wait_until(at_work, lambda: f"a process at a shard: {edit.said()}", every=0.05)
        kill_all(found[:count])

    return strike


def run_again(servers: Servers) -> Callable[[Job], Outcome]:
    """Runs a job as ``attgan edit`` on the stack."""

    def again(job: Job) -> Outcome:
        return Edit(job.settings, servers.environment).wait(job.settings.destination)

    return again


def wait_for_shards(
    process: subprocess.Popen[bytes], settings: EditSettings, shards: int, said: Callable[[], str]
) -> bool:
    """Until so many ledgers are written, or with 0 the first plan; False where the command ended before."""
    place = open_store(join(settings.destination, "_runs"))

    def there() -> int:
        return sum(f"/{'ledger' if shards else 'plan'}/" in info.key for info in place.list())

    wait_until(
        lambda: there() >= max(shards, 1) or process.poll() is not None,
        lambda: f"{shards} shards to be done: {said()}",
        every=0.05,
    )
    return process.poll() is None
