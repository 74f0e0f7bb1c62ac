"""TCP proxies."""

from __future__ import annotations

from sidecar.config.model import (
    TcpProxy,
    WeightedCluster,
)
from tests.unit.sidecar.config.build import (
    TCP,
    listener_of,
    parts,
    problems,
)


def test_tcp_proxy() -> None:
    given = parts()
    given.chain["filters"] = [
        {
            "name": "tcp",
            "typed_config": {
                "@type": TCP,
                "stat_prefix": "t",
                "idle_timeout": "0s",
                "weighted_clusters": {"clusters": [{"name": "a", "weight": 3}, {"name": "b", "weight": 1}]},
            },
        }
    ]
    network = listener_of(given).chains[0].network
    assert network == TcpProxy("t", (WeightedCluster("a", 3), WeightedCluster("b", 1)), 0.0)
    given.chain["filters"][0]["typed_config"] = {"@type": TCP, "stat_prefix": "t", "cluster": "a"}
    assert listener_of(given).chains[0].network == TcpProxy("t", (WeightedCluster("a", 1),))


def test_attempts_duration_hash_and_logs() -> None:
    given = parts()
    given.chain["name"] = "chain"
    given.chain["filters"] = [
        {
            "name": "t",
            "typed_config": {
                "@type": TCP,
                "stat_prefix": "t",
                "cluster": "up",
                "max_connect_attempts": 3,
                "max_downstream_connection_duration": "9s",
                "hash_policy": [{"source_ip": {}}],
                "access_log_options": {"access_log_flush_interval": "2s", "flush_access_log_on_connected": True},
            },
        }
    ]
    proxy = listener_of(given).chains[0].network
    assert isinstance(proxy, TcpProxy)
    assert (proxy.max_connect_attempts, proxy.max_duration, proxy.hash_source_ip) == (3, 9.0, True)
    assert (proxy.log_interval, proxy.log_connects, proxy.filter_chain) == (2.0, True, "chain")
    given.chain["filters"][0]["typed_config"]["hash_policy"] = [{"filter_state": {"key": "k"}}]
    assert "filter_state: is not implemented" in problems(given)
