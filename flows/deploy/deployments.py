"""The flows as deployments on a Prefect server: as a file describes them, but for what users have set since.

``prefect deploy`` does the work. Left alone it would set schedules, parameters and pauses back to the file each time.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import WorkerFilter, WorkerFilterStatus
from prefect.client.schemas.objects import WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_DEFAULT_WORK_POOL_NAME, PREFECT_UI_URL

from attgan.errors import UserError
from attgan.version import VERSION
from flows.deploy import automations, schedule
from flows.runtime.cluster import require_prefect
from flows.runtime.terminal import print_line, print_rows
from flows.settings import DeploySettings

_ONLINE = WorkerFilter(status=WorkerFilterStatus(any_=["ONLINE"]))


class NotDeployed(Exception):
    """The Prefect server did not take a deployment; the message is what it says."""


@dataclass(frozen=True)
class Deployed:
    """What is registered: the deployments, their work pool, how many workers serve it, and the UI's address."""

    deployments: list[DeploymentResponse]
    pool: str
    workers: int
    page: str


def deploy(settings: DeploySettings) -> Deployed:
    """Register every deployment and automation with the Prefect server of the environment.

    Done again it changes nothing but what the files of this version say differently.

    Raises:
        UserError: no server, no such file, work pool or block.
        NotDeployed: the server refused one; those before it are registered.
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
        automations.register(client, automations.read(file.with_name(automations.WATCH)))
        if block is not None:
            automations.register(
                client, automations.read(file.with_name(automations.TELL), block_document_id=block)
            )
        return Deployed(
            deployments=[client.read_deployment_by_name(f"{flow}/{name}") for flow, name in names],
            pool=pool.name,
            workers=len(client.read_workers_for_work_pool(pool.name, worker_filter=_ONLINE)),
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
    for needed in (file, file.with_name(automations.WATCH), file.with_name(automations.TELL)):
        if not needed.is_file():
            raise UserError(
                "deployment-file-missing",
                f"--file {file}: {needed} is missing; the repository has these files in infra/",
            )
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    return content


def show(deployed: Deployed) -> None:
    """Print what is registered, and what is missing to run it."""
    rows = [
        {"deployment": one.name, "version": one.version, "schedule": schedule.in_words(one)}
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
        raise UserError(
            "option-required", "--pool: is required where no PREFECT_DEFAULT_WORK_POOL_NAME is set"
        )
    try:
        return client.read_work_pool(name)
    except ObjectNotFound:
        make = f"`prefect worker start --pool {name} --type process` makes it and serves it"
        raise UserError(
            "work-pool-missing", f"--pool {name}: the Prefect server has no such work pool; {make}"
        ) from None


def _kept(client: SyncPrefectClient, spec: dict[str, Any], pool: WorkPool) -> dict[str, Any]:
    """A deployment as the file has it, with its pool, its version, and what is the users' to set once it is there."""
    spec = spec | {
        "work_pool": spec["work_pool"] | {"name": pool.name},
        "version": VERSION,
    }
    try:
        there = client.read_deployment_by_name(f"{spec['flow_name']}/{spec['name']}")
    except ObjectNotFound:
        return spec
    spec.pop("schedules", None)
    return spec | {"parameters": there.parameters, "paused": there.paused}


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
            _why(ended.stderr) or _why(ended.stdout) or f"prefect deploy: exit code {ended.returncode}"
        )


def _why(output: str) -> str | None:
    """The last line of a command that failed, or of the server's answer in it."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    answer = re.search(r"""'detail': (["'])(.+)\1}""", lines[-1]) if lines else None
    return answer[2] if answer else lines[-1] if lines else None
