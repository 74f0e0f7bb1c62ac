"""Host names: Istio's wildcards, short names, and the domains under which a service is asked for."""

from __future__ import annotations

from mesh.naming import DOMAIN, service_host

_SERVICES = f".svc.{DOMAIN}"


def qualified(host: str, namespace: str) -> str:
    """A host of a rule in `namespace`, completed when it is a short name; in lower case."""
    if host.startswith("*") or ":" in host:
        return host.lower()
    return service_host(host, namespace).lower()


def is_wildcard(host: str) -> bool:
    return host.startswith("*")


def covers(pattern: str, host: str) -> bool:
    """Whether every name that `host` stands for is one that `pattern` stands for."""
    if not is_wildcard(pattern):
        return pattern == host
    return (host[1:] if is_wildcard(host) else host).endswith(pattern[1:])


def common(one: str, other: str) -> str:
    """The narrower of two hosts when it lies within the other, else an empty string."""
    if covers(one, other):
        return other
    return one if covers(other, one) else ""


def short_names(host: str, namespace: str) -> tuple[str, ...]:
    """The other names of a service for somebody in `namespace`; none for hosts that are no services of ours."""
    absolute = () if is_wildcard(host) else (f"{host}.",)
    if not host.endswith(_SERVICES) or is_wildcard(host):
        return absolute
    in_cluster = host.removesuffix(_SERVICES)  # name.namespace
    name, dot, its_namespace = in_cluster.rpartition(".")
    if not dot:
        return absolute
    longer = (in_cluster, f"{in_cluster}.svc", *absolute)
    return (name, *longer) if its_namespace == namespace else longer
