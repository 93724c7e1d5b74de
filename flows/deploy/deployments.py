"""Registers the flows as deployments on a Prefect server, as a file describes them.

``prefect deploy`` does the work. It would reset schedules, parameters and pauses to the file each time, so what users
have set on the server since is kept here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_DEFAULT_WORK_POOL_NAME, PREFECT_UI_URL

from attgan.errors import UserError
from attgan.version import VERSION
from flows.deploy import automations, schedule
from flows.runtime.cluster.connection import online_workers, require_prefect
from flows.runtime.internals import reason_of_prefect
from flows.runtime.terminal import print_line, print_rows
from flows.settings import OF_FLOW, DeploySettings


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
        UserError: there is no server, or no such file, work pool or block.
        NotDeployed: the server did not accept one. Those before it are registered.
    """
    require_prefect()
    file = _file(settings)
    content = _read(file)
    with get_client(sync_client=True) as client:
        pool = _pool(client, settings)
        block = automations.notification_block(client, settings.notify) if settings.notify else None
        names = [(spec["flow_name"], spec["name"]) for spec in content["deployments"]]
        specs = [_kept(client, spec, pool) for spec in content["deployments"]]
        _register({"pull": content["pull"], "deployments": specs}, settings.folder or os.getcwd())
        automations.register(client, automations.read(file.with_name(automations.CRASH_RULES)))
        if block is not None:
            automations.register(
                client, automations.read(file.with_name(automations.NOTIFICATIONS), block_document_id=block)
            )
        for flow, name in names:
            _regroup_schedules(client, flow, client.read_deployment_by_name(f"{flow}/{name}"))
        return Deployed(
            deployments=[client.read_deployment_by_name(f"{flow}/{name}") for flow, name in names],
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


def _kept(client: SyncPrefectClient, spec: dict[str, Any], pool: WorkPool) -> dict[str, Any]:
    """A deployment of the file, with its pool, its version, and what users have set on the server."""
    spec = spec | {
        "work_pool": spec["work_pool"] | {"name": pool.name},
        "version": VERSION,
    }
    try:
        there = client.read_deployment_by_name(f"{spec['flow_name']}/{spec['name']}")
    except ObjectNotFound:
        return spec
    spec.pop("schedules", None)
    return spec | {"parameters": _in_groups(spec["flow_name"], there.parameters), "paused": there.paused}


def _in_groups(flow: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters as the flow's form shows them. Earlier versions have stored settings without groups."""
    model, settings = OF_FLOW.get(flow), parameters.get("settings")
    if model is None or not isinstance(settings, dict):
        return parameters
    return parameters | {"settings": model.grouped(settings)}


def _regroup_schedules(client: SyncPrefectClient, flow: str, deployment: DeploymentResponse) -> None:
    """Do the same with the parameters that only the runs of one schedule have."""
    for one in deployment.schedules:
        if (wanted := _in_groups(flow, one.parameters)) != one.parameters:
            client.update_deployment_schedule(deployment.id, one.id, parameters=wanted)


def _register(content: dict[str, Any], folder: str) -> None:
    with tempfile.TemporaryDirectory(prefix="attgan-deploy-") as scratch:
        file = Path(scratch) / "prefect.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", file],
            env={**os.environ, "PWD": folder},
            capture_output=True,
            text=True,
        )
    if ended.returncode != 0:
        raise NotDeployed(
            reason_of_prefect(ended.stderr)
            or reason_of_prefect(ended.stdout)
            or f"prefect deploy: exit code {ended.returncode}"
        )
