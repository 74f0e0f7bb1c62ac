"""A folder of YAML and JSON files, read: which resources it asks for, and what is wrong with its files.

Synchronous, and without memory of its own but the files that have not changed since they were last read.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from control_plane.sources import regular_file
from control_plane.sources.regular_file import Signature
from mesh.errors import ConfigError, Problem
from mesh.istio.load import load
from mesh.istio.resource import Key, Resource

SUFFIXES: Final = (".yaml", ".yml", ".json")
MAX_FILES: Final = 100_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file as it was read. With problems it has no resources."""

    signature: Signature
    resources: tuple[Resource, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What a folder asks for: its resources, each with its file in `Resource.file`; files that are `broken` ask for what
    they asked for when they last were good, whatever that is."""

    resources: Mapping[Key, Resource]
    problems: tuple[Problem, ...]
    broken: frozenset[str]


class Folder:
    """`root` and everything below, without hidden files and folders. Files are named by their path from `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._loaded: dict[str, Loaded] = {}

    def read(self) -> Wish:
        """Reads what has changed. Raises OSError when the folder itself cannot be read, or holds too many files."""
        present: dict[str, Loaded] = {}
        files = sorted(islice(self._files(), MAX_FILES + 1))
        if len(files) > MAX_FILES:
            raise OSError(errno.EFBIG, f"it holds more than {MAX_FILES:,} files of configuration")
        for name, path in files:
            present[name] = self._load(name, path)
        self._loaded = present
        return wish(present)

    def _files(self) -> Iterator[tuple[str, Path]]:
        with os.scandir(self.root):
            pass  # os.walk says nothing of a folder that is not there
        for folder, folders, names in os.walk(self.root, followlinks=False):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                if not name.startswith(".") and name.endswith(SUFFIXES):
                    path = Path(folder, name)
                    yield path.relative_to(self.root).as_posix(), path

    def _load(self, name: str, path: Path) -> Loaded:
        before = self._loaded.get(name)
        try:
            if before is not None and before.signature == regular_file.signature_of(path.stat()):
                return before
            signature, text = regular_file.read(path)
        except (OSError, UnicodeDecodeError) as error:
            return Loaded((0, 0, 0), problems=(Problem(_reason(error), file=name),))
        try:
            return Loaded(signature, tuple(load(text, name)))
        except ConfigError as error:
            return Loaded(signature, problems=error.problems)


def wish(files: Mapping[str, Loaded]) -> Wish:
    """What all files together ask for. Of two files with the same resource the second, in the order of `files`, is
    broken."""
    resources: dict[Key, Resource] = {}
    problems: list[Problem] = []
    broken: set[str] = set()
    for name, loaded in files.items():
        found = [*loaded.problems, *_twice(loaded.resources, resources)]
        if found:
            problems += found
            broken.add(name)
        else:
            resources.update((resource.key, resource) for resource in loaded.resources)
    return Wish(resources, tuple(problems), frozenset(broken))


def _twice(resources: Iterable[Resource], known: Mapping[Key, Resource]) -> Iterator[Problem]:
    for resource in resources:
        if first := known.get(resource.key):
            message = f"{resource.key} is there twice, first in {first.file}:{first.line}"
            yield Problem(message, "metadata.name", resource.file, resource.line)


def _reason(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"is not UTF-8 text: {error.reason} at byte {error.start}"
    return f"cannot be read: {error.strerror}"
