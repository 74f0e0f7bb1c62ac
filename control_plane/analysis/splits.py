"""Weights and rules on connections that are not told apart request by request."""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.analysis.codes import RULES_WITHOUT_REQUESTS, SPLIT_BY_CONNECTION
from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import Finding, finding
from control_plane.translate.ports import may_be_http
from mesh.istio.model import Path
from mesh.istio.virtual_service import MESH_GATEWAY


def by_connection(seen: Examined) -> Iterator[Finding]:
    """Weights of tcp and tls routes: dice are thrown once a connection, however long it lives and whatever it carries."""
    for resource in seen.of("VirtualService"):
        for word, routes in (("tcp", resource.spec.tcp), ("tls", resource.spec.tls)):
            for number, route in enumerate(routes):
                if sum(1 for share in route.route if share.weight) < 2:
                    continue
                path: Path = ("spec", word, number, "route")
                message = (
                    "these weights share out connections, not requests: a client that keeps one open (a pool, HTTP/2, gRPC, "
                    "a database) stays where its first byte went. Split by http routes where the port speaks HTTP, or "
                    "bound a connection's life (connectionPool.tcp.maxConnectionDuration)"
                )
                yield finding(SPLIT_BY_CONNECTION, resource, path, message)


def on_tcp_ports(seen: Examined) -> Iterator[Finding]:
    """Rules about requests for a service none of whose ports speaks HTTP."""
    for resource in seen.of("VirtualService"):
        if not resource.spec.http or (resource.spec.gateways and MESH_GATEWAY not in resource.spec.gateways):
            continue
        for position, host in enumerate(resource.spec.hosts):
            service = seen.service(host, resource.key.namespace)
            if service is None or not service.ports or any(map(may_be_http, service.ports)):
                continue
            ports = ", ".join(f"{port.number} ({port.protocol or 'unset'})" for port in service.ports)
            message = (
                f"http rules act on requests, and no port of {service.host} speaks HTTP: {ports}. Name its ports after "
                "what they speak (http-…, grpc-…), or write tcp or tls routes"
            )
            yield finding(RULES_WITHOUT_REQUESTS, resource, ("spec", "hosts", position), message)
