"""Everything that is used of Ray and Prefect although it is not part of their public interface, one function each.

A test of each fails when an upgrade removes it. Ray's start has two more, in ``infra/local/ray_start.py``.
"""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter


def cluster_id_at(address: str) -> str:
    """The identifier of the Ray cluster whose GCS answers at an address. No public function asks for it.

    A new client is needed for each request, because a client keeps the identifier that it received first.

    Raises:
        ray.exceptions.RpcError: no cluster answers.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # missing in Ray's stubs

    identifier: str = GcsClient(address=address).cluster_id.hex()
    return identifier


def next_dates(schedule: Any, count: int) -> list[datetime]:
    """The next runs of a schedule, in its time zone, as the Prefect server computes them.

    The client's models cannot compute them, and the server lists runs only seconds after a schedule has changed.

    Args:
        schedule: a schedule of ``prefect.client.schemas.schedules``.
        count: how many.
    """
    from prefect.server.schemas import schedules

    kinds: TypeAdapter[schedules.SCHEDULE_TYPES] = TypeAdapter(schedules.SCHEDULE_TYPES)
    return [*asyncio.run(kinds.validate_python(schedule.model_dump()).get_dates(count))]


def reason_of_prefect(output: str) -> str | None:
    """The reason why a command of Prefect failed: the server's answer in its last line, or that line.

    Prefect prints the answer as a Python mapping, at the end of a traceback. None without output.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    answer = re.search(r"""'detail': (["'])(.+)\1}""", lines[-1]) if lines else None
    return answer[2] if answer else lines[-1] if lines else None
