"""ServiceEntries: whether everybody can reach what they declare."""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import NOT_LOOKED_UP, Finding, finding
from control_plane.translate.hosts import is_wildcard
from mesh.istio.service_entry import Resolution


def wildcards_by_name(seen: Examined) -> Iterator[Finding]:
    """A wildcard that is found by where the connection was going: a proxy that is asked by name does not know."""
    for resource in seen.of("ServiceEntry"):
        for position, host in enumerate(resource.spec.hosts):
            if resource.spec.resolution is Resolution.NONE and is_wildcard(host):
                message = (
                    f"{host} with resolution NONE is reached through intercepted connections only: an explicit proxy "
                    "(http_proxy) answers 502, because no name in it is one to look up. Name the hosts, with resolution DNS"
                )
                yield finding(NOT_LOOKED_UP, resource, ("spec", "hosts", position), message)
