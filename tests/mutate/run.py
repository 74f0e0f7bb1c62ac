"""The run: tests are collected once, watched once for what they reach, and then asked, in a forked child for each mutant."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from tests.mutate.apply import NotAppliedError, apply
from tests.mutate.mutants import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
LEAST_SECONDS = 5.0  # a test that takes ten times as long as it did, and this long, hangs
MOST_TESTS = 100  # of those that reach a function, so many are asked: its module's own, then the quickest


class Verdict(StrEnum):
    KILLED = "killed"
    SURVIVED = "survived"
    TIMED_OUT = "timed out"  # as good as killed
    NOT_REACHED = "not reached"  # no test runs the function
    NOT_APPLIED = "not applied"


@dataclass
class Watched:
    """What a run of all tests saw: the seconds that each took, and the functions that it ran (file, first line)."""

    seconds: dict[str, float] = field(default_factory=dict)
    reached: dict[str, set[tuple[str, int]]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)


class MutationRun:
    """A pytest plugin that takes the place of the test loop."""

    def __init__(self, files: Sequence[str], seed: int, seconds: float, workers: int) -> None:
        self.files = files
        self.results: dict[Mutant, Verdict] = {}
        self.total = 0
        self._rng = random.Random(seed)
        self._seconds = seconds
        self._workers = workers
        self._failed = False
        self._items: dict[str, pytest.Item] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed = self._failed or report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        session.config.pluginmanager.unregister(name="terminalreporter")  # it would tell of every child's tests
        watched: Watched = _in_a_child(lambda: self._watch(session.items))
        sources = {file: (ROOT / file).read_text(encoding="utf-8") for file in self.files}
        chosen = [mutant for file, source in sources.items() for mutant in mutants(file, source)]
        self.total = len(chosen)
        self._rng.shuffle(chosen)
        by_function = _by_function(watched, sources)
        started = time.monotonic()
        running: dict[int, tuple[Mutant, float]] = {}
        for mutant in chosen:
            if time.monotonic() - started > self._seconds:
                break
            asked = _nearest(by_function.get((mutant.file, mutant.qualname), []), mutant.file)[:MOST_TESTS]
            if not asked:
                self.results[mutant] = Verdict.NOT_REACHED
                continue
            while len(running) >= self._workers:
                self._wait(running)
            limit = LEAST_SECONDS + 10 * sum(watched.seconds[name] for name in asked)
            running[self._start(mutant, sources[mutant.file], asked)] = mutant, time.monotonic() + limit
        while running:
            self._wait(running)
        return True

    def _watch(self, items: Sequence[pytest.Item]) -> Watched:
        watched = Watched()
        for item in items:
            seen: set[CodeType] = set()
            started = time.monotonic()
            sys.setprofile(lambda frame, event, _arg, seen=seen: seen.add(frame.f_code))
            try:
                passed = self._passes([item])
            finally:
                sys.setprofile(None)
            watched.seconds[item.nodeid] = time.monotonic() - started
            if not passed:
                watched.failed.add(item.nodeid)
            watched.reached[item.nodeid] = {
                (code.co_filename, code.co_firstlineno) for code in seen if code.co_filename.startswith(str(ROOT))
            }
        return watched

    def _passes(self, items: Sequence[pytest.Item]) -> bool:
        """Runs the tests up to the first that fails."""
        for item in items:
            self._failed = False
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
            if self._failed:
                return False
        return True

    def _start(self, mutant: Mutant, source: str, asked: Sequence[str]) -> int:
        child = os.fork()
        if child:
            return child
        _be_quiet()
        status = 3
        with contextlib.suppress(BaseException):
            try:
                apply(mutant, source)
                status = 0 if self._passes([self._items[name] for name in asked]) else 1
            except NotAppliedError:
                status = 2
        os._exit(status)

    def _wait(self, running: dict[int, tuple[Mutant, float]]) -> None:
        """Takes in the children that have ended, and ends those that hang."""
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            mutant, _ = running.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            verdicts = {0: Verdict.SURVIVED, 2: Verdict.NOT_APPLIED, -signal.SIGKILL: Verdict.TIMED_OUT}
            self.results[mutant] = verdicts.get(code, Verdict.KILLED)
            return
        for child, (_, deadline) in running.items():
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
        time.sleep(0.002)


def _nearest(tests: Sequence[str], file: str) -> list[str]:
    """The tests of the file's own module first."""
    own = "/test_" + file.rsplit("/", 1)[-1]
    return sorted(tests, key=lambda name: own not in name)


def _by_function(watched: Watched, sources: Mapping[str, str]) -> dict[tuple[str, str], list[str]]:
    """Function → the tests that reach it, the quickest first. Those of a module are for its values."""
    starts = {(str(ROOT / file), line): (file, name) for file, text in sources.items() for line, name in _starts(text)}
    found: dict[tuple[str, str], list[str]] = {}
    for test in sorted(watched.seconds, key=watched.seconds.__getitem__):
        if test in watched.failed:
            continue
        functions = {starts[place] for place in watched.reached[test] if place in starts}
        for function in functions | {(file, "") for file, _ in functions}:
            found.setdefault(function, []).append(test)
    return found


def _starts(source: str) -> Iterator[tuple[int, str]]:
    """The first line of each function, as its code has it, and the function's name (a nested one counts for its outer)."""
    import ast

    def walk(body: Sequence[ast.stmt], outer: str) -> Iterator[tuple[int, str]]:
        for node in body:
            name = f"{outer}.{getattr(node, 'name', '')}" if outer else getattr(node, "name", "")
            if isinstance(node, ast.ClassDef):
                yield from walk(node.body, name)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield min([node.lineno, *(each.lineno for each in node.decorator_list)]), name

    yield from walk(ast.parse(source).body, "")


def _in_a_child(work: Any) -> Any:
    """The result of `work`, done in a process of its own, so that this one stays as it is."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        _be_quiet()
        with os.fdopen(write, "wb") as pipe:
            pickle.dump(work(), pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(data)  # our own


def _be_quiet() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
