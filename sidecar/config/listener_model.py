"""Listeners and their filter chains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sidecar.config.basic_model import Address, Direction
from sidecar.config.http_model import Hcm, TcpProxy

# As many as the system allows (net.core.somaxconn): it lowers what is more.
SYSTEM_BACKLOG: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class FilterChainMatch:
    """Empty collections match anything. Ranges are CIDR strings; `transport` is "", "raw_buffer" or "tls"."""

    destination_port: int = 0
    destination_ranges: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    server_names: tuple[str, ...] = ()
    application_protocols: tuple[str, ...] = ()
    transport: str = ""
    direct_source_ranges: tuple[str, ...] = ()  # as source_ranges: nobody here speaks for another address
    source_type: str = ""  # SAME_IP_OR_LOOPBACK | EXTERNAL; "": any
    source_ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class FilterChain:
    name: str
    match: FilterChainMatch
    network: Hcm | TcpProxy


@dataclass(frozen=True, slots=True)
class Listener:
    """`source` keeps the serialized message, for /config_dump."""

    name: str
    address: Address
    chains: tuple[FilterChain, ...]
    default_chain: FilterChain | None = None
    bind_to_port: bool = True
    use_original_dst: bool = False  # hand the connection to the listener of its original destination
    detect_original_dst: bool = False  # the original_dst listener filter: read SO_ORIGINAL_DST
    detect_http: bool = False  # http_inspector
    detect_tls: bool = False  # tls_inspector
    buffer_limit: int = 1024 * 1024  # per_connection_buffer_limit_bytes
    ignores_connection_limit: bool = False  # of the overload manager
    bypasses_overload: bool = False
    drains_on_failure: bool = True  # drain_type DEFAULT: the server's failing health check ends connections, too
    detect_timeout: float = 15.0  # listener_filters_timeout; 0.0: none
    detect_continue: bool = False  # after the timeout go on with what is known, do not close
    backlog: int = SYSTEM_BACKLOG  # tcp_backlog_size: connections that wait to be accepted
    direction: Direction = Direction.UNSPECIFIED
    stat_prefix: str = ""
    source: bytes = b""
