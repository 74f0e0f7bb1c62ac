"""Every case of every topic, judged by a real Envoy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.envoy import envoy_binary
from tests.oracle.case import Case
from tests.oracle.differences import BY_CASE, DIFFERENCES, Difference
from tests.oracle.observe import describe, differences
from tests.oracle.run import Pair, judges_envoy
from tests.oracle.table import ROWS
from tests.oracle.topics import TOPICS

ALL = [(topic, case) for topic, cases in TOPICS.items() for case in cases]


class Pairs:
    """The pair of the topic that is being tested: tests come topic by topic, so one pair runs at a time."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._topic = ""
        self._pair: Pair | None = None
        self._refused: dict[str, str] = {}

    def of(self, topic: str) -> Pair:
        """A proxy that does not start fails each test of the topic, but is waited for only once."""
        if topic in self._refused:
            pytest.fail(self._refused[topic], pytrace=False)
        if self._pair is None or topic != self._topic:
            self.close()
            try:
                self._pair = Pair(TOPICS[topic], self._folders.mktemp(topic)).__enter__()
            except AssertionError as error:
                self._refused[topic] = str(error)
                raise
            self._topic = topic
        return self._pair

    def close(self) -> None:
        if self._pair is not None:
            self._pair.close()
            self._pair = None


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pairs]:
    envoy_binary()  # skips, once, where there is none
    running = Pairs(tmp_path_factory)
    yield running
    running.close()


MARKED = [
    pytest.param(topic, case, id=f"{topic}-{case.name}", marks=[pytest.mark.fault(fault) for fault in case.faults])
    for topic, case in ALL
]


@pytest.mark.complaint(25)
@pytest.mark.parametrize(("topic", "case"), MARKED)
def test_ours_behaves_as_envoy(pairs: Pairs, topic: str, case: Case) -> None:
    pair = pairs.of(topic)
    envoy, ours = pair.observe(case)
    drifted = {path: envoy.get(path) for path, value in case.expect.items() if envoy.get(path) != value}
    assert not drifted, f"Envoy does not do what the case is about: expected {case.expect}, saw {drifted}"
    found = differences(envoy, ours, case.ignore)
    if (known := BY_CASE.get(case.name)) is not None and not judges_envoy():
        surprises = known.surprises(found)
        assert not surprises, f"not only the known difference ({known.reason}): {surprises}\n{describe(found)}"
    else:
        assert not found, describe(found)


def test_names_are_unique_and_differences_name_cases() -> None:
    names = [case.name for _, case in ALL]
    assert len(names) == len(set(names))
    assert {difference.case for difference in DIFFERENCES} <= set(names)


def test_each_row_of_the_table_has_its_cases() -> None:
    names = {case.name for _, case in ALL}
    missing = {row: [name for name in cases if name not in names] for row, cases in ROWS.items()}
    assert not [row for row, cases in missing.items() if cases], missing


def test_a_difference_is_met_by_its_paths_only() -> None:
    known = Difference("case", ("client[0]", "log"), "a reason")
    assert known.surprises(["client[0].body", "log[0].code"]) == []
    assert known.surprises(["client[0].body", "log[0].code", "upstream.count"]) == ["upstream.count"]
    assert known.surprises(["client[0].body"]) == ["log (equal by now)"]
