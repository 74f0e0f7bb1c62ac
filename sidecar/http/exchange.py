"""One request's mutable state, from its head to its access-log line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sidecar.http.grpc import GrpcCall
from sidecar.http.head import HTTP11
from sidecar.http.streams import NO_TRAILERS

if TYPE_CHECKING:
    from sidecar.config.model import Address, MetadataMatch
    from sidecar.http.headers import Headers
    from sidecar.http.streams import Peer
    from sidecar.router.table import CompiledRoute, CompiledVirtualHost
    from sidecar.upstream.cluster import ClusterRuntime
    from sidecar.upstream.host import Host


# What a filter keeps in an exchange whose response is not to be counted by its class: that of a health check.
UNCOUNTED: Final = "uncounted"
# … and under which a reply's body is kept while a format is made of it.
LOCAL_REPLY_BODY: Final = "local_reply_body"
# … and the address that a dynamic forward proxy found for the host that the request names.
FOUND_ADDRESS: Final = "found_address"
# … and the reason of one, in words.
WHY: Final = "why"


EXCHANGE_STATE: Final = (
    "attempts",
    "authority",
    "bytes_received",
    "bytes_sent",
    "cluster",
    "cluster_name",
    "details",
    "downstream",
    "endpoint",
    "filter_state",
    "flags",
    "grpc",
    "hash_key",
    "headers",
    "method",
    "indexed_headers",
    "original_authority",
    "original_path",
    "path",
    "peer",
    "protocol",
    "repicks",
    "request_id",
    "response_headers",
    "response_trailers",
    "route",
    "scheme",
    "span",
    "hop_headers",
    "started",
    "status",
    "termination",
    "trace",
    "upstream_failure",
    "upstream_local",
    "upstream_started",
    "virtual_host",
)


class Exchange:
    """One request and its answer, as every station reads and writes them. (In Envoy: `StreamInfo`.)

    Times are `time.monotonic()` seconds, 0.0 when not reached; sizes are body bytes. `status` 0 means that no response
    was sent.
    """

    __slots__ = EXCHANGE_STATE

    def __init__(self, downstream: Peer, method: bytes, path: bytes, headers: Headers, started: float) -> None:
        self.downstream = downstream
        self.method = method
        self.path = path  # with the query; as it goes upstream once the route has rewritten it
        self.original_path = b""  # set when the path was rewritten
        self.authority = b""
        self.original_authority = b""
        self.scheme = b"http"
        self.protocol = HTTP11
        self.headers = headers  # of the request, lower-case names, in order; without those in `hop_headers`
        self.hop_headers: dict[bytes, bytes] = {}  # as the client sent them
        self.indexed_headers: dict[bytes, bytes] = {}  # as the client sent them
        self.request_id = b""
        self.started = started
        self.bytes_received = 0
        self.bytes_sent = 0
        self.virtual_host: CompiledVirtualHost | None = None
        self.route: CompiledRoute | None = None
        self.cluster: ClusterRuntime | None = None  # None, too, where there is none of that name
        self.cluster_name = ""  # what the route asked for, known even when there is no such cluster
        self.endpoint: Host | None = None  # the host of the last attempt
        self.upstream_local = ""
        self.upstream_started = 0.0  # when the first attempt was sent
        self.attempts = 0
        self.hash_key: int | None = None  # what RING_HASH and MAGLEV pick by; None: at random
        self.repicks = 0  # how often another host than the first was asked for, in the pick that is going on
        self.status = 0
        self.response_headers: Headers = []
        self.response_trailers = NO_TRAILERS
        self.grpc: GrpcCall | None = None  # of a gRPC call
        self.flags = 0
        self.details = ""
        self.termination = ""  # %CONNECTION_TERMINATION_DETAILS%
        self.upstream_failure = ""  # %UPSTREAM_TRANSPORT_FAILURE_REASON%
        self.peer: Any = None  # telemetry.peer.Peer of the other side, from its peer-metadata headers
        self.trace: Any = None  # telemetry.trace.TraceContext
        self.span: Any = None
        self.filter_state: dict[Any, Any] | None = None

    @property
    def metadata_match(self) -> MetadataMatch | None:
        """The labels of the endpoint that the route wants."""
        return None

    def keep(self, owner: Any, value: Any) -> None:
        """Notes something for a later step of the same filter, the `owner`."""
        if self.filter_state is None:
            self.filter_state = {}
        self.filter_state[owner] = value

    def kept(self, owner: Any) -> Any:
        """What the filter noted, None when it noted nothing."""
        return None if self.filter_state is None else self.filter_state.get(owner)

    @property
    def client(self) -> Address:
        """The model.Address that the request is from, which proxies in front of us may have told."""
        return self.downstream.remote

    def header(self, name: bytes) -> bytes | None:
        """A request header, pseudo-headers included: repeated ones joined with commas, None when absent."""
        values = self.header_values(name)
        return b",".join(values) if values else None

    def header_values(self, name: bytes) -> list[bytes]:
        """Each value of a request header, pseudo-headers included."""
        found = [value for key, value in self.headers if key == name]
        if found:
            return found
        value = self._pseudo(name) if name[:1] == b":" or name == b"host" else self.hop_headers.get(name)
        return [] if value is None else [value]

    def _pseudo(self, name: bytes) -> bytes | None:
        if name in (b":authority", b"host"):
            return self.authority
        if name == b":path":
            return self.path
        if name == b":method":
            return self.method
        return self.scheme if name == b":scheme" else None


class TcpExchange(Exchange):
    """A TCP session as the stations see it."""

    __slots__ = ("wanted_labels",)

    def __init__(self, downstream: Peer, started: float) -> None:
        super().__init__(downstream, b"", b"", [], started)
        self.protocol = ""
        self.wanted_labels: MetadataMatch | None = None

    @property
    def metadata_match(self) -> MetadataMatch | None:
        return self.wanted_labels
