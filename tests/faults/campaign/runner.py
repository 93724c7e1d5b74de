"""Running many cases, and the table of what has come of them."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from rich.console import Console
from rich.table import Table

from flows.storage import join
from tests.faults.campaign.case import Case, Result, run_case
from tests.faults.campaign.command import Job, Outcome, run
from tests.faults.campaign.observation import Difference


def run_cases(
    cases: Iterable[Case], root: str, lanes: int = 2, again: Callable[[Job], Outcome] = run
) -> Iterator[Result]:
    """Run cases, so many side by side, at destinations of their own below a URL; ``again`` as for ``run_case``."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(lanes) as pool:

        def one(number: int, case: Case) -> Result:
            journals = Path(folder) / str(number)
            journals.mkdir()
            try:
                return run_case(case, join(root, f"case{number:04d}"), journals, again)
            except Exception as error:
                wrong = [f"the case itself: {error!r}"]
                first = case.disturbances[0]
                return Result(str(case), first.kind, first.point, 0, Difference(0, 0, 0, wrong))

        yield from pool.map(one, *zip(*enumerate(cases), strict=True))


def sample(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """So many of the cases, drawn at random, but of every kind at every point at least one, if that is possible."""
    draw = random.Random(seed)
    shuffled = draw.sample(cases, len(cases))
    first: dict[tuple[str, str], Case] = {}
    rest = []
    for case in shuffled:
        where = (case.disturbances[0].kind, case.disturbances[0].point)
        if where in first:
            rest.append(case)
        else:
            first[where] = case
    return [*first.values(), *rest][:count]


def make_versioned_bucket(name: str) -> str:
    """A bucket that keeps every version of an object, so that it tells how often each one was written; its URL."""
    client = boto3.session.Session().client("s3")
    client.create_bucket(Bucket=name)
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return f"s3://{name}"


@dataclass
class Tally:
    """What the cases of one kind at one point add up to."""

    injected: int = 0
    lost: int = 0
    duplicated: int = 0
    different: int = 0
    wrong: int = 0
    redone: int = 0
    litter: int = 0

    def add(self, result: Result) -> None:
        """Count a case."""
        self.injected += result.injected
        self.lost += result.difference.lost
        self.duplicated += result.difference.duplicated
        self.different += result.difference.different
        self.wrong += bool(result.difference.wrong)
        self.redone += result.redone
        self.litter += len(result.litter)


@dataclass
class Tallies:
    """The whole campaign's."""

    rows: dict[tuple[str, str], Tally] = field(default_factory=dict)
    total: Tally = field(default_factory=Tally)
    bad: list[Result] = field(default_factory=list)
    # Whose disturbance was not met.
    idle: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count a case."""
        for tally in (self.rows.setdefault((result.kind, result.point), Tally()), self.total):
            tally.add(result)
        if result.difference:
            self.bad.append(result)
        if not result.injected:
            self.idle.append(result)

    def show(self) -> None:
        """Print the table, and what was not met."""
        table = Table(title="Faults and what they have cost", title_justify="left")
        for column in ("kind of fault", "point"):
            table.add_column(column, overflow="fold")
        for column in ("injected", "lost", "duplicated", "different", "otherwise wrong", "redone", "litter"):
            table.add_column(column, justify="right")
        for (kind, point), tally in sorted(self.rows.items()):
            table.add_row(kind, point, *_numbers(tally))
        table.add_section()
        table.add_row("all", "", *_numbers(self.total))
        Console(width=150).print(table)
        for result in self.idle:
            print(f"not met: {result.case}")


def _numbers(tally: Tally) -> list[str]:
    return [str(value) for value in vars(tally).values()]
