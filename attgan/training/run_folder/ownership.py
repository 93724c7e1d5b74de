"""One process at a time writes a run's folder: the newest. One wrongly taken for dead ends at its next write.

Nothing is locked: a lock outlives a process that is killed, and S3 has none. Each process leaves a random token in
``owner.json`` when it begins, and looks whether it is still there before each file it writes.
"""

import json
import os
import platform
import secrets

from attgan.errors import UserError
from attgan.models.folder import Folder

OWNER = "owner.json"


class OwnedFolder(Folder):
    """A run's folder, until another process takes it over. Made by :func:`take_over`."""

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
        """See that the folder is still this process's. One without ``owner.json`` is: nobody else has been there.

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
                f"{self.path}: another process has taken this run over, and this one ends; what it has kept is not "
                "lost, the other one went on from there",
            )


def take_over(folder: Folder) -> OwnedFolder:
    """Make the folder this process's, whoever wrote it before.

    Raises:
        OSError: what the filesystem reports.
    """
    words = {"token": secrets.token_hex(16), "host": platform.node(), "process": os.getpid()}
    token = (json.dumps(words) + "\n").encode()
    folder.write(OWNER, token)
    return OwnedFolder(folder, token)
