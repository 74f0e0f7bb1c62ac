"""A call on a RouteConfiguration, as Envoy decides it: by the documents of Envoy's API, without any of our own router."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import re2
from envoy.config.route.v3.route_components_pb2 import RedirectAction, Route, VirtualHost


@dataclass(frozen=True)
class Call:
    """A request, as a proxy sees it. The headers' names are in lower case."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def authority(self) -> str:
        return self.url.split("://", 1)[-1].split("/", 1)[0]

    @property
    def path(self) -> str:
        _, slash, path = self.url.split("://", 1)[-1].partition("/")
        return slash + path or "/"

    @property
    def all_headers(self) -> dict[str, str]:
        pseudo = {":method": self.method, ":authority": self.authority, ":path": self.path, ":scheme": "http"}
        return {**pseudo, **self.headers}


@dataclass(frozen=True)
class Outcome:
    """What becomes of a call: its route, and the shares of the clusters it may go to."""

    host: str
    route: Any
    clusters: Mapping[str, float]

    @property
    def likely(self) -> list[str]:
        """The clusters that get something."""
        return [name for name, share in self.clusters.items() if share]

    @property
    def cluster(self) -> str:
        (only,) = self.clusters
        return only


def evaluate(config: Any, call: Call) -> Outcome | None:
    """The outcome of a call, None when there is no route for it (404 NR)."""
    host = _virtual_host(config, call)
    if host is None:
        return None
    if host.require_tls == VirtualHost.ALL:
        return Outcome(host.name, Route(redirect=RedirectAction(https_redirect=True)), {})
    for route in host.routes:
        if matches(route.match, call):
            return Outcome(host.name, route, _shares(route))
    return None


def _virtual_host(config: Any, call: Call) -> Any:
    """Exact names, then the longest suffix, then everything."""
    authority = call.authority.lower()
    if config.ignore_port_in_host_matching and not authority.endswith("]"):
        authority = authority.rpartition(":")[0] or authority
    domains = {domain: host for host in config.virtual_hosts for domain in host.domains}
    if authority in domains:
        return domains[authority]
    suffixes = [d for d in domains if d.startswith("*") and len(d) > 1 and _suffix(d, authority)]
    if suffixes:
        return domains[max(suffixes, key=len)]
    return domains.get("*")


def _suffix(domain: str, authority: str) -> bool:
    return authority.endswith(domain[1:]) and len(authority) > len(domain) - 1


def _shares(route: Any) -> dict[str, float]:
    action = route.route
    if not route.HasField("route"):
        return {}
    if action.cluster:
        return {action.cluster: 1.0}
    weighted = action.weighted_clusters.clusters
    total = sum(cluster.weight.value for cluster in weighted)
    return {cluster.name: cluster.weight.value / total for cluster in weighted}


# ── matching ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def matches(match: Any, call: Call) -> bool:
    kind = match.WhichOneof("path_specifier")
    if (kind == "connect_matcher") != (call.method == "CONNECT"):
        return False
    path = call.path.partition("?")[0]
    sensitive = match.case_sensitive.value if match.HasField("case_sensitive") else True
    return (
        _path_matches(match, kind, path, sensitive)
        and all(_header_matches(m, call.all_headers) for m in match.headers)
        and all(_parameter_matches(m, call) for m in match.query_parameters)
    )


def _path_matches(match: Any, kind: str, path: str, sensitive: bool) -> bool:
    if kind == "connect_matcher":
        return True
    if kind == "safe_regex":
        return _full(match.safe_regex.regex, path)
    wanted = getattr(match, kind)
    if not sensitive:
        wanted, path = wanted.lower(), path.lower()
    return bool(path == wanted if kind == "path" else path.startswith(wanted))


def _header_matches(matcher: Any, headers: Mapping[str, str]) -> bool:
    value = headers.get(matcher.name.lower())
    if value is None and matcher.treat_missing_header_as_empty:
        value = ""
    if matcher.WhichOneof("header_match_specifier") == "present_match":
        return (value is not None) == (matcher.present_match != matcher.invert_match)
    if value is None:
        return bool(matcher.invert_match)
    return _string_matches(matcher.string_match, value) != matcher.invert_match


def _parameter_matches(matcher: Any, call: Call) -> bool:
    found = [value for name, value in parse_qsl(call.path.partition("?")[2], True) if name == matcher.name]
    if matcher.WhichOneof("query_parameter_match_specifier") == "present_match":
        return bool(found) == matcher.present_match
    return bool(found) and _string_matches(matcher.string_match, found[0])


def _string_matches(matcher: Any, value: str) -> bool:
    kind = matcher.WhichOneof("match_pattern")
    if kind == "exact":
        return bool(value == matcher.exact)
    if kind == "prefix":
        return value.startswith(matcher.prefix)
    return _full(matcher.safe_regex.regex, value)


def _full(regex: str, text: str) -> bool:
    return re2.fullmatch(regex, text) is not None
