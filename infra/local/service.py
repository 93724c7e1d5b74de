"""A server of the stack: how it is started, and how its health is checked."""

import shutil
import sys
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.errors import StackError


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Service:
    """A server.

    Attributes:
        name: of the service, and of its log.
        title: its name for people.
        links: pairs of title and address, for people.
        command: starts it.
        environment: variables besides those of all clients.
        folder: its working directory.
        check: raises OSError, ValueError or StackError if the service is not healthy.
        grace: seconds that it may take to end after SIGTERM.
        leftovers: sockets that it leaves outside the stack's folders.
        needs: the services that must be healthy before it starts, and run until it has ended.
        works: seconds that processes which it has started in other sessions may take to end. They end before it.
        before: called before each start.
        after: called when it has become healthy, before services that need it start.
    """

    name: str
    title: str
    links: tuple[tuple[str, str], ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    check: Callable[[], None]
    grace: float = 10.0
    leftovers: tuple[Path, ...] = ()
    needs: tuple[str, ...] = ()
    works: float = 0.0
    before: Callable[[], None] = _nothing
    after: Callable[[], None] = _nothing


def unhealthy(service: Service) -> str | None:
    """What is wrong with a service, in one line; None if it is healthy."""
    try:
        service.check()
    except (OSError, StackError, ValueError) as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None


def program(name: str) -> str:
    """The path of a program: beside this Python, or else on the PATH. Raises: StackError if there is none."""
    found = shutil.which(Path(sys.executable).parent / name) or shutil.which(name)
    if not found:
        raise StackError(
            f"{name}: there is no such program beside {sys.executable} or on the PATH; run `make setup`"
        )
    return found


def fetch(
    url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None, seconds: float = 3.0
) -> bytes:
    """The answer to a GET request, or with a `body` to a POST request. Proxies are never used.

    Raises: OSError if there is no answer, or its status is an error.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, data=body, headers=dict(headers or {}))
    with opener.open(request, timeout=seconds) as response:
        answer: bytes = response.read()
        return answer
