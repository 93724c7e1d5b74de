"""One case: a run that is disturbed, the same command again until it has ended, and what that has come to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tests.faults.campaign.command import Job, Outcome, run
from tests.faults.campaign.faulty_store import read_journal
from tests.faults.campaign.observation import Difference, differences, fingerprints, images_read, observe
from tests.faults.campaign.scenario import Scenario

# In which a command that nothing disturbs any more must have come to its end.
ATTEMPTS = 3

MakeJob = Callable[..., Job]


class Disturbance(Protocol):
    """Something that goes wrong while a command is at work."""

    @property
    def kind(self) -> str:
        """What it is, for the table."""

    @property
    def point(self) -> str:
        """Where it is, for the table."""

    def disturb(self, make_job: MakeJob, wrong: list[str]) -> tuple[list[Outcome], int]:
        """Run the command and disturb it.

        Args:
            make_job: makes the command's job; takes fields of :class:`Job` that are to be others.
            wrong: takes sentences about what must not be.

        Returns:
            How the command ended, and others that were given beside it; and how often it was disturbed.
        """


@dataclass(frozen=True)
class Case:
    """Disturbances of the first commands of a scenario, one each."""

    scenario: Scenario
    disturbances: tuple[Disturbance, ...]

    def __str__(self) -> str:
        places = (f"{one.kind} {one.point}" for one in self.disturbances)
        return f"{self.scenario.name} {self.scenario.place}: {', then '.join(places)}"


@dataclass(frozen=True)
class Result:
    """What came of a case.

    Attributes:
        kind: of disturbance, for the table; and the point.
        injected: how often the commands were disturbed.
        redone: how many images were edited again.
        litter: see :class:`tests.faults.campaign.observation.Observation`.
    """

    case: str
    kind: str
    point: str
    injected: int
    difference: Difference
    redone: int = 0
    litter: list[str] = field(default_factory=list)


def run_case(case: Case, destination: str, folder: Path, again: Callable[[Job], Outcome] = run) -> Result:
    """Run a case.

    Args:
        case: what happens to which run.
        destination: URL of a folder that is not there yet.
        folder: an empty one for the journals.
        again: runs the same command again, after the disturbances.
    """
    scenario = case.scenario
    settings = scenario.at(destination)
    journals: list[Path] = []
    files: defaultdict[str, set[Any]] = defaultdict(set)
    wrong: list[str] = []
    injected = 0

    def make_job(**fields: Any) -> Job:
        journals.append(folder / str(len(journals)))
        usual = Job(settings, journals[-1], environment=scenario.environment)
        return replace(usual, **fields)

    def look() -> None:
        for key, file in fingerprints(destination).items():
            files[key].add(file)

    look()
    for disturbance in (*case.disturbances, *[None] * ATTEMPTS):
        if disturbance is None:
            outcomes = [again(make_job())]
            wrong += [outcome.text for outcome in outcomes if outcome.end == "refused"]
        else:
            outcomes, struck = disturbance.disturb(make_job, wrong)
            injected += struck
        look()
        if any(outcome.end in ("done", "nothing") for outcome in outcomes):
            break
    else:
        wrong.append(f"it does not end: {outcomes[-1].text}")
    last = run(make_job(settings=settings.model_copy(update={"retry_failed": False})))
    look()
    if (last.end, last.unchanged) != ("nothing", scenario.unchanged):
        wrong.append(f"the next run finds something to do: {last}")
    # A run that has nothing to do may still write the cache of what is done.
    wrong += [
        f"nothing was to do, but {line['path']} was written"
        for line in read_journal(journals[-1])
        if line["operation"] in ("put", "delete") and line["sort"] not in ("lease", "clock", "done", "state")
    ]
    difference, litter = _compare(scenario, destination, journals, files, wrong)
    single = len(case.disturbances) == 1
    return Result(
        case=str(case),
        kind=case.disturbances[0].kind if single else "two in a row",
        point=case.disturbances[0].point if single else "anywhere",
        injected=injected,
        difference=difference,
        redone=max(images_read(journals) - scenario.images, _found(outcomes)),
        litter=litter,
    )


def _found(outcomes: Sequence[Outcome]) -> int:
    """The outputs that the last attempts at their shards have found there, where no journal tells."""
    return sum(outcome.report["found"] for outcome in outcomes if outcome.report is not None)


def _compare(
    scenario: Scenario,
    destination: str,
    journals: list[Path],
    files: Mapping[str, set[Any]],
    wrong: list[str],
) -> tuple[Difference, list[str]]:
    """How a case's destination differs from the undisturbed one, and its litter."""
    settings = scenario.settings.model_copy(update={"destination": destination})
    try:
        found = observe(settings, scenario.run_id, journals)
    except Exception as error:
        wrong.append(f"the destination cannot be read: {error!r}")
        return Difference(len(scenario.expected.outputs), 0, 0, wrong), []
    difference = differences(found, scenario.expected)
    again = sum(
        max(0, len(seen) - (key in scenario.outputs_before) - scenario.expected.writes[key])
        for key, seen in files.items()
    )
    duplicated = max(difference.duplicated, again)
    return replace(difference, duplicated=duplicated, wrong=[*difference.wrong, *wrong]), found.litter
