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
