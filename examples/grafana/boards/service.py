"""One service: what its callers see, and what it sees itself."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from examples.grafana.boards import panels
from examples.grafana.boards.panels import (
    BYTES,
    BYTES_PER_SECOND,
    GREEN,
    MILLISECONDS,
    PER_SECOND,
    RED,
    SHARE,
    YELLOW,
    Query,
)
from examples.grafana.boards.queries import quantile, rate, requests, success, zero

THIS = 'destination_service_name="$service"'
CALLERS = f'reporter="source", {THIS}'
ITSELF = f'reporter="destination", {THIS}'
CALLER = "source_workload"
VERSION = "destination_version"


def build() -> Dashboard:
    board = panels.board("mesh-service", "Service", "One service as its callers and its own proxies measure it.")
    board = board.with_variable(
        panels.variable(
            "service", "Service", "label_values(istio_requests_total, destination_service_name)", several=False
        )
    )
    for panel in _numbers():
        board = board.with_panel(panel)
    board = board.with_row(panels.row("Who calls"))
    for panel in _callers():
        board = board.with_panel(panel)
    board = board.with_row(panels.row("What it does"))
    for panel in _itself():
        board = board.with_panel(panel)
    return board


def _numbers() -> tuple[object, ...]:
    good = ((None, RED), (0.95, YELLOW), (0.999, GREEN))
    return (
        panels.number("Requests", "How often is it asked?", zero(requests(CALLERS)), PER_SECOND),
        panels.number("Success for callers", "What do its callers get?", success(CALLERS), SHARE, levels=good),
        panels.number("Success at its door", "What does it answer?", success(ITSELF), SHARE, levels=good),
        panels.number("p50", "How long does a usual caller wait?", quantile(0.5, CALLERS), MILLISECONDS),
        panels.number("p99", "How long does an unlucky caller wait?", quantile(0.99, CALLERS), MILLISECONDS),
        panels.number(
            "On the way",
            "How much of the callers' wait is not the service itself?",
            f"{quantile(0.5, CALLERS)} - {quantile(0.5, ITSELF)}",
            MILLISECONDS,
        ),
    )


def _callers() -> tuple[object, ...]:
    return (
        panels.lines(
            "Requests by caller",
            "Who asks, and what comes back?",
            Query(requests(CALLERS, CALLER, "response_code"), "{{source_workload}} {{response_code}}"),
            unit=PER_SECOND,
        ),
        panels.lines(
            "Success by caller",
            "Does it fail for somebody in particular?",
            Query(success(CALLERS, CALLER), "{{source_workload}}"),
            unit=SHARE,
        ),
        panels.lines(
            "p99 by caller",
            "Is it slow for somebody in particular?",
            Query(quantile(0.99, CALLERS, CALLER), "{{source_workload}}"),
            unit=MILLISECONDS,
        ),
        panels.lines(
            "Response flags",
            "What did proxies do to requests on the way?",
            Query(
                requests(f'{CALLERS}, response_flags!="-"', "response_flags") + " or vector(0)", "{{response_flags}}"
            ),
            unit=PER_SECOND,
        ),
    )


def _itself() -> tuple[object, ...]:
    return (
        panels.lines(
            "Requests by version",
            "Which versions get the traffic?",
            Query(requests(ITSELF, VERSION), "{{destination_version}}"),
            unit=PER_SECOND,
        ),
        panels.lines(
            "Success by version",
            "Does one version fail?",
            Query(success(ITSELF, VERSION), "{{destination_version}}"),
            unit=SHARE,
        ),
        panels.lines(
            "Latency by version",
            "Is one version slow?",
            Query(quantile(0.5, ITSELF, VERSION), "{{destination_version}} p50"),
            Query(quantile(0.99, ITSELF, VERSION), "{{destination_version}} p99"),
            unit=MILLISECONDS,
        ),
        panels.lines(
            "Size",
            "How big are requests and responses?",
            Query(quantile(0.5, ITSELF, metric="istio_request_bytes_bucket"), "request p50"),
            Query(quantile(0.5, ITSELF, metric="istio_response_bytes_bucket"), "response p50"),
            unit=BYTES,
        ),
        panels.lines(
            "TCP",
            "What moves over connections that are not HTTP?",
            Query(zero(rate("istio_tcp_received_bytes_total", ITSELF)), "received"),
            Query(zero(rate("istio_tcp_sent_bytes_total", ITSELF)), "sent"),
            unit=BYTES_PER_SECOND,
        ),
    )
