from __future__ import annotations

from prometheus_client import CollectorRegistry

from control_plane.metrics import ControlMetrics
from control_plane.sources.source import Action, Commit, Event
from control_plane.world import Instance, World
from mesh.errors import Problem
from tests.unit.control_plane.samples import key, resources, route


def test_everything_is_counted_under_istio_s_names() -> None:
    metrics = ControlMetrics(CollectorRegistry(), "1.0")
    problems = [Problem("broken")]
    metrics.watch_problems(lambda: problems)
    metrics.changed(Commit(1, (Event(1, 0.0, Action.CREATED, key(route()), route(), 0.0),)))
    metrics.endpoints_changed()
    metrics.debounced(0.1)
    instances = {"a": (Instance("10.0.0.1", {80: 80}), Instance("10.0.0.2", {80: 80}, healthy=False))}
    metrics.published(World(resources={"VirtualService": tuple(resources(route()))}, instances=instances), 0.02)
    metrics.converged(0.3)
    metrics.queued(0.2)
    metrics.expired("cds")
    metrics.sent("eds", 20_000, 0.3, 0.02)
    metrics.accepted(["VirtualService", "VirtualService"])
    metrics.refused(3)
    text = metrics.exposition().decode()
    for line in (
        'pilot_k8s_cfg_events{event="add",type="VirtualService"} 1.0',
        'pilot_inbound_updates{type="config"} 1.0',
        'pilot_inbound_updates{type="eds"} 1.0',
        'pilot_push_triggers{type="config"} 1.0',
        'pilot_push_triggers{type="endpoint"} 1.0',
        'pilot_debounce_time_bucket{le="0.1"} 1.0',
        'pilot_proxy_convergence_time_bucket{le="0.5"} 1.0',
        'pilot_xds_send_time_bucket{le="0.1"} 1.0',
        'pilot_proxy_queue_time_bucket{le="0.1"} 0.0',
        'pilot_proxy_queue_time_bucket{le="0.5"} 1.0',
        'pilot_xds_expired_nonce{type="cds"} 1.0',
        'pilot_xds_push_time_bucket{le="0.1",type="eds"} 0.0',
        'pilot_xds_push_time_bucket{le="1.0",type="eds"} 1.0',
        'pilot_xds_config_size_bytes_bucket{le="10000.0",type="eds"} 0.0',
        'pilot_xds_config_size_bytes_bucket{le="1e+06",type="eds"} 1.0',
        'pilot_pushcontext_init_seconds_bucket{le="0.1"} 1.0',
        "pilot_virt_services 1.0",
        'mesh_workloads{health="healthy"} 1.0',
        'mesh_workloads{health="unhealthy"} 1.0',
        "mesh_config_problems 1.0",
        'galley_validation_passed{resource="VirtualService"} 2.0',
        'galley_validation_failed{reason="invalid_resource"} 3.0',
        'pilot_info{version="1.0"} 1.0',
    ):
        assert f"\n{line}\n" in text, line


def test_what_has_not_happened_yet_is_there_as_zero() -> None:
    """So that a rate sees the first event."""
    text = ControlMetrics(CollectorRegistry(), "1.0").exposition().decode()
    for line in (
        *(f'{name}{{type="{kind}"}} 0.0' for kind in ("cds", "eds", "lds", "rds", "vhds") for name in PER_TYPE),
        'pilot_push_triggers{type="config"} 0.0',
        'pilot_inbound_updates{type="eds"} 0.0',
        *(f"pilot_{name}_count 0.0" for name in ("debounce_time", "proxy_convergence_time", "proxy_queue_time")),
        *(f"pilot_{name}_count 0.0" for name in ("xds_send_time", "pushcontext_init_seconds")),
        *(f"pilot_{name} 0.0" for name in ("services", "virt_services", "destrule_subsets", "eds_no_instances")),
        "pilot_total_xds_internal_errors 0.0",
        'galley_validation_failed{reason="invalid_resource"} 0.0',
        'pilot_xds{version="1.0"} 0.0',
        'istio_build{component="pilot",tag="1.0"} 1.0',
    ):
        assert f"\n{line}\n" in text, line


PER_TYPE = (
    "pilot_xds_pushes",
    "pilot_total_xds_rejects",
    "pilot_xds_expired_nonce",
    "pilot_xds_push_time_count",
    "pilot_xds_config_size_bytes_count",
)


def test_a_trigger_counts_once_a_push() -> None:
    metrics = ControlMetrics(CollectorRegistry(), "1.0")
    for _ in range(5):
        metrics.endpoints_changed()
    metrics.debounced(0.1)
    metrics.endpoints_changed()
    metrics.debounced(0.1)
    text = metrics.exposition().decode()
    assert 'pilot_inbound_updates{type="eds"} 6.0' in text
    assert 'pilot_push_triggers{type="endpoint"} 2.0' in text


def test_the_split_of_each_route_is_told() -> None:
    metrics = ControlMetrics(CollectorRegistry(), "1.0")
    metrics.published(World(resources={"VirtualService": tuple(resources(route()))}), 0.0)
    text = metrics.exposition().decode()
    shares = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("mesh_route_weight{")]
    assert shares and sum(shares) == 1
