"""The whole mesh: is it well, and where is it not?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from examples.grafana.boards import panels
from examples.grafana.boards.panels import GREEN, MILLISECONDS, PER_SECOND, RED, SHARE, YELLOW, Query
from examples.grafana.boards.queries import DURATION, quantile, requests, service_of, success, zero

SERVICE = 'reporter="source", destination_service_name=~"$service"'
SERVER = 'reporter="destination", destination_service_name=~"$service"'
NAME = "destination_service_name"
NAMED = "{{destination_service_name}}"
WORKLOAD = ("destination_workload", NAME, "destination_version")


def build() -> Dashboard:
    board = panels.board("mesh-overview", "Mesh", "The mesh as its proxies and its control plane measure it.")
    board = board.with_variable(
        panels.variable("service", "Service", "label_values(istio_requests_total, destination_service_name)")
    )
    for panel in (*_numbers(), *_services(), *_versions(), *_resilience()):
        board = board.with_row(panel) if isinstance(panel, type(panels.row(""))) else board.with_panel(panel)
    return board


def _numbers() -> tuple[object, ...]:
    bad = f'{SERVICE}, response_code=~"5.."'
    ejected = service_of('envoy_cluster_outlier_detection_ejections_active{envoy_cluster_name=~"outbound.*"}')
    return (
        panels.number("Requests", "How much traffic is there?", zero(requests(SERVICE)), PER_SECOND),
        panels.number(
            "Success",
            "Which share of requests gets an answer that is no server error?",
            success(SERVICE),
            SHARE,
            levels=((None, RED), (0.95, YELLOW), (0.999, GREEN)),
        ),
        panels.number(
            "5xx",
            "How many requests fail?",
            zero(requests(bad)),
            PER_SECOND,
            levels=((None, GREEN), (0.001, YELLOW), (1, RED)),
        ),
        panels.number("p99", "How slow are the slowest?", quantile(0.99, SERVICE), MILLISECONDS),
        panels.number("Proxies", "How many proxies are connected to the control plane?", "sum(pilot_xds)"),
        panels.number(
            "Ejected",
            "How many endpoints does some proxy not use at present?",
            zero(f"sum(max by (service) ({ejected}))"),
            levels=((None, GREEN), (1, RED)),
        ),
    )


def _services() -> tuple[object, ...]:
    bad = f'{SERVICE}, response_code=~"5..|0"'
    return (
        panels.row("Services"),
        panels.lines(
            "Requests",
            "Which services are asked how often?",
            Query(requests(SERVICE, NAME), NAMED),
            unit=PER_SECOND,
        ),
        panels.lines("Success", "Which services fail?", Query(success(SERVICE, NAME), NAMED), unit=SHARE),
        panels.lines(
            "Latency",
            "Which services are slow, for half of their callers and for the slowest one in a hundred?",
            Query(quantile(0.5, SERVICE, NAME), f"{NAMED} p50"),
            Query(quantile(0.99, SERVICE, NAME), f"{NAMED} p99"),
            unit=MILLISECONDS,
        ),
        panels.lines(
            "Errors by code and flag",
            "How do requests fail, and did the service say so or a proxy?",
            Query(
                requests(bad, NAME, "response_code", "response_flags"),
                f"{NAMED} {{{{response_code}}}} {{{{response_flags}}}}",
            ),
            unit=PER_SECOND,
        ),
    )


def _versions() -> tuple[object, ...]:
    known = f'{SERVICE}, destination_version!="unknown"'
    share = f"{requests(known, NAME, 'destination_version')} / on ({NAME}) group_left () ({requests(known, NAME)} > 0)"
    return (
        panels.row("Versions and workloads"),
        panels.lines(
            "Split",
            "How is traffic shared between versions?",
            Query(share, f"{NAMED} {{{{destination_version}}}}"),
            unit=SHARE,
        ),
        panels.lines(
            "p90 by version",
            "Is one version slower than the other?",
            Query(quantile(0.9, SERVICE, NAME, "destination_version"), f"{NAMED} {{{{destination_version}}}}"),
            unit=MILLISECONDS,
        ),
        panels.rows(
            "Workloads",
            "Which workload does how much, how well and how fast?",
            {
                "requests": (Query(requests(SERVER, *WORKLOAD)), PER_SECOND),
                "success": (Query(success(SERVER, *WORKLOAD)), SHARE),
                "p50": (Query(quantile(0.5, SERVER, *WORKLOAD, metric=DURATION)), MILLISECONDS),
                "p99": (Query(quantile(0.99, SERVER, *WORKLOAD, metric=DURATION)), MILLISECONDS),
            },
            WORKLOAD,
        ),
    )


def _resilience() -> tuple[object, ...]:
    outbound = 'envoy_cluster_name=~"outbound.*"'

    def of(stat: str) -> str:
        return zero(f"sum(rate(envoy_cluster_{stat}{{{outbound}}}[$__rate_interval]))")

    return (
        panels.row("When things fail"),
        panels.lines(
            "Retries and refusals",
            "Do retries help, and what do limits and connections turn away?",
            Query(of("upstream_rq_retry"), "retries"),
            Query(of("upstream_rq_retry_success"), "retries that helped"),
            Query(of("upstream_rq_pending_overflow"), "refused: too much at once"),
            Query(of("upstream_cx_connect_fail"), "connections that failed"),
            unit=PER_SECOND,
        ),
        panels.lines(
            "Faults injected",
            "Which failures did we cause ourselves?",
            Query(zero("sum(rate(envoy_http_fault_aborts_injected[$__rate_interval]))"), "aborts"),
            Query(zero("sum(rate(envoy_http_fault_delays_injected[$__rate_interval]))"), "delays"),
            unit=PER_SECOND,
        ),
    )
