"""The control plane: does a change arrive, how fast, and at what cost?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from examples.grafana.boards import panels
from examples.grafana.boards.panels import BYTES, COUNT, EVENTS_PER_SECOND, GREEN, RED, SECONDS, SHARE, Query
from examples.grafana.boards.queries import WINDOW, zero

JOB = 'job="istiod"'


def build() -> Dashboard:
    board = panels.board("mesh-control-plane", "Control plane", "Configuration on its way to the proxies.")
    for panel in _numbers():
        board = board.with_panel(panel)
    board = board.with_row(panels.row("Configuration"))
    for panel in _configuration():
        board = board.with_panel(panel)
    board = board.with_row(panels.row("Cost"))
    for panel in _cost():
        board = board.with_panel(panel)
    return board


def _numbers() -> tuple[object, ...]:
    alarm = ((None, GREEN), (1, RED))
    return (
        panels.number("Up", "Is it there?", f"sum(up{{{JOB}}})", levels=((None, RED), (1, GREEN))),
        panels.number("Proxies", "How many proxies are connected?", "sum(pilot_xds)"),
        panels.number("Services", "How many services does it know?", "sum(pilot_services)"),
        panels.number(
            "Unhealthy endpoints",
            "How many endpoints are not used?",
            zero('sum(mesh_workloads{health="unhealthy"})'),
            levels=alarm,
        ),
        panels.number(
            "Rejected",
            "Did a proxy refuse configuration?",
            zero(f"sum(increase(pilot_total_xds_rejects[{WINDOW}]))"),
            levels=alarm,
        ),
        panels.number(
            "Not in effect", "Which stored configuration has problems?", "sum(mesh_config_problems)", levels=alarm
        ),
    )


def _configuration() -> tuple[object, ...]:
    def quantile(q: float, metric: str) -> str:
        return f"histogram_quantile({q:g}, sum by (le) (increase({metric}_bucket[$__range])))"

    return (
        panels.lines(
            "Pushes",
            "What is sent to proxies, and what do they refuse?",
            Query(f"sum by (type) (rate(pilot_xds_pushes[{WINDOW}]))", "{{type}}"),
            Query(zero(f"sum(rate(pilot_total_xds_rejects[{WINDOW}]))"), "rejected"),
            unit=EVENTS_PER_SECOND,
        ),
        panels.lines(
            "Convergence",
            "How long until all proxies have a change?",
            Query(quantile(0.5, "pilot_proxy_convergence_time"), "p50"),
            Query(quantile(0.99, "pilot_proxy_convergence_time"), "p99"),
            unit=SECONDS,
        ),
        panels.lines(
            "Why it pushed",
            "What makes it push: configuration or endpoints?",
            Query(f"sum by (type) (rate(pilot_push_triggers[{WINDOW}]))", "{{type}}"),
            unit=EVENTS_PER_SECOND,
        ),
        panels.lines(
            "Changes",
            "Which kinds were changed?",
            Query(f"sum by (type, event) (increase(pilot_k8s_cfg_events[{WINDOW}]))", "{{type}} {{event}}"),
            unit=COUNT,
        ),
    )


def _cost() -> tuple[object, ...]:
    spent, made = (f"rate(pilot_pushcontext_init_seconds_{what}[{WINDOW}])" for what in ("sum", "count"))
    return (
        panels.lines(
            "CPU",
            "Which share of a core does it use?",
            Query(f"sum(rate(process_cpu_seconds_total{{{JOB}}}[{WINDOW}]))", "control plane"),
            unit=SHARE,
        ),
        panels.lines(
            "Memory",
            "How much memory does it use?",
            Query(f"sum(process_resident_memory_bytes{{{JOB}}})", "resident"),
            unit=BYTES,
        ),
        panels.lines(
            "Making a world",
            "What does it cost to take a change in?",
            Query(zero(f"{spent} / ({made} > 0)"), "mean"),
            unit=SECONDS,
        ),
        panels.lines(
            "Open files", "Does it leak descriptors?", Query(f"sum(process_open_fds{{{JOB}}})", "open"), unit=COUNT
        ),
    )
