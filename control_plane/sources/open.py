"""A store URL → the source that it means."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from control_plane.sources.source import Source, SourceError
from control_plane.sources.sqlite import SqliteSource


def _sqlite(path: str) -> Source:
    return SqliteSource(path)


def _directory(path: str) -> Source:
    from control_plane.sources.directory import DirectorySource

    return DirectorySource(Path(path))


SCHEMES: Final[dict[str, Callable[[str], Source]]] = {"sqlite": _sqlite, "dir": _directory}
FORMS: Final = "sqlite:///PATH (a file, kept here) and dir:///PATH (a folder of YAML files, watched)"


def open_source(url: str) -> Source:
    """The source of a URL, not opened yet. Raises SourceError that lists what there is."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise SourceError(f"{url!r} is not the URL of a config store; there are {FORMS}")
    if scheme not in SCHEMES:
        raise SourceError(f"there is no config store {scheme}://; there are {FORMS}")
    if not rest.strip("/"):
        raise SourceError(f"{url!r} names no path; there are {FORMS}")
    return SCHEMES[scheme](local_path(rest))


def local_path(rest: str) -> str:
    """The path of a URL, after `scheme://`: absolute when it begins with a slash, and `~` is the home directory."""
    return "/" + rest.lstrip("/") if rest.startswith("/") else os.path.expanduser(rest)


def default_url() -> str:
    """Where the configuration is kept when nobody says: in the user's state directory."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return f"sqlite://{state}/asyncmesh/mesh.db"
