"""When an experiment may begin and go on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from mesh.errors import ConfigError
from mesh.experiments.lifecycle import Action, decide
from mesh.experiments.schedule import Schedule, closed, early
from mesh.experiments.stages import stages
from tests.unit.mesh.experiments.test_lifecycle import FIRST, GOOD, OPEN, QUIET, SECOND, spec

WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri"]
OFFICE = {"windows": [{"days": WEEKDAYS, "hours": "09:00-17:00"}], "timeZone": "Europe/Berlin"}
NIGHTS = {"windows": [{"days": ["Fri"], "hours": "22:00-06:00"}]}


def schedule(data: dict[str, Any]) -> Schedule:
    found = spec(schedule=data).schedule
    assert found is not None
    return found


def unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("data", "moment", "may"),
    [
        (OFFICE, "2026-11-30T08:00:00Z", True),  # Monday, nine o'clock in Berlin
        (OFFICE, "2026-11-30T07:59:59Z", False),
        (OFFICE, "2026-11-30T15:59:59Z", True),
        (OFFICE, "2026-11-30T16:00:00Z", False),
        (OFFICE, "2026-07-06T07:00:00Z", True),  # in summer an hour earlier
        (OFFICE, "2026-11-29T10:00:00Z", False),  # Sunday
        (NIGHTS, "2026-12-04T22:00:00Z", True),
        (NIGHTS, "2026-12-05T05:59:00Z", True),  # still Friday's night
        (NIGHTS, "2026-12-05T06:00:00Z", False),
        (NIGHTS, "2026-12-05T23:00:00Z", False),
        (NIGHTS, "2026-12-04T05:00:00Z", False),  # Thursday's night
        ({"windows": [{"hours": "18:00-24:00"}]}, "2026-12-04T23:59:59Z", True),
        ({"windows": [{"days": ["Sun"]}]}, "2026-11-29T00:00:00Z", True),
        ({"windows": [{"hours": "00:00-01:00"}, {"hours": "02:00-03:00"}]}, "2026-12-04T02:30:00Z", True),
        ({"start": "2026-12-01T09:00:00+01:00"}, "2000-01-01T00:00:00Z", True),
    ],
)
def test_windows(data: dict[str, Any], moment: str, may: bool) -> None:
    assert (closed(schedule(data), unix(moment)) == "") is may


def test_it_begins_at_its_start_and_within_a_window() -> None:
    both = schedule({"start": "2026-12-01T09:00:00+01:00", **OFFICE})
    assert early(both, unix("2026-12-01T07:59:59Z")) == "begins at 2026-12-01T09:00:00+01:00"
    assert early(both, unix("2026-12-01T08:00:00Z")) == ""
    late = early(both, unix("2026-12-01T20:00:00Z"))
    assert late == "waits for its window: Mon, Tue, Wed, Thu, Fri 09:00-17:00 (Europe/Berlin)"
    assert early(None, 0) == ""


def test_outside_of_its_window_it_holds_and_still_ends_what_hurts() -> None:
    never = {"windows": [{"hours": "23:58-23:59"}]}  # the tests' time is a quarter past midnight
    waiting = spec(schedule=never)
    for run in (FIRST, SECOND):
        decision = decide(waiting, stages(waiting), run, QUIET, GOOD)
        assert (decision.action, decision.reason) == (Action.HOLD, "waits for its window: 23:58-23:59 (UTC)")
    assert decide(spec(), stages(spec()), FIRST, QUIET, OPEN).action is Action.STEP
    silent = decide(waiting, stages(waiting), FIRST, replace(QUIET, silent=61.0), OPEN)
    assert silent.action is Action.ROLL_BACK


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, "one of start and windows must be set"),
        ({"windows": []}, "must have at least one window"),
        ({"start": "2026-12-01 09:00"}, "must be a moment with its time zone"),
        ({"start": "2026-12-01T09:00:00"}, "must be a moment with its time zone"),
        ({"start": "tomorrow"}, "must be a moment with its time zone"),
        ({"windows": [{"hours": "9-17"}]}, "must be hours of a day, as 09:00-17:00"),
        ({"windows": [{"hours": "09:00-09:00"}]}, "must have an end that is not its beginning"),
        ({"windows": [{"hours": "24:00-09:00"}]}, "must be hours of a day"),
        ({"windows": [{"days": ["Montag"]}]}, "days"),
        ({"start": "2026-12-01T09:00:00Z", "timeZone": "Mars/Olympus"}, "must be the name of a time zone"),
        ({"start": "2026-12-01T09:00:00Z", "timeZone": "../../etc/passwd"}, "must be the name of a time zone"),
    ],
)
def test_what_is_no_schedule_is_refused(data: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match="schedule") as caught:
        spec(schedule=data)
    assert problem in str(caught.value)
