"""Hosts, and what they are picked by."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from sidecar.balancer.levels import Level, Local, Rules
from sidecar.config.model import Address, Balancing, Endpoint, Health, LocalityEndpoints, MetadataMatch
from sidecar.telemetry.stats import ClusterStats, Stats
from sidecar.upstream.host import Host


def host(
    port: int,
    weight: int = 1,
    *,
    health: Health = Health.HEALTHY,
    zone: str = "",
    zone_weight: int = 0,
    labels: Mapping[str, Any] | None = None,
) -> Host:
    metadata = {"envoy.lb": labels} if labels is not None else {}
    endpoint = Endpoint(Address("127.0.0.1", port), weight=weight, health=health, metadata=metadata)
    return Host(endpoint, LocalityEndpoints((), zone=zone, weight=zone_weight))


def hosts(*weights: int, health: Health = Health.HEALTHY) -> list[Host]:
    return [host(port, weight, health=health) for port, weight in enumerate(weights)]


def rules(
    config: Balancing | None = None,
    *,
    seed: int = 3,
    clock: Callable[[], float] = lambda: 0.0,
    local: Local | None = None,
    **more: Any,
) -> Rules:
    stats = ClusterStats(Stats(), "c")
    return Rules(config or Balancing(), stats, random.Random(seed), clock, local=local, **more)


def levels(*members: Sequence[Host]) -> list[Level]:
    return [Level(each) for each in members]


def wanted(match: MetadataMatch | None = None, *, key: int | None = None) -> Any:
    """Who a host is wanted for."""
    return SimpleNamespace(metadata_match=match, hash_key=key, repicks=0)


def ports(pick: Callable[[Any], Host | None], picks: int = 100, wish: Any = None) -> Counter[int]:
    """How often each host was picked, 0 for nobody."""
    asked = wanted() if wish is None else wish
    found = [pick(asked) for _ in range(picks)]
    return Counter(each.address.port if each is not None else 0 for each in found)
