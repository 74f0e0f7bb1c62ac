"""The way of a call through a proxy, station by station: listener, filter chain, virtual host, rule."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from mesh.explain.steps import Explanation, Step
from mesh.naming import OUTBOUND_LISTENER
from mesh.node import Node
from sidecar.config.model import (
    Address,
    DirectResponse,
    FilterChain,
    FilterChainMatch,
    Forward,
    Hcm,
    Listener,
    PathMatch,
    Redirect,
    TcpProxy,
)
from sidecar.explain.destination import destinations
from sidecar.explain.given import Call, Given, exchange_of
from sidecar.explain.policies import fault_steps, origin_of, rule_source
from sidecar.explain.words import match_words, why_not
from sidecar.http.exchange import Exchange
from sidecar.http.head_policy import HeadPolicy
from sidecar.listener.match import Facts, find_chain
from sidecar.router.table import CompiledRoute, CompiledVirtualHost, RouteTable
from sidecar.telemetry.registry import Stats
from sidecar.telemetry.stats import HttpStats

# Clients of unknown addresses: what the listener of any address takes.
SOMEWHERE: Final = "0.0.0.0"
DEFAULT_ROUTE: Final = "default"  # the control plane's name of a route to a service that has no rules


class _Sure(random.Random):
    """Whatever may happen, happens: a condition that holds for some requests holds for this one."""

    def random(self) -> float:
        return 0.0


def explain(given: Given, call: Call) -> Explanation:
    """What becomes of the call. Raises ConfigError where the proxy would refuse the configuration itself."""
    listener, step, absolute = _listener(given, call)
    if listener is None:
        return Explanation((step,), "refused", step.says)
    destination = listener.address if absolute else _destination(call)
    chain, chain_step = _chain(listener, call, destination)
    steps = (step, chain_step)
    if chain is None:
        return Explanation(steps, "refused", "the connection is closed: no filter chain is for it", listener.name)
    if isinstance(chain.network, TcpProxy):
        return _passed_on(given, listener, chain.network, steps)
    return _requested(given, call, listener, chain.network, exchange_of(call, destination, absolute=absolute), steps)


# ── connections ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _destination(call: Call) -> Address:
    """Where the client connects to, as far as its URL tells."""
    return call.destination or Address(call.host, call.port)


def _listener(given: Given, call: Call) -> tuple[Listener | None, Step, bool]:
    """Who accepts the connection; whether it is asked as an HTTP proxy."""
    listeners = given.listeners
    door = next((each for each in listeners if each.name == OUTBOUND_LISTENER), None)
    wanted = _destination(call)
    called = next((each for each in listeners if each.bind_to_port and each.address == wanted), None)
    if called is not None and door is not None and called is not door:
        return called, Step("listener", f"{called.name}, which the client calls by its address", True), False
    if door is not None and not door.use_original_dst:
        says = f"{door.name} on {door.address}, which the client asks as its HTTP proxy"
        return door, Step("listener", says, True), True
    on_port = [each for each in listeners if each is not door and each.address.port == wanted.port]
    ours = [each for each in on_port if each.address == wanted]
    # A captured connection goes to the listener of its address; whoever calls a gateway has found where it listens.
    others = [each for each in on_port if door is None or each.address.host in (SOMEWHERE, "::")]
    found = next(iter((*ours, *others)), None)
    if found is not None:
        how = f"for connections to port {wanted.port}" if door is not None else f"on {found.address}"
        return found, Step("listener", f"{found.name}, {how}", True), False
    if door is not None:
        return door, Step("listener", f"{door.name}: no listener is for port {wanted.port}", True), False
    ports = sorted({each.address.port for each in listeners})
    there = f"; it does on {', '.join(map(str, ports))}" if ports else ""
    return None, Step("listener", f"this proxy does not listen on port {wanted.port}{there}", False), False


def _chain(listener: Listener, call: Call, destination: Address) -> tuple[FilterChain | None, Step]:
    tls = call.scheme == "https"
    protocols = ("http/1.1",) if listener.detect_http and not tls else ()
    facts = Facts(destination, call.client, "tls" if tls else "raw_buffer", call.host if tls else "", protocols)
    chain = find_chain(listener, facts)
    if chain is None:
        return None, Step("filter chain", f"none of {len(listener.chains)} is for this connection", False)
    name = chain.name or "(unnamed)"
    why = (
        "the default, since no other is for this connection" if chain is listener.default_chain else _asks(chain.match)
    )
    return chain, Step("filter chain", f"{name}: {why}", True)


def _asks(match: FilterChainMatch) -> str:
    asked = [
        f"port {match.destination_port}" if match.destination_port else "",
        f"to {', '.join(match.destination_ranges)}" if match.destination_ranges else "",
        f"TLS for {', '.join(match.server_names)}" if match.server_names else "",
        match.transport,
        f"speaks {' or '.join(match.application_protocols)}" if match.application_protocols else "",
        f"from {', '.join(match.source_ranges)}" if match.source_ranges else "",
    ]
    return ", ".join(filter(None, asked)) or "for all connections"


def _passed_on(given: Given, listener: Listener, proxy: TcpProxy, steps: tuple[Step, ...]) -> Explanation:
    total = sum(cluster.weight for cluster in proxy.clusters) or 1
    shares = tuple((cluster.name, cluster.weight / total) for cluster in proxy.clusters)
    note = Step("tcp proxy", "the bytes are passed on as they are: rules for HTTP do not count here", True)
    found = destinations(given, shares)
    outcome = f"passed on as TCP to {_split(shares)}"
    return Explanation((*steps, note, *found.steps), "passed", outcome, listener.name, clusters=shares)


# ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _requested(
    given: Given, call: Call, listener: Listener, hcm: Hcm, exchange: Exchange, steps: tuple[Step, ...]
) -> Explanation:
    refusal = _head_policy(hcm, listener).admit(exchange)
    if refusal is not None:
        step = Step("head", f"refused as it is: {refusal.detail}", False)
        return Explanation((*steps, step), "answered", f"answered {refusal.status} ({refusal.detail})", listener.name)
    config = hcm.routes or given.routes(hcm.rds)
    if config is None:
        step = Step("routes", f"{hcm.rds}: not there yet", False)
        return Explanation((*steps, step), "answered", "answered 404 NR: no routes have come", listener.name)
    steps = (*steps, Step("routes", config.name or "(in the listener)", True))
    table = RouteTable(config, rng=_Sure())
    host = table.virtual_host(exchange.authority)
    asked = exchange.authority.decode("latin-1")
    if host is None:
        count = len(config.virtual_hosts)
        step = Step("virtual host", f"none of {count} has {asked} among its domains", False)
        return Explanation((*steps, step), "answered", f"answered 404 NR: no virtual host for {asked}", listener.name)
    says = f"{host.name}, which has {_domain(table, host, asked)} among its domains"
    steps = (*steps, Step("virtual host", says, True))
    found = table.find(exchange)
    steps = (*steps, *_rules(host, exchange, found))
    if found is None:
        outcome = f"answered 404 NR: {host.name} has {len(_for_method(host, exchange))} rules, none is for this request"
        return Explanation(steps, "answered", outcome, listener.name, host.name)
    return _acted(given, hcm, listener, found, exchange, steps)


def _head_policy(hcm: Hcm, listener: Listener) -> HeadPolicy:
    stats = HttpStats(Stats(), hcm.stat_prefix)
    node = Node("sidecar", "", "explain")
    return HeadPolicy(
        hcm, listener.direction, stats, node_id=node.id, service_cluster="", decode_peer=lambda _header: None
    )


def _domain(table: RouteTable, host: CompiledVirtualHost, authority: str) -> str:
    """The one of the host's domains by which it was found: exact ones count before wildcards, longer ones before short."""
    domains = sorted(host.config.domains, key=lambda domain: ("*" in domain, -len(domain)))
    for domain in domains:
        only = replace(host.config, domains=(domain,), routes=())
        if RouteTable(replace(table.config, virtual_hosts=(only,))).virtual_host(authority.encode()) is not None:
            return "every host (*)" if domain == "*" else domain
    return authority


