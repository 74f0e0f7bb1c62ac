"""Route tables: a route configuration compiled so that finding a route does not grow with the number of routes.

Exact hosts and exact paths are dict look-ups, prefixes one look-up per distinct prefix length, regular expressions are
tried in order; among what fits, the route that was written first wins (10,000 routes in a host cost what 10 do).
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import accumulate
from typing import Any, Final

import re2

from sidecar.config.model import (
    MILLION,
    NO_OPS,
    DirectResponse,
    Forward,
    HeaderOps,
    PathMatch,
    Redirect,
    RequireTls,
    RetryPolicy,
    Route,
    RouteConfig,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
)
from sidecar.http.exchange import Exchange
from sidecar.http.local_reply import is_grpc
from sidecar.router.choice import Choice, choice
from sidecar.router.extras import Extras
from sidecar.router.hash_policy import HashPolicies
from sidecar.router.header_ops import Mutation, compile_ops
from sidecar.router.match import Predicate, header_predicate, query_predicate
from sidecar.router.require_tls import TO_HTTPS, lacks_tls
from sidecar.router.retry import RetryPlan
from sidecar.router.rewrite import PathRewrite, late_rewrites, path_rewrite

PathTest = Callable[[bytes], bool]

# In which order changes of headers are made, of levels that are given with the most specific one first.
Order = Callable[[list[HeaderOps]], Iterable[HeaderOps]]

# What the HTTP filters do on a route, to the request and to the response: made by the filter chain when the table is
# compiled.
FilterBinder = Callable[[RouteConfig, VirtualHost, Route], tuple[tuple[Any, ...], tuple[Any, ...]]]

# A route's metadata that asks for HTTP/2 in its CONNECT tunnels to be looked for: {"http2": true}.
CONNECT: Final = "mesh.connect"


class Destination:
    """A cluster that a route sends to, with the header operations that apply on this way; `reply_ops` are for answers that
    no upstream gave."""

    __slots__ = ("cluster", "config", "host_rewrite", "metadata_match", "reply_ops", "request_ops", "response_ops")

    def __init__(
        self,
        config: WeightedCluster,
        request_ops: tuple[Mutation, ...],
        response_ops: tuple[Mutation, ...],
        reply_ops: tuple[Mutation, ...],
    ) -> None:
        self.config = config
        self.cluster = config.name
        self.host_rewrite = config.host_rewrite.encode()
        self.metadata_match = config.metadata_match
        self.request_ops = request_ops
        self.response_ops = response_ops
        self.reply_ops = reply_ops

    def to(self, name: str) -> Destination:
        """The same destination for one request, which named the cluster."""
        return Destination(replace(self.config, name=name), self.request_ops, self.response_ops, self.reply_ops)

    def setting_cookies(self, lines: list[bytes]) -> Destination:
        """The same destination for one request, to which the upstream's response sets these cookies."""
        cookies = [(b"set-cookie", line) for line in lines]
        response_ops = (lambda _exchange, headers: headers.extend(cookies), *self.response_ops)
        return Destination(self.config, self.request_ops, response_ops, self.reply_ops)


