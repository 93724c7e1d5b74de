"""A bad network, or a server that has too much to do: a proxy before the S3 server breaks chosen requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.faults.campaign.case import Case, MakeJob
from tests.faults.campaign.command import Outcome, run
from tests.faults.campaign.scenario import Scenario
from tests.support.servers.breaking_proxy import BreakingProxy

# What passes: the client's own retries see to it, and the command ends as if nothing had been.
PASSING: Mapping[str, tuple[str, ...]] = {
    "503 SlowDown, a burst": ("503", "503", "503"),
    "slow answer": ("slow", "slow"),
    "connection reset": ("reset", "reset"),
    "answer lost on the way": ("lost",),
    "no answer": ("hang",),
    "answer truncated": ("truncate", "truncate"),
}
OUTAGE = "503 until the client gives up"
# Patterns of a request's first line, by operation and sort.
_REQUESTS: Mapping[str, str] = {
    # A folder in the middle.
    "list source": r"^GET /[^/?]+/?\?\S*prefix=\w+%2Fin%2Fb%2F",
    "open bundle": r"^GET \S+/bundle/generator",
    "get source": r"^GET \S+/in/",
    "get plan": r"^GET \S+/plan/",
    "get ledger": r"^GET \S+/ledger/",
    "get done": r"^GET \S+/done\.json",
    "put plan": r"^PUT \S+/plan/",
    "put run": r"^PUT \S+/run\.json",
    "put output": r"^PUT /[^/]+/\w+/[^_.]",
    "put ledger": r"^PUT \S+/ledger/",
    "open state": r"^PUT \S+/done-",
    "put done": r"^PUT \S+/done\.json",
    "put report": r"^PUT \S+/report\.json",
    "put latest": r"^PUT \S+/latest\.json",
    "put lease": r"^PUT \S+/lease\.json",
    "head output": r"^HEAD /[^/]+/\w+/[^_.]",
    "head source": r"^HEAD \S+/in/",
    "delete state": r"^DELETE \S+/done-",
}


def all_cases(scenario: Scenario) -> list[Case]:
    """Every kind of break at every request that the scenario makes."""
    cases = []
    for point, pattern in _REQUESTS.items():
        operation, sort = point.split()
        count = scenario.operations[(operation, sort)]
        for kind, faults in (*PASSING.items(), (OUTAGE, ("503",))):
            has_body = operation in ("get", "list", "open")
            if count and (kind != "answer truncated" or has_body):
                # Of objects there are more than of requests.
                skip = 0 if operation == "list" else (count - 1) // 2
                broken = Broken(kind, point, pattern, faults, skip)
                cases.append(Case(scenario, (broken,)))
    return cases


@dataclass(frozen=True)
class Broken:
    """Requests with a pattern that are broken: after the first few (``skip``), in a row, or from then on for good."""

    kind: str
    point: str
    pattern: str
    faults: tuple[str, ...]
    skip: int = 0

    def disturb(self, make_job: MakeJob, wrong: list[str]) -> tuple[list[Outcome], int]:
        job = make_job()
        outage = self.kind == OUTAGE
        with BreakingProxy(job.environment["AWS_ENDPOINT_URL"]) as proxy:
            proxy.plan(*self.faults, forever=outage, only=self.pattern, skip=self.skip)
            through = {"AWS_ENDPOINT_URL": proxy.url} | ({"AWS_MAX_ATTEMPTS": "2"} if outage else {})
            outcome = run(make_job(environment={**job.environment, **through}))
            struck = proxy.struck
        if not outage and outcome.end != "done":
            wrong.append(f"what passes has ended the command: {outcome}")
        if outcome.end == "refused":
            wrong.append(outcome.text)
        return [outcome], min(struck, 1) if outage else struck
