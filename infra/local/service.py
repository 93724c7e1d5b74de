"""A server of the stack: how to start it, and how to tell that it serves."""

import shutil
import sys
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.errors import StackError


@dataclass(frozen=True)
class Service:
    """A server.

    `check` returns None if it serves, else raises OSError (urllib's are), ValueError, or StackError with what is
    wrong. `links` are (title, address) pairs for a person. `grace` is how many seconds it may take to end by itself.
    `leftovers` are sockets that it leaves outside the stack's folders. `needs` names the services that have to serve
    before it starts, and until it has ended. `works` is how many seconds what it has started in sessions of its own
    may take to end, before it does.
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


def unhealthy(service: Service) -> str | None:
    """What is wrong with a service, in one line, or None if it serves."""
    try:
        service.check()
    except (OSError, StackError, ValueError) as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None


def program(name: str) -> str:
    """The path of a program, sought beside this Python, then on the PATH. Raises: StackError."""
    found = shutil.which(Path(sys.executable).parent / name) or shutil.which(name)
    if not found:
        raise StackError(f"{name}: no such program beside {sys.executable} nor on the PATH; run `make setup`")
    return found


def fetch(
    url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None, seconds: float = 3.0
) -> bytes:
    """The answer of `url`, never through a proxy; with a `body` it is posted.

    Raises: OSError if there is none, or it is not a success.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, data=body, headers=dict(headers or {}))
    with opener.open(request, timeout=seconds) as response:
        answer: bytes = response.read()
        return answer
