"""The file that a SQLite store lives in: private to its owner, and known again, so that its loss is noticed."""

from __future__ import annotations

import os
import sqlite3
import stat
from enum import Enum, auto
from pathlib import Path
from typing import Final

from control_plane.sources.source import SourceError

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
_COMPANIONS: Final = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a database


class Presence(Enum):
    """What is found where the file was."""

    SAME = auto()
    GONE = auto()
    REPLACED = auto()


class DatabaseFile:
    """One path. `prepare` before SQLite opens it, `make_private` once it is known to be ours, `presence` any time after."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._identity: tuple[int, int] | None = None

    def prepare(self) -> None:
        """Makes the folder (0700) and the file (0600) where they are missing, and remembers which file it is. SourceError
        with the system's reason."""
        try:
            make_private_folder(Path(self.path).parent)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, FILE_MODE)
        except OSError as error:
            raise SourceError(f"{self.path}: cannot be opened for writing: {error.strerror}") from error
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SourceError(f"{self.path}: is no regular file; name another one with --store sqlite:///PATH")
        finally:
            os.close(descriptor)
        self._identity = (status.st_dev, status.st_ino)

    def make_private(self) -> None:
        """Takes the rights of other users from a store that has given them some. SourceError."""
        try:
            for path in (self.path, *(self.path + companion for companion in _COMPANIONS)):
                if os.path.exists(path) and os.stat(path).st_mode & 0o077:
                    os.chmod(path, FILE_MODE)
        except OSError as error:
            raise SourceError(f"{self.path}: cannot be kept from other users: {error.strerror}") from error

    def presence(self) -> Presence:
        try:
            status = os.stat(self.path)
        except OSError:
            return Presence.GONE
        return Presence.SAME if (status.st_dev, status.st_ino) == self._identity else Presence.REPLACED

    def put_back(self, connection: sqlite3.Connection) -> None:
        """Writes everything that a connection to the lost file still knows to its place, durably, and closes it."""
        make_private_folder(Path(self.path).parent)
        temporary = f"{self.path}.restored"
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE))
        copy = sqlite3.connect(temporary)
        try:
            connection.backup(copy)
        finally:
            copy.close()
        connection.close()  # it takes what SQLite kept beside the old file along
        for companion in _COMPANIONS:
            Path(self.path + companion).unlink(missing_ok=True)
        os.replace(temporary, self.path)
        sync_folder(Path(self.path).parent)


def make_private_folder(folder: Path) -> None:
    """The folder and those above it; what is there already stays as it is. OSError."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=FOLDER_MODE, exist_ok=True)


def sync_folder(folder: Path) -> None:
    """What was renamed into a folder outlives a power cut. OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reason_of(error: sqlite3.Error) -> str:
    """What SQLite's error means for whoever runs the control plane, and what to do."""
    text = str(error)
    if "locked" in text:
        return "is in use by another control plane; end that one, or name another file with --store"
    if "not a database" in text:
        return "is not a SQLite database; name another file with --store"
    if "readonly" in text:
        return "cannot be written (a read-only disk, or somebody else's file); name another place with --store"
    if "malformed" in text:
        return "is damaged; put back a copy of it, or name another file with --store"
    if "full" in text:
        return "cannot be written: the disk is full"
    return f"cannot be used: {text}"
