"""What was sent to each cluster, from metrics."""

from __future__ import annotations

from mesh.observe.exposition import parse
from mesh.observe.split_counts import RETRY, TOTAL, Counts, add

TEXT = """\
envoy_cluster_upstream_rq_total{envoy_cluster_name="outbound|9080|v1|reviews"} %d
envoy_cluster_upstream_rq_retry{envoy_cluster_name="outbound|9080|v1|reviews"} 2
istio_requests_total{reporter="destination", source_workload="unknown", destination_service="reviews"} 7
istio_requests_total{reporter="destination", source_workload="unknown", destination_service="reviews", response_code="500"} 1
istio_requests_total{reporter="destination", source_workload="productpage", destination_service="reviews"} 99
istio_requests_total{reporter="source", source_workload="unknown", destination_service="reviews"} 99
"""
CLUSTER = "outbound|9080|v1|reviews"


def counted(total: int) -> Counts:
    found = Counts()
    add(found, "productpage", parse(TEXT % total, {}).samples)
    return found


def test_what_a_proxy_says() -> None:
    found = counted(10)
    assert found.sent == {("productpage", TOTAL, CLUSTER): 10.0, ("productpage", RETRY, CLUSTER): 2.0}
    assert found.strangers == {"reviews": 8.0}


def test_since_then() -> None:
    assert counted(15).since(counted(10)).sent["productpage", TOTAL, CLUSTER] == 5.0
    assert counted(15).since(Counts()).sent["productpage", TOTAL, CLUSTER] == 15.0


def test_a_proxy_that_began_anew() -> None:
    assert counted(3).since(counted(10)).sent["productpage", TOTAL, CLUSTER] == 3.0
