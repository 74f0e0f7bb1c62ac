"""A change of several files as one: what is intended is on disk before the first file is touched.

A process that dies in between leaves its intent behind; whoever opens the folder next carries it out. A file that
somebody else has changed since then is left as it is.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from control_plane.sources import regular_file
from control_plane.sources.database_file import sync_folder

log = logging.getLogger(__name__)

FILE: Final = "intent.json"
_TEMPORARY: Final = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")

Texts = Mapping[str, str | None]  # by name of the file; None: there is none


def text_of(path: Path) -> str | None:
    """OSError and UnicodeDecodeError as `regular_file.read`."""
    try:
        return regular_file.read(path).text
    except FileNotFoundError:
        return None


def write(root: Path, state: Path, texts: Texts) -> None:
    """Brings all of the files under `root` to these texts, or, raising OSError, none. `state` is the folder that the
    intent is kept in meanwhile."""
    before = {name: text_of(root / name) for name in texts}
    changed = {name: text for name, text in texts.items() if text != before[name]}
    if not changed:
        return
    intent = state / FILE
    if len(changed) > 1:  # one file changes in one step anyway
        _put(intent, json.dumps({name: {"before": before[name], "after": text} for name, text in changed.items()}))
    done: list[str] = []
    try:
        for name, text in changed.items():
            done.append(name)
            _put(root / name, text)
        _sync(root, changed)
    except OSError:
        _undo(root, before, done)
        raise
    finally:
        _forget(intent)


def finish(root: Path, state: Path) -> None:
    """Carries out what a process that died had begun, and clears away its temporary files. OSError."""
    intent = state / FILE
    try:
        planned = json.loads(intent.read_text(encoding="utf-8"))
        for name, texts in planned.items():
            _redo(root, name, texts["before"], texts["after"])
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.error("%s cannot be read and is left out: %r", intent, error)  # it is written in one step: not our doing
    _forget(intent)
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") or Path(folder, name) == state]
        for name in names:
            if _TEMPORARY.fullmatch(name):
                with suppress(OSError):  # a folder that is only to be read is followed all the same
                    Path(folder, name).unlink()


def _forget(intent: Path) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        intent.unlink()


def _redo(root: Path, name: str, before: str | None, after: str | None) -> None:
    now = text_of(root / name)
    if now == before:
        log.warning("%s: a change that was interrupted is carried out", name)
        _put(root / name, after)
    elif now != after:
        log.error("%s: changed by somebody else since a change was interrupted; it is left as it is", name)


def _undo(root: Path, before: Texts, names: list[str]) -> None:
    for name in names:
        try:
            if text_of(root / name) != before[name]:
                _put(root / name, before[name])
        except (OSError, UnicodeDecodeError) as error:
            log.error("%s could not be put back: %s", name, error)


def _put(path: Path, text: str | None) -> None:
    """Replaces a file as a whole (or removes it), so that whoever reads it sees the old or the new one."""
    target = path.resolve()
    if text is None:
        target.unlink(missing_ok=True)
        return
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(root: Path, names: Texts) -> None:
    for folder in {(root / name).resolve().parent for name in names}:
        sync_folder(folder)