class CompiledRoute:
    """A route, ready to use. `filters` and `response_filters` are the steps of the chain's filters on this route.

    What every forwarded request asks for stands here itself, wherever it was configured: a request that is not the first
    on its route in a while reads one object, not five that have left the processor's caches meanwhile.
    """

    __slots__ = (
        "_choose",
        "_destinations",
        "_limits",
        "_rng",
        "action",
        "appends_forwarded_host",
        "body_limit",
        "conditions",
        "config",
        "destination",
        "extras",
        "filters",
        "forward",
        "hash_policies",
        "high_priority",
        "host_from_upstream",
        "host_rewrite",
        "idle_timeout",
        "looks_into_tunnels",
        "matches_path",
        "name",
        "order",
        "path_rewrite",
        "response_filters",
        "response_ops",
        "retry",
        "tells_attempts",
        "tells_client_attempts",
        "timeout",
        "virtual_host",
    )

    def __init__(self, config: Route, order: int, virtual_host: CompiledVirtualHost, table: RouteTable) -> None:
        vhost, routes = virtual_host.config, table.config
        self.config = config
        self.name = config.name
        self.order = order
        self.virtual_host = virtual_host
        self.action = action = config.action
        self.conditions = _conditions(config.match, table.rng)
        self.matches_path = path_test(config.match)
        self.looks_into_tunnels = bool(config.metadata.get(CONNECT, {}).get("http2"))
        self.filters, self.response_filters = table.bind_filters(routes, vhost, config)
        self.retry: RetryPlan | None = None
        self.path_rewrite: PathRewrite | None = None
        self.host_rewrite = b""
        self.hash_policies: HashPolicies | None = None
        self.extras: Extras | None = None
        self.forward = action if isinstance(action, Forward) else None
        self.timeout = 0.0  # of the whole request; 0.0: none
        self.idle_timeout = -1.0  # -1.0: the connection manager's
        self.high_priority = False
        self.host_from_upstream = self.appends_forwarded_host = False
        limit = config.retry_buffer if config.retry_buffer is not None else vhost.retry_buffer
        self.body_limit = (
            -1 if limit is None else limit
        )  # of the body kept for a retry; -1: the listener's buffer limit
        self.tells_attempts = vhost.include_attempt_count
        self.tells_client_attempts = vhost.include_attempt_count_in_response
        self._rng = table.rng
        request = [config.request_ops, vhost.request_ops, routes.request_ops]
        response = [config.response_ops, vhost.response_ops, routes.response_ops]
        in_order: Order = reversed if routes.specific_last else iter
        self.response_ops = table.mutations(in_order(response))
        self._destinations: list[Destination] = []
        self._choose: Choice | None = None
        self.destination: Destination | None = None  # when there is no choice
        if isinstance(action, Forward):
            policy = action.retry or vhost.retry
            self.retry = table.retry_plan(policy, action.timeout) if policy is not None else None
            self._compile_forward(action, request, response, in_order, table)
            mirrors = action.mirrors or vhost.mirrors or routes.mirrors
            self.extras = Extras(action, mirrors, hedges=vhost.hedges) or None
        elif isinstance(action, Redirect):
            self.path_rewrite = path_rewrite(action, config.match)

    def _compile_forward(
        self,
        action: Forward,
        request: list[HeaderOps],
        response: list[HeaderOps],
        in_order: Order,
        table: RouteTable,
    ) -> None:
        self.timeout = action.timeout
        if action.idle_timeout is not None:
            self.idle_timeout = action.idle_timeout
        self.high_priority = action.high_priority
        self.hash_policies = HashPolicies(action.hash_policies) if action.hash_policies else None
        if action.rewrite is not None:
            self.host_from_upstream = action.rewrite.host_from_upstream
            self.appends_forwarded_host = action.rewrite.append_forwarded_host
            self.path_rewrite = path_rewrite(action.rewrite, self.config.match)
            self.host_rewrite = action.rewrite.host.encode()
        late = late_rewrites(action.rewrite) if action.rewrite is not None else ()
        chosen = [cluster for cluster in action.clusters if cluster.weight or len(action.clusters) == 1]
        self._destinations = [_destination(cluster, request, response, late, in_order, table) for cluster in chosen]
        self._limits = list(accumulate(cluster.weight for cluster in chosen))
        self._choose = choice(action, self._destinations, self._limits, self._rng) if chosen else None
        if len(self._destinations) == 1 and self._choose is None:
            self.destination = self._destinations[0]

    def draw(self, exchange: Exchange) -> Destination:
        """The destination of one request: by weight, independently for each request, unless its headers decide."""
        if self.destination is not None:
            return self.destination
        if self._choose is not None:
            return self._choose(exchange)
        at = self._rng.random() * self._limits[-1]
        return self._destinations[bisect_right(self._limits, at)]

    def accepts(self, exchange: Exchange) -> bool:
        """Everything but the path."""
        return all(condition(exchange) for condition in self.conditions)


def _destination(
    cluster: WeightedCluster,
    request: list[HeaderOps],
    response: list[HeaderOps],
    late: tuple[Mutation, ...],
    in_order: Order,
    table: RouteTable,
) -> Destination:
    request_ops = table.mutations([cluster.request_ops, *in_order(request)])
    response_ops = table.mutations([cluster.response_ops, *in_order(response)])
    return Destination(cluster, request_ops + late, response_ops, response_ops)


def _conditions(match: RouteMatch, rng: random.Random) -> tuple[Predicate, ...]:
    conditions: list[Predicate] = [header_predicate(matcher) for matcher in match.headers]
    conditions += [query_predicate(matcher) for matcher in match.query]
    if match.grpc:
        conditions.append(lambda exchange: is_grpc(exchange.header(b"content-type")))
    if match.fraction < MILLION:
        fraction, draw = match.fraction, rng.random
        conditions.append(lambda _exchange: draw() * MILLION < fraction)
    return tuple(conditions)


def path_test(match: RouteMatch) -> PathTest:
    """The path part of a match, on the path without its query. CONNECT requests have no path: b""."""
    value, kind = match.value.encode(), match.kind
    if kind is PathMatch.REGEX:
        pattern = re2.compile(value)
        return lambda path: pattern.fullmatch(path) is not None
    if kind is PathMatch.CONNECT:
        return lambda path: not path
    if not match.case_sensitive:
        value = value.lower()
        test = _plain_path_test(kind, value)
        return lambda path: test(path.lower())
    return _plain_path_test(kind, value)


