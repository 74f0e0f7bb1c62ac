"""A proxy's route configurations as people look at them: whole, however they were sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from control_plane.resource import Versioned
from mesh.protobuf import delimited
from mesh.xds import routes_of, with_virtual_hosts

_NAME: Final = b"\x0a"  # the protobuf key of VirtualHost.name


def whole_routes(routes: Iterable[Versioned], hosts: Iterable[Versioned]) -> list[bytes]:
    """Each a serialised google.protobuf.Any, as `Versioned.packed`. Virtual hosts that are resources have the names that
    they would have within their route configuration, by which an EnvoyFilter means them."""
    by_routes: dict[str, list[bytes]] = {}
    for host in sorted(hosts, key=lambda host: host.name):
        by_routes.setdefault(routes_of(host.name), []).append(_within(host))
    return [_whole(each, by_routes.get(each.name, ())) if each.by_vhds else each.packed for each in routes]


def _whole(routes: Versioned, hosts: Iterable[bytes]) -> bytes:
    from google.protobuf.any_pb2 import Any as AnyMessage

    envelope = AnyMessage.FromString(routes.packed)
    envelope.value = with_virtual_hosts(envelope.value, hosts)
    packed: bytes = envelope.SerializeToString()
    return packed


def _within(host: Versioned) -> bytes:
    """Of a field that is there twice the last one counts."""
    from google.protobuf.any_pb2 import Any as AnyMessage

    content: bytes = AnyMessage.FromString(host.packed).value
    return content + delimited(_NAME, host.name.removeprefix(f"{routes_of(host.name)}/").encode())
