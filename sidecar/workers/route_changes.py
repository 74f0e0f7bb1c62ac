"""A route configuration as what is different from the one before: of a thousand virtual hosts, a worker is sent the one
that has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sidecar.config.model import RouteConfig, VirtualHost

# In order: the place of a host among those before, or a host that was not there.
Hosts = tuple[int | VirtualHost, ...]


def changes(before: RouteConfig, after: RouteConfig) -> tuple[RouteConfig, Hosts]:
    """The configuration without its virtual hosts, and these. Those that stay are the very same objects in both."""
    places = {id(host): place for place, host in enumerate(before.virtual_hosts)}
    hosts = tuple([places.get(id(host), host) for host in after.virtual_hosts])
    return replace(after, virtual_hosts=()), hosts


def changed(before: RouteConfig, base: RouteConfig, hosts: Sequence[int | VirtualHost]) -> RouteConfig:
    """The other way round, where `before` has the same virtual hosts in the same order."""
    known = before.virtual_hosts
    return replace(base, virtual_hosts=tuple([known[host] if isinstance(host, int) else host for host in hosts]))
