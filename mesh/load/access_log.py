"""An access log as a load: Istio's text format, or JSON lines with Istio's field names. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mesh.load.schedule import Replay
from mesh.load.template import RequestSpec, TemplateError

TEXT_LINE = re.compile(r'\[(?P<time>[^\]]+)\] "(?P<method>[A-Z]+) (?P<path>\S+) [^"]*"')
AUTHORITY_FIELD = 5  # among the quoted fields: request line, failure reason, forwarded-for, agent, id, authority


@dataclass(frozen=True, slots=True)
class Recording:
    """The requests of a log, each kind once, and when which of them came. `skipped` lines are of another format."""

    requests: tuple[RequestSpec, ...]
    schedule: Replay
    order: tuple[int, ...]
    skipped: int


def read_log(lines: Iterable[str], base_url: str, speed: float = 1.0) -> Recording:
    """`base_url` is where the requests go; the log says method, path, Host and moment. TemplateError without any."""
    rows: list[tuple[float, tuple[str, str, str]]] = []
    skipped = 0
    for line in lines:
        row = _row(line)
        if row is not None:
            rows.append(row)
        elif line.strip():
            skipped += 1
    if not rows:
        raise TemplateError("the log has no line in Istio's text format or as JSON with start_time, method and path")
    rows.sort(key=lambda row: row[0])
    first = rows[0][0]
    kinds = {kind: index for index, kind in enumerate(dict.fromkeys(kind for _, kind in rows))}
    requests = tuple(
        RequestSpec(base_url.rstrip("/") + path, method, {"host": authority} if authority else {})
        for method, path, authority in kinds
    )
    schedule = Replay(tuple(moment - first for moment, _ in rows), speed)
    return Recording(requests, schedule, tuple(kinds[kind] for _, kind in rows), skipped)


def _row(line: str) -> tuple[float, tuple[str, str, str]] | None:
    if line.lstrip().startswith("{"):
        try:
            data = json.loads(line)
            moment, method, path = data["start_time"], data["method"], data["path"]
            authority = data.get("authority") or ""
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
    else:
        found = TEXT_LINE.match(line)
        if found is None:
            return None
        quoted = re.findall(r'"([^"]*)"', line)
        moment, method, path = found["time"], found["method"], found["path"]
        authority = quoted[AUTHORITY_FIELD] if len(quoted) > AUTHORITY_FIELD else ""
    try:
        seconds = datetime.fromisoformat(str(moment)).timestamp()
    except ValueError:
        return None
    if not isinstance(path, str) or not path.startswith("/"):
        return None
    return seconds, (str(method), path, "" if authority == "-" else str(authority))