def _rules(host: CompiledVirtualHost, exchange: Exchange, found: CompiledRoute | None) -> tuple[Step, ...]:
    """Each rule that was tried, up to the one that is taken."""
    if found is not None and found not in host.routes:
        return (Step("tls", "the virtual host wants TLS", True),)
    path = exchange.path.partition(b"?")[0]
    steps: list[Step] = []
    for route in _for_method(host, exchange):
        if route is found:
            break
        steps.append(Step(_nth(steps), why_not(route, exchange, path), False, rule_source(route.config)))
    if found is not None:
        words = match_words(found.config.match)
        ruled = origin_of(found.config.metadata) is not None
        if found.name == DEFAULT_ROUTE and not ruled:
            words += ": no VirtualService is for this host, port and caller"
        named = f"{found.name}: " if found.name and ruled else ""
        steps.append(Step(_nth(steps), named + words, True, rule_source(found.config)))
    return tuple(steps)


def _nth(steps: list[Step]) -> str:
    return f"rule {len(steps) + 1}"


def _for_method(host: CompiledVirtualHost, exchange: Exchange) -> list[CompiledRoute]:
    """The rules that may be for such a request: those for CONNECT are for no other, and no other for CONNECT."""
    connect = exchange.method == b"CONNECT"
    return [route for route in host.routes if (route.config.match.kind is PathMatch.CONNECT) == connect]


