"""The settings of deployments, and of the schedule of an edit."""

from __future__ import annotations

import zoneinfo
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from flows.settings.base import Name, Settings, Url
from flows.settings.edit import COMMON, GROUPS, EditOptions, EditSettings
from flows.settings.layout import Layout


def _timezone(name: str) -> str:
    if name not in zoneinfo.available_timezones():
        raise ValueError("there is no such time zone; write Region/City, as in Europe/Berlin, or UTC")
    return name


TimeZone = Annotated[str, AfterValidator(_timezone)]
Block = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")]


class DeploySettings(Settings):
    """Register the flows as deployments with the Prefect server, to be run by its workers."""

    file: str = Field(
        default="infra/prefect.yaml",
        min_length=1,
        description="The file that describes the deployments; automations.yaml and notifications.yaml lie beside it. "
        "Outside the repository it is the installed package's by default.",
    )
    pool: str | None = Field(
        default=None,
        min_length=1,
        description="The work pool whose workers run them; by default the one that $PREFECT_DEFAULT_WORK_POOL_NAME "
        "names, as the local stack does.",
    )
    folder: str | None = Field(
        default=None,
        min_length=1,
        description="The working directory of runs on the workers' machines, to which relative paths refer; by default "
        "this one.",
    )
    notify: Block | None = Field(
        default=None,
        description="A notification block on the server, TYPE/NAME as in slack-webhook/ops, which reports runs that "
        "fail and edits with too many failures.",
    )


class _When(Settings):
    deployment: Name = Field(default="edit", description="Which deployment of the edit flow.")
    source: Url | None = Field(
        default=None, description="Images to edit: s3://bucket/prefix, file:///folder or a path."
    )
    destination: Url | None = Field(
        default=None, description="Where the edited images go, under the same keys: URL or path."
    )
    cron: str | None = Field(default=None, description="When: '0 3 * * *' is every night at three.")
    timezone: TimeZone | None = Field(
        default=None, description="The time zone of --cron, as in Europe/Berlin."
    )
    enable: bool = Field(default=False, description="Start runs at these times from now on.")
    disable: bool = Field(default=False, description="Start no more runs, and keep the settings.")


class ScheduleSettings(EditOptions, _When):
    """Set the schedule of the edit flow, and the options of its runs. What is not given stays as it is."""

    layout = Layout((*_When.model_fields, *COMMON), GROUPS)

    @field_validator("disable")
    @classmethod
    def _not_both(cls, disable: bool, info: ValidationInfo) -> bool:
        if disable and info.data.get("enable"):
            raise ValueError("excludes --enable")
        return disable

    @property
    def given(self) -> dict[str, Any]:
        """The options of the edit that were given, as a deployment stores them."""
        fields = set(EditSettings.model_fields)
        return self.model_dump(mode="json", exclude_unset=True, include=fields)
