"""Shows the schedules of deployments, and sets the schedule and options of the edit flow on the Prefect server."""

from __future__ import annotations

from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError

from attgan.errors import UserError
from flows.runtime.cluster.connection import require_prefect
from flows.runtime.internals import next_dates
from flows.settings import EditSettings, ScheduleSettings

# Every deployment in infra/prefect.yaml has this tag.
TAG = "attgan"
# The schedule in infra/prefect.yaml.
NIGHTLY = CronSchedule(cron="0 3 * * *", timezone="UTC")
NEXT_RUNS = 3


def schedules(name: str | None = None) -> list[dict[str, Any]]:
    """A row for each schedule of each deployment, or of those with this name.

    Raises:
        UserError: there is no server, or it has no such deployments.
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
    """Set the schedule of a deployment of the edit flow. What is not given stays as it is.

    Options are stored as parameters of the deployment, so that runs started in the UI have them too.

    Returns:
        The deployment's rows, as in :func:`schedules`.

    Raises:
        UserError: there is no server or no such deployment, or the schedule cannot be set like this.
        ValidationError: the edit flow would not accept the options.
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
        parameters = EditSettings.flat(_parameters(deployment, current)) | given
        if given or settings.enable:
            EditSettings.model_validate(parameters)
        if given:
            changed = deployment.parameters | {"settings": _as_registered(deployment, parameters)}
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
        rule = "needs minute, hour, day of the month, month and day of the week, as in '0 3 * * *'"
        raise UserError("cron-invalid", f"--cron {settings.cron}: {rule}") from None


def _deployment(client: SyncPrefectClient, name: str) -> DeploymentResponse:
    try:
        return client.read_deployment_by_name(f"edit/{name}")
    except ObjectNotFound:
        line = "the Prefect server has no such deployment of the edit flow; `attgan deploy` registers them"
        raise UserError("deployment-missing", f"--deployment {name}: {line}") from None


def _the_schedule(deployment: DeploymentResponse) -> DeploymentSchedule | None:
    """The schedule to set, or None if there is none yet.

    Raises:
        UserError: the deployment has several schedules.
    """
    if len(deployment.schedules) > 1:
        line = f"has {len(deployment.schedules)} schedules; set them in the Prefect UI"
        raise UserError("schedule-ambiguous", f"--deployment {deployment.name}: {line}")
    return deployment.schedules[0] if deployment.schedules else None


def _when(settings: ScheduleSettings, current: DeploymentSchedule | None) -> Any:
    """The schedule with the given changes.

    Raises:
        UserError: only a time zone is given, and the schedule is not a cron expression.
    """
    times = current.schedule if current is not None else NIGHTLY
    changes = {"cron": settings.cron, "timezone": settings.timezone}
    changes = {name: value for name, value in changes.items() if value is not None}
    if not changes or isinstance(times, CronSchedule):
        return times.model_copy(update=changes)
    if settings.cron is None:
        raise UserError(
            "timezone-without-cron",
            f"--timezone {settings.timezone}: the schedule is not a cron expression; give --cron too",
        )
    return CronSchedule(**changes)


def _parameters(deployment: DeploymentResponse, schedule: DeploymentSchedule | None) -> dict[str, Any]:
    """The edit settings of scheduled runs: the schedule's own, or the deployment's."""
    settings: dict[str, Any] = (deployment.parameters | _own(schedule)).get("settings") or {}
    return settings


def _as_registered(deployment: DeploymentResponse, parameters: dict[str, Any]) -> dict[str, Any]:
    """Settings as the form of the deployment has them: in groups, unless a version without groups has registered it."""
    form = deployment.parameter_openapi_schema or {}
    known = {name for model in form.get("definitions", {}).values() for name in model.get("properties", {})}
    has_groups = any(group.key in known for group in EditSettings.full_layout().groups)
    return EditSettings.grouped(parameters) if has_groups else parameters


def _own(schedule: DeploymentSchedule | None) -> dict[str, Any]:
    """Parameters that only the runs of one schedule have. They can be set in the UI."""
    return schedule.parameters if schedule is not None else {}


def _rows(deployment: DeploymentResponse) -> list[dict[str, Any]]:
    """A row for each schedule, or one row for a deployment without any."""
    return [_row(deployment, schedule) for schedule in deployment.schedules] or [_row(deployment, None)]


def _row(deployment: DeploymentResponse, schedule: DeploymentSchedule | None) -> dict[str, Any]:
    places = [_parameters(deployment, schedule).get(place) for place in ("source", "destination")]
    return {
        "deployment": deployment.name,
        "when": f"{_words(schedule.schedule)}\n{_zone(schedule)}" if schedule else "by hand only",
        "state": _state(deployment, schedule) if schedule else "",
        "next runs": "\n".join(_next_runs(deployment, schedule)) if schedule else "",
        "from → to": f"{places[0]}\n→ {places[1]}" if all(places) else "not set" if schedule else "",
    }


def _zone(schedule: DeploymentSchedule) -> str:
    return getattr(schedule.schedule, "timezone", None) or "UTC"


def summary(deployment: DeploymentResponse) -> str:
    """The schedules of a deployment, in one line."""
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
    """The next runs, in the schedule's time zone; none while it is paused."""
    if deployment.paused or not schedule.active:
        return []
    return [f"{date:%Y-%m-%d %H:%M}" for date in next_dates(schedule.schedule, NEXT_RUNS)]
