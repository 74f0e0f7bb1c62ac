"""What a connection manager is told to do with request heads besides the usual: path, host, and who the client is.

Each rule is compiled once; a connection manager without one has None in its place, or the plain function.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sidecar.config.model import Hcm, HeaderAdd, HeaderMutation, HeaderOps, RemoveMatching
from sidecar.filters import Reply
from sidecar.http.exchange import Exchange
from sidecar.http.head import INDEXED_HEADERS
from sidecar.http.headers import drop, get, put
from sidecar.router.header_ops import compile_ops
from sidecar.router.match import string_test
from sidecar.router.path import normalize
from sidecar.router.table import without_port
from sidecar.telemetry.stats import HttpStats

Rule = Callable[[Exchange], None]
_ESCAPED_SLASH = re.compile(rb"%2[fF]|%5[cC]")
FAILED = "path_normalization_failed"


# ── path ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def path_rule(config: Hcm, stats: HttpStats) -> Callable[[Exchange], Reply | None] | None:
    """Normalises the path; a reply when it has no normal form, or when the client is to ask for the normal one."""
    dots, slashes, action = config.normalize_path, config.merge_slashes, config.escaped_slashes
    if not (dots or slashes or action):
        return None
    refusal = Reply(400, b"", FAILED, headers=() if config.keeps_after_bad_request else ((b"connection", b"close"),))

    def rule(exchange: Exchange) -> Reply | None:
        path, redirects = exchange.path, False
        if action:
            path, found = unescape_slashes(path)
            exchange.path = path
            if found and action == "REJECT_REQUEST":
                stats.downstream_rq_failed_path_normalization.value += 1
                return refusal
            redirects = found and action == "UNESCAPE_AND_REDIRECT"
        if dots or slashes:
            normal = normalize(path, dots=dots, slashes=slashes)
            if normal is None:
                stats.downstream_rq_failed_path_normalization.value += 1
                return refusal
            path = normal
        exchange.path = path
        if redirects:
            stats.downstream_rq_redirected_with_normalized_path.value += 1
            return Reply(307, b"", FAILED, headers=((b"location", path),))
        return None

    return rule


def unescape_slashes(path: bytes) -> tuple[bytes, bool]:
    """The path with its escaped slashes (and backslashes) as themselves, and whether there were any."""
    plain, mark, query = path.partition(b"?")
    unescaped, found = _ESCAPED_SLASH.subn(lambda match: b"/" if match[0][1:2] == b"2" else b"\\", plain)
    return unescaped + mark + query, bool(found)


# ── host ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def host_rule(config: Hcm) -> Rule | None:
    """What is taken off the authority."""
    dot, any_port, own_port = (
        config.strip_trailing_host_dot,
        config.strip_any_host_port,
        config.strip_matching_host_port,
    )
    if not (dot or any_port or own_port):
        return None

    def rule(exchange: Exchange) -> None:
        if dot:
            exchange.authority = without_trailing_dot(exchange.authority)
        if any_port or (own_port and exchange.authority.endswith(b":%d" % exchange.downstream.local.port)):
            exchange.authority = without_port(exchange.authority)

    return rule


def without_trailing_dot(authority: bytes) -> bytes:
    """`host.` → `host`, `host.:80` → `host:80`."""
    if authority.endswith(b"."):
        return authority[:-1]
    host, colon, port = authority.rpartition(b":")
    return host[:-1] + colon + port if host.endswith(b".") and port.isdigit() else authority


# ── headers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def identification(config: Hcm, forwarded: Rule, node: str, cluster: str) -> Rule | None:
    """What the configuration makes of a head before it is routed, in the place of `forwarded`, which only brings the
    forwarding headers in order; None when there is no more to it."""
    rules: list[Rule] = [forwarded]
    if config.add_user_agent:
        rules.append(_user_agent(cluster.encode(), node.encode()))
    if config.scheme:
        rules.insert(0, _scheme(config.scheme.encode()))
    if config.early_mutations:
        rules.insert(0, early_mutations(config.early_mutations))
    if config.append_x_forwarded_port:
        rules.append(_port(config))
    if len(rules) == 1:
        return None

    def apply(exchange: Exchange) -> None:
        for rule in rules:
            rule(exchange)

    return apply


def _user_agent(cluster: bytes, node: bytes) -> Rule:
    """Says who we are to whom the request goes."""

    def rule(exchange: Exchange) -> None:
        headers = exchange.headers
        put(headers, b"x-envoy-downstream-service-cluster", cluster)
        if not get(headers, b"user-agent"):
            put(headers, b"user-agent", cluster)
        if node:
            put(headers, b"x-envoy-downstream-service-node", node)

    return rule


def _port(config: Hcm) -> Rule:
    """Tells the port that the client came to, unless somebody trusted did."""
    overwrites = config.use_remote_address and not config.xff_num_trusted_hops

    def rule(exchange: Exchange) -> None:
        if overwrites or not exchange.header(b"x-forwarded-port"):
            put(exchange.headers, b"x-forwarded-port", b"%d" % exchange.downstream.local.port)

    return rule


def _scheme(scheme: bytes) -> Rule:
    def rule(exchange: Exchange) -> None:
        exchange.scheme = scheme
        put(exchange.headers, b"x-forwarded-proto", scheme)
        exchange.indexed_headers[b"x-forwarded-proto"] = scheme

    return rule


def early_mutations(mutations: Sequence[HeaderMutation]) -> Rule:
    """`early_header_mutation_extensions`: seen by routing, tracing and filters."""
    steps: list[Callable[[Exchange], None]] = []
    for mutation in mutations:
        if isinstance(mutation, RemoveMatching):
            steps.append(_removing_matches(mutation))
        elif isinstance(mutation, HeaderAdd):
            steps.append(_changing(HeaderOps((mutation,)), mutation.name))
        else:
            steps.append(_changing(HeaderOps((), (mutation,)), mutation))

    def rule(exchange: Exchange) -> None:
        for step in steps:
            step(exchange)

    return rule


def _changing(ops: HeaderOps, name: bytes) -> Rule:
    (mutate,) = compile_ops([ops])

    def rule(exchange: Exchange) -> None:
        mutate(exchange, exchange.headers)
        _note(exchange, name)

    return rule


def _removing_matches(mutation: RemoveMatching) -> Rule:
    matches = string_test(mutation.name)

    def rule(exchange: Exchange) -> None:
        for name in {name for name, _ in exchange.headers if matches(name)}:
            drop(exchange.headers, name)
            _note(exchange, name)

    return rule


def _note(exchange: Exchange, name: bytes) -> None:
    """Keeps what stations look up in step with the headers."""
    value = exchange.header(name)
    if value is None:
        exchange.indexed_headers.pop(name, None)
    elif name in INDEXED_HEADERS:
        exchange.indexed_headers[name] = value
    if name == b"x-request-id":
        exchange.request_id = value or b""
