"""What is found by following changes is what is found by looking at everything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from control_plane.registry import discovery
from control_plane.registry.discovery import Discovery
from control_plane.registry.services import discover
from control_plane.registry.workload import Workload
from control_plane.store.accepted import by_kind
from mesh.istio.resource import Resource
from mesh.node import GENERATOR_GRPC, INTERCEPT_REDIRECT, Node, ServicePort
from tests.unit.control_plane.registry.test_services import service, service_entry, workload_entry
from tests.unit.control_plane.samples import resources

LABELS = ({"app": "reviews"}, {"app": "ratings"}, {"app": "reviews", "version": "v2"})
DOCUMENTS: tuple[dict[str, Any], ...] = (
    service([{"port": 80, "targetPort": 9080}], selector={"app": "reviews"}),
    service([{"port": 80, "targetPort": 9080}], name="ratings", selector={"app": "ratings"}),
    service([{"port": 9080}], name="reviews"),
    service([{"port": 80}], name="v2", selector={"app": "reviews", "version": "v2"}),
    service_entry(resolution="STATIC", workloadSelector={"labels": {"app": "ratings"}}),
    service_entry("two", hosts=["a.example.com", "reviews.default.svc.cluster.local"], resolution="STATIC"),
    service_entry("dns", hosts=["b.example.com"], resolution="DNS"),
    workload_entry("we", "10.2.0.1", {"app": "ratings"}),
)
nodes = st.builds(
    lambda name, namespace, named, labels, ports, kind: Node(
        "sidecar",
        f"10.0.0.{name}",
        f"w{name}",
        namespace,
        service=named,
        labels=labels,
        ports=ports,
        interception=kind if kind == INTERCEPT_REDIRECT else "NONE",
        generator=kind if kind == GENERATOR_GRPC else "",
    ),
    st.integers(1, 4),
    st.sampled_from(("default", "default", "shop")),
    st.sampled_from(("", "reviews", "ratings")),
    st.sampled_from(LABELS),
    st.sampled_from(((), (ServicePort(9080),), (ServicePort(80, "http", "HTTP", 9080), ServicePort(90, "tcp", "TCP")))),
    st.sampled_from(("", INTERCEPT_REDIRECT, GENERATOR_GRPC)),
)


class Changes(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.discovery = Discovery()
        self.declared: dict[int, Resource] = {}
        self.kinds: dict[str, tuple[Resource, ...]] = {}
        self.workloads: dict[str, Workload] = {}

    @rule(number=st.integers(0, len(DOCUMENTS) - 1), there=st.booleans())
    def declare(self, number: int, there: bool) -> None:
        self.declared.pop(number, None)
        if there:
            self.declared[number] = replace(resources(DOCUMENTS[number])[0], created=float(number))
        found = {r.key: r for r in self.declared.values()}
        self.kinds = by_kind(found.values())

    @rule(node=nodes, healthy=st.booleans())
    def connect(self, node: Node, healthy: bool) -> None:
        self.workloads[node.id] = Workload(node, healthy=healthy)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if self.workloads:
            del self.workloads[data.draw(st.sampled_from(sorted(self.workloads)))]

    @rule()
    def shadowed_and_back(self) -> None:
        """One that was hidden for a while stands where it stood before."""
        self.workloads = dict(sorted(self.workloads.items()))

    @invariant()
    def following_equals_looking_at_everything(self) -> None:
        workloads = list(self.workloads.values())
        services, instances = self.discovery.discover(self.kinds, workloads)
        expected = discover(self.kinds, workloads)
        assert services == expected[0]
        assert {h: sorted(map(str, i)) for h, i in instances.items()} == {
            h: sorted(map(str, i)) for h, i in expected[1].items()
        }
        again = self.discovery.discover(self.kinds, workloads)
        assert again[0] is services
        assert again[1] is instances


Changes.TestCase.settings = settings(max_examples=30, stateful_step_count=15, deadline=None)
TestChanges = Changes.TestCase


def test_one_workload_of_many_makes_nobody_look_at_the_others(monkeypatch: Any) -> None:
    looked: list[int] = []

    def counted(kinds: Any, workloads: Any) -> Any:
        looked.append(len(workloads))
        return discover(kinds, workloads)

    monkeypatch.setattr(discovery, "discover", counted)
    many = [
        Workload(Node("sidecar", f"10.0.{n // 200}.{n % 200}", f"w{n}", service=f"s{n % 50}", ports=(ServicePort(80),)))
        for n in range(200)
    ]
    followed = Discovery()
    before = followed.discover({}, many)
    many[7] = replace(many[7], healthy=False)
    after = followed.discover({}, many)
    assert looked == [200, 4]
    assert sum(before[1][host] is not after[1][host] for host in after[1]) == 1
    assert before[0] is after[0]  # who follows services need not look at them again
