"""Registers automations on the Prefect server: mark silent runs as crashed, and send notifications of failures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound

from attgan.errors import UserError

# The files beside the one with the deployments.
CRASH_RULES = "automations.yaml"
NOTIFICATIONS = "notifications.yaml"


def read(path: Path, **action: Any) -> list[AutomationCore]:
    """The automations of a file.

    Args:
        path: in the format of ``prefect automation create --from-file``.
        action: fields that are added to each action.
    """
    specs = yaml.safe_load(path.read_text())["automations"]
    for spec in specs:
        spec["actions"] = [one | action for one in spec["actions"]]
    return [AutomationCore.model_validate(spec) for spec in specs]


def register(client: SyncPrefectClient, automations: Sequence[AutomationCore]) -> None:
    """Create automations, or update those of the same name. One that was disabled stays disabled."""
    for automation in automations:
        there = client.read_automations_by_name(automation.name)
        if there:
            renewed = automation.model_copy(update={"enabled": there[0].enabled})
            client.update_automation(there[0].id, renewed)
        else:
            client.create_automation(automation)


def notification_block(client: SyncPrefectClient, full_name: str) -> str:
    """The id of a block that sends notifications.

    Args:
        client: of the server.
        full_name: ``TYPE/NAME``.

    Raises:
        UserError: there is no such block, or it cannot send notifications.
    """
    kind, name = full_name.split("/")
    try:
        block = client.read_block_document_by_name(name, kind)
    except ObjectNotFound:
        raise UserError(
            "block-missing", f"--notify {full_name}: the Prefect server has no such block"
        ) from None
    if block.block_schema is None or "notify" not in block.block_schema.capabilities:
        raise UserError(
            "block-cannot-notify", f"--notify {full_name}: is not a block that sends notifications"
        )
    return str(block.id)
