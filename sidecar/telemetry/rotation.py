"""Rotation of log files by size: what is due is renamed to `.1`, what was there before moves on, the oldest goes.

Several processes may write to one file. The file itself is their lock: who holds it and still finds it under its path moves
it away; the others find another one there, and have only to open that.
"""

from __future__ import annotations

import fcntl
import os
import re
from dataclasses import dataclass
from typing import Final

KEPT: Final = 5
_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_SIZE: Final = re.compile(r"(?P<size>[1-9][0-9]*)(?P<unit>[KMG]?)i?B?(?:,(?P<kept>[1-9][0-9]{0,2}))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rotation:
    """A file is due at `size` bytes; `kept` older ones stay. A batch is never cut: files are up to one larger."""

    size: int
    kept: int = KEPT

    @classmethod
    def parse(cls, text: str) -> Rotation | None:
        """`SIZE[,FILES]`, as in `100M,5`; None for ''. Raises ValueError."""
        if not text:
            return None
        found = _SIZE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r}: expected SIZE or SIZE,FILES, as in 100M,5")
        return cls(int(found["size"]) * _UNITS[found["unit"].upper()], int(found["kept"] or KEPT))

    def is_due(self, fd: int) -> bool:
        return os.fstat(fd).st_size >= self.size

    def move_away(self, fd: int, path: str) -> None:
        """Moves the open file away, unless another process has; then `path` is to be opened anew. Raises OSError."""
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            if not _is_at(fd, path):
                return
            for number in range(self.kept - 1, 0, -1):
                if os.path.exists(older := f"{path}.{number}"):
                    os.replace(older, f"{path}.{number + 1}")
            os.replace(path, f"{path}.1")
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False
