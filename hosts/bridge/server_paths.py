"""Names a file of this machine for a server on another one, by a folder that both share."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from impasto.hosts.bridge.errors import BridgeError


@dataclass(frozen=True)
class SharedFolder:
    """A folder of this machine that is a root of the server (`impasto serve --root NAME=…`)."""

    name: str
    folder: str
    """With forward slashes."""

    @staticmethod
    def parse(text: str) -> SharedFolder:
        """'NAME=/folder/here'. BridgeError for anything else."""
        name, _, folder = (part.strip() for part in text.partition("="))
        if not name or not folder:
            raise BridgeError(
                "expected the folder that this machine shares with the server as NAME=/folder, "
                f"got '{text}'; NAME is what `impasto serve --root` calls it there"
            )
        return SharedFolder(name, posixpath.normpath(folder.replace("\\", "/")))

    def name_of(self, path: str) -> str:
        """'NAME:rest' for a file below the folder. BridgeError for any other file."""
        plain = posixpath.normpath(path.replace("\\", "/"))
        if not plain.startswith(self.folder.rstrip("/") + "/"):
            raise BridgeError(
                f"expected a file below '{self.folder}', which the server shares, got '{path}'; choose a scratch "
                "folder below it"
            )
        return f"{self.name}:{plain[len(self.folder.rstrip('/')) + 1 :]}"
