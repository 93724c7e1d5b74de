"""Commands about servers: the local stack, its health, deployments and their schedules."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NoReturn

from cyclopts import App, Group, Parameter

from flows.operate.stack_choice import adopt_stack, become, print_stacks_elsewhere
from flows.runtime.local_stack import adopt_local_stack
from flows.runtime.terminal import print_line, print_rows
from flows.settings import DeploySettings, ScheduleSettings

_GROUP = Group("Servers and schedules", sort_key=4)
StackOption = Annotated[str, Parameter(allow_leading_hyphen=True)]


def add_to(app: App) -> None:
    """Add these commands to the command line."""
    for command in (up, status, down, env):
        # They pass --help on to the stack's own command line.
        app.command(command, group=_GROUP, help_flags=(), version_flags=())
    app.command(doctor, group=_GROUP)
    app.command(deploy, group=_GROUP)
    schedule = App(name="schedule", help="Show or set the schedules of deployments.", group=_GROUP)
    schedule.default(show_schedules)
    schedule.command(set_schedule, name="edit")
    app.command(schedule)


def up(*options: StackOption) -> NoReturn:
    """Start the local stack: Prefect server and UI, S3 server, Ray head, worker."""
    become("infra", "up", *options)


def status(*options: StackOption) -> NoReturn:
    """Show the services of the local stack: addresses, health, and how to get into the dashboards."""
    if not options and not adopt_local_stack().services:
        print_stacks_elsewhere()
    become("infra", "status", *options)


def down(*options: StackOption) -> NoReturn:
    """Cancel the runs that are at work, and stop the local stack. Its data and logs stay."""
    become("infra", "down", *options)


def env(*options: StackOption) -> NoReturn:
    """Print the variables by which any client reaches the local stack, with its secrets: eval "$(attgan env)"."""
    become("infra", "env", *options)


def doctor(
    *places: Annotated[
        str, Parameter(help="URLs of buckets or folders that runs will write to.", show_default=False)
    ],
) -> None:
    """Check what is installed, what can be reached from here, and what is missing. Exit code 1 if anything is."""
    adopt_stack()
    from flows.operate.doctor import examine

    healthy = True
    for row in examine(places):
        print_line(f"{row['ok']:<3}  {row['check']:<14}  {row['found']}", **row)
        healthy &= row["ok"] == "yes"
    if not healthy:
        sys.exit(1)


def deploy(*, settings: Annotated[DeploySettings, Parameter(name="*")] = DeploySettings()) -> None:  # noqa: B008
    """Register the flows as deployments, which the workers of a Prefect server run. May be repeated."""
    adopt_stack()
    from flows.deploy import deployments

    deployments.show(deployments.deploy(settings))


def show_schedules(
    deployment: Annotated[
        str | None, Parameter(help="Only the schedules of this one.", show_default=False)
    ] = None,
    /,
) -> None:
    """Show the schedules of deployments; `attgan schedule edit --help` lists what can be set."""
    adopt_stack()
    from flows.deploy import schedule as times

    _print_schedules(times.schedules(deployment))


def set_schedule(
    *,
    settings: Annotated[ScheduleSettings, Parameter(name="*")] = ScheduleSettings(),  # noqa: B008
) -> None:
    """Set the schedule of the edit flow, and the options of its runs. What is not given stays as it is."""
    adopt_stack()
    from flows.deploy import schedule as times

    _print_schedules(times.set_schedule(settings))


def _print_schedules(rows: Sequence[Mapping[str, Any]]) -> None:
    print_rows("Schedules", rows, whole=["when"])
