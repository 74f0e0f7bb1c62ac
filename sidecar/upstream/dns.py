"""STRICT_DNS and LOGICAL_DNS discovery: endpoints whose addresses are asked for, again and again.

Each name of a cluster has a timer of its own; what is found is in effect when it arrives, whatever the others do. Counters
and waits are those of Envoy's DNS clusters (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/service_discovery).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from mesh.backoff import Backoff
from sidecar.config import model
from sidecar.telemetry.stats import ClusterStats
from sidecar.upstream.resolver import Resolution, Resolver

log = logging.getLogger(__name__)

Known = dict[str, tuple[str, ...]]  # the addresses of a name

_DNS: Final = (model.Discovery.STRICT_DNS, model.Discovery.LOGICAL_DNS)


def needs_dns(cluster: model.Cluster) -> bool:
    return cluster.discovery in _DNS


class DnsCluster:
    """Keeps the assignment of one DNS cluster current. A failed look-up leaves the last addresses in use; an answer without
    any takes them away (STRICT_DNS) or counts as a failure (LOGICAL_DNS). `known` is what a configuration of the cluster
    before this one had found."""

    def __init__(
        self,
        cluster: model.Cluster,
        resolver: Resolver,
        publish: Callable[[model.Assignment], None],
        stats: ClusterStats,
        loop: asyncio.AbstractEventLoop,
        rng: random.Random,
        known: Known | None = None,
    ) -> None:
        self.name = cluster.name
        self.resolver = resolver
        self._cluster = cluster
        self._publish = publish
        self._stats = stats
        self._rng = rng
        config = cluster.dns
        self._backoff = Backoff(*config.failure_refresh, rng) if config.failure_refresh is not None else None
        self._assignment = cluster.assignment or model.Assignment(cluster.name)
        self._targets = [_Target(self, endpoint.address.host, loop) for endpoint in _endpoints(self._assignment)]
        names = {target.name for target in self._targets}
        self.known: Known = {name: found for name, found in (known or {}).items() if name in names}

    def start(self) -> None:
        if any(self.known.values()):
            self._publish(self._resolved())
        for target in self._targets:
            target.ask()

    def close(self) -> None:
        for target in self._targets:
            target.close()

    def ask(self, name: str, done: Callable[[Resolution], None]) -> None:
        self._stats.update_attempt.value += 1
        self.resolver.resolve(name, self._cluster.dns.family, done)

    def found(self, name: str, resolution: Resolution) -> float:
        """Takes in what a look-up said; the seconds until the next."""
        config, stats = self._cluster.dns, self._stats
        logical = self._cluster.discovery is model.Discovery.LOGICAL_DNS
        if resolution.error or (logical and not resolution.addresses):
            stats.update_failure.value += 1
            return self._backoff.next() if self._backoff is not None else config.refresh_rate
        stats.update_success.value += 1
        if self._backoff is not None:
            self._backoff.reset()
        self._take(name, resolution.addresses[:1] if logical else resolution.addresses)
        wait = float(resolution.ttl) if config.respect_ttl and resolution.ttl else config.refresh_rate
        return wait + self._rng.random() * config.jitter if config.jitter else wait

    def _take(self, name: str, addresses: tuple[str, ...]) -> None:
        """Addresses that stay keep their place: who picks in turn goes on where it was."""
        before = self.known.get(name, ())
        if set(before) == set(addresses):
            self._stats.update_no_rebuild.value += 1
            return
        stay = [address for address in before if address in addresses]
        self.known[name] = (*stay, *(address for address in addresses if address not in stay))
        self._publish(self._resolved())

    def _resolved(self) -> model.Assignment:
        localities = tuple(
            replace(each, endpoints=tuple(_with_addresses(each, self.known))) for each in self._assignment.localities
        )
        return replace(self._assignment, localities=localities)


class _Target:
    """One name of a cluster: asked for, and asked for again after the wait that the answer says."""

    def __init__(self, cluster: DnsCluster, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.name = name
        self._cluster = cluster
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._failure = ""  # that has been told; said once, not at every look-up
        self._closed = False

    def ask(self) -> None:
        self._cluster.ask(self.name, self._answered)

    def _answered(self, resolution: Resolution) -> None:
        if self._closed:
            return
        if resolution.error and resolution.error != self._failure:
            log.warning("cannot resolve %s for cluster %s: %s", self.name, self._cluster.name, resolution.error)
        self._failure = resolution.error
        self._timer = self._loop.call_later(self._cluster.found(self.name, resolution), self.ask)

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()


def _endpoints(assignment: model.Assignment) -> Iterator[model.Endpoint]:
    for locality in assignment.localities:
        yield from locality.endpoints


def _with_addresses(locality: model.LocalityEndpoints, known: Known) -> Iterator[model.Endpoint]:
    """The locality's endpoints with the addresses of their names, once for each."""
    for endpoint in locality.endpoints:
        name, port = endpoint.address.host, endpoint.address.port
        for host in known.get(name, ()):
            yield replace(endpoint, address=model.Address(host, port), hostname=endpoint.hostname or name)
