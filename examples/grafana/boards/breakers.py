"""Circuit breakers and ejections: what is open, since when, why, and what it cost."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from examples.grafana.boards import panels
from examples.grafana.boards.panels import COUNT, GREEN, PER_SECOND, RED, SHARE, YELLOW, Query
from examples.grafana.boards.queries import WINDOW, service_of, subset_of, zero

EDGE = 'envoy_cluster_name=~"outbound.*", pod=~"$proxy"'
STATES = {0: ("closed", GREEN), 1: ("half-open", YELLOW), 2: ("open", RED)}
LIMITS = {0: ("free", GREEN), 1: ("full", RED)}
EJECTED = {0: ("all in use", GREEN), 1: ("1 ejected", RED), 2: ("2 ejected", "dark-red"), 3: ("3 ejected", "dark-red")}
# Why Envoy ejects a host, by the names of its counters.
REASONS = (
    "consecutive_5xx",
    "consecutive_gateway_failure",
    "consecutive_local_origin_failure",
    "success_rate",
    "failure_percentage",
)


def build() -> Dashboard:
    board = panels.board("mesh-breakers", "Circuit breakers", "Breakers, limits and ejections, by caller and service.")
    board = board.with_variable(
        panels.variable("proxy", "Caller", "label_values(envoy_cluster_outlier_detection_ejections_active, pod)")
    )
    for panel in _numbers():
        board = board.with_panel(panel)
    for title, found in (("States", _states()), ("Why, and what it cost", _reasons())):
        board = board.with_row(panels.row(title))
        for panel in found:
            board = board.with_panel(panel)
    return board


def _edges(metric: str) -> str:
    return service_of(subset_of(f"envoy_cluster_{metric}{{{EDGE}}}"))


def _total(metric: str) -> str:
    return zero(f"round(sum(increase(envoy_cluster_{metric}{{{EDGE}}}[$__range])))")


def _numbers() -> tuple[object, ...]:
    alarm = ((None, GREEN), (1, RED))
    return (
        panels.number(
            "Open",
            "How many breakers are open now?",
            zero(f"count(envoy_cluster_mesh_circuit_breaker_state{{{EDGE}}} == 2)"),
            levels=alarm,
        ),
        panels.number(
            "Half-open",
            "How many are being tried?",
            zero(f"count(envoy_cluster_mesh_circuit_breaker_state{{{EDGE}}} == 1)"),
            levels=((None, GREEN), (1, YELLOW)),
        ),
        panels.number(
            "Ejected",
            "How many endpoints are ejected by some caller?",
            zero(f"sum(envoy_cluster_outlier_detection_ejections_active{{{EDGE}}})"),
            levels=alarm,
        ),
        panels.number(
            "Opened", "How often did breakers open in the time shown?", _total("mesh_circuit_breaker_opened")
        ),
        panels.number(
            "Ejections",
            "How often were endpoints ejected in the time shown?",
            _total("outlier_detection_ejections_enforced_total"),
        ),
        panels.number(
            "Could not eject",
            "How often did maxEjectionPercent keep an endpoint in use?",
            _total("outlier_detection_ejections_overflow"),
            levels=((None, GREEN), (1, YELLOW)),
        ),
    )


def _states() -> tuple[object, ...]:
    legend = "{{pod}} → {{service}} {{subset}}"
    by = "pod, service, subset"
    limits = " or ".join(
        _edges(f"circuit_breakers_default_{limit}_open") for limit in ("cx", "rq", "rq_pending", "rq_retry")
    )
    return (
        panels.states(
            "Three-state breakers",
            "When was which breaker open, half-open, closed?",
            Query(f"max by ({by}) ({_edges('mesh_circuit_breaker_state')})", legend),
            STATES,
        ),
        panels.states(
            "Ejected endpoints",
            "When did which caller do without endpoints of which service?",
            Query(f"max by ({by}) ({_edges('outlier_detection_ejections_active')})", legend),
            EJECTED,
        ),
        panels.states(
            "Limits of connections and requests",
            "When was which limit of a connection pool reached?",
            Query(f"max by ({by}) ({limits})", legend),
            LIMITS,
        ),
    )


def _reasons() -> tuple[object, ...]:
    enforced = [
        Query(
            zero(f"sum(increase(envoy_cluster_outlier_detection_ejections_enforced_{reason}{{{EDGE}}}[{WINDOW}]))"),
            reason.replace("_", " "),
        )
        for reason in REASONS
    ]
    members = f"envoy_cluster_membership_healthy{{{EDGE}}} / (envoy_cluster_membership_total{{{EDGE}}} > 0)"
    usable = service_of(members)  # of each cluster by itself: a subset has fewer endpoints than the service
    return (
        panels.lines("Ejections by reason", "Which detector ejected endpoints?", *enforced, unit=COUNT),
        panels.lines(
            "Turned away",
            "Which requests were not sent because a breaker was open or a limit reached?",
            Query(zero(f"sum(rate(envoy_cluster_mesh_circuit_breaker_rejected{{{EDGE}}}[{WINDOW}]))"), "breaker open"),
            Query(zero(f"sum(rate(envoy_cluster_upstream_rq_pending_overflow{{{EDGE}}}[{WINDOW}]))"), "limit reached"),
            Query(
                zero(f"sum(rate(envoy_cluster_upstream_rq_retry_overflow{{{EDGE}}}[{WINDOW}]))"), "retry budget spent"
            ),
            unit=PER_SECOND,
        ),
        panels.lines(
            "Usable share",
            "Which share of a service's endpoints do its callers use?",
            Query(f"min by (service) ({usable})", "{{service}}"),
            unit=SHARE,
        ),
        panels.lines(
            "Failures that count",
            "What do endpoints do that may get them ejected?",
            Query(
                zero(f'sum(rate(envoy_cluster_upstream_rq_xx{{{EDGE}, envoy_response_code_class="5"}}[{WINDOW}]))'),
                "5xx",
            ),
            Query(zero(f"sum(rate(envoy_cluster_upstream_cx_connect_fail{{{EDGE}}}[{WINDOW}]))"), "no connection"),
            Query(zero(f"sum(rate(envoy_cluster_upstream_rq_timeout{{{EDGE}}}[{WINDOW}]))"), "timed out"),
            unit=PER_SECOND,
        ),
    )
