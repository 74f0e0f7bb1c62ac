"""What the sidecars cost, and how they are."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from examples.grafana.boards import panels
from examples.grafana.boards.panels import BYTES, COUNT, EVENTS_PER_SECOND, MILLISECONDS, SECONDS, SHARE, Query
from examples.grafana.boards.queries import WINDOW, zero

HERE = 'job="envoy-stats", pod=~"$proxy"'
POD = "{{pod}}"
CONNECTING = "envoy_cluster_upstream_cx_connect_ms_bucket"


def build() -> Dashboard:
    board = panels.board("mesh-sidecar", "Sidecars", "What the proxies themselves use.")
    board = board.with_variable(panels.variable("proxy", "Proxy", "label_values(envoy_server_live, pod)"))
    for panel in _numbers():
        board = board.with_panel(panel)
    for panel in _courses():
        board = board.with_panel(panel)
    return board


def _numbers() -> tuple[object, ...]:
    cost = (
        f"sum(rate(process_cpu_seconds_total{{{HERE}}}[{WINDOW}])) / "
        f"(sum(rate(envoy_http_downstream_rq_total{{{HERE}}}[{WINDOW}])) > 0)"
    )
    return (
        panels.number("Live", "How many proxies serve?", f"sum(envoy_server_live{{{HERE}}})"),
        panels.number("CPU per request", "What does a request cost, in one proxy?", cost, SECONDS),
        panels.number(
            "Memory",
            "What does a proxy use, at the median?",
            f"quantile(0.5, process_resident_memory_bytes{{{HERE}}})",
            BYTES,
        ),
        panels.number(
            "Not connected",
            "How many proxies have lost the control plane?",
            zero(f"count(envoy_control_plane_connected_state{{{HERE}}} == 0)"),
            levels=((None, panels.GREEN), (1, panels.RED)),
        ),
        panels.number(
            "Refused updates",
            "Did a proxy refuse configuration, in the time shown?",
            zero(
                f"sum(increase(envoy_listener_manager_lds_update_rejected{{{HERE}}}[$__range])) + "
                f"sum(increase(envoy_cluster_manager_cds_update_rejected{{{HERE}}}[$__range]))"
            ),
            levels=((None, panels.GREEN), (1, panels.RED)),
        ),
        panels.number(
            "Series over the limit",
            "Were metrics of strangers folded together?",
            zero(f"sum(mesh_istio_series_overflow_total{{{HERE}}})"),
            levels=((None, panels.GREEN), (1, panels.YELLOW)),
        ),
    )


def _courses() -> tuple[object, ...]:
    return (
        panels.lines(
            "CPU",
            "Which share of a core does each proxy use?",
            Query(f"sum by (pod) (rate(process_cpu_seconds_total{{{HERE}}}[{WINDOW}]))", POD),
            unit=SHARE,
        ),
        panels.lines(
            "Memory by proxy",
            "Does one grow?",
            Query(f"sum by (pod) (process_resident_memory_bytes{{{HERE}}})", POD),
            unit=BYTES,
        ),
        panels.lines(
            "Connections",
            "How many connections are open, from clients and to hosts?",
            Query(f"sum by (pod) (envoy_http_downstream_cx_active{{{HERE}}})", f"{POD} from clients"),
            Query(f"sum by (pod) (envoy_cluster_upstream_cx_active{{{HERE}}})", f"{POD} to hosts"),
            unit=COUNT,
        ),
        panels.lines(
            "New connections",
            "Are connections reused?",
            Query(f"sum by (pod) (rate(envoy_cluster_upstream_cx_total{{{HERE}}}[{WINDOW}]))", POD),
            unit=EVENTS_PER_SECOND,
        ),
        panels.lines(
            "Open files",
            "Is one about to run out of descriptors?",
            Query(f"sum by (pod) (process_open_fds{{{HERE}}})", POD),
            unit=COUNT,
        ),
        panels.lines(
            "Connecting",
            "How long does it take to reach hosts?",
            Query(
                f"histogram_quantile(0.99, sum by (pod, le) (rate({CONNECTING}{{{HERE}}}[$__range])))",
                f"{POD} p99",
            ),
            unit=MILLISECONDS,
        ),
    )
