"""A compose service's health check as its sidecar's probe; pure.

The check itself runs in the app's container, where a sidecar cannot: what it asks is read off its words. A check that is
none of these stays Docker's alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::(?P<port>\d{1,5}))?(?P<path>/[^\s'\"|&;)]*)?"
)
_GRPC: Final = re.compile(r"grpc[_-]health[_-]probe\b.*?-addr[= ]\S*:(\d{1,5})(?:.*?-service[= ](\S+))?")
_CLIENTS: Final = r"pg_isready|redis-cli|valkey-cli|mysqladmin|mariadb-admin|healthcheck\.sh|mongosh?|nc -z"
_CONNECTS: Final = re.compile(rf"\b(?:{_CLIENTS})\b")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
LONGEST_PERIOD: Final = 10.0  # a mesh notices sooner than every half minute, which is Docker's default


def probe_options(check: Any, ports: Sequence[int]) -> tuple[str, ...]:
    """The options of `mesh sidecar` that ask the same of the app; () where there is no check, or none that can be asked from
    beside it."""
    if not isinstance(check, Mapping) or check.get("disable"):
        return ()
    test = check.get("test")
    words = " ".join(map(str, test)) if isinstance(test, list) else str(test or "")
    asked = _asked(words, ports)
    return (*asked, *_times(check)) if asked else ()


def _asked(words: str, ports: Sequence[int]) -> tuple[str, ...]:
    if found := _GRPC.search(words):
        return "--probe-grpc", "/".join(filter(None, found.groups()))
    if found := _URL.search(words):
        port = int(found["port"] or _DEFAULT_PORTS[found["scheme"]])
        if found["scheme"] == "https":
            return "--probe-tcp", str(port)
        return "--probe-http", f"{port}{found['path'] or '/'}"
    if ports and _CONNECTS.search(words):
        return "--probe-tcp", str(ports[0])
    return ()


def _times(check: Mapping[str, Any]) -> tuple[str, ...]:
    period = min(_seconds(check.get("interval")) or LONGEST_PERIOD, LONGEST_PERIOD)
    options = ["--probe-period", f"{period:g}"]
    if timeout := _seconds(check.get("timeout")):
        options += ["--probe-timeout", f"{timeout:g}"]
    retries = check.get("retries")
    if isinstance(retries, int) and retries > 0:
        options += ["--probe-failures", str(retries)]
    return tuple(options)


def _seconds(text: Any) -> float:
    """`1m30s`; 0 for what is no duration."""
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(str(text or "")))
