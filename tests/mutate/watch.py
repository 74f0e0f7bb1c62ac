"""Which lines each test reaches, seen in one run of all of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

import pytest

from tests.mutate.mutants import Mutant


@dataclass
class Watched:
    """The CPU seconds that each test took, the lines that it ran, and which tests failed without any change."""

    seconds: dict[str, float] = field(default_factory=dict)
    reached: dict[str, dict[str, set[int]]] = field(default_factory=dict)  # test → file → lines
    failed: set[str] = field(default_factory=set)


def watched_run(
    items: Sequence[pytest.Item], passes: Callable[[pytest.Item], bool], files: Mapping[str, str]
) -> Watched:
    """`files` has the names of the files to be watched, by their whole paths."""
    watched = Watched()
    for item in items:
        started = time.process_time()
        with _Lines(files) as lines:
            passed = passes(item)
        watched.seconds[item.nodeid] = time.process_time() - started
        if not passed:
            watched.failed.add(item.nodeid)
        watched.reached[item.nodeid] = {files[path]: some for path, some in lines.items() if some}
    return watched


class _Lines(dict[str, set[int]]):
    """The lines that run while it is entered, by whole path. A function whose lines have all run is followed no more."""

    def __init__(self, files: Collection[str]) -> None:
        super().__init__((path, set()) for path in files)
        self._missing: dict[CodeType, set[int]] = {}

    def __enter__(self) -> _Lines:
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, event: str, _argument: Any) -> Any:
        code = frame.f_code
        missing = self._missing.get(code)
        if missing is None:
            if code.co_filename not in self:
                missing = set()
            else:
                missing = {line for _, _, line in code.co_lines() if line is not None and line != code.co_firstlineno}
            self._missing[code] = missing
        if not missing:
            return None
        lines, left = self[code.co_filename], missing

        def ran(inner: FrameType, event: str, _argument: Any) -> Any:
            lines.add(inner.f_lineno)
            left.discard(inner.f_lineno)
            return ran if left else None

        return ran


class Reach:
    """Mutant → the tests that reach its statement, the quickest first; for one of a module's values, those that run the
    module."""

    def __init__(self, watched: Watched) -> None:
        self._tests = [
            (name, watched.reached[name])
            for name in sorted(watched.seconds, key=watched.seconds.__getitem__)
            if name not in watched.failed
        ]

    def tests(self, mutant: Mutant) -> list[str]:
        if not mutant.qualname:
            return self.users(mutant.file)
        wanted = set(range(mutant.line, mutant.last + 1))
        return [name for name, reached in self._tests if not wanted.isdisjoint(reached.get(mutant.file, ()))]

    def users(self, file: str) -> list[str]:
        """The tests that run anything of the module."""
        return [name for name, reached in self._tests if reached.get(file)]
