"""When the edit flow runs by itself, and with what: read from its deployment on the Prefect server, and set there."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.server.schemas import schedules as server_schedules
from pydantic import TypeAdapter, ValidationError

from attgan.errors import UserError
from flows.runtime.cluster import require_prefect
from flows.settings import EditSettings, ScheduleSettings

TAG = "attgan"  # of every deployment in infra/prefect.yaml
NIGHTLY = CronSchedule(cron="0 3 * * *", timezone="UTC")  # as in infra/prefect.yaml
NEXT_RUNS = 3

_DATED: TypeAdapter[server_schedules.SCHEDULE_TYPES] = TypeAdapter(server_schedules.SCHEDULE_TYPES)


def schedules(name: str | None = None) -> list[dict[str, Any]]:
    """A row for each schedule of each deployment, or of those with this name.

    Raises:
        UserError: no server, or no such deployments on it.
    """
    require_prefect()
    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    with get_client(sync_client=True) as client:
        there = client.read_deployments(deployment_filter=ours)
    chosen = [deployment for deployment in there if name in (None, deployment.name)]
    if not chosen:
        what = "deployments of these flows" if name is None else f"deployment {name} of these flows"
        raise UserError(
            "deployment-missing", f"the Prefect server has no {what}; `attgan deploy` registers them"
        )
    return [row for deployment in chosen for row in _rows(deployment)]


def set_schedule(settings: ScheduleSettings) -> list[dict[str, Any]]:
    """Set the schedule of a deployment of the edit flow; what is not given stays as it is.

    Its parameters are the deployment's own, so that a run started in the UI by hand has them as well.

    Returns:
        The deployment's rows, as in :func:`schedules`.

    Raises:
        UserError: no server, no such deployment, or a schedule that cannot be set or run like this.
        ValidationError: settings that the edit flow would refuse.
    """
    _check_cron(settings)
    require_prefect()
    with get_client(sync_client=True) as client:
        deployment = _deployment(client, settings.deployment)
        if settings.model_fields_set <= {"deployment"}:
            return _rows(deployment)
        current = _the_schedule(deployment)
        wanted = _when(settings, current)
        given, own = settings.given, None
        parameters = _parameters(deployment, current) | given
        if given or settings.enable:
            EditSettings.model_validate(parameters)
        if given:
            changed = deployment.parameters | {"settings": parameters}
            client.update_deployment(deployment.id, DeploymentUpdate(parameters=changed))
            own = {name: value for name, value in _own(current).items() if name != "settings"}
        if settings.enable and deployment.paused:
            client.resume_deployment(deployment.id)
        active = settings.enable if settings.enable or settings.disable else None
        if current is None:
            client.create_deployment_schedules(deployment.id, [(wanted, bool(active))])
        else:
            client.update_deployment_schedule(
                deployment.id, current.id, active=active, schedule=wanted, parameters=own
            )
        return _rows(client.read_deployment(deployment.id))


def _check_cron(settings: ScheduleSettings) -> None:
    if settings.cron is None:
        return
    try:
        CronSchedule(cron=settings.cron)
    except ValidationError:
        rule = "write minute, hour, day of the month, month and day of the week, as in '0 3 * * *'"
        raise UserError("cron-invalid", f"--cron {settings.cron}: {rule}") from None


def _deployment(client: SyncPrefectClient, name: str) -> DeploymentResponse:
    try:
        return client.read_deployment_by_name(f"edit/{name}")
    except ObjectNotFound:
        line = "the Prefect server has no such deployment of the edit flow; `attgan deploy` registers them"
        raise UserError("deployment-missing", f"--deployment {name}: {line}") from None


def _the_schedule(deployment: DeploymentResponse) -> DeploymentSchedule | None:
    """The schedule that is set from here, or None where there is none yet.

    Raises:
        UserError: somebody has made several.
    """
    if len(deployment.schedules) > 1:
        line = f"has {len(deployment.schedules)} schedules; set them in the Prefect UI"
        raise UserError("schedule-ambiguous", f"--deployment {deployment.name}: {line}")
    return deployment.schedules[0] if deployment.schedules else None


def _when(settings: ScheduleSettings, current: DeploymentSchedule | None) -> Any:
    """The times that are asked for.

    Raises:
        UserError: a time zone alone, for a schedule that has become something else than a cron line.
    """
    times = current.schedule if current is not None else NIGHTLY
    changes = {"cron": settings.cron, "timezone": settings.timezone}
    changes = {name: value for name, value in changes.items() if value is not None}
    if not changes or isinstance(times, CronSchedule):
        return times.model_copy(update=changes)
    if settings.cron is None:
        raise UserError(
            "timezone-without-cron",
            f"--timezone {settings.timezone}: the schedule is no cron line now; give --cron too",
        )
    return CronSchedule(**changes)


def _parameters(deployment: DeploymentResponse, schedule: DeploymentSchedule | None) -> dict[str, Any]:
    """The edit's settings with which scheduled runs start: a schedule's own, else the deployment's."""
    settings: dict[str, Any] = (deployment.parameters | _own(schedule)).get("settings") or {}
    return settings


def _own(schedule: DeploymentSchedule | None) -> dict[str, Any]:
    """Parameters that hold for the runs of one schedule alone; the UI can set them."""
    return schedule.parameters if schedule is not None else {}


def _rows(deployment: DeploymentResponse) -> list[dict[str, Any]]:
    """A row for each schedule, or one that says that there is none."""
    return [_row(deployment, schedule) for schedule in deployment.schedules] or [_row(deployment, None)]


def _row(deployment: DeploymentResponse, schedule: DeploymentSchedule | None) -> dict[str, Any]:
    places = [_parameters(deployment, schedule).get(place) for place in ("source", "destination")]
    return {
        "deployment": deployment.name,
        "when": _words(schedule.schedule) if schedule else "when started by hand",
        "time zone": (getattr(schedule.schedule, "timezone", None) or "UTC") if schedule else "",
        "state": _state(deployment, schedule) if schedule else "",
        "next runs": "\n".join(_next_runs(deployment, schedule)) if schedule else "",
        "from → to": f"{places[0]}\n→ {places[1]}" if all(places) else "not set" if schedule else "",
    }


def in_words(deployment: DeploymentResponse) -> str:
    """When a deployment runs by itself, in a line."""
    lines = [f"{_words(one.schedule)}, {_state(deployment, one)}" for one in deployment.schedules]
    return "; ".join(lines) or "none"


def _state(deployment: DeploymentResponse, schedule: DeploymentSchedule) -> str:
    if deployment.paused:
        return "deployment paused"
    return "active" if schedule.active else "paused"


def _words(times: Any) -> str:
    """A schedule in its own notation."""
    return str(getattr(times, "cron", None) or getattr(times, "rrule", None) or f"every {times.interval}")


def _next_runs(deployment: DeploymentResponse, schedule: DeploymentSchedule) -> list[str]:
    """In the schedule's own time zone; none while it is paused."""
    if deployment.paused or not schedule.active:
        return []
    # By the server's own arithmetic, since it writes the runs down only some seconds after a schedule has changed.
    dated = _DATED.validate_python(schedule.schedule.model_dump())
    dates = asyncio.run(dated.get_dates(NEXT_RUNS))
    return [f"{date:%Y-%m-%d %H:%M}" for date in dates]
