"""What Istio's own boards (mesh, service, workload, control plane, performance) ask of Prometheus, put together from what
their panels have in common: a metric, whose view it is, and by which labels it is shown.
(https://istio.io/latest/docs/ops/integrations/grafana/)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

QUANTILES: Final = ("0.50", "0.90", "0.95", "0.99")
HISTOGRAMS: Final = ("istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes")
MUTUAL, OTHER = 'connection_security_policy="mutual_tls"', 'connection_security_policy!="mutual_tls"'
# Title → whose requests (for HTTP and for TCP), and by what they are shown.
VIEWS: Final = {
    "service, by client": (
        'reporter="source",destination_service="$service"',
        "source_workload,source_workload_namespace",
    ),
    "service, by server": (
        'reporter="destination",destination_service="$service"',
        "destination_workload,destination_workload_namespace",
    ),
    "workload, in": (
        'reporter="destination",destination_workload="$workload",destination_workload_namespace="default"',
        "source_workload,source_workload_namespace",
    ),
    "workload, out": (
        'reporter="source",source_workload="$caller",source_workload_namespace="default"',
        "destination_service",
    ),
}
HTTP: Final = {"$service": "reviews.default.svc.cluster.local", "$workload": "reviews-v1", "$caller": "productpage-v1"}
TCP: Final = {"$service": "db.default.svc.cluster.local", "$workload": "db-v1", "$caller": "istio-ingressgateway"}

CONTROL_PLANE: Final = (
    'sum by (tag) (istio_build{component="pilot"})',
    "sum by (component,tag) (istio_build)",
    "sum by (type) (irate(pilot_xds_pushes[1m]))",
    "sum by (type,event) (rate(pilot_k8s_reg_events[1m]))",
    "sum by (type,event) (rate(pilot_k8s_cfg_events[1m]))",
    "sum by (type) (rate(pilot_push_triggers[1m]))",
    "sum(pilot_xds)",
    "sum by (type) (pilot_total_xds_rejects)",
    "pilot_total_xds_internal_errors",
    "sum by (le) (rate(pilot_xds_push_time_bucket[1m]))",
    "sum by (le) (rate(pilot_xds_config_size_bytes_bucket[1m]))",
    "sum(rate(galley_validation_passed[1m]))",
    "sum(rate(galley_validation_failed[1m]))",
    'process_virtual_memory_bytes{app="istiod"}',
    'process_resident_memory_bytes{app="istiod"}',
    'irate(process_cpu_seconds_total{app="istiod"}[1m])',
    'process_open_fds{app="istiod"}',
    'sum(irate(istio_response_bytes_sum{source_workload="istio-ingressgateway",reporter="source"}[1m]))',
    'sum(irate(istio_request_bytes_sum{source_workload_namespace!="istio-system",reporter="source"}[1m]))',
    'sum(envoy_cluster_upstream_cx_active{cluster_name="xds-grpc"})',
    "sum(rate(sidecar_injection_success_total[1m]))",
    "sum(rate(sidecar_injection_failure_total[1m]))",
    'go_goroutines{app="istiod"}',
    *(
        f'go_memstats_{name}{{app="istiod"}}'
        for name in ("alloc_bytes", "heap_alloc_bytes", "heap_inuse_bytes", "heap_sys_bytes", "stack_inuse_bytes")
    ),
    'rate(go_memstats_alloc_bytes_total{app="istiod"}[1m])',
    'rate(go_memstats_mallocs_total{app="istiod"}[1m])',
    'sum(container_memory_working_set_bytes{container="istio-proxy"})',
    'sum(rate(container_cpu_usage_seconds_total{container="istio-proxy"}[1m]))',
    'sum(container_fs_usage_bytes{container="istio-proxy"})',
)

# What cannot be answered here, by what a query has in it.
NOT_HERE: Final = {
    re.escape(MUTUAL): "traffic between sidecars is plain text: there is no mTLS to tell of",
    r"\bgo_": "the Go runtime: this control plane is Python",
    r"\bcontainer_": "cAdvisor's, from Kubernetes' nodes",
    r"\bsidecar_injection_": "the injection webhook of Kubernetes: `mesh compose inject` is a command",
    r"xds-grpc": "the ADS stream is not one of the proxy's clusters: envoy_control_plane_connected_state tells",
}


def questions() -> Iterator[tuple[str, str]]:
    """Title and query, `$` filled in."""
    for view, (whose, by) in VIEWS.items():
        for policy in (MUTUAL, OTHER):
            title = f"{view}, mTLS" if policy == MUTUAL else view
            http, tcp = (_filled(f"{whose},{policy}", names) for names in (HTTP, TCP))
            yield f"{title}: requests", f"sum by ({by},response_code) (irate(istio_requests_total{{{http}}}[1m]))"
            good = f'sum by ({by}) (irate(istio_requests_total{{{http},response_code!~"5.*"}}[1m]))'
            yield f"{title}: success", f"{good} / sum by ({by}) (irate(istio_requests_total{{{http}}}[1m]))"
            for name in HISTOGRAMS:
                rate = f"sum by ({by},le) (irate({name}_bucket{{{http}}}[1m]))"
                yield from ((f"{title}: {name} {q}", f"histogram_quantile({q}, {rate})") for q in QUANTILES)
            for name in ("received", "sent"):
                yield f"{title}: TCP {name}", f"sum by ({by}) (irate(istio_tcp_{name}_bytes_total{{{tcp}}}[1m]))"
    by = "destination_workload,destination_workload_namespace"
    yield "mesh: volume", 'sum(rate(istio_requests_total{reporter=~"source|waypoint"}[1m]))'
    yield "mesh: 4xx", 'sum(rate(istio_requests_total{reporter="source",response_code=~"4.."}[1m])) or vector(0)'
    yield "mesh: 5xx", 'sum(rate(istio_requests_total{reporter="source",response_code=~"5.."}[1m])) or vector(0)'
    rate = f'sum by (le,{by}) (rate(istio_request_duration_milliseconds_bucket{{reporter="source"}}[1m]))'
    yield from ((f"mesh: {q}", f"histogram_quantile({q}, {rate})") for q in QUANTILES)
    for name in ("received", "sent"):
        yield f"mesh: TCP {name}", f'sum by ({by}) (rate(istio_tcp_{name}_bytes_total{{reporter="source"}}[1m]))'
    yield from ((f"control plane: {query}", query) for query in CONTROL_PLANE)


def reason(query: str) -> str:
    """Why a query has no answer here; "" for one that has to have one."""
    return next((why for pattern, why in NOT_HERE.items() if re.search(pattern, query)), "")


def _filled(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(name, value)
    return text
