"""Bootstraps of one thing in a given number, to see what more of it costs."""

from __future__ import annotations

from typing import Any

from tests.bench.bootstraps import RETRY, Ports, bootstrap, cluster

HASHING = ("RING_HASH", "MAGLEV")
HOSTS = 1_000


def routes(ports: Ports, count: int) -> dict[str, Any]:
    """So many routes in one virtual host, by prefix; the last one takes what is left."""
    action = {"cluster": "upstream", "retry_policy": RETRY}
    written = [{"match": {"prefix": f"/service-{number}/"}, "route": action} for number in range(count - 1)]
    written.append({"match": {"prefix": "/"}, "route": action})
    hosts = [{"name": "all", "domains": ["*"], "routes": written}]
    return _with(ports, hosts, [cluster("upstream", ports.upstream)])


def clusters(ports: Ports, count: int) -> dict[str, Any]:
    """So many clusters; as many virtual hosts in either case, which share them."""
    virtual_hosts = [
        {
            "name": f"service-{number}",
            "domains": [f"service-{number}"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": f"service-{number % count}"}}],
        }
        for number in range(HOSTS)
    ]
    return _with(ports, virtual_hosts, [cluster(f"service-{number}", ports.upstream) for number in range(count)])


def endpoints(ports: Ports, count: int, policy: str) -> dict[str, Any]:
    """So many endpoints in one cluster, picked by `policy`; the hashing ones by the request's path."""
    action: dict[str, Any] = {"cluster": "upstream"}
    if policy in HASHING:
        action["hash_policy"] = [{"header": {"header_name": ":path"}}]
    hosts = [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": action}]}]
    return _with(ports, hosts, [cluster("upstream", ports.upstream, count, policy)])


def headers(ports: Ports, most: int) -> dict[str, Any]:
    """One route; both sides may send up to `most` headers."""
    limit = {"max_headers_count": most}
    hosts = [
        {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}]}
    ]
    hcm = {"route_config": {"name": "routes", "virtual_hosts": hosts}, "common_http_protocol_options": limit}
    return bootstrap(ports, hcm, [cluster("upstream", ports.upstream)])


def scale(ports: Ports, routes: int, clusters: int, endpoints: int) -> dict[str, Any]:
    """A big mesh as one sidecar sees it: so many routes in one virtual host, over so many clusters of so many
    endpoints."""
    written = [
        {
            "match": {"prefix": f"/service-{number}/"},
            "route": {"cluster": f"service-{number % clusters}", "retry_policy": RETRY},
        }
        for number in range(routes)
    ]
    written.append({"match": {"prefix": "/"}, "route": {"cluster": "service-0"}})
    hosts = [{"name": "all", "domains": ["*"], "routes": written}]
    named = [
        cluster(f"service-{number}", ports.upstream, endpoints, first=number * endpoints) for number in range(clusters)
    ]
    return _with(ports, hosts, named)


def _with(ports: Ports, hosts: list[dict[str, Any]], clusters: list[dict[str, Any]]) -> dict[str, Any]:
    return bootstrap(ports, {"route_config": {"name": "routes", "virtual_hosts": hosts}}, clusters)
