"""ORIGINAL_DST: where a request goes is where its client was going, or where it says."""

from __future__ import annotations

from typing import Any

from sidecar.config.model import Address, OriginalDst
from sidecar.config.reader import is_ip
from sidecar.telemetry.stats import ClusterStats


def destination(config: OriginalDst, exchange: Any, stats: ClusterStats) -> Address | None:
    """Where to, None when nothing tells; never back to the very socket that the client came in by."""
    address = _asked_for(config.header, exchange, stats) if config.header else None
    if address is None:
        connection = exchange.downstream
        address = connection.local
        if address == connection.own:
            return None
    return Address(address.host, config.port) if config.port else address


def _asked_for(header: bytes, exchange: Any, stats: ClusterStats) -> Address | None:
    """The header's address; of several values the first."""
    values = exchange.header_values(header)
    if not values:
        return None
    host, _, port = values[0].decode("latin-1").rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if is_ip(host) and port.isascii() and port.isdigit() and int(port) < 65536:
        return Address(host, int(port))
    stats.original_dst_host_invalid.value += 1
    return None
