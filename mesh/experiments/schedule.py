"""When an experiment may begin and go on. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

from mesh.istio.model import Found, Message
from mesh.istio.scalars import Rows, Word, wrong

_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")


def _moment(value: str) -> str:
    if "T" not in value or _parsed(value) is None:
        raise wrong("must be a moment with its time zone, as 2026-12-01T09:00:00Z has it")
    return value


def _parsed(value: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _hours(value: str) -> str:
    if _HOURS.fullmatch(value) is None:
        raise wrong("must be hours of a day, as 09:00-17:00")
    if value[:5] == value[6:]:
        raise wrong("must have an end that is not its beginning")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError) as error:
        raise wrong(f"must be the name of a time zone, as Europe/Berlin, not {value}") from error
    return value


class Day(StrEnum):
    MONDAY = "Mon"
    TUESDAY = "Tue"
    WEDNESDAY = "Wed"
    THURSDAY = "Thu"
    FRIDAY = "Fri"
    SATURDAY = "Sat"
    SUNDAY = "Sun"


_DAYS: Final = tuple(Day)


class Window(Message):
    """Hours of some days, of every day without `days`. `22:00-06:00` ends on the day after."""

    days: Rows[Word[Day]] = ()
    hours: Annotated[str, AfterValidator(_hours)] = "00:00-24:00"

    def holds(self, local: datetime) -> bool:
        begin, end = time.fromisoformat(self.hours[:5]), self.hours[6:]
        clock = local.strftime("%H:%M")
        if self.hours[:5] < end:
            return self._on(local) and self.hours[:5] <= clock < end
        after_midnight = clock < end and self._on(local - timedelta(days=1))
        return after_midnight or (local.time() >= begin and self._on(local))

    def _on(self, local: datetime) -> bool:
        return not self.days or _DAYS[local.weekday()] in self.days

    def __str__(self) -> str:
        return " ".join(filter(None, [", ".join(self.days), self.hours]))


class Schedule(Message):
    """It begins at `start` at the earliest, and begins and goes on (to the next step, or to the candidate) only within one
    of the `windows`. What hurts is ended at any time."""

    at_least_one = (("start", "windows"),)

    start: Annotated[str, AfterValidator(_moment)] = ""
    windows: Rows[Window] = ()
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"

    def rules(self) -> Iterator[Found]:
        if not self.start and not self.windows:
            yield Found(("windows",), "must have at least one window")


def early(schedule: Schedule | None, now: float) -> str:
    """Why it may not begin yet, or an empty string. `now` is a Unix time."""
    if schedule is None:
        return ""
    start = _parsed(schedule.start) if schedule.start else None
    if start is not None and now < start.timestamp():
        return f"begins at {schedule.start}"
    return closed(schedule, now)


def closed(schedule: Schedule | None, now: float) -> str:
    """Outside of which windows it is, or an empty string."""
    if schedule is None or not schedule.windows:
        return ""
    local = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(schedule.time_zone))
    if any(window.holds(local) for window in schedule.windows):
        return ""
    windows = "; ".join(map(str, schedule.windows))
    return f"waits for its window: {windows} ({schedule.time_zone})"
