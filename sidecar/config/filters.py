"""The `http_filters` of a connection manager, and what routes say of them (`sidecar.filters.registry` has their types)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sidecar.config.istio_stats import STATS_CONFIG, request_changes
from sidecar.config.model import HttpFilter, MetricChange
from sidecar.config.peer_metadata import PEER_CONFIG, keeps_to_mesh
from sidecar.config.reader import Reader

ROUTER: Final = "envoy.extensions.filters.http.router.v3.Router"
FILTER_CONFIG: Final = "envoy.config.route.v3.FilterConfig"

DISABLED: Final = None


class HttpFilters(NamedTuple):
    """What requests pass through, and what is said of metrics and of peers by filters that they do not."""

    filters: tuple[HttpFilter, ...]
    metrics: tuple[MetricChange, ...] = ()
    keeps_to_mesh: bool = False


def http_filters(reader: Reader) -> HttpFilters:
    """The `http_filters` of a connection manager: known types only, unless optional; the router last and only last. What
    Istio's filters of statistics and peers say is returned beside them: requests do not pass through those."""
    compiled: list[HttpFilter] = []
    kinds: list[str] = []
    readers = reader.children("http_filters")
    changes: tuple[MetricChange, ...] = ()
    keeps = False
    for each in readers:
        if (stats := each.typed_struct(STATS_CONFIG)) is not None:
            each.text("name")
            each.flag("is_optional")
            changes = () if each.flag("disabled") else request_changes(each, stats)
            continue
        if (peers := each.typed_struct(PEER_CONFIG)) is not None:
            each.text("name")
            each.flag("is_optional")
            keeps = not each.flag("disabled") and keeps_to_mesh(each, peers)
            continue
        kind, result = _http_filter(each)
        if result is not None:
            compiled.append(result)
            kinds.append(kind)
    if not readers:
        reader.problem("needs the router filter (envoy.filters.http.router) at the end", "http_filters")
    elif compiled and (kinds[-1] != ROUTER or kinds.count(ROUTER) > 1):
        reader.problem("the router filter must be the last one, and only there", "http_filters")
    elif compiled and compiled[-1].disabled:
        reader.problem("the router filter cannot be disabled", "http_filters")
    return HttpFilters(tuple(compiled), changes, keeps)


def _http_filter(reader: Reader) -> tuple[str, HttpFilter | None]:
    name = reader.text("name")
    optional, disabled = reader.flag("is_optional"), reader.flag("disabled")
    if reader.has("config_discovery"):
        return "", None
    from sidecar.filters.registry import filter_type  # filters are read with this package's readers

    kind, config = reader.unpacked()
    known = filter_type(kind)
    if known is None:
        if not optional:
            reader.problem(f"{kind or 'no type'}: there is no such HTTP filter here", "typed_config")
        return kind, None
    if config is None:  # the type is known, so its bytes are bad: reported already
        return kind, None
    return kind, HttpFilter(name, known.compile(config), disabled)


def per_route_filters(reader: Reader) -> Mapping[str, Any]:
    """A `typed_per_filter_config`: compiled by filter name, None where the filter is disabled."""
    from sidecar.filters.registry import route_filter_type

    compiled: dict[str, Any] = {}
    for name, entry in reader.entries("typed_per_filter_config"):
        kind, config = entry.opened()
        optional = False
        if kind == FILTER_CONFIG and config is not None:
            optional = config.flag("is_optional")
            if config.flag("disabled"):
                compiled[name] = DISABLED
                continue
            kind, config = config.unpacked("config")
        known = route_filter_type(kind)
        if known is None or known.compile_route is None:
            if not optional:
                entry.problem(f"{kind or 'no type'}: there is no such HTTP filter that routes can configure")
        elif config is not None:
            compiled[name] = known.compile_route(config)
    return compiled
