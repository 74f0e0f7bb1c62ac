"""The tests of a run: collected once, watched once for what they reach, then asked, in a forked child for each mutant."""

from __future__ import annotations

import gc
import os
import random
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path

import pytest

from tests.mutate.apply import NotAppliedError, prepared
from tests.mutate.children import Ended, in_a_child, outcome_of
from tests.mutate.mutants import Mutant, mutants
from tests.mutate.watch import Reach, Watched, watched_run

ROOT = Path(__file__).resolve().parents[2]
LEAST_CPU_SECONDS = 5.0  # a test that takes so long, and ten times as long as it did, hangs


class Verdict(StrEnum):
    KILLED = "killed"
    HANGS = "hangs"  # as good as killed
    SURVIVED = "survived"
    NOT_REACHED = "not reached"  # no test runs the function


@dataclass
class Results:
    """What became of the mutants; `total` is how many there are of each package."""

    total: dict[str, int] = field(default_factory=dict)
    verdicts: dict[Mutant, Verdict] = field(default_factory=dict)
    known: list[Mutant] = field(default_factory=list)
    unsteady: set[str] = field(default_factory=set)  # tests that failed once without a change, too


class MutationRun:
    """A pytest plugin that takes the place of the test loop: `each` mutants of each package, drawn by the seed, the packages
    in turn. `only` are those to be tried whatever the seed (`Mutant.file`, `qualname`, `change`)."""

    def __init__(self, packages: Mapping[str, Sequence[str]], seed: int, each: int, minutes: float) -> None:
        self.results = Results()
        self.log: Path | None = None
        self.only: set[tuple[str, str, str]] | None = None
        self._packages = packages
        self._seed = seed
        self._each = each
        self._seconds = minutes * 60
        self._failed = False
        self._items: dict[str, pytest.Item] = {}
        self._watched = Watched()
        self._sources: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed = self._failed or report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        session.config.pluginmanager.unregister(name="terminalreporter")  # it would tell of every child's tests
        files = [file for files in self._packages.values() for file in files]
        self._sources = {file: (ROOT / file).read_text(encoding="utf-8") for file in files}
        paths = {str(ROOT / file): file for file in files}
        self._watched = in_a_child(lambda: watched_run(session.items, self._passes, paths))
        self._count()
        reach = Reach(self._watched)
        gc.freeze()
        started = time.monotonic()
        columns = [self._drawn(package) for package in self._packages]
        left = dict.fromkeys(range(len(columns)), self._each or len(self.results.known))
        while left:
            for at in list(left):
                mutant = next(columns[at], None)
                if mutant is None or not left[at] or time.monotonic() - started > self._seconds:
                    del left[at]
                    continue
                asked, users = (_nearest(some, mutant.file) for some in (reach.tests(mutant), reach.users(mutant.file)))
                verdict = self._verdict(mutant, self._sources[mutant.file], asked, users)
                if verdict is not None:
                    left[at] -= 1
                    self._note(mutant, verdict)
        return True

    def _count(self) -> None:
        for package, files in self._packages.items():
            found = [mutant for file in files for mutant in mutants(file, self._sources[file])]
            self.results.total[package] = len(found)
            self.results.known += found

    def _drawn(self, package: str) -> Iterator[Mutant]:
        """The package's mutants, in the order that the seed says."""
        found = [mutant for mutant in self.results.known if mutant.file in self._packages[package]]
        random.Random(f"{self._seed} {package}").shuffle(found)
        for mutant in found:
            if self.only is None or (mutant.file, mutant.qualname, mutant.change) in self.only:
                yield mutant

    def _note(self, mutant: Mutant, verdict: Verdict) -> None:
        self.results.verdicts[mutant] = verdict
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"{verdict}\t{mutant.file}\t{mutant.qualname}\t{mutant.change}\t{mutant.line}\n")

    def _verdict(self, mutant: Mutant, source: str, asked: Sequence[str], users: Sequence[str]) -> Verdict | None:
        """What the tests say of it: those that reach it, or, when it runs at import only, the `users` of its module. One
        has noticed when it fails with the change and, right then, passes without. None: it cannot be made."""
        values = not mutant.qualname or (not asked and in_a_child(lambda: _can(mutant, source, values=True)))
        if not (in_a_child(lambda: _can(mutant, source, values=True)) if values else _can(mutant, source)):
            return None
        if values and mutant.qualname:
            asked = users
        if not asked:
            return Verdict.NOT_REACHED
        while True:
            steady = [name for name in asked if name not in self.results.unsteady]
            ended, test = outcome_of(partial(self._ask, steady, (mutant, source, values)))
            if ended is Ended.WELL:
                return Verdict.SURVIVED
            if outcome_of(partial(self._ask, [test], None))[0] is Ended.WELL:
                return Verdict.KILLED if ended is Ended.BADLY else Verdict.HANGS
            self.results.unsteady.add(test)

    def _ask(self, names: Sequence[str], change: tuple[Mutant, str, bool] | None, report: int) -> bool:
        """In a child: whether all pass. Says which one it is at, and has a limit of CPU time for each: how busy the
        machine is makes no difference."""
        if change is not None:
            mutant, source, values = change
            prepared(mutant, source, values=values)()
        for name in names:
            os.write(report, f"{name}\n".encode())
            signal.setitimer(signal.ITIMER_PROF, LEAST_CPU_SECONDS + 10 * self._watched.seconds[name])
            if not self._passes(self._items[name]):
                return False
        return True

    def _passes(self, item: pytest.Item) -> bool:
        self._failed = False
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        return not self._failed


def _can(mutant: Mutant, source: str, *, values: bool = False) -> bool:
    """Whether it can be put in; what a module's values are is found by running it."""
    try:
        prepared(mutant, source, values=values)
    except NotAppliedError:
        return False
    return True


def _nearest(tests: Sequence[str], file: str) -> list[str]:
    """The tests of the file's own module first."""
    own = "/test_" + file.rsplit("/", 1)[-1]
    return sorted(tests, key=lambda name: own not in name)
