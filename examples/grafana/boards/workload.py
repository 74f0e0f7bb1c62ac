"""One workload: what comes in, what goes out, and what its outbound calls meet."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from examples.grafana.boards import panels
from examples.grafana.boards.panels import COUNT, GREEN, MILLISECONDS, PER_SECOND, RED, SHARE, YELLOW, Query
from examples.grafana.boards.queries import quantile, requests, service_of, success, zero

IN = 'reporter="destination", destination_workload="$workload"'
OUT = 'reporter="source", source_workload="$workload"'
TO = "destination_service_name"
NAMED = "{{destination_service_name}}"


def build() -> Dashboard:
    board = panels.board("mesh-workload", "Workload", "One workload as its own proxy measures it.")
    board = board.with_variable(
        panels.variable("workload", "Workload", "label_values(istio_requests_total, source_workload)", several=False)
    )
    for panel in _numbers():
        board = board.with_panel(panel)
    board = board.with_row(panels.row("In"))
    for panel in _incoming():
        board = board.with_panel(panel)
    board = board.with_row(panels.row("Out"))
    for panel in _outgoing():
        board = board.with_panel(panel)
    return board


def _numbers() -> tuple[object, ...]:
    good = ((None, RED), (0.95, YELLOW), (0.999, GREEN))
    return (
        panels.number("In", "How often is it asked?", zero(requests(IN)), PER_SECOND),
        panels.number("Success in", "What does it answer?", success(IN), SHARE, levels=good),
        panels.number("Out", "How often does it ask others?", zero(requests(OUT)), PER_SECOND),
        panels.number("Success out", "What do others answer?", success(OUT), SHARE, levels=good),
        panels.number("p99 in", "How slow is it?", quantile(0.99, IN), MILLISECONDS),
        panels.number("p99 out", "How slow are those it asks?", quantile(0.99, OUT), MILLISECONDS),
    )


def _incoming() -> tuple[object, ...]:
    return (
        panels.lines(
            "Requests by caller",
            "Who asks?",
            Query(requests(IN, "source_workload"), "{{source_workload}}"),
            unit=PER_SECOND,
        ),
        panels.lines(
            "Answers by code",
            "What does it answer?",
            Query(requests(IN, "response_code"), "{{response_code}}"),
            unit=PER_SECOND,
        ),
        panels.lines(
            "Latency",
            "How long do its answers take?",
            Query(quantile(0.5, IN), "p50"),
            Query(quantile(0.9, IN), "p90"),
            Query(quantile(0.99, IN), "p99"),
            unit=MILLISECONDS,
        ),
    )


def _outgoing() -> tuple[object, ...]:
    pod = 'pod="$workload", envoy_cluster_name=~"outbound.*"'
    active = service_of(f"envoy_cluster_upstream_rq_active{{{pod}}}")
    waiting = service_of(f"envoy_cluster_upstream_rq_pending_active{{{pod}}}")
    return (
        panels.lines("Requests by service", "Whom does it ask?", Query(requests(OUT, TO), NAMED), unit=PER_SECOND),
        panels.lines("Success by service", "Who fails it?", Query(success(OUT, TO), NAMED), unit=SHARE),
        panels.lines(
            "p99 by service", "Who keeps it waiting?", Query(quantile(0.99, OUT, TO), NAMED), unit=MILLISECONDS
        ),
        panels.lines(
            "In flight",
            "How much is on its way, and how much waits for a connection?",
            Query(f"sum by (service) ({active})", "{{service}} in flight"),
            Query(f"sum by (service) ({waiting})", "{{service}} waiting"),
            unit=COUNT,
        ),
    )
