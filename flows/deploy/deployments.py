"""Registers the flows as deployments on a Prefect server, as a file describes them.

The file is one of ``prefect deploy``, which would reset schedules, parameters and pauses to the file each time; what
users have set on the server since is kept here. It would also import every flow for the form of its parameters, which
takes many seconds; here the settings of a flow are its form.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.objects import ConcurrencyOptions, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.steps.core import run_steps
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_DEFAULT_WORK_POOL_NAME, PREFECT_UI_URL
from prefect.utilities.callables import parameter_schema
from prefect.utilities.templating import (
    apply_values,
    resolve_block_document_references,
    resolve_variables,
)

from attgan.errors import UserError
from attgan.version import VERSION
from flows.deploy import automations, schedule
from flows.runtime.cluster.connection import online_workers, require_prefect
from flows.runtime.terminal import print_line, print_rows
from flows.settings import OF_FLOW, DeploySettings, Settings


class NotDeployed(Exception):
    """The Prefect server did not accept a deployment. The message is the server's."""


@dataclass(frozen=True)
class Deployed:
    """What is registered.

    Attributes:
        deployments: as the server has them.
        pool: the name of their work pool.
        workers: how many workers serve the pool.
        page: the URL of the deployments in the UI.
    """

    deployments: list[DeploymentResponse]
    pool: str
    workers: int
    page: str


def deploy(settings: DeploySettings) -> Deployed:
    """Register every deployment and automation with the Prefect server of the environment.

    Repeating it only changes what differs in the files of this version.

    Raises:
        UserError: there is no server, or no such file, work pool, block or flow.
        NotDeployed: the server did not accept one. Those before it are registered.
    """
    require_prefect()
    file = _file(settings)
    content = _read(file)
    # What `{{ $PWD }}` in the file stands for, as in a shell of that folder.
    os.environ["PWD"] = settings.folder or os.getcwd()
    with get_client(sync_client=True) as client:
        pool = _pool(client, settings)
        block = automations.notification_block(client, settings.notify) if settings.notify else None
        for spec in asyncio.run(
            _filled_in({"pull": content["pull"]} | spec for spec in content["deployments"])
        ):
            _register(client, spec, pool)
        automations.register(client, automations.read(file.with_name(automations.CRASH_RULES)))
        if block is not None:
            automations.register(
                client, automations.read(file.with_name(automations.NOTIFICATIONS), block_document_id=block)
            )
        return Deployed(
            deployments=[
                client.read_deployment_by_name(f"{spec['flow_name']}/{spec['name']}")
                for spec in content["deployments"]
            ],
            pool=pool.name,
            workers=online_workers(client, pool.name),
            page=f"{PREFECT_UI_URL.value()}/deployments",
        )


def _file(settings: DeploySettings) -> Path:
    """The file that is named; where none is and this folder has none either, the installed package's."""
    file = Path(settings.file)
    if "file" in settings.model_fields_set or file.is_file():
        return file
    # As for `attgan up`, infra is asked as a program: nothing here imports it or knows where it lies.
    asked = subprocess.run(
        [sys.executable, "-P", "-m", "infra", "deployments"], stdout=subprocess.PIPE, text=True
    )
    return Path(asked.stdout.strip()) if asked.returncode == 0 else file


def _read(file: Path) -> dict[str, Any]:
    for needed in (
        file,
        *(file.with_name(name) for name in (automations.CRASH_RULES, automations.NOTIFICATIONS)),
    ):
        if not needed.is_file():
            raise UserError(
                "deployment-file-missing",
                f"--file {file}: {needed} is missing; the repository has these files in infra/",
            )
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    return content


def show(deployed: Deployed) -> None:
    """Print what is registered, and what is still needed to run it."""
    rows = [
        {"deployment": one.name, "version": one.version, "schedule": schedule.summary(one)}
        for one in deployed.deployments
    ]
    print_rows(f"Deployments, {deployed.page}", rows)
    if not deployed.workers:
        print_line(
            f"no worker serves the work pool {deployed.pool} yet: "
            f"`prefect worker start --pool {deployed.pool}` where the flows are to run"
        )


