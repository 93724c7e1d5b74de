"""Gives workers on the same machine the S3 settings and credentials of the process that runs a flow, the driver.

As with ssh-agent, the driver answers on a Unix socket in a folder that only its user may enter, and workers ask it. So
no secret is in a task, in Ray's metadata or in a file: Ray only receives the socket's path. Credentials that expire are
renewed by the driver, which has the user's login, agent or helper program, and workers ask again. The socket is removed
when the driver ends.
"""

import contextlib
import functools
import json
import os
import re
import socket
import socketserver
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
from botocore.credentials import CredentialProvider, CredentialResolver, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError

from attgan.errors import UserError, one_line

SOCKET = "ATTGAN_S3_SOCKET"
_SECRET = re.compile("KEY|SECRET|TOKEN")
_FILES = {
    "AWS_CONFIG_FILE": "config_file",
    "AWS_SHARED_CREDENTIALS_FILE": "credentials_file",
    "AWS_CA_BUNDLE": "ca_bundle",
}
# Seconds after which a worker asks again. Of these, the largest is used that is at most half the time to expiry.
_USABLE = (60, 5, 1)
# Seconds to wait for the driver, whose login or helper program may be slow.
_PATIENCE = 120.0
_lock = threading.Lock()


# ── the driver ───────────────────────────────────────────────────────────────────────────────────────────────────


@functools.cache
def serve() -> str:
    """Answer workers until this process ends.

    Returns:
        The socket's path, for the variable :data:`SOCKET` of the workers.

    Raises:
        UserError: no socket can be made in the temporary folder; usually its path is too long.
    """
    folder = tempfile.TemporaryDirectory(prefix="attgan-")
    try:
        server = _Server(os.path.join(folder.name, "s3"), _Answer)
    except OSError as error:
        raise UserError(
            "temporary-folder-unusable",
            f"TMPDIR {tempfile.gettempdir()}: no socket can be made there ({error})",
        ) from None
    server.folder = folder
    threading.Thread(target=server.serve_forever, name="s3-handover", daemon=True).start()
    return str(server.server_address)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128
    # Removed when this process ends.
    folder: tempfile.TemporaryDirectory[str]


class _Answer(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        # The worker may have ended meanwhile.
        with contextlib.suppress(OSError):
            self.wfile.write(json.dumps(answer()).encode())


def answer() -> dict[str, Any]:
    """This process's AWS settings and current credentials.

    Returns:
        ``settings``: variables without keys and tokens, with absolute paths. ``credentials``: access key, secret key
        and token, or None without credentials. ``seconds``: how long to use them. After a failure also ``problem``,
        one line.
    """
    variables = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))
    settings = {name: value for name, value in variables if not _SECRET.search(name)}
    found: dict[str, Any] = {"settings": settings, "credentials": None, "seconds": _USABLE[0]}
    try:
        with _lock:
            session, credentials = _open(variables)
        for name, setting in _FILES.items():
            if path := session.get_config_variable(setting):
                settings[name] = os.path.abspath(os.path.expanduser(path))
        if credentials is not None:
            frozen = credentials.get_frozen_credentials()
            found["credentials"] = dict(zip(_NAMES, frozen[:3], strict=True))
            found["seconds"] = _usable(credentials)
    except Exception as error:
        found["problem"] = one_line(error)
    return found


_NAMES = ("access_key", "secret_key", "token")


@functools.lru_cache(maxsize=1)
def _open(variables: tuple[tuple[str, str], ...]) -> tuple[Any, Any]:
    """One session for all workers until the variables change, so that credentials are renewed only once."""
    session = botocore.session.Session()
    return session, session.get_credentials()


def _usable(credentials: Any) -> int:
    if isinstance(credentials, RefreshableCredentials):
        for seconds in _USABLE:
            if not credentials.refresh_needed(2 * seconds):
                return seconds
        return _USABLE[-1]
    return _USABLE[0]


# ── a worker ─────────────────────────────────────────────────────────────────────────────────────────────────────


def new_session() -> Any:
    """A botocore session with this process's settings; in a worker, those of the driver replace them before.

    Raises:
        CredentialRetrievalError: the driver does not answer, or has failed to get credentials.
    """
    session = botocore.session.Session()
    if path := os.environ.get(SOCKET):
        found = _ask(path)
        _adopt(found["settings"])
        session.register_component("credential_provider", CredentialResolver([_Driver(path, found)]))
    return session


class _Driver(CredentialProvider):
    METHOD = "the process that runs the flow"

    def __init__(self, path: str, found: dict[str, Any]) -> None:
        super().__init__()
        self._path, self._found = path, found

    def load(self) -> RefreshableCredentials | None:
        if self._found["credentials"] is None:
            return None
        return RefreshableCredentials.create_from_metadata(
            _metadata(self._found),
            refresh_using=lambda: _metadata(_ask(self._path)),
            method=self.METHOD,
            advisory_timeout=0,
            mandatory_timeout=0,
        )


def _metadata(found: dict[str, Any]) -> dict[str, Any]:
    expires = datetime.now(UTC) + timedelta(seconds=found["seconds"])
    return {**(found["credentials"] or {}), "expiry_time": expires.isoformat()}


def _ask(path: str) -> dict[str, Any]:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE)
            connection.connect(path)
            with connection.makefile("rb") as reply:
                found: dict[str, Any] = json.loads(reply.read())
    except (OSError, ValueError) as error:
        raise CredentialRetrievalError(
            provider=_Driver.METHOD, error_msg=f"it does not answer ({one_line(error)})"
        ) from None
    if "problem" in found:
        raise CredentialRetrievalError(provider=_Driver.METHOD, error_msg=found["problem"])
    return found


def _adopt(settings: dict[str, str]) -> None:
    """Make these the only AWS variables in this process's environment. Only differences are written."""
    with _lock:
        for name in [name for name in os.environ if name.startswith("AWS_") and name not in settings]:
            del os.environ[name]
        for name, value in settings.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
