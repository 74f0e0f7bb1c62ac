"""The configuration of Istio's statistics filter: which of its metrics are not as usual.

https://github.com/istio/proxy/blob/master/source/extensions/filters/http/istio_stats/config.proto
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from mesh.cel.syntax import CelError
from sidecar.config.model import MetricChange
from sidecar.config.reader import Reader
from sidecar.telemetry.cel import tag_type
from sidecar.telemetry.istio_metrics import REQUEST_METRICS
from sidecar.telemetry.tcp_metrics import TCP_METRICS

STATS_CONFIG: Final = "stats.PluginConfig"
_FIELDS: Final = frozenset(("name", "dimensions", "tags_to_remove", "drop"))
_OTHERS: Final = frozenset(("metrics", "tcp_reporting_duration"))
_KNOWN: Final = (*REQUEST_METRICS, *TCP_METRICS)


def request_changes(reader: Reader, config: Mapping[str, Any]) -> tuple[MetricChange, ...]:
    """What the filter's configuration says of requests; what it says wrong is reported. What it says of TCP sessions, too,
    is for the filter of those."""
    return tuple(change for change in _changes(reader, config) if change.name in REQUEST_METRICS)


def session_changes(reader: Reader, config: Mapping[str, Any]) -> tuple[tuple[MetricChange, ...], float]:
    """The same of TCP sessions, and the seconds between two counts of what one has moved, 0 for the usual."""
    changes = tuple(change for change in _changes(reader, config) if change.name in TCP_METRICS)
    return changes, _seconds(reader, config.get("tcp_reporting_duration", ""))


def _seconds(reader: Reader, said: object) -> float:
    """A duration as protobuf's JSON has it."""
    if said == "":
        return 0.0
    seconds = Duration()
    try:
        seconds.FromJsonString(str(said))
    except ValueError:
        reader.problem(f"{said!r} is no duration such as 5s", "typed_config.tcp_reporting_duration")
    return max(seconds.seconds + seconds.nanos / 1e9, 0.0)


def _changes(reader: Reader, config: Mapping[str, Any]) -> tuple[MetricChange, ...]:
    for field in sorted(config.keys() - _OTHERS):
        reader.problem("is not implemented", f"typed_config.{field}")
    rows = config.get("metrics", [])
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        reader.problem("must be a list of metrics", "typed_config.metrics")
        return ()
    changes = [_change(reader, row, f"typed_config.metrics[{index}]") for index, row in enumerate(rows)]
    return tuple(change for change in changes if change is not None)


def _change(reader: Reader, row: Mapping[str, Any], where: str) -> MetricChange | None:
    for field in sorted(row.keys() - _FIELDS):
        reader.problem("is not implemented", f"{where}.{field}")
    name, tags, removed = row.get("name", ""), row.get("dimensions", {}), row.get("tags_to_remove", [])
    if name not in _KNOWN:
        reader.problem(f"{name!r} is none of {', '.join(_KNOWN)}", f"{where}.name")
        return None
    if not isinstance(tags, Mapping) or not isinstance(removed, list):
        reader.problem("dimensions must be a mapping, and tags_to_remove a list", where)
        return None
    for tag, expression in tags.items():
        try:
            tag_type(str(expression))
        except CelError as error:
            reader.problem(str(error), f"{where}.dimensions.{tag}")
            return None
    ordered = tuple((str(tag), str(tags[tag])) for tag in sorted(tags))
    return MetricChange(name, bool(row.get("drop", False)), ordered, frozenset(map(str, removed)))