def _pool(client: SyncPrefectClient, settings: DeploySettings) -> WorkPool:
    name = settings.pool or PREFECT_DEFAULT_WORK_POOL_NAME.value()
    if not name:
        raise UserError("option-required", "--pool: is required if PREFECT_DEFAULT_WORK_POOL_NAME is not set")
    try:
        return client.read_work_pool(name)
    except ObjectNotFound:
        make = f"`prefect worker start --pool {name} --type process` makes it and serves it"
        raise UserError(
            "work-pool-missing", f"--pool {name}: the Prefect server has no such work pool; {make}"
        ) from None


async def _filled_in(specs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The deployments of the file after their build and push steps, with values for their placeholders.

    References to blocks and variables in pull steps are left to the runs.
    """
    found = []
    async with get_client() as client:
        for spec in specs:
            outputs: dict[str, Any] = {}
            for steps in (spec.pop("build", None), spec.pop("push", None)):
                outputs |= await run_steps(steps or [], outputs, print_function=print_line)
            pull = apply_values(spec.pop("pull"), outputs, remove_notset=False)
            spec = await resolve_block_document_references(spec, client=client)
            spec = await resolve_variables(spec, client=client)
            found.append({**apply_values(spec, outputs), "pull": pull})
    return found


def _register(client: SyncPrefectClient, spec: dict[str, Any], pool: WorkPool) -> None:
    """Create a deployment, or update the one of the same name; what users have set on the server stays."""
    flow, name = spec["flow_name"], spec["name"]
    limit = spec.get("concurrency_limit")
    options = limit if isinstance(limit, dict) else {"limit": limit}
    fields: dict[str, Any] = {
        "version": VERSION,
        "description": spec.get("description"),
        "tags": spec.get("tags", []),
        "parameters": spec.get("parameters", {}),
        "parameter_openapi_schema": form_of(flow),
        "enforce_parameter_schema": spec.get("enforce_parameter_schema", True),
        "entrypoint": spec["entrypoint"],
        "pull_steps": spec["pull"],
        "work_pool_name": pool.name,
        "job_variables": spec["work_pool"].get("job_variables", {}),
        "concurrency_limit": options.pop("limit"),
        "concurrency_options": ConcurrencyOptions(**options) if options else None,
    }
    try:
        there = client.read_deployment_by_name(f"{flow}/{name}")
    except ObjectNotFound:
        there = None
    try:
        if there is None:
            schedules = [_schedule(one) for one in spec.get("schedules", ())]
            client.create_deployment(client.create_flow_from_name(flow), name, schedules=schedules, **fields)
        else:
            fields["parameters"] = _in_groups(flow, there.parameters)
            client.update_deployment(there.id, DeploymentUpdate(**fields))
            _regroup_schedules(client, flow, there)
    except PrefectHTTPStatusError as error:
        raise NotDeployed(f"{flow}/{name}: {error.response.json().get('detail', error)}") from error


def form_of(flow: str) -> dict[str, Any]:
    """The form of a flow's parameters in the UI, made from its settings; the flow itself is not imported.

    Raises:
        UserError: there is no such flow.
    """
    if flow not in OF_FLOW:
        raise UserError("flow-unknown", f"flow_name {flow}: is none of {', '.join(OF_FLOW)}")

    def alike(settings: Settings) -> None:
        """Stands for the flow."""

    alike.__annotations__ = {"settings": OF_FLOW[flow]}
    return parameter_schema(alike).model_dump(exclude_unset=True)


def _schedule(spec: dict[str, Any]) -> DeploymentScheduleCreate:
    """A schedule of the file, in which its times stand beside what else is said of it."""
    own = {name: value for name, value in spec.items() if name in DeploymentScheduleCreate.model_fields}
    times = {name: value for name, value in spec.items() if name not in own}
    return DeploymentScheduleCreate.model_validate({**own, "schedule": times})


def _in_groups(flow: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters as the flow's form shows them. Earlier versions have stored settings without groups."""
    settings = parameters.get("settings")
    return (
        parameters | {"settings": OF_FLOW[flow].grouped(settings)}
        if isinstance(settings, dict)
        else parameters
    )


def _regroup_schedules(client: SyncPrefectClient, flow: str, deployment: DeploymentResponse) -> None:
    """Do the same with the parameters that only the runs of one schedule have."""
    for one in deployment.schedules:
        if (wanted := _in_groups(flow, one.parameters)) != one.parameters:
            client.update_deployment_schedule(deployment.id, one.id, parameters=wanted)
