"""envoy.filters.http.fault: delays, aborts and slow responses, drawn independently for each request; and resets, which
Envoy has none of: a route's `filter_metadata["mesh.fault"]` has their share, an Envoy takes it for metadata and no more.

The filter sits before the router: route time-outs and retries do not see what it injects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sidecar.config.match import header_matcher
from sidecar.config.model import MILLION, UNLIMITED, FaultConfig, Route
from sidecar.config.reader import UNITS, Reader
from sidecar.filters import Decision, Delay, FilterContext, FilterType, Reply, Reset, Step, Steps
from sidecar.filters.bodies import BodyChange, at_end
from sidecar.filters.pace import Pace
from sidecar.http.exchange import Exchange
from sidecar.http.headers import Headers, get
from sidecar.http.response_flags import Flag
from sidecar.router.match import Predicate, header_predicate

METADATA: Final = "mesh.fault"
_MAX_DIGITS: Final = 11


def _only_if(wanted: Sequence[Predicate], step: Step) -> Step:
    return lambda exchange: step(exchange) if all(matches(exchange) for matches in wanted) else None


def _conditions(config: FaultConfig) -> list[Predicate]:
    """Which requests it is for; all of them must hold."""
    wanted: list[Predicate] = [header_predicate(matcher) for matcher in config.headers]
    cluster, nodes = config.upstream_cluster, config.downstream_nodes
    if cluster:
        wanted.append(lambda exchange: exchange.cluster_name == cluster)
    if nodes:
        wanted.append(lambda exchange: get(exchange.headers, b"x-envoy-downstream-service-node") in nodes)
    return wanted


class FaultFilter:
    """One connection manager's fault filter; faults in progress are counted over all its routes."""

    def __init__(self, config: FaultConfig, context: FilterContext) -> None:
        self._config = config
        self._stats = context.stats
        self._rng = context.rng
        self._clock = context.clock

    def bind(self, overrides: Sequence[FaultConfig], route: Route | None) -> Steps:
        config = overrides[0] if overrides else self._config
        steps: list[Step] = []
        slows = config.rate_chance and (config.rate_by_header or config.rate_kbps)
        if slows:
            steps.append(self._rate_step(config))
        if config.delay_chance and config.delay_by_header:
            steps.append(self._asked_delay_step(config))
        elif config.delay_chance and config.delay:
            steps.append(self._delay_step(config))
        if resets := _resets(route):
            steps.append(self._reset_step(config, resets))
        if config.abort_chance and config.abort_by_header:
            steps.append(self._asked_abort_step(config))
        elif config.abort_chance and (config.abort_status or config.abort_grpc_status is not None):
            steps.append(self._abort_step(config))
        if wanted := _conditions(config):
            steps = [_only_if(wanted, step) for step in steps]
        return Steps(tuple(steps), body=(self._paced,) if slows else ())

    def _paced(self, exchange: Exchange, _headers: Headers, present: bool) -> BodyChange | None:
        pace: Pace | None = exchange.kept(self)
        return pace if present else None

    def _rate_step(self, config: FaultConfig) -> Step:
        """Whether the response is to be slow; that counts as a fault for as long as the request lasts."""
        draw, stats, active, clock = self._rng.random, self._stats, self._stats.active_faults, self._clock

        def over() -> None:
            active.value -= 1

        def step(exchange: Exchange) -> Decision | None:
            rate, chance = config.rate_kbps, config.rate_chance
            if config.rate_by_header:
                rate = _number(exchange, b"x-envoy-fault-throughput-response") or 0
                chance = _lowered(
                    exchange, b"x-envoy-fault-throughput-response-percentage", config.rate_unit, config.rate_chance
                )
            if not rate or draw() * MILLION >= chance:
                return None
            if active.value >= config.max_active:
                stats.faults_overflow.value += 1
                return None
            active.value += 1
            at_end(exchange, over)
            stats.response_rl_injected.value += 1
            exchange.keep(self, Pace(rate, clock))
            return None

        return step

    def _delay_step(self, config: FaultConfig) -> Step:
        draw, stats, active = self._rng.random, self._stats, self._stats.active_faults

        def over() -> None:
            active.value -= 1

        decision, uncounted = Delay(config.delay, over), Delay(config.delay)

        def step(exchange: Exchange) -> Decision | None:
            if draw() * MILLION >= config.delay_chance:
                return None
            counts = exchange.kept(self) is None  # else the request is one with a fault already
            if counts and active.value >= config.max_active:
                stats.faults_overflow.value += 1
                return None
            active.value += counts
            stats.delays_injected.value += 1
            exchange.flags |= Flag.DI
            return decision if counts else uncounted

        return step

    def _abort_step(self, config: FaultConfig) -> Step:
        status = config.abort_status or 200
        reply = Reply(
            status, b"fault filter abort", "fault_filter_abort", int(Flag.FI), grpc_status=config.abort_grpc_status
        )
        return self._ending_step(config, config.abort_chance, reply)

    def _reset_step(self, config: FaultConfig, chance: float) -> Step:
        return self._ending_step(config, chance * MILLION, Reset("fault_filter_reset", int(Flag.FI)))

    def _ending_step(self, config: FaultConfig, chance: float, decision: Decision) -> Step:
        """Ends so many of a million requests, within the limit of faults at a time."""
        draw, stats, active = self._rng.random, self._stats, self._stats.active_faults

        def step(exchange: Exchange) -> Decision | None:
            if draw() * MILLION >= chance:
                return None
            if exchange.kept(self) is None and active.value >= config.max_active:
                stats.faults_overflow.value += 1
                return None
            stats.aborts_injected.value += 1
            return decision

        return step

    def _asked_delay_step(self, config: FaultConfig) -> Step:
        """The request says how long."""

        def step(exchange: Exchange) -> Decision | None:
            milliseconds = _number(exchange, b"x-envoy-fault-delay-request")
            if not milliseconds:
                return None
            chance = _lowered(
                exchange, b"x-envoy-fault-delay-request-percentage", config.delay_unit, config.delay_chance
            )
            return self._delay_step(replace(config, delay=milliseconds / 1000, delay_chance=chance))(exchange)

        return step

    def _asked_abort_step(self, config: FaultConfig) -> Step:
        """The request says what to answer: an HTTP status, or else a gRPC status."""

        def step(exchange: Exchange) -> Decision | None:
            status = _number(exchange, b"x-envoy-fault-abort-request")
            grpc_status = None
            if status is None or not 200 <= status < 600:
                status, grpc_status = 0, _number(exchange, b"x-envoy-fault-abort-grpc-request")
                if grpc_status is None:
                    return None
            chance = _lowered(
                exchange, b"x-envoy-fault-abort-request-percentage", config.abort_unit, config.abort_chance
            )
            asked = replace(config, abort_status=status, abort_grpc_status=grpc_status, abort_chance=chance)
            return self._abort_step(asked)(exchange)

        return step


