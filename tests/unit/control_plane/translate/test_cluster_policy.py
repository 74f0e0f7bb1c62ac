from typing import Any

import yaml
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from control_plane.translate.cluster_policy import (
    HTTP_OPTIONS,
    UNLIMITED,
    Reuse,
    Spoken,
    apply_policy,
    set_http_options,
)
from control_plane.translate.policy import port_policy
from control_plane.translate.viewer import Audience
from control_plane.world import MeshConfig
from mesh.istio.destination_rule import TrafficPolicy


def cluster(text: str = "", audience: Audience = Audience.EXPLICIT, kind: int = Cluster.EDS) -> Any:
    """A cluster with a traffic policy."""
    policy = TrafficPolicy.model_validate(yaml.safe_load(text)) if text else None
    made = Cluster(type=kind)
    apply_policy(made, port_policy(policy, 80), MeshConfig(), audience)
    return made


def limits(made: Any) -> list[int]:
    (found,) = made.circuit_breakers.thresholds
    fields = (found.max_connections, found.max_pending_requests, found.max_requests, found.max_retries)
    return [field.value for field in fields]


def options(made: Any) -> Any:
    unpacked = HttpProtocolOptions()
    made.typed_extension_protocol_options[HTTP_OPTIONS].Unpack(unpacked)
    return unpacked


def test_istios_defaults() -> None:
    made = cluster()
    assert made.lb_policy == Cluster.LEAST_REQUEST
    assert made.connect_timeout.seconds == 10
    assert limits(made) == [UNLIMITED] * 4
    assert made.common_lb_config.HasField("healthy_panic_threshold")
    assert made.common_lb_config.healthy_panic_threshold.value == 0
    assert not made.HasField("outlier_detection")
    assert not made.typed_extension_protocol_options


def test_balancing() -> None:
    for word, expected in (
        ("ROUND_ROBIN", Cluster.ROUND_ROBIN),
        ("RANDOM", Cluster.RANDOM),
        ("LEAST_CONN", Cluster.LEAST_REQUEST),
        ("UNSPECIFIED", Cluster.LEAST_REQUEST),
    ):
        assert cluster(f"loadBalancer: {{simple: {word}}}").lb_policy == expected
    assert cluster("loadBalancer: {simple: RANDOM}", kind=Cluster.ORIGINAL_DST).lb_policy == Cluster.CLUSTER_PROVIDED


def hashing(text: str, audience: Audience = Audience.EXPLICIT) -> Any:
    return cluster(f"loadBalancer: {{consistentHash: {{{text}}}}}", audience)


def test_consistent_hashing() -> None:
    for text, size in (
        ("", 1024),
        ("minimumRingSize: 7", 7),
        ("ringHash: {minimumRingSize: 9}", 9),
        ("ringHash: {}", 1024),
    ):
        made = hashing(text)
        assert (made.lb_policy, made.ring_hash_lb_config.minimum_ring_size.value) == (Cluster.RING_HASH, size)
    made = hashing("maglev: {tableSize: 101}")
    assert (made.lb_policy, made.maglev_lb_config.table_size.value) == (Cluster.MAGLEV, 101)
    assert (
        cluster("loadBalancer: {consistentHash: {}}", kind=Cluster.ORIGINAL_DST).lb_policy == Cluster.CLUSTER_PROVIDED
    )


def test_grpc_hashes_by_a_ring() -> None:
    for text in ("maglev: {tableSize: 101}", "ringHash: {}"):
        first, _ = hashing(text, Audience.GRPC).load_balancing_policy.policies
        assert first.typed_extension_config.typed_config.type_url.endswith("ring_hash.v3.RingHash")


def test_grpc_gets_a_list_to_choose_from() -> None:
    def offered(text: str) -> list[str]:
        made = cluster(text, Audience.GRPC)
        assert made.lb_policy == Cluster.ROUND_ROBIN  # not set: it rejects the other one
        return [p.typed_extension_config.name.rpartition(".")[2] for p in made.load_balancing_policy.policies]

    assert offered("") == ["least_request", "round_robin"]
    assert offered("loadBalancer: {simple: RANDOM}") == ["round_robin"]


def test_the_connection_pool() -> None:
    made = cluster("""
        connectionPool:
          tcp: {maxConnections: 1, connectTimeout: 250ms}
          http:
            {http1MaxPendingRequests: 2, http2MaxRequests: 3, maxRetries: 4, maxRequestsPerConnection: 5, idleTimeout: 6s}
    """)
    assert limits(made) == [1, 2, 3, 4]
    assert made.connect_timeout.nanos == 250_000_000
    common = options(made).common_http_protocol_options
    assert (common.max_requests_per_connection.value, common.idle_timeout.seconds) == (5, 6)
    assert options(made).explicit_http_config.HasField("http_protocol_options")


def test_zero_means_the_default() -> None:
    assert limits(cluster("connectionPool: {tcp: {maxConnections: 0}, http: {maxRetries: 0}}")) == [UNLIMITED] * 4


def test_http_options_are_there_when_something_is_said() -> None:
    made = Cluster()
    set_http_options(made, Spoken.HTTP1)
    assert not made.typed_extension_protocol_options
    set_http_options(made, Spoken.HTTP1, Reuse(idle_timeout=0.0))
    assert options(made).common_http_protocol_options.HasField("idle_timeout")


def test_ejection_is_there_when_it_is_asked_for() -> None:
    out = cluster("outlierDetection: {}").outlier_detection
    assert out.enforcing_success_rate.value == 0
    assert [name.name for name, _ in out.ListFields()] == ["enforcing_success_rate"]


def test_ejection() -> None:
    made = cluster("""
        outlierDetection:
          {consecutive5xxErrors: 0, consecutiveGatewayErrors: 3, interval: 1s, baseEjectionTime: 2s,
           maxEjectionPercent: 50, minHealthPercent: 20, splitExternalLocalOriginErrors: true,
           consecutiveLocalOriginFailures: 4}
    """)
    out = made.outlier_detection
    assert (out.consecutive_5xx.value, out.enforcing_consecutive_5xx.value) == (0, 0)
    assert (out.consecutive_gateway_failure.value, out.enforcing_consecutive_gateway_failure.value) == (3, 100)
    assert (out.interval.seconds, out.base_ejection_time.seconds, out.max_ejection_percent.value) == (1, 2, 50)
    assert out.split_external_local_origin_errors
    local = (out.consecutive_local_origin_failure.value, out.enforcing_consecutive_local_origin_failure.value)
    assert local == (4, 100)
    assert made.common_lb_config.healthy_panic_threshold.value == 20
