"""Regular files, read safely: what else may carry a file's name (a pipe, a device, a link to one) never holds anybody up."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

from mesh.istio.yaml_nodes import MAX_TEXT

MAX_FILE: Final = MAX_TEXT
_KINDS: Final = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)

Signature = tuple[int, int, int]  # changes whenever a file does: time, size, inode


class Content(NamedTuple):
    signature: Signature
    text: str


def signature_of(status: os.stat_result) -> Signature:
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def check(status: os.stat_result) -> None:
    """OSError for what is no regular file, or too large a one."""
    for is_kind, name in _KINDS:
        if is_kind(status.st_mode):
            raise OSError(errno.EINVAL, f"it is {name}, not a regular file")
    if status.st_size > MAX_FILE:
        raise OSError(errno.EFBIG, f"it has {status.st_size:,} bytes; {MAX_FILE:,} is the limit")


def read(path: Path) -> Content:
    """The text of a UTF-8 file. Raises OSError and UnicodeDecodeError; never waits for a writer."""
    check(path.stat())  # opening a device may do something
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        check(status)
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise OSError(errno.EFBIG, f"it grows; {MAX_FILE:,} bytes is the limit")
    return Content(signature_of(status), data.decode("utf-8"))
