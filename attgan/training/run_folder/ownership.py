"""Only one process at a time writes to a run's folder: the newest one.

There is no lock: it would outlive a process that is killed, and S3 has none. Each process writes a random token to
``owner.json`` when it starts, and checks before each write that the token is still there. So an older process that was
wrongly believed dead ends at its next write.
"""

import json
import os
import platform
import secrets

from attgan.errors import UserError
from attgan.models.folder import Folder

OWNER = "owner.json"


class OwnedFolder(Folder):
    """A run's folder that this process owns, until another process takes it over. Made by :func:`take_over`."""

    def __init__(self, folder: Folder, token: bytes) -> None:
        super().__init__(folder.path, folder.filesystem)
        self._token = token

    def write(self, name: str, content: bytes) -> None:
        """Write one file whole, as any folder does.

        Raises:
            UserError: as :meth:`confirm`. Nothing was written.
            OSError: what the filesystem reports.
        """
        self.confirm()
        super().write(name, content)

    def confirm(self) -> None:
        """Check that this process still owns the folder. Without ``owner.json`` it does: no other process was there.

        Raises:
            UserError: another process has taken it over.
            OSError: what the filesystem reports.
        """
        try:
            there = self.read(OWNER)
        except FileNotFoundError:
            return
        if there != self._token:
            raise UserError(
                "run-taken-over",
                f"{self.path}: another process has taken over this run, and this one ends; nothing that it saved is "
                "lost: the other process resumed from there",
            )


def take_over(folder: Folder) -> OwnedFolder:
    """Make this process the owner of the folder, whichever process wrote to it before.

    Raises:
        OSError: what the filesystem reports.
    """
    owner = {"token": secrets.token_hex(16), "host": platform.node(), "process": os.getpid()}
    token = (json.dumps(owner) + "\n").encode()
    folder.write(OWNER, token)
    return OwnedFolder(folder, token)
