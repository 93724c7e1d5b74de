"""Faults inside the command's process, at every operation of its stores: :mod:`tests.faults.campaign.faulty_store`."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from flows.storage import disk
from tests.faults.campaign.case import Case, MakeJob
from tests.faults.campaign.command import Command, Outcome, run
from tests.faults.campaign.faulty_store import Fault, Kind, Moment, Operation, Point, read_journal
from tests.faults.campaign.scenario import Scenario
from tests.support.waiting import LIMIT, wait_until

SHORT_LEASE: Mapping[str, float] = {
    "RENEW_SECONDS": 0.2,
    "EXPIRED_SECONDS": 1.5,
    "_RETRY_SECONDS": 0.1,
    "_POLL_SECONDS": 0.3,
}
# Seconds, in which the lease is renewed a few times.
LINGER = 1.0

_WRITING: tuple[tuple[Kind, Moment], ...] = (
    ("exit", "before"),
    ("exit", "after"),
    ("error", "before"),
    ("error", "after"),
    ("stop", "before"),
    ("stop", "after"),
)
_KINDS: Mapping[str, tuple[tuple[Kind, Moment], ...]] = {
    "put": (*_WRITING, ("lost", "after"), ("full", "before"), ("full", "after")),
    "delete": _WRITING,
}
_READING: tuple[tuple[Kind, Moment], ...] = (("exit", "before"), ("error", "before"), ("stop", "before"))


def all_cases(scenario: Scenario) -> list[Case]:
    """Every kind of fault at every point of a scenario: at the first, the middle and the last operation of its sort."""
    return [Case(scenario, (InProcess(fault),)) for fault in _all_faults(scenario)]


def _all_faults(scenario: Scenario) -> list[Fault]:
    faults = []
    for (operation, sort), count in sorted(scenario.operations.items()):
        for nth in sorted({1, (count + 1) // 2, count}):
            for kind, moment in _KINDS.get(operation, _READING):
                if kind != "full" or scenario.place == "on disk":
                    faults.append(Fault(kind, Point(operation, sort, nth, moment)))
    return faults


def named_cases(scenario: Scenario) -> list[Case]:
    """The process is killed before and after each thing that it writes, and in the middle of what it reads.

    And the answer to each thing that it writes is lost.
    """
    cases = []
    for (operation, sort), count in sorted(scenario.operations.items()):
        middle = (count + 1) // 2
        if operation == "put":
            points = [Point(operation, sort, middle, "before"), Point(operation, sort, middle, "after")]
            cases.append(Case(scenario, (InProcess(Fault("lost", points[1])),)))
        elif (operation, sort) in (("list", "source"), ("get", "source"), ("get", "output")):
            points = [Point(operation, sort, middle)]
        else:
            continue
        cases += [Case(scenario, (InProcess(Fault("exit", point)),)) for point in points]
    return cases


def double_cases(scenario: Scenario, count: int, seed: int) -> list[Case]:
    """The run is disturbed, and so is the one that takes it up: at points drawn at random."""
    draw = random.Random(seed)
    faults = [InProcess(fault) for fault in _all_faults(scenario) if fault.kind in ("exit", "error", "full")]
    return [Case(scenario, (draw.choice(faults), draw.choice(faults))) for _ in range(count)]


def lease_cases(scenario: Scenario) -> list[Case]:
    """Faults at renewals of the lease, and a second command that is given while the first is slow."""
    kinds: tuple[Kind, ...] = ("exit", "error", "stop")
    moments: tuple[Moment, ...] = ("before", "after")
    places: tuple[tuple[Operation, str], ...] = (("put", "plan"), ("put", "output"), ("put", "ledger"))
    faults = [
        *(Fault(kind, Point("put", "lease", nth, at)) for kind in kinds for nth in (2, 3) for at in moments),
        *(Fault("lost", Point("put", "lease", nth, "after")) for nth in (2, 3)),
        *(Fault("pause", Point(operation, sort, 2)) for operation, sort in places),
    ]
    return [Case(scenario, (InProcess(fault, is_renewal=fault.point.sort == "lease"),)) for fault in faults]


@dataclass(frozen=True)
class InProcess:
    """One fault in a command; ``is_renewal``: at a renewal of its lease, so leases are short and it takes its time."""

    fault: Fault
    is_renewal: bool = False

    @property
    def kind(self) -> str:
        return _TITLES[self.fault.kind]

    @property
    def point(self) -> str:
        point = self.fault.point
        sort = "renewed lease" if self.is_renewal else point.sort
        return f"{point.moment} {point.operation} {sort}"

    def disturb(self, make_job: MakeJob, wrong: list[str]) -> tuple[list[Outcome], int]:
        fault = self.fault
        patient: dict[str, Any] = {"constants": SHORT_LEASE, "linger": LINGER if self.is_renewal else 0.0}
        if fault.kind in ("stop", "pause"):
            # It lives, and renews its lease, however seldom a busy machine lets it.
            if fault.kind == "pause":
                patient["constants"] = {**SHORT_LEASE, "EXPIRED_SECONDS": LIMIT}
            return _BESIDE[fault.kind](lambda fault=None: make_job(fault=fault, **patient), fault, wrong)
        job = make_job(fault=fault, **(patient if self.is_renewal else {}))
        outcome = run(job)
        if outcome.end == "refused" or (fault.kind == "lost" and outcome.end not in ("done", "nothing")):
            wrong.append(f"it should not have ended for this: {outcome}")
        return [outcome], _struck(job.journal)


def _beside_one_that_stopped(make_job: MakeJob, fault: Fault, wrong: list[str]) -> tuple[list[Outcome], int]:
    """A command freezes; another one is given, takes over and ends the run; then the first goes on."""
    job = make_job(fault)
    frozen = Command(job)
    wait_until(lambda: not frozen.is_alive() or _is_stopped(frozen.pid), "the command to freeze", every=0.02)
    outcome = run(make_job())
    if frozen.is_alive():
        os.kill(frozen.pid, signal.SIGCONT)
    ended = frozen.wait()
    if disk.LOCKED in outcome.text:
        # It froze in the moment in which it held a folder's lock, so the other one gave up. Its repetition takes over.
        outcome = run(make_job())
    if outcome.end not in ("done", "nothing"):
        wrong.append(f"the command that took over: {outcome}")
    if ended.end == "died":
        wrong.append("the command that was frozen has died")
    return [outcome, ended], _struck(job.journal)


def _beside_one_that_is_slow(make_job: MakeJob, fault: Fault, wrong: list[str]) -> tuple[list[Outcome], int]:
    """A command is slow, but alive: another one is refused."""
    job = make_job(fault)
    slow = Command(job)
    wait_until(lambda: not slow.is_alive() or _struck(job.journal) > 0, "the command to be slow", every=0.02)
    refused = run(make_job())
    if refused.end != "refused" or "[destination-in-use]" not in refused.text:
        wrong.append(f"a second command beside a living one: {refused}")
    return [slow.wait()], _struck(job.journal)


_BESIDE: Mapping[Kind, Callable[[MakeJob, Fault, list[str]], tuple[list[Outcome], int]]] = {
    "stop": _beside_one_that_stopped,
    "pause": _beside_one_that_is_slow,
}
_TITLES: Mapping[Kind, str] = {
    "exit": "process killed",
    "error": "storage fails",
    "lost": "answer lost",
    "full": "disk full",
    "stop": "frozen, taken over",
    "pause": "slow, second command",
}


def _struck(journal: object) -> int:
    return sum(line["operation"] == "fault" for line in read_journal(journal))  # type: ignore[arg-type]


def _is_stopped(pid: int) -> bool:
    status: str = psutil.Process(pid).status()
    return status == psutil.STATUS_STOPPED
