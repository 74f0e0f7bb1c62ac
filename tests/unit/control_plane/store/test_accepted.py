from __future__ import annotations

import pytest

from control_plane.sources.source import Action, Commit, Event, Stored
from control_plane.store.accepted import Accepted
from tests.unit.control_plane.samples import key, resources, route


def stored(name: str, created: float, revision: int = 1) -> Stored:
    return Stored(key(route(name)), route(name), created, revision)


def test_the_oldest_comes_first_and_equal_age_goes_by_name() -> None:
    accepted = Accepted()
    accepted.restore([stored("young", 3.0), stored("b", 1.0), stored("a", 1.0)], 7)
    (found,) = accepted.by_kind().values()
    assert [(r.key.name, r.created, r.revision) for r in found] == [("a", 1.0, 1), ("b", 1.0, 1), ("young", 3.0, 1)]
    assert accepted.revision == 7


def test_commits_are_followed() -> None:
    accepted = Accepted()
    accepted.restore([stored("a", 1.0), stored("b", 1.0)], 1)
    (checked,) = resources(route("a", "v2"))
    accepted.apply(
        Commit(
            2,
            (
                Event(2, 5.0, Action.CONFIGURED, checked.key, checked.document, 1.0, checked),
                Event(2, 5.0, Action.DELETED, key(route("b")), None, 1.0),
            ),
        )
    )
    assert list(accepted.resources) == list(accepted.documents) == [checked.key]
    assert (accepted.resources[checked.key].created, accepted.resources[checked.key].revision) == (1.0, 2)
    assert accepted.current() == {checked.key: route("a", "v2")}


def test_what_this_version_does_not_understand_is_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    broken = {**route("a"), "spec": {"hosts": ["a"], "teleport": True}}
    accepted = Accepted()
    accepted.restore([Stored(key(broken), broken, 1.0, 1), stored("b", 1.0)], 1)
    assert [k.name for k in accepted.resources] == ["b"]
    assert [k.name for k in accepted.documents] == ["a", "b"]
    assert "teleport" in caplog.text
    assert [problem.field for problem in accepted.skipped[key(broken)]] == ["spec.teleport"]
    (mended,) = resources(route("a"))
    accepted.apply(Commit(2, (Event(2, 5.0, Action.CONFIGURED, mended.key, mended.document, 1.0),)))
    assert not accepted.skipped
    assert mended.key in accepted.resources
