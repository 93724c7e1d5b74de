"""``make faults``: the whole campaign. The exit code is 1 if anything was lost, duplicated, different or else wrong.

    python -m tests.faults.campaign                        # all of it
    python -m tests.faults.campaign disk s3                # or some: disk, s3, network, small-disk, kills

Seeds are fixed. All servers are its own, on free ports.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from infra.local import lifecycle
from tests.faults.campaign import in_process, kills, network, small_disk
from tests.faults.campaign.case import Result
from tests.faults.campaign.runner import Tallies, make_versioned_bucket, run_cases, sample
from tests.faults.campaign.scenario import make_scenarios
from tests.support.servers.servers import Servers

SEED = 20
_PREFIX = "attgan-faults-"


def on_disk(folder: Path) -> Iterator[Result]:
    """Every kind of fault at every point of a first run, many of other runs, and two faults in a row."""
    first, *others = scenarios = make_scenarios(str(folder), {}, ("first", "changed", "retry", "cured"))
    more = [case for scenario in others for case in in_process.all_cases(scenario)]
    twice = [
        case
        for n, scenario in enumerate(scenarios)
        for case in in_process.double_cases(scenario, 10, SEED + n)
    ]
    cases = in_process.all_cases(first) + sample(more, 200, SEED) + twice + in_process.lease_cases(first)
    yield from run_cases(cases, str(folder / "cases"))


def on_s3(folder: Path) -> Iterator[Result]:
    """A sample of the same on S3, where objects carry metadata and conditions are the server's."""
    with _servers(folder, ("s3",)) as variables:
        scenarios = make_scenarios(make_versioned_bucket("faults"), variables, ("first", "changed", "cured"))
        cases = [case for scenario in scenarios for case in in_process.all_cases(scenario)]
        yield from run_cases(sample(cases, 110, SEED), "s3://faults")


def through_a_bad_network(folder: Path) -> Iterator[Result]:
    """Every kind of break at every request."""
    with _servers(folder, ("s3",)) as variables:
        scenarios = make_scenarios(make_versioned_bucket("faults"), variables, ("first", "changed"))
        cases = [case for scenario in scenarios for case in network.all_cases(scenario)]
        yield from run_cases(sample(cases, 110, SEED), "s3://faults")


def on_a_small_disk(folder: Path) -> Iterator[Result]:
    """File systems that are really full; skipped where this user may not mount one."""
    with small_disk.mounted() as disk:
        if disk is None:
            print("small-disk: skipped, this user may not mount a file system")
            return
        (first,) = make_scenarios(str(disk), {}, ("first",))
        yield from run_cases(small_disk.cases(first, disk), str(disk), lanes=1)


def with_real_kills(folder: Path) -> Iterator[Result]:
    """The whole stack, and SIGKILL."""
    with _servers(folder, ("prefect", "s3", "ray")) as variables:
        (large,) = make_scenarios(make_versioned_bucket("faults"), variables, ("large",))
        servers = Servers(folder / "stack", variables)
        cases = kills.all_cases(large, servers)
        yield from run_cases(cases, "s3://faults", lanes=1, again=kills.run_again(servers))


PARTS: Mapping[str, Callable[[Path], Iterator[Result]]] = {
    "disk": on_disk,
    "s3": on_s3,
    "network": through_a_bad_network,
    "small-disk": on_a_small_disk,
    "kills": with_real_kills,
}


@contextlib.contextmanager
def _servers(folder: Path, services: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Servers of a stack; this process's environment leads to them meanwhile."""
    options = {"cpus": 2, "gpus": 0, "dashboard": False, "report": lambda line: None}
    with lifecycle.running(folder / "stack", services, **options) as variables:
        before = dict(os.environ)
        os.environ.update(variables)
        try:
            yield variables
        finally:
            os.environ.clear()
            os.environ.update(before)


def main(names: list[str]) -> int:
    """Run the parts named, or all; the exit code."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"{unknown[0]}: is no part of the campaign; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    lifecycle.clear_abandoned(Path(tempfile.gettempdir()), f"{_PREFIX}*/stack")
    tallies = Tallies()
    for name in names or PARTS:
        started, before = time.monotonic(), tallies.total.injected
        with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
            for count, result in enumerate(PARTS[name](Path(folder)), start=1):
                tallies.add(result)
                if result.difference:
                    print(f"\rWRONG {result.case}: {result.difference}", flush=True)
                if sys.stderr.isatty():
                    print(f"\r{name}: {count} cases", end="", file=sys.stderr, flush=True)
        injected = tallies.total.injected - before
        print(f"\r{name}: {injected} faults injected in {time.monotonic() - started:,.0f} s", flush=True)
    tallies.show()
    return int(bool(tallies.bad))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
