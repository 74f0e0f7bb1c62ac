"""Who the client is, and what it may ask for: x-forwarded-*, x-envoy-* and x-request-id of a request (Envoy's rules).

A request is *internal* when the only address it names is in `internal_address_config`; only then do x-envoy-* requests
(retries, time-outs) count. It comes from the *edge* when it is not internal and the proxy faces clients directly
(`use_remote_address`); then what only the mesh may say is removed.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from sidecar.config.model import Address, Hcm
from sidecar.http import request_id
from sidecar.http.exchange import Exchange
from sidecar.http.headers import drop, put
from sidecar.process.hostinfo import own_address

# What clients may ask of the proxy when they are internal; it ends here in any case.
WISHES: Final = frozenset(
    (
        b"x-envoy-hedge-on-per-try-timeout",
        b"x-envoy-max-retries",
        b"x-envoy-retriable-header-names",
        b"x-envoy-retriable-status-codes",
        b"x-envoy-retry-grpc-on",
        b"x-envoy-retry-on",
        b"x-envoy-upstream-alt-stat-name",
        b"x-envoy-upstream-rq-per-try-timeout-ms",
        b"x-envoy-upstream-rq-timeout-alt-response",
        b"x-envoy-upstream-stream-duration-ms",
        b"x-envoy-upstream-rq-timeout-ms",
    )
)
_CONSUMED: Final = WISHES | {b"x-envoy-internal", b"x-envoy-expected-rq-timeout-ms"}
FORCE_TRACE: Final = b"x-envoy-force-trace"
# What only internal requests may say, and what goes on with them.
_NOT_FROM_STRANGERS: Final = frozenset((FORCE_TRACE, b"x-envoy-ip-tags", b"x-envoy-original-url"))
_CLIENT_CERT: Final = b"x-forwarded-client-cert"
_LOOKED_AT: Final = _CONSUMED | _NOT_FROM_STRANGERS | {_CLIENT_CERT}
_NOT_FROM_THE_EDGE: Final = (
    b"x-envoy-decorator-operation",
    b"x-envoy-downstream-service-cluster",
    b"x-envoy-downstream-service-node",
    b"x-envoy-original-host",
    b"x-envoy-original-path",
)


class Forwarded:
    """The rules of one connection manager."""

    def __init__(self, config: Hcm) -> None:
        self._config = config
        self._internal = tuple(ipaddress.ip_network(text, strict=False) for text in config.internal_ranges)
        self._via = config.via.encode()
        # Nobody has shown us a certificate: who names one is believed only where the configuration says so.
        claims = frozenset(() if config.forwards_client_cert else (_CLIENT_CERT,))
        self._consumed = _CONSUMED | claims
        self._not_for_strangers = self._consumed | _NOT_FROM_STRANGERS

    def apply(self, exchange: Exchange) -> None:
        """Brings the request's headers in order, and gives it its id."""
        headers, indexed, config = exchange.headers, exchange.indexed_headers, self._config
        if (
            not config.use_remote_address
            and not self._internal
            and (not indexed or indexed.keys().isdisjoint(_LOOKED_AT))
        ):
            if b"x-forwarded-proto" not in indexed:
                headers.append((b"x-forwarded-proto", exchange.scheme))
            edge = False
        else:
            edge = self._identify(exchange)
        identity = indexed.get(b"x-request-id")
        if identity and not (edge and not config.preserve_external_request_id):
            exchange.request_id = identity
        elif config.generate_request_id:
            exchange.request_id = request_id.new()
            if identity is None:
                headers.append((b"x-request-id", exchange.request_id))
            else:
                put(headers, b"x-request-id", exchange.request_id)
        if self._via:
            before = exchange.header(b"via")
            put(headers, b"via", self._via if before is None else before + b", " + self._via)

    def _identify(self, exchange: Exchange) -> bool:
        """x-forwarded-for and what depends on it; True for a request from the edge."""
        headers, indexed, config = exchange.headers, exchange.indexed_headers, self._config
        addresses = [part.strip() for part in indexed.get(b"x-forwarded-for", b"").split(b",") if part.strip()]
        hops = config.xff_num_trusted_hops
        remote: str = exchange.downstream.remote.host
        if config.use_remote_address:
            single = not addresses
            client = _nth_from_the_end(addresses, hops - 1) if hops else None
            client = client or remote.encode()
            if not config.skip_xff_append:
                self._append(exchange, addresses, remote)
            if not hops or b"x-forwarded-proto" not in indexed:
                put(headers, b"x-forwarded-proto", exchange.scheme)
        else:
            single = len(addresses) == 1
            client = _nth_from_the_end(addresses, hops) or b""
            if b"x-forwarded-proto" not in indexed:
                headers.append((b"x-forwarded-proto", exchange.scheme))
        internal = single and self._is_internal(client)
        wishes = {name: indexed[name] for name in WISHES if name in indexed} if internal else None
        gone = self._consumed if internal else self._not_for_strangers
        headers[:] = [header for header in headers if header[0] not in gone]
        for name in gone:
            indexed.pop(name, None)
        if wishes:
            indexed.update(wishes)
        edge = config.use_remote_address and not internal
        if internal:
            headers.append((b"x-envoy-internal", b"true"))
        elif edge:
            for name in _NOT_FROM_THE_EDGE:
                indexed.pop(name, None)
                drop(headers, name)
            put(headers, b"x-envoy-external-address", client)
        return edge

    def client(self, forwarded_for: bytes, remote: Address) -> Address:
        """Who the request is from, by x-forwarded-for as it came as far as it is trusted; else who connected to us."""
        config = self._config
        skip = config.xff_num_trusted_hops
        if config.use_remote_address:
            if not skip:
                return remote
            skip -= 1
        addresses = [part.strip() for part in forwarded_for.split(b",") if part.strip()]
        named = _nth_from_the_end(addresses, skip)
        if named is None:
            return remote
        try:
            return Address(str(ipaddress.ip_address(named.decode("latin-1"))), 0)
        except ValueError:
            return remote

    def _append(self, exchange: Exchange, addresses: list[bytes], remote: str) -> None:
        """The peer's address at the end of x-forwarded-for; for a local peer this machine's, which others can use."""
        address = own_address() if remote.startswith("127.") or remote == "::1" else remote
        before = exchange.indexed_headers.get(b"x-forwarded-for")
        if before is None or not addresses:
            put(exchange.headers, b"x-forwarded-for", address.encode())
        else:
            put(exchange.headers, b"x-forwarded-for", before + b"," + address.encode())

    def _is_internal(self, client: bytes) -> bool:
        if not self._internal or not client:
            return False
        try:
            address = ipaddress.ip_address(client.decode("latin-1"))
        except ValueError:
            return False
        return any(address in network for network in self._internal)


def _nth_from_the_end(addresses: list[bytes], skip: int) -> bytes | None:
    """The last address but `skip`, None when there are too few."""
    return addresses[-1 - skip] if len(addresses) > skip else None