def _resets(route: Route | None) -> float:
    """The share of a route's requests that are to be reset."""
    percent = route.metadata.get(METADATA, {}).get("reset") if route is not None and route.metadata else None
    return min(float(percent), 100.0) / 100 if isinstance(percent, (int, float)) else 0.0


def _number(exchange: Exchange, name: bytes) -> int | None:
    value = get(exchange.headers, name)
    return int(value) if value is not None and value.isdigit() and len(value) < _MAX_DIGITS else None


def _lowered(exchange: Exchange, name: bytes, unit: int, chance: int) -> int:
    """A request can lower the chance, never raise it."""
    wanted = _number(exchange, name)
    return chance if wanted is None else min(wanted * unit, chance)


# ── configuration ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def compile(reader: Reader) -> FaultConfig:
    delay, abort = reader.child("delay"), reader.child("abort")
    seconds, delay_chance = 0.0, 0
    by_header: dict[str, Any] = {}
    status, grpc_status, abort_chance = 0, None, 0
    if delay is not None:
        by_header["delay_by_header"] = delay.child("header_delay") is not None
        by_header["delay_unit"] = _unit(delay)
        seconds, delay_chance = delay.seconds("fixed_delay"), delay.chance("percentage", 0)
    if abort is not None:
        status, grpc_status = abort.number("http_status"), abort.optional_number("grpc_status")
        by_header["abort_by_header"] = abort.child("header_abort") is not None
        by_header["abort_unit"] = _unit(abort)
        abort_chance = abort.chance("percentage", 0)
    return FaultConfig(
        delay=seconds,
        delay_chance=delay_chance,
        abort_status=status,
        abort_grpc_status=grpc_status,
        abort_chance=abort_chance,
        max_active=reader.number("max_active_faults", UNLIMITED),
        upstream_cluster=reader.text("upstream_cluster"),
        downstream_nodes=frozenset(node.encode() for node in reader.values("downstream_nodes")),
        headers=tuple(header_matcher(each) for each in reader.children("headers")),
        **by_header,
        **_rate(reader.child("response_rate_limit")),
    )


def _rate(reader: Reader | None) -> dict[str, Any]:
    if reader is None:
        return {}
    fixed = reader.child("fixed_limit")
    return {
        "rate_kbps": fixed.number("limit_kbps") if fixed is not None else 0,
        "rate_by_header": reader.child("header_limit") is not None,
        "rate_unit": _unit(reader),
        "rate_chance": reader.chance("percentage", 0),
    }


def _unit(reader: Reader) -> int:
    """One unit of the percentage's denominator, parts per million."""
    return UNITS[min(reader.message.percentage.denominator, 2)]


compile_route = compile


FILTER: Final = FilterType(FaultConfig, FaultFilter, compile, compile_route)
