"""STRICT_DNS and LOGICAL_DNS: endpoints whose addresses are asked for, again and again."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from mesh.backoff import Backoff
from sidecar.config import model
from sidecar.telemetry.stats import ClusterStats, Stats

log = logging.getLogger(__name__)

# In the order in which they are tried.
_FAMILIES: Final = {
    model.DnsFamily.AUTO: (socket.AF_INET6, socket.AF_INET),
    model.DnsFamily.V4_PREFERRED: (socket.AF_INET, socket.AF_INET6),
    model.DnsFamily.V4_ONLY: (socket.AF_INET,),
    model.DnsFamily.V6_ONLY: (socket.AF_INET6,),
}


def needs_dns(cluster: model.Cluster) -> bool:
    return cluster.discovery in (model.Discovery.STRICT_DNS, model.Discovery.LOGICAL_DNS)


class Resolver:
    """Keeps the assignment of one DNS cluster current. A failed look-up leaves the last addresses in use, as Envoy does
    (also those of a resolver before it); `publish` gets an assignment whenever the addresses changed."""

    def __init__(
        self,
        cluster: model.Cluster,
        publish: Callable[[model.Assignment], None],
        stats: ClusterStats | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._cluster = cluster
        self._stats = stats or ClusterStats(Stats(), cluster.name)
        self._publish = publish
        self._known: dict[str, tuple[str, ...]] = {}
        self._failed = False  # a look-up of this round
        refresh = cluster.dns_failure_refresh
        self._backoff = Backoff(*refresh, rng or random.Random()) if refresh is not None else None

    async def run(self) -> None:
        """Resolves for as long as it is not cancelled."""
        published: model.Assignment | None = None
        while True:
            assignment = await self._resolve()
            if assignment != published and (
                published is not None or any(each.endpoints for each in assignment.localities)
            ):
                self._publish(assignment)
                published = assignment
            else:
                self._stats.update_no_rebuild.value += 1
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Seconds to the next round."""
        if self._backoff is None or not self._failed:
            if self._backoff is not None:
                self._backoff.reset()
            return self._cluster.dns_refresh_rate
        return self._backoff.next()

    async def _resolve(self) -> model.Assignment:
        self._failed = False
        assignment = self._cluster.assignment or model.Assignment(self._cluster.name)
        localities = []
        for locality in assignment.localities:
            endpoints = []
            for endpoint in locality.endpoints:
                for host in await self._addresses(endpoint.address.host):
                    address = model.Address(host, endpoint.address.port)
                    hostname = endpoint.hostname or endpoint.address.host
                    endpoints.append(replace(endpoint, address=address, hostname=hostname))
            localities.append(replace(locality, endpoints=tuple(endpoints)))
        return replace(assignment, localities=tuple(localities))

    async def _addresses(self, name: str) -> tuple[str, ...]:
        if _is_address(name):
            return (name,)
        loop, stats = asyncio.get_running_loop(), self._stats
        stats.update_attempt.value += 1
        try:
            found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # a name that IDNA refuses
            log.warning("cannot resolve %s for cluster %s: %s", name, self._cluster.name, error)
            stats.update_failure.value += 1
            self._failed = True
            return self._known.get(name, ())
        stats.update_success.value += 1
        by_family: dict[int, set[str]] = {}
        for family, _, _, _, address in found:
            by_family.setdefault(family, set()).add(str(address[0]))
        hosts = _chosen(by_family, self._cluster.dns_family)
        if self._cluster.discovery is model.Discovery.LOGICAL_DNS:
            hosts = hosts[:1]
        if not hosts:
            stats.update_empty.value += 1
        self._known[name] = tuple(hosts)
        return self._known[name]


def _chosen(by_family: Mapping[int, set[str]], wanted: model.DnsFamily) -> list[str]:
    """The addresses of the family that is wanted, in a stable order."""
    if wanted is model.DnsFamily.ALL:
        return sorted(set().union(*by_family.values()))
    return next((sorted(by_family[family]) for family in _FAMILIES[wanted] if family in by_family), [])


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