def _plain_path_test(kind: PathMatch, value: bytes) -> PathTest:
    if kind is PathMatch.PATH:
        return lambda path: path == value
    if kind is PathMatch.PREFIX:
        return lambda path: path.startswith(value) and bool(path)
    below = value + b"/"
    return lambda path: path == value or path.startswith(below)


# Below this many routes a walk through them is as fast as the index.
_SMALL: Final = 6


class CompiledVirtualHost:
    """The routes of a virtual host, in order, and an index over their paths."""

    __slots__ = ("_exact", "_lengths", "_others", "_prefixes", "config", "name", "routes")

    def __init__(self, config: VirtualHost, table: RouteTable) -> None:
        self.config = config
        self.name = config.name
        self.routes = [CompiledRoute(route, order, self, table) for order, route in enumerate(config.routes)]
        self._exact: dict[bytes, list[CompiledRoute]] = {}
        self._prefixes: dict[bytes, list[CompiledRoute]] = {}
        self._others: list[CompiledRoute] = []
        if len(self.routes) > _SMALL:
            self._index()
        self._lengths = sorted({len(prefix) for prefix in self._prefixes})

    def _index(self) -> None:
        for route in self.routes:
            match = route.config.match
            if match.case_sensitive and match.kind is PathMatch.PATH:
                self._exact.setdefault(match.value.encode(), []).append(route)
            elif match.case_sensitive and match.kind is PathMatch.PREFIX:
                self._prefixes.setdefault(match.value.encode(), []).append(route)
            else:
                self._others.append(route)

    def find(self, exchange: Exchange, path: bytes) -> CompiledRoute | None:
        """The first route, in the order written, that accepts the request; `path` is without its query."""
        if len(self.routes) <= _SMALL:
            return _first(self.routes, exchange, path, len(self.routes))
        best, before = None, len(self.routes)
        hit = self._exact.get(path)
        if hit is not None and (found := _first_of_path(hit, exchange, before)) is not None:
            best, before = found, found.order
        prefixes, size = self._prefixes, len(path)
        for length in self._lengths:
            if length > size:
                break
            hit = prefixes.get(path[:length])
            if hit is not None and (found := _first_of_path(hit, exchange, before)) is not None:
                best, before = found, found.order
        return _first(self._others, exchange, path, before) or best


def _first(routes: list[CompiledRoute], exchange: Exchange, path: bytes, before: int) -> CompiledRoute | None:
    """The first of the routes (in the order written) that accepts the request and was written `before` that place."""
    for route in routes:
        if route.order >= before:
            break
        if route.matches_path(path) and (not route.conditions or route.accepts(exchange)):
            return route
    return None


def _first_of_path(routes: list[CompiledRoute], exchange: Exchange, before: int) -> CompiledRoute | None:
    """The same of routes whose path is known to match."""
    for route in routes:
        if route.order >= before:
            break
        if not route.conditions or route.accepts(exchange):
            return route
    return None


class TlsVirtualHost(CompiledVirtualHost):
    """One that sends plain requests to https."""

    __slots__ = ("_to_https",)

    def __init__(self, config: VirtualHost, table: RouteTable) -> None:
        super().__init__(config, table)
        self._to_https = CompiledRoute(TO_HTTPS, 0, self, table)

    def find(self, exchange: Exchange, path: bytes) -> CompiledRoute | None:
        if lacks_tls(self.config.require_tls, exchange):
            return self._to_https
        return super().find(exchange, path)


def _no_filters(_routes: RouteConfig, _vhost: VirtualHost, _route: Route) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    return (), ()


