"""Counts the calls of a process to the Prefect server: requests by their kind, and events."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import httpx

_IDENTIFIER = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


@dataclass
class ApiCalls:
    """How many requests of which kind were sent ("POST /logs/"), and how many events, over the web socket."""

    requests: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)

    def add(self, other: ApiCalls) -> None:
        """Add those of another process."""
        self.requests.update(other.requests)
        self.events.update(other.events)


@contextlib.contextmanager
def counted_calls() -> Iterator[ApiCalls]:
    """The calls of this process while the context is open."""
    from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient
    from prefect.events.clients import PrefectEventsClient

    calls = ApiCalls()
    send, send_async, emit = (
        PrefectHttpxSyncClient.send,
        PrefectHttpxAsyncClient.send,
        PrefectEventsClient._emit,
    )

    def count(request: httpx.Request) -> None:
        path = _IDENTIFIER.sub("{id}", request.url.path.partition("/api")[2])
        calls.requests[f"{request.method} {path}"] += 1

    def counted(self: Any, request: httpx.Request, *args: Any, **kwargs: Any) -> Any:
        count(request)
        return send(self, request, *args, **kwargs)

    async def counted_async(self: Any, request: httpx.Request, *args: Any, **kwargs: Any) -> Any:
        count(request)
        return await send_async(self, request, *args, **kwargs)

    async def counted_event(self: Any, event: Any) -> None:
        calls.events[event.event] += 1
        await emit(self, event)

    with (
        mock.patch.object(PrefectHttpxSyncClient, "send", counted),
        mock.patch.object(PrefectHttpxAsyncClient, "send", counted_async),
        mock.patch.object(PrefectEventsClient, "_emit", counted_event),
    ):
        yield calls
