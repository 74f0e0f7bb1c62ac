"""CircuitBreaker resources, as they reach the clusters of clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from control_plane.translate import Resources, build
from mesh.istio.circuit_breaker import METADATA
from mesh.xds import CLUSTER
from tests.simulation.validation import assert_envoy_accepts
from tests.simulation.worlds import service, sidecar, world

ANNOTATED = (
    "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: reviews, annotations: "
    "{mesh.asyncmesh.io/circuit-breaker: '{failureRate: 10}'}}\n"
    "spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}\n"
)


def breaker(spec: str, name: str = "one", namespace: str = "default") -> str:
    head = "apiVersion: mesh.asyncmesh.io/v1alpha1\nkind: CircuitBreaker\n"
    return f"{head}metadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n"


def made(*documents: str, namespace: str = "default") -> Resources:
    text = "---\n".join(documents)
    return build(world(service("reviews"), service("ratings"), yaml=text), sidecar("ratings", namespace=namespace))


def told(built: Resources, host: str = "reviews", subset: str = "") -> dict[str, Any]:
    cluster = built[CLUSTER][f"outbound|9080|{subset}|{host}.default.svc.cluster.local"]
    return dict(MessageToDict(cluster.metadata)["filterMetadata"].get(METADATA, {}))


def test_every_field_reaches_clients_of_the_host_only() -> None:
    text = breaker(
        "host: reviews, failureRate: 50, consecutiveFailures: 5, slowCallRate: 80, slowCallDuration: 1s, "
        "minimumRequests: 20, window: 10s, openTime: 500ms, halfOpenRequests: 2"
    )
    assert told(made(text)) == {
        "failure_rate": 50.0,
        "consecutive_failures": 5.0,
        "slow_call_rate": 80.0,
        "slow_call_duration": 1.0,
        "minimum_requests": 20.0,
        "window": 10.0,
        "open_time": 0.5,
        "half_open_requests": 2.0,
    }
    assert told(made(text), "ratings") == {}
    assert told(made(text, namespace="other"))["failure_rate"] == 50.0  # whoever calls


def test_subsets_have_it_too_and_it_counts_before_an_annotation() -> None:
    assert told(made(ANNOTATED), subset="v1") == {"failure_rate": 10.0}
    both = made(ANNOTATED, breaker("host: reviews, consecutiveFailures: 3"))
    assert told(both) == told(both, subset="v1") == {"consecutive_failures": 3.0}


def test_the_oldest_holds_and_names_are_completed_in_its_namespace() -> None:
    first, second = breaker("host: reviews, failureRate: 1"), breaker("host: reviews, failureRate: 2", "two")
    assert told(made(first, second)) == {"failure_rate": 1.0}
    elsewhere = breaker("host: reviews, failureRate: 3", namespace="other")
    assert told(made(elsewhere)) == {}
    full = breaker("host: reviews.default.svc.cluster.local, failureRate: 3", namespace="other")
    assert told(made(full)) == {"failure_rate": 3.0}


def test_envoy_takes_it(tmp_path: Path) -> None:
    assert_envoy_accepts(made(breaker("host: reviews, failureRate: 50")), tmp_path)