def _acted(
    given: Given, hcm: Hcm, listener: Listener, route: CompiledRoute, exchange: Exchange, steps: tuple[Step, ...]
) -> Explanation:
    host, action = route.virtual_host.name, route.action
    if isinstance(action, Forward):
        return _forwarded(given, hcm, listener, route, action, exchange, steps)
    faults = fault_steps(hcm, route)
    if isinstance(action, DirectResponse):
        ends, outcome = "answered", f"answered {action.status} by the rule itself"
        if action.body:
            outcome += f": {action.body.decode(errors='replace').strip()[:200]}"
    else:
        ends, outcome = "redirected", f"redirected ({action.code}) to {_redirect(action)}"
    return Explanation((*steps, *faults), ends, outcome, listener.name, host, route.name, route.order)


def _redirect(action: Redirect) -> str:
    scheme = action.scheme or ("https" if action.https else "the same scheme")
    host = action.host or "the same host"
    port = f":{action.port}" if action.port else ""
    path = action.path or (
        f"{action.prefix} in place of what matched" if action.prefix is not None else "the same path"
    )
    return f"{scheme}, {host}{port}, {path}"


def _forwarded(
    given: Given,
    hcm: Hcm,
    listener: Listener,
    route: CompiledRoute,
    action: Forward,
    exchange: Exchange,
    steps: tuple[Step, ...],
) -> Explanation:
    shares, how = _shares(route, action, exchange)
    found = destinations(given, shares, route=route, hcm=hcm, how=how, exchange=exchange)
    outcome = found.outcome or f"sent to {_split(shares)}"
    return Explanation(
        (*steps, *found.steps),
        "answered" if found.outcome else "forwarded",
        outcome,
        listener.name,
        route.virtual_host.name,
        route.name,
        route.order,
        shares,
    )


def _shares(route: CompiledRoute, action: Forward, exchange: Exchange) -> tuple[tuple[tuple[str, float], ...], str]:
    """Where it may go, and what decides where there are several."""
    chosen = [cluster for cluster in action.clusters if cluster.weight or len(action.clusters) == 1]
    total = sum(cluster.weight for cluster in chosen) or 1
    decided = bool(action.weight_header and exchange.header_values(action.weight_header)) or action.weight_by_hash
    if decided or any(cluster.cluster_header for cluster in chosen):
        by = action.weight_header.decode() or ("the hash of the request" if action.weight_by_hash else "a header")
        return ((route.draw(exchange).cluster, 1.0),), f"decided by {by}"
    shares = tuple((cluster.name, cluster.weight / total if len(chosen) > 1 else 1.0) for cluster in chosen)
    return shares, "drawn by weight for each request" if len(chosen) > 1 else ""


def _split(shares: tuple[tuple[str, float], ...]) -> str:
    if len(shares) == 1:
        return shares[0][0]
    return ", ".join(f"{name} ({share:.4g} %)" for name, share in ((name, share * 100) for name, share in shares))


# ── of what has happened ──────────────────────────────────────────────────────────────────────────────────────────────


def rules_to(given: Given, call: Call, cluster: str) -> tuple[Step, ...]:
    """The rules by which such a call may have come to this cluster, whatever its headers were: a log has few of them."""
    listener, _, absolute = _listener(given, call)
    if listener is None:
        return ()
    destination = listener.address if absolute else _destination(call)
    chain, _ = _chain(listener, call, destination)
    if chain is None or not isinstance(chain.network, Hcm):
        return ()
    exchange = exchange_of(call, destination, absolute=absolute)
    config = chain.network.routes or given.routes(chain.network.rds)
    if config is None or _head_policy(chain.network, listener).admit(exchange) is not None:
        return ()
    host = RouteTable(config, rng=_Sure()).virtual_host(exchange.authority)
    path = exchange.path.partition(b"?")[0]
    steps = []
    for number, route in enumerate(_for_method(host, exchange) if host is not None else (), start=1):
        action = route.action
        if isinstance(action, Forward) and route.matches_path(path) and cluster in {c.name for c in action.clusters}:
            steps.append(Step(f"rule {number}", match_words(route.config.match), True, rule_source(route.config)))
    return tuple(steps)
