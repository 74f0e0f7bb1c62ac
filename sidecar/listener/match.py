"""Filter-chain match: which chain of a listener a connection belongs to. Pure.

Envoy's order: destination port, then destination address, server name, transport protocol, application protocol, the
address that connects, whether it is this machine's, source address, source port; the most specific match of each criterion
wins, and a criterion once decided is not reconsidered.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sidecar.config.model import Address, FilterChain, FilterChainMatch, Listener


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a connection. `destination` is the original one where traffic was redirected."""

    destination: Address
    source: Address
    transport: str = "raw_buffer"
    server_name: str = ""
    protocols: tuple[str, ...] = ()


_Criterion = Callable[[FilterChainMatch, Facts], int]
_NO = -1


def find_chain(listener: Listener, facts: Facts) -> FilterChain | None:
    """The chain for a connection, None when none matches and there is no default."""
    chains: Sequence[FilterChain] = listener.chains
    for criterion in _ORDER:
        scored = [(criterion(chain.match, facts), chain) for chain in chains]
        best = max((score for score, _ in scored), default=_NO)
        if best == _NO:
            return listener.default_chain
        chains = [chain for score, chain in scored if score == best]
    return chains[0] if chains else listener.default_chain


def _port(match: FilterChainMatch, facts: Facts) -> int:
    if not match.destination_port:
        return 0
    return 1 if match.destination_port == facts.destination.port else _NO


def _destination(match: FilterChainMatch, facts: Facts) -> int:
    return _longest(match.destination_ranges, facts.destination.host)


def _source(match: FilterChainMatch, facts: Facts) -> int:
    return _longest(match.source_ranges, facts.source.host)


def _longest(ranges: tuple[str, ...], host: str) -> int:
    """One more than the longest prefix that contains the address, 0 when any will do."""
    if not ranges:
        return 0
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _NO
    networks = (ipaddress.ip_network(text, strict=False) for text in ranges)
    return max((network.prefixlen + 1 for network in networks if address in network), default=_NO)


def _server_name(match: FilterChainMatch, facts: Facts) -> int:
    if not match.server_names:
        return 0
    name, best = facts.server_name.lower(), _NO
    for pattern in match.server_names:
        pattern = pattern.lower()
        if pattern == name and name:
            return 1 << 16
        if pattern.startswith("*.") and name.endswith(pattern[1:]):
            best = max(best, len(pattern))
    return best


def _transport(match: FilterChainMatch, facts: Facts) -> int:
    if not match.transport:
        return 0
    return 1 if match.transport == facts.transport else _NO


def _application(match: FilterChainMatch, facts: Facts) -> int:
    if not match.application_protocols:
        return 0
    return 1 if not set(match.application_protocols).isdisjoint(facts.protocols) else _NO


def _direct_source(match: FilterChainMatch, facts: Facts) -> int:
    return _longest(match.direct_source_ranges, facts.source.host)


def _source_type(match: FilterChainMatch, facts: Facts) -> int:
    if not match.source_type:
        return 0
    try:
        local = ipaddress.ip_address(facts.source.host).is_loopback or facts.source.host == facts.destination.host
    except ValueError:
        return _NO
    return 1 if local == (match.source_type == "SAME_IP_OR_LOOPBACK") else _NO


def _source_port(match: FilterChainMatch, facts: Facts) -> int:
    if not match.source_ports:
        return 0
    return 1 if facts.source.port in match.source_ports else _NO


_ORDER: tuple[_Criterion, ...] = (
    _port,
    _destination,
    _server_name,
    _transport,
    _application,
    _direct_source,
    _source_type,
    _source,
    _source_port,
)
