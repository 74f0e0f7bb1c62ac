"""The routes to a workload's own app: one, or those that rules of others ask for: faults that are placed here, where
retries, time-outs and breakers of the caller see them, and limits of requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import re2
from envoy.config.route.v3.route_components_pb2 import Route, RouteAction
from envoy.extensions.filters.http.local_ratelimit.v3.local_rate_limit_pb2 import LocalRateLimit
from envoy.extensions.filters.http.ratelimit.v3.rate_limit_pb2 import RateLimit as RateLimitHeaders

from control_plane.translate.fault import FAULT_FILTER, add_fault
from control_plane.translate.hosts import qualified
from control_plane.translate.index import Index
from control_plane.translate.match import catch_all, header_matcher, route_match
from control_plane.translate.messages import duration, http_filter
from mesh.istio.rate_limit import RateLimit, RequestLimit, RequestSource
from mesh.istio.virtual_service import HTTPFaultInjection, StringMatch
from mesh.istio.virtual_service_match import HTTPMatchRequest
from mesh.xds import any_of

FAULT_HEADER: Final = "x-mesh-fault"  # the caller's sidecar says in it which rule's fault a request is to meet
PEER_ID_HEADER: Final = "x-envoy-peer-metadata-id"  # the id of the caller's proxy, in which that names itself
RATE_LIMIT_FILTER: Final = "envoy.filters.http.local_ratelimit"
RATE_LIMITED: Final = "rate_limit"  # prefix of the counters
DEFAULT_ROUTE: Final = "default"

Fault = tuple[str, HTTPFaultInjection]


@dataclass(frozen=True, slots=True)
class Asked:
    """What rules ask of the workloads of one service."""

    faults: tuple[Fault, ...] = ()
    limits: tuple[tuple[str, RequestLimit, bool], ...] = ()  # (name, limit, dry run)

    @property
    def filters(self) -> list[Any]:
        """The HTTP filters that have to be there, besides the router."""
        found = []
        if self.limits:
            found.append(http_filter(RATE_LIMIT_FILTER, LocalRateLimit(stat_prefix=RATE_LIMITED)))
        if self.faults:
            from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault

            found.append(http_filter(FAULT_FILTER, HTTPFault()))
        return found


NOTHING: Final = Asked()


def asked_of(index: Index, host: str) -> Asked:
    """What the rules of the whole mesh ask of a service's workloads."""
    return index.whole.fact("inbound rules", _asked).get(host.lower(), NOTHING)


def _asked(index: Index) -> dict[str, Asked]:
    faults: dict[str, list[Fault]] = {}
    for bound in index.virtual_services:
        for number, rule in enumerate(bound.spec.http):
            if rule.fault is not None and rule.fault.below_router:
                for each in rule.route:
                    host = qualified(each.destination.host, bound.namespace)
                    faults.setdefault(host, []).append((fault_id(bound.namespace, bound.name, number), rule.fault))
    limits: dict[str, list[tuple[str, RequestLimit, bool]]] = {}
    for resource in index.rate_limits:
        spec: RateLimit = resource.spec
        own = limits.setdefault(qualified(spec.host, resource.key.namespace), [])
        own += [(f"{resource.key.name}.{limit.name}", limit, spec.dry_run) for limit in spec.limits]
    return {
        host: Asked(tuple(dict.fromkeys(faults.get(host, ()))), tuple(limits.get(host, ())))
        for host in {*faults, *limits}
    }


def fault_id(namespace: str, name: str, number: int) -> str:
    """What stands for the fault of a rule in a request's header."""
    return f"{namespace}/{name}/{number}"


def inbound_routes(asked: Asked, action: RouteAction) -> Iterator[Any]:
    """First the requests that are limited, then all; of each first those that are to meet a fault."""
    for name, limit, dry_run in asked.limits:
        for match in limit.match or (None,):
            config = _limit_config(limit, dry_run)
            for route in _with_faults(asked.faults, match, name, action):
                route.typed_per_filter_config[RATE_LIMIT_FILTER].CopyFrom(any_of(config))
                if limit.source is not None:
                    route.match.headers.append(
                        header_matcher(PEER_ID_HEADER, StringMatch(regex=_peer_id(limit.source)))
                    )
                yield route
    yield from _with_faults(asked.faults, None, DEFAULT_ROUTE, action)


def _with_faults(
    faults: Iterable[Fault], match: HTTPMatchRequest | None, name: str, action: RouteAction
) -> Iterator[Any]:
    for fault, injection in faults:
        route = Route(name=f"{name}.fault", match=route_match(match), route=action)
        route.match.headers.append(header_matcher(FAULT_HEADER, StringMatch(exact=fault)))
        route.request_headers_to_remove.append(FAULT_HEADER)
        add_fault(route, injection)
        yield route
    yield Route(name=name, match=route_match(match) if match is not None else catch_all(), route=action)


def _peer_id(source: RequestSource) -> str:
    """The ids of a source's proxies, `sidecar~ADDRESS~NAME.NAMESPACE~NAMESPACE.svc.…`, as a regular expression."""
    workload = source.workload
    name = "[^~]*"
    if workload is not None and workload.exact is not None:
        name = re2.escape(workload.exact)
    elif workload is not None and workload.prefix is not None:
        name = f"{re2.escape(workload.prefix)}[^~]*"
    elif workload is not None:
        name = f"(?:{workload.regex})"
    return rf"[^~]*~[^~]*~{name}\.{re2.escape(source.namespace) or '[^.~]*'}~.*"


def _limit_config(limit: RequestLimit, dry_run: bool) -> Any:
    config = LocalRateLimit(stat_prefix=RATE_LIMITED, enable_x_ratelimit_headers=RateLimitHeaders.DRAFT_VERSION_03)
    config.token_bucket.max_tokens = limit.burst or limit.requests
    config.token_bucket.tokens_per_fill.value = limit.requests
    config.token_bucket.fill_interval.CopyFrom(duration(limit.per))
    config.filter_enabled.default_value.numerator = 100
    config.filter_enabled.runtime_key = "mesh.rate_limit.enabled"
    config.filter_enforced.default_value.numerator = 0 if dry_run else 100
    config.filter_enforced.runtime_key = "mesh.rate_limit.enforced"
    return config
