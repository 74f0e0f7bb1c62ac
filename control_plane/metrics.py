"""What the control plane says about itself, under Istio's `pilot_*` names, in a registry of its own.

Istio's counters have no `_total` at their end, which prometheus-client gives to every counter: here they are kept by
`Sums` and exposed under exactly their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import Metric

from control_plane.heartbeats import Heartbeats
from control_plane.registry.workload import Workload
from control_plane.route_weights import RouteWeights
from control_plane.sources.source import Action, Commit
from control_plane.world import World
from mesh.clock import Clock
from mesh.errors import Problem

CONVERGENCE_BUCKETS: Final = (0.1, 0.5, 1, 3, 5, 10, 20, 30)
DEBOUNCE_BUCKETS: Final = (0.01, 0.1, 0.5, 1, 3, 5, 10, 20, 30)
SEND_BUCKETS: Final = (0.01, 0.1, 1, 3, 5, 10, 20, 30)
SIZE_BUCKETS: Final = (1, 10_000, 1_000_000, 4_000_000, 10_000_000, 40_000_000)
TYPES: Final = ("cds", "eds", "lds", "rds", "vhds")
BUILD_BUCKETS: Final = (0.01, 0.1, 0.5, 1, 3, 5)

CONFIG: Final = "config"
ENDPOINT: Final = "endpoint"
_EVENTS: Final = {Action.CREATED: "add", Action.CONFIGURED: "update", Action.DELETED: "delete"}  # Istio's words


class Sums:
    """Counters of one name, told apart by labels. Those of `known` values of the (only) label are there from the start: a
    rate needs a sample before the first event."""

    def __init__(
        self, registry: CollectorRegistry, name: str, text: str, labels: Sequence[str], known: Iterable[str] = ()
    ) -> None:
        self._name = name
        self._text = text
        self._labels = tuple(labels)
        self._values: dict[tuple[str, ...], float] = {(value,): 0.0 for value in known}
        registry.register(self)

    def add(self, *labels: str, amount: float = 1) -> None:
        self._values[labels] = self._values.get(labels, 0) + amount

    def collect(self) -> Iterator[Metric]:
        metric = Metric(self._name, self._text, "unknown")
        for labels, value in self._values.items():
            metric.add_sample(self._name, dict(zip(self._labels, labels, strict=True)), value)
        yield metric

    def describe(self) -> Iterator[Metric]:
        yield Metric(self._name, self._text, "unknown")


class ControlMetrics:
    """Told by every station what happened. Implements `ads.status.Metrics` and `store.store.Metrics`."""

    def __init__(self, registry: CollectorRegistry, version: str) -> None:
        self._registry = registry
        self._streams = Gauge("pilot_xds", "Connected proxies.", ["version"], registry=registry).labels(version)
        self._streams.set(0)
        Gauge("pilot_info", "The version that runs.", ["version"], registry=registry).labels(version).set(1)
        Gauge("istio_build", "Component and version.", ["component", "tag"], registry=registry).labels(
            "pilot", version
        ).set(1)
        self._pushes = Sums(registry, "pilot_xds_pushes", "Responses sent to proxies.", ["type"], TYPES)
        self._rejects = Sums(registry, "pilot_total_xds_rejects", "Responses that proxies rejected.", ["type"], TYPES)
        self._expired = Sums(
            registry, "pilot_xds_expired_nonce", "Requests that answer an earlier response.", ["type"], TYPES
        )
        self._triggers = Sums(
            registry, "pilot_push_triggers", "Why proxies were pushed to.", ["type"], (CONFIG, ENDPOINT)
        )
        self._inbound = Sums(registry, "pilot_inbound_updates", "Changes that came in.", ["type"], (CONFIG, "eds"))
        self._config_events = Sums(registry, "pilot_k8s_cfg_events", "Changes of resources.", ["type", "event"])
        self._registry_events = Sums(registry, "pilot_k8s_reg_events", "Changes of workloads.", ["type", "event"])
        self._errors = Sums(registry, "pilot_total_xds_internal_errors", "Configuration that could not be made.", [])
        self._errors.add(amount=0)  # a board shows 0, not nothing
        self._passed = Sums(registry, "galley_validation_passed", "Resources accepted by the API.", ["resource"])
        self._failed = Sums(
            registry, "galley_validation_failed", "Files refused by the API.", ["reason"], ("invalid_resource",)
        )
        self._convergence = self._histogram(
            "pilot_proxy_convergence_time", "Seconds from a change until all proxies have it.", CONVERGENCE_BUCKETS
        )
        self._queue = self._histogram(
            "pilot_proxy_queue_time", "Seconds that a proxy waited until its part was made.", CONVERGENCE_BUCKETS
        )
        self._debounce = self._histogram(
            "pilot_debounce_time", "Seconds from the first change until it was let through.", DEBOUNCE_BUCKETS
        )
        self._send = self._histogram("pilot_xds_send_time", "Seconds it took to send a response.", SEND_BUCKETS)
        self._push_time = self._histogram(
            "pilot_xds_push_time", "Seconds from when a response was due until it was sent.", SEND_BUCKETS, ["type"]
        )
        self._size = self._histogram(
            "pilot_xds_config_size_bytes", "Bytes of the responses sent.", SIZE_BUCKETS, ["type"]
        )
        for name in TYPES:
            self._push_time.labels(name)
            self._size.labels(name)
        self._build = self._histogram(
            "pilot_pushcontext_init_seconds", "Seconds it took to make a World.", BUILD_BUCKETS
        )
        self._services = Gauge("pilot_services", "Services known.", registry=registry)
        self._empty = Gauge("pilot_eds_no_instances", "Services without an endpoint.", registry=registry)
        self._virtual_services = Gauge("pilot_virt_services", "VirtualServices in effect.", registry=registry)
        self._subsets = Gauge("pilot_destrule_subsets", "Subsets in effect.", registry=registry)
        self._workloads = Gauge("mesh_workloads", "Endpoints of services of the mesh.", ["health"], registry=registry)
        self._problems = Gauge(
            "mesh_config_problems", "Problems that keep stored configuration out of effect.", registry=registry
        )
        self._weights = RouteWeights()
        registry.register(self._weights)
        ProcessCollector(registry=registry)
        self._waiting: set[str] = set()

    def _histogram(self, name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self._registry)

    content_type: Final = CONTENT_TYPE_LATEST

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)

    # ── ads ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def pushed(self, type_name: str) -> None:
        """A response of this type (`cds` …) was sent."""
        self._pushes.add(type_name)

    def rejected(self, type_name: str) -> None:
        """A proxy refused one."""
        self._rejects.add(type_name)

    def expired(self, type_name: str) -> None:
        """A proxy's answer came when it had been sent more."""
        self._expired.add(type_name)

    def queued(self, seconds: float) -> None:
        """A proxy's turn came to have its part made."""
        self._queue.observe(seconds)

    def failed(self) -> None:
        """A proxy's configuration could not be made."""
        self._errors.add()

    def converged(self, seconds: float) -> None:
        """A change has arrived at the last proxy."""
        self._convergence.observe(seconds)

    def proxies(self, count: int) -> None:
        """So many streams are open."""
        self._streams.set(count)

    def sent(self, type_name: str, size: int, due_seconds: float, seconds: float) -> None:
        """A response of so many bytes was sent, so long after it was due; the sending itself took `seconds`."""
        self._send.observe(seconds)
        self._push_time.labels(type_name).observe(due_seconds)
        self._size.labels(type_name).observe(size)

    # ── store ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def changed(self, commit: Commit) -> None:
        """The configuration has a new revision."""
        self._inbound.add(CONFIG)
        self._waiting.add(CONFIG)
        for event in commit.events:
            self._config_events.add(event.key.kind, _EVENTS[event.action])

    def endpoints_changed(self) -> None:
        """A workload came, went or changed its health."""
        self._inbound.add("eds")
        self._registry_events.add("Endpoints", "update")
        self._waiting.add(ENDPOINT)

    def debounced(self, seconds: float) -> None:
        """Changes were let through; the first had waited for so long."""
        self._debounce.observe(seconds)
        for trigger in self._waiting:
            self._triggers.add(trigger)
        self._waiting.clear()

    def published(self, world: World, seconds: float) -> None:
        """A new World, and how long it took to make."""
        self._build.observe(seconds)
        self._weights.show(world)
        self._services.set(len(world.services))
        self._empty.set(sum(not world.instances.get(host) for host in world.services))
        self._virtual_services.set(len(world.resources.get("VirtualService", ())))
        rules = world.resources.get("DestinationRule", ())
        self._subsets.set(sum(len(rule.spec.subsets) for rule in rules))
        healthy = [instance.healthy for found in world.instances.values() for instance in found]
        self._workloads.labels("healthy").set(healthy.count(True))
        self._workloads.labels("unhealthy").set(healthy.count(False))

    def watch_problems(self, problems: Callable[[], Sequence[Problem]]) -> None:
        """Who to ask, at each scrape, what is wrong with the stored configuration."""
        self._problems.set_function(lambda: len(problems()))

    def watch_workloads(self, workloads: Callable[[], Iterable[Workload]], clock: Clock) -> None:
        """Who to ask, at each scrape, which workloads are there."""
        self._registry.register(Heartbeats(workloads, clock))

    # ── console ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def accepted(self, kinds: Iterable[str]) -> None:
        """An apply was accepted, with resources of these kinds."""
        for kind in kinds:
            self._passed.add(kind)

    def refused(self, problems: int) -> None:
        """An apply was refused for so many problems."""
        self._failed.add("invalid_resource", amount=problems)
