"""Access-log lines of Istio's two formats into records. A line of another format is a record of its text alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from mesh.access_log import ISTIO_JSON, ISTIO_TEXT
from mesh.promql.parse import seconds
from mesh.promql.syntax import PromqlError

# The key of each command in Istio's JSON format.
_KEYS: Final = {command: key for key, command in ISTIO_JSON.items()}


def _text_pattern() -> re.Pattern[str]:
    """What Istio's text format looks like when its commands are filled in: quoted values may hold spaces."""
    parts = re.split(r"(%[^%]+%)", ISTIO_TEXT.rstrip("\n"))
    pattern = ""
    for before, part in zip(["", *parts], parts, strict=False):
        if not part.startswith("%"):
            pattern += re.escape(part)
        else:
            pattern += f"(?P<{_KEYS[part]}>{'.*?' if before.endswith(chr(34)) else '[^ ]*?'})"
    return re.compile(pattern)


_TEXT: Final = _text_pattern()


@dataclass(frozen=True, slots=True)
class Record:
    """`status` is 0 for a request without an answer, `milliseconds` -1 where the line does not tell."""

    pod: str
    at: float
    line: str
    start_time: str = ""
    method: str = ""
    path: str = ""
    authority: str = ""
    status: int = 0
    flags: str = "-"
    details: str = ""
    milliseconds: float = -1.0
    request_id: str = ""
    cluster: str = ""
    upstream: str = ""
    remote: str = ""
    bytes_received: int = 0
    bytes_sent: int = 0
    route: str = ""

    @property
    def understood(self) -> bool:
        return bool(self.start_time)

    @property
    def inbound(self) -> bool:
        return self.cluster.startswith("inbound|")


def record(pod: str, at: float, line: str) -> Record:
    """The record of a line that the proxy of `pod` wrote at a Unix time."""
    values = _json(line) if line.startswith("{") else _text(line)
    if not values:
        return Record(pod, at, line)
    duration = values.get("duration", "-")
    return Record(
        pod,
        at,
        line,
        values.get("start_time", ""),
        values.get("method", ""),
        values.get("path", ""),
        values.get("authority", ""),
        _number(values.get("response_code", "")),
        values.get("response_flags", "-"),
        values.get("response_code_details", ""),
        float(duration) if duration.isdigit() else -1.0,
        values.get("request_id", ""),
        values.get("upstream_cluster", ""),
        values.get("upstream_host", ""),
        values.get("downstream_remote_address", ""),
        _number(values.get("bytes_received", "")),
        _number(values.get("bytes_sent", "")),
        values.get("route_name", ""),
    )


def wanted(
    status: str = "", slower_than: str = "", trace: str = "", path: str = "", method: str = ""
) -> Callable[[Record], bool]:
    """A condition on records. `status` is a code or a class such as `5xx` (`0` and `5xx` both for failures without an
    answer). Raises ValueError with what was expected."""
    conditions: list[Callable[[Record], bool]] = []
    if status:
        conditions.append(_status(status))
    if slower_than:
        try:
            limit = seconds(slower_than) * 1000
        except PromqlError as error:
            raise ValueError(f"--slower-than: {error}") from error
        conditions.append(lambda found: found.milliseconds > limit)
    if trace:
        conditions.append(lambda found: trace in found.line)
    if path:
        conditions.append(lambda found: found.path.startswith(path))
    if method:
        conditions.append(lambda found: found.method == method.upper())
    return lambda found: all(condition(found) for condition in conditions)


def _status(text: str) -> Callable[[Record], bool]:
    if re.fullmatch(r"[1-5]xx", text.lower()):
        leading = int(text[0])
        return lambda found: (
            found.understood and (found.status // 100 == leading or (leading == 5 and found.status == 0))
        )
    if re.fullmatch(r"0|[1-5]\d\d", text):
        return lambda found: found.understood and found.status == int(text)
    raise ValueError(f"--status {text}: expected a code such as 503, or a class such as 5xx")


def _json(line: str) -> dict[str, str]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return {key: _plain(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _plain(value: Any) -> str:
    return "-" if value is None else str(value)


def _text(line: str) -> dict[str, str]:
    match = _TEXT.fullmatch(line)
    return match.groupdict() if match is not None else {}


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
