"""A MeshConfig document, as it reaches what proxies are sent: each field changes something, or is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from control_plane.translate import Resources, build
from control_plane.translate.cluster_policy import HTTP_OPTIONS
from mesh.errors import ConfigError
from mesh.istio.load import load
from mesh.istio.mesh_config import MeshConfig
from mesh.istio.refused import REFUSED
from mesh.xds import CLUSTER, LISTENER, ROUTE
from tests.simulation.validation import assert_envoy_accepts
from tests.simulation.worlds import service, sidecar, world

REVIEWS = "outbound|9080||reviews.default.svc.cluster.local"
RULE = (
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: ratings}\nspec: {hosts: [ratings], "
    "http: [{match: [{uri: {exact: /own}}], retries: {attempts: 5}, route: [{destination: {host: ratings}}]}, "
    "{route: [{destination: {host: ratings}}]}]}\n"
)


def document(spec: str, name: str = "mesh") -> str:
    return f"apiVersion: mesh.asyncmesh.io/v1alpha1\nkind: MeshConfig\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"


def made(*specs: str) -> Resources:
    texts = [document(spec, f"mesh-{number}") for number, spec in enumerate(specs)]
    return build(world(service("reviews"), service("ratings"), yaml="---\n".join([RULE, *texts])), sidecar("reviews"))


def manager(built: Resources) -> Any:
    found = HttpConnectionManager()
    assert built[LISTENER]["virtualOutbound"].filter_chains[0].filters[0].typed_config.Unpack(found)
    return found


def retries(built: Resources) -> dict[str, int]:
    """By path and host, how often a request is tried again."""
    hosts = {host.name.partition(".")[0]: host.routes for host in built[ROUTE]["http_proxy"].virtual_hosts}
    return {
        f"{name}{route.match.path or '/'}": route.route.retry_policy.num_retries.value
        for name in ("reviews", "ratings")
        for route in hosts[name]
        if not route.match.HasField("connect_matcher")
    }


def test_access_logs() -> None:
    assert len(manager(made("")).access_log) == 1
    assert len(manager(made("accessLogFile: ''")).access_log) == 0
    (log,) = manager(made("accessLogFile: /tmp/log, accessLogEncoding: JSON")).access_log
    assert b"/tmp/log" in log.typed_config.value
    (log,) = manager(made('accessLogFormat: "%RESPONSE_CODE% only"')).access_log
    assert b"%RESPONSE_CODE% only" in log.typed_config.value


def test_tracing() -> None:
    assert manager(made("defaultConfig: {tracing: {sampling: 12.5}}")).tracing.random_sampling.value == 12.5
    assert not manager(made("enableTracing: false")).HasField("tracing")


def test_hosts_that_nobody_declared() -> None:
    def allowed(built: Resources) -> bool:
        names = [host.name for host in built[ROUTE]["http_proxy"].virtual_hosts]
        return "allow_any" in names

    assert allowed(made(""))
    assert not allowed(made("outboundTrafficPolicy: {mode: REGISTRY_ONLY}"))


def test_connections() -> None:
    cluster = made("connectTimeout: 1.5s, tcpKeepalive: {probes: 3, time: 60s, interval: 5s}")[CLUSTER][REVIEWS]
    assert (cluster.connect_timeout.seconds, cluster.connect_timeout.nanos) == (1, 500_000_000)
    keepalive = cluster.upstream_connection_options.tcp_keepalive
    assert (keepalive.keepalive_probes.value, keepalive.keepalive_time.value, keepalive.keepalive_interval.value) == (
        3,
        60,
        5,
    )
    assert not made("")[CLUSTER][REVIEWS].HasField("upstream_connection_options")
    assert not made("tcpKeepalive: {probes: 3}")[CLUSTER]["inbound|9080||"].HasField("upstream_connection_options")


def test_http2_between_proxies() -> None:
    def speaks_http2(built: Resources, name: str) -> bool:
        packed = built[CLUSTER][name].typed_extension_protocol_options.get(HTTP_OPTIONS)
        options = HttpProtocolOptions()
        return (
            packed is not None
            and packed.Unpack(options)
            and options.explicit_http_config.HasField("http2_protocol_options")
        )

    upgraded = made("h2UpgradePolicy: UPGRADE")
    assert speaks_http2(upgraded, REVIEWS)
    assert not speaks_http2(upgraded, "inbound|9080||")  # the app is not asked
    assert not speaks_http2(made("h2UpgradePolicy: DO_NOT_UPGRADE"), REVIEWS)


def test_retries_of_rules_that_say_nothing() -> None:
    assert retries(made("")) == {"reviews/": 2, "ratings/own": 5, "ratings/": 2}
    assert retries(made("defaultHttpRetryPolicy: {attempts: 4}")) == {"reviews/": 4, "ratings/own": 5, "ratings/": 4}
    none = made("defaultHttpRetryPolicy: {attempts: 0}")
    assert retries(none) == {"reviews/": 0, "ratings/own": 5, "ratings/": 0}


def test_the_oldest_holds() -> None:
    assert len(manager(made("enableTracing: true", "accessLogFile: ''")).access_log) == 1


def test_envoy_takes_it(tmp_path: Path) -> None:
    everything = (
        "accessLogFile: /dev/stdout, accessLogEncoding: JSON, enableTracing: true, defaultConfig: {tracing: {sampling: 1}, "
        "holdApplicationUntilProxyStarts: true}, outboundTrafficPolicy: {mode: REGISTRY_ONLY}, connectTimeout: 3s, "
        "tcpKeepalive: {time: 60s}, h2UpgradePolicy: UPGRADE, defaultHttpRetryPolicy: {attempts: 1, retryOn: 5xx}"
    )
    assert_envoy_accepts(made(everything), tmp_path)


@pytest.mark.parametrize("field", REFUSED["MeshConfig"])
def test_every_other_field_is_refused_by_name(field: str) -> None:
    assert field not in MeshConfig.field_names()
    with pytest.raises(ConfigError, match=f"spec.{field}: known to Istio, not implemented yet"):
        load(document(f"{field}: {{}}"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("accessLogEncoding: XML", "spec.accessLogEncoding: must be one of TEXT, JSON"),
        ("connectTimeout: 0s", "spec.connectTimeout: must be at least 1ms"),
        ("defaultConfig: {tracing: {sampling: 101}}", "spec.defaultConfig.tracing.sampling: must be at most 100"),
        ("defaultConfig: {holdApplicationUntilProxyStarts: false}", "an app is always held"),
        ("defaultConfig: {concurrency: 2}", "spec.defaultConfig.concurrency: known to Istio"),
        ("accessLogfile: x", 'unknown field; did you mean "accessLogFile"'),
    ],
)
def test_what_is_wrong_is_said(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(document(spec))