class RouteTable:
    """A compiled route configuration; immutable once made. Of the table `before` it takes the virtual hosts that are the
    very same objects in its configuration: of a thousand, one that has changed is compiled."""

    __slots__ = (
        "_any",
        "_exact",
        "_mutations",
        "_plans",
        "_prefixes",
        "_suffixes",
        "_virtual_hosts",
        "bind_filters",
        "config",
        "rng",
    )

    def __init__(
        self,
        config: RouteConfig,
        *,
        rng: random.Random | None = None,
        bind_filters: FilterBinder = _no_filters,
        before: RouteTable | None = None,
    ) -> None:
        self.config = config
        self.rng = rng or random.Random()
        self.bind_filters = bind_filters
        self._exact: dict[bytes, CompiledVirtualHost] = {}
        self._suffixes: list[tuple[bytes, CompiledVirtualHost]] = []  # longest first
        self._prefixes: list[tuple[bytes, CompiledVirtualHost]] = []
        self._any: CompiledVirtualHost | None = None
        self._plans: dict[tuple[int, float], RetryPlan] = {}
        self._mutations: dict[tuple[HeaderOps, ...], tuple[Mutation, ...]] = {}
        self._virtual_hosts: dict[int, CompiledVirtualHost] = {}  # by the id of their configuration, which they keep
        if before is not None and self._compiles_like(before):
            self._take_over(before)
        for vhost in config.virtual_hosts:
            if id(vhost) in self._virtual_hosts:
                continue
            kind = CompiledVirtualHost if vhost.require_tls is RequireTls.NONE else TlsVirtualHost
            compiled = self._virtual_hosts[id(vhost)] = kind(vhost, self)
            for domain in vhost.domains:
                self._add_domain(domain.lower().encode(), compiled)
        self._suffixes.sort(key=lambda entry: -len(entry[0]))
        self._prefixes.sort(key=lambda entry: -len(entry[0]))

    def _take_over(self, before: RouteTable) -> None:
        """Everything that is still configured."""
        wanted = {id(vhost) for vhost in self.config.virtual_hosts}
        gone = {id(vhost) for key, vhost in before._virtual_hosts.items() if key not in wanted}
        self._virtual_hosts = {key: vhost for key, vhost in before._virtual_hosts.items() if key in wanted}
        self._exact = before._exact.copy()
        for vhost in before._virtual_hosts.values():
            for domain in vhost.config.domains if id(vhost) in gone else ():
                self._exact.pop(domain.lower().encode(), None)
        self._suffixes = [entry for entry in before._suffixes if id(entry[1]) not in gone]
        self._prefixes = [entry for entry in before._prefixes if id(entry[1]) not in gone]
        self._any = None if id(before._any) in gone else before._any

    def _compiles_like(self, before: RouteTable) -> bool:
        """Whether the same virtual host becomes the same in both."""
        ours, theirs = self.config, before.config
        return (
            ours.vhds
            and theirs.vhds
            and self.rng is before.rng
            and self.bind_filters == before.bind_filters
            and replace(ours, virtual_hosts=(), source=b"") == replace(theirs, virtual_hosts=(), source=b"")
        )

    def _add_domain(self, domain: bytes, vhost: CompiledVirtualHost) -> None:
        if domain == b"*":
            self._any = vhost
        elif domain.startswith(b"*"):
            self._suffixes.append((domain[1:], vhost))
        elif domain.endswith(b"*"):
            self._prefixes.append((domain[:-1], vhost))
        else:
            self._exact[domain] = vhost

    def retry_plan(self, policy: RetryPolicy, timeout: float) -> RetryPlan:
        """The policy, compiled; routes of one policy share it."""
        key = id(policy), timeout  # the configuration keeps the policy, so that its id is its own
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = RetryPlan(policy, timeout)
        return plan

    def mutations(self, levels: Iterable[HeaderOps]) -> tuple[Mutation, ...]:
        """The operations, compiled; where they are equal, routes share them."""
        key = tuple(ops for ops in levels if ops is not NO_OPS)
        if not key:
            return ()
        found = self._mutations.get(key)
        if found is None:
            found = self._mutations[key] = compile_ops(key)
        return found

    def virtual_host(self, authority: bytes) -> CompiledVirtualHost | None:
        """Exact name, then the longest suffix wildcard, then the longest prefix wildcard, then `*`."""
        if self.config.ignore_port_in_host:
            authority = without_port(authority)
        vhost = self._exact.get(authority)
        if vhost is not None:
            return vhost
        authority = authority.lower()
        vhost = self._exact.get(authority)
        if vhost is not None:
            return vhost
        for suffix, vhost in self._suffixes:
            if authority.endswith(suffix) and len(authority) > len(suffix):
                return vhost
        for prefix, vhost in self._prefixes:
            if authority.startswith(prefix) and len(authority) > len(prefix):
                return vhost
        return self._any

    def find(self, exchange: Exchange) -> CompiledRoute | None:
        """The route of a request, None when no virtual host or no route matches."""
        vhost = self.virtual_host(exchange.authority)
        if vhost is None:
            return None
        path = exchange.path
        return vhost.find(exchange, path.partition(b"?")[0] if ord("?") in path else path)


def without_port(authority: bytes) -> bytes:
    name, colon, port = authority.rpartition(b":")
    return name if colon and port.isdigit() else authority


__all__ = ["CompiledRoute", "CompiledVirtualHost", "Destination", "DirectResponse", "RouteTable", "without_port"]
