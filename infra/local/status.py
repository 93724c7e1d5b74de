"""The state of a stack's services: addresses, health, memory."""

from collections.abc import Iterable

import psutil

from infra.local import processes
from infra.local.lifecycle import build_services
from infra.local.service import unhealthy
from infra.local.stack import Stack


def status(stack: Stack) -> tuple[bool, list[str]]:
    """Whether all services are healthy, and the lines of a table."""
    rows = [("SERVICE", "STATE", "ADDRESS", "PID", "MEMORY")]
    notes, healthy = [], True
    for service in build_services(stack):
        leader = stack.processes.get(service.name)
        found = processes.members(leader) if leader else []
        problem = unhealthy(service) if found else "stopped"
        state = "healthy" if problem is None else "unhealthy" if found else "stopped"
        if state == "unhealthy":
            notes.append(f"{service.title}: {problem} (log: {stack.logs / service.name}.log)")
        healthy = healthy and problem is None
        pid = str(leader.pid) if leader and found else "-"
        memory = f"{_memory(found) / 2**20:.0f} MiB" if found else "-"
        (title, address), *more = service.links
        rows.append((title, state, address, pid, memory))
        rows.extend((title, "", address, "", "") for title, address in more)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return healthy, table + notes


def _memory(found: Iterable[psutil.Process]) -> int:
    # Shared memory is counted once if the kernel reports it (PSS), otherwise once for each process.
    total = 0
    for process in found:
        try:
            total += getattr(process.memory_full_info(), "pss", 0) or process.memory_info().rss
        except psutil.Error:
            continue
    return total
