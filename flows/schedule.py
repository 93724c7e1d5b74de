"""When the edit flow runs by itself, and with what: read from its deployment on the Prefect server, and set there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.server.schemas import schedules as server_schedules
from pydantic import TypeAdapter

from attgan.errors import UserError
from flows.cluster import require_prefect
from flows.settings import EditSettings, ScheduleSettings

TAG = "attgan"  # of every deployment in infra/prefect.yaml
SLUG = "nightly"  # of the schedule that is set from here; others, made in the UI, are shown only
NIGHTLY = CronSchedule(cron="0 3 * * *", timezone="UTC")
NEXT_RUNS = 3

_DATED: TypeAdapter[server_schedules.SCHEDULE_TYPES] = TypeAdapter(server_schedules.SCHEDULE_TYPES)


def schedules() -> list[dict[str, Any]]:
    """A row for each schedule of each deployment.

    Raises:
        UserError: no server, or no deployments on it.
    """
    require_prefect()
    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    with get_client(sync_client=True) as client:
        deployments = client.read_deployments(deployment_filter=ours)
        if not deployments:
            raise UserError(
                "the Prefect server has no deployments of these flows; `attgan deploy` registers them"
            )
        return [row for deployment in deployments for row in _rows(client, deployment)]


def set_schedule(settings: ScheduleSettings) -> list[dict[str, Any]]:
    """Set the schedule of a deployment of the edit flow; what is not given stays as it is.

    Its parameters are the deployment's own, so that a run started in the UI by hand has them as well.

    Returns:
        The deployment's rows, as in :func:`schedules`.

    Raises:
        UserError: no server, no such deployment, or a schedule that cannot be set or run like this.
        ValidationError: settings that the edit flow would refuse.
    """
    require_prefect()
    with get_client(sync_client=True) as client:
        deployment = _deployment(client, settings.deployment)
        current = next((s for s in deployment.schedules if s.slug == SLUG), None)
        wanted = _when(settings, current)
        given = settings.given
        parameters = {**_parameters(deployment, current), **given}
        if given or settings.enable:
            EditSettings.model_validate(parameters)
            changed = deployment.parameters | {"settings": parameters}
            client.update_deployment(deployment.id, DeploymentUpdate(parameters=changed))
        active = None if not (settings.enable or settings.disable) else settings.enable
        if current is None:
            client.create_deployment_schedules(deployment.id, [(wanted, bool(active))])
        else:
            client.update_deployment_schedule(
                deployment.id, current.id, active=active, schedule=wanted, parameters={}
            )
        return _rows(client, client.read_deployment(deployment.id))


def _deployment(client: SyncPrefectClient, name: str) -> DeploymentResponse:
    try:
        return client.read_deployment_by_name(f"edit/{name}")
    except ObjectNotFound:
        line = "the Prefect server has no such deployment of the edit flow; `attgan deploy` registers them"
        raise UserError(f"--deployment {name}: {line}") from None


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
        raise UserError(f"--timezone {settings.timezone}: the schedule is no cron line now; give --cron too")
    return CronSchedule(**changes)


def _parameters(deployment: DeploymentResponse, schedule: DeploymentSchedule | None) -> dict[str, Any]:
    """The edit's settings with which scheduled runs start: a schedule's own, else the deployment's."""
    merged = deployment.parameters | (schedule.parameters if schedule is not None else {})
    settings: dict[str, Any] = merged.get("settings") or {}
    return settings


def _rows(client: SyncPrefectClient, deployment: DeploymentResponse) -> list[dict[str, Any]]:
    return [
        {
            "deployment": f"{client.read_flow(deployment.flow_id).name}/{deployment.name}",
            "when": _words(schedule.schedule),
            "time zone": getattr(schedule.schedule, "timezone", None) or "UTC",
            "state": _state(deployment, schedule),
            "next runs": "\n".join(_next_runs(schedule)) if _active(deployment, schedule) else "none",
            "source → destination": " → ".join(
                str(_parameters(deployment, schedule).get(place) or "not set")
                for place in ("source", "destination")
            ),
        }
        for schedule in deployment.schedules
    ]


def in_words(deployment: DeploymentResponse) -> str:
    """When a deployment runs by itself, in a line."""
    lines = [f"{_words(one.schedule)}, {_state(deployment, one)}" for one in deployment.schedules]
    return "; ".join(lines) or "none"


def _active(deployment: DeploymentResponse, schedule: DeploymentSchedule) -> bool:
    return bool(schedule.active) and not deployment.paused


def _state(deployment: DeploymentResponse, schedule: DeploymentSchedule) -> str:
    if deployment.paused:
        return "deployment paused"
    return "active" if schedule.active else "paused"


def _words(times: Any) -> str:
    """A schedule in its own notation."""
    return str(getattr(times, "cron", None) or getattr(times, "rrule", None) or f"every {times.interval}")


def _next_runs(schedule: DeploymentSchedule) -> Sequence[str]:
    # By the server's own arithmetic, since it writes the runs down only some seconds after a schedule has changed.
    dated = _DATED.validate_python(schedule.schedule.model_dump())
    dates = asyncio.run(dated.get_dates(NEXT_RUNS))
    return [f"{date:%Y-%m-%d %H:%M}" for date in dates]
