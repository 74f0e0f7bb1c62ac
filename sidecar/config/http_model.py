"""The HTTP connection manager with its filters, access logs and tracing, and the TCP proxy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sidecar.config.basic_model import MILLION, UNLIMITED, HeaderMatcher
from sidecar.config.http2_model import Http2
from sidecar.config.log_filter_model import LogFilter
from sidecar.config.route_model import NO_OPS, HeaderMutation, HeaderOps, RouteConfig, WeightedCluster


@dataclass(frozen=True, slots=True)
class FaultConfig:
    """envoy.filters.http.fault: chances in parts per million, delay in seconds, `abort_status` 0 when none."""

    delay: float = 0.0
    delay_chance: int = 0
    abort_status: int = 0
    abort_grpc_status: int | None = None
    abort_chance: int = 0
    max_active: int = UNLIMITED
    headers: tuple[HeaderMatcher, ...] = ()  # all must match for the filter to act
    upstream_cluster: str = ""  # … and the request must be for this cluster, "": any,
    downstream_nodes: frozenset[bytes] = frozenset()  # … and from one of these (x-envoy-downstream-service-node)
    delay_by_header: bool = False  # x-envoy-fault-… request headers say how long, or what to answer
    abort_by_header: bool = False
    delay_unit: int = MILLION // 100  # what 1 in the request header that lowers a chance means, parts per million
    abort_unit: int = MILLION // 100
    rate_kbps: int = 0  # at which bodies of responses pass, KiB a second
    rate_chance: int = 0
    rate_by_header: bool = False
    rate_unit: int = MILLION // 100


@dataclass(frozen=True, slots=True)
class HttpFilter:
    """A filter of the chain, in order; the last one is `envoy.filters.http.router`. `config` is the compiled config."""

    name: str
    config: Any
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class AccessLog:
    """`target` is "stdout", "stderr" or a path; exactly one of `text` and `json` (nested data of format strings) is set;
    both None means Envoy's default format. `filter` says which exchanges are told, `metered` that the format asks for
    moments that are noted on demand."""

    target: str
    text: str | None = None
    json: Mapping[str, Any] | None = None
    omit_empty: bool = False  # what is not there leaves nothing behind: no dash, no null
    filter: LogFilter | None = None
    metered: bool = False


@dataclass(frozen=True, slots=True)
class ReplyFormat:
    """What the body of a local reply is made of; one of `text` and `json` is set."""

    content_type: bytes
    text: str | None = None
    json: Mapping[str, Any] | None = None
    omit_empty: bool = False


@dataclass(frozen=True, slots=True)
class ReplyMapping:
    """Changes the local replies that the filter wants; None leaves something as it is."""

    filter: LogFilter
    status: int | None = None
    body: bytes | None = None
    format: ReplyFormat | None = None
    headers: HeaderOps = NO_OPS


@dataclass(frozen=True, slots=True)
class LocalReplies:
    """The first mapping that wants a reply changes it; `format` is for all that have none of their own."""

    mappings: tuple[ReplyMapping, ...] = ()
    format: ReplyFormat | None = None


PATH_TAG_LENGTH: Final = 256


@dataclass(frozen=True, slots=True)
class Tracing:
    """Sampling chances in parts per million. `otlp_cluster`/`otlp_url` say where spans go (a cluster alone: over gRPC); both
    empty: the ring only."""

    client_chance: int = MILLION
    random_chance: int = MILLION
    overall_chance: int = MILLION
    service_name: str = ""
    otlp_cluster: str = ""
    otlp_url: str = ""
    # (tag, kind literal|environment|request_header|value, argument, default); a `value` is a format as of access logs
    custom_tags: tuple[tuple[str, str, str, str], ...] = ()
    path_tag_length: int = PATH_TAG_LENGTH  # so many bytes of the path are in a span's http.url
    by_request_id: bool = (
        True  # the request id tells whether a request is traced; else every one is that none came with
    )


@dataclass(frozen=True, slots=True)
class MetricChange:
    """How one of Istio's metrics differs from the usual one; `tags` are name → CEL expression."""

    name: str
    drop: bool = False
    tags: tuple[tuple[str, str], ...] = ()
    removed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Hcm:
    """An HTTP connection manager. Exactly one of `routes` and `rds` is set."""

    stat_prefix: str
    filters: tuple[HttpFilter, ...]
    routes: RouteConfig | None = None
    rds: str = ""
    access_logs: tuple[AccessLog, ...] = ()
    tracing: Tracing | None = None
    server_name: str = "envoy"
    server_header: str = "OVERWRITE"  # OVERWRITE | APPEND_IF_ABSENT | PASS_THROUGH
    use_remote_address: bool = False
    forwards_client_cert: bool = False  # whoever names a client certificate is believed
    xff_num_trusted_hops: int = 0
    skip_xff_append: bool = False
    internal_ranges: tuple[str, ...] = ()  # internal_address_config: CIDRs that count as internal; none by default
    via: str = ""  # appended to requests' and responses' via header
    generate_request_id: bool = True
    preserve_external_request_id: bool = False
    always_set_request_id_in_response: bool = False
    normalize_path: bool = False
    merge_slashes: bool = False
    escaped_slashes: str = ""  # REJECT_REQUEST | UNESCAPE_AND_REDIRECT | UNESCAPE_AND_FORWARD; "": they stay
    strip_any_host_port: bool = False
    strip_matching_host_port: bool = False
    strip_trailing_host_dot: bool = False
    add_user_agent: bool = False
    scheme: str = ""  # of requests, whatever they say
    append_x_forwarded_port: bool = False
    early_mutations: tuple[HeaderMutation, ...] = ()
    keeps_after_bad_request: bool = (
        False  # stream_error_on_invalid_http_message: a 400 of ours does not end the connection
    )
    proxies_continue: bool = False  # proxy_100_continue: Expect, and interim responses, go through
    ends_with_response: bool = False  # http1_safe_max_connection_duration: idle connections outlive the duration
    max_request_headers_kb: int = 60
    max_headers_count: int = 100
    idle_timeout: float = 3600.0
    max_connection_duration: float = 0.0
    max_stream_duration: float = 0.0
    max_requests_per_connection: int = 0
    stream_idle_timeout: float = 300.0
    request_timeout: float = 0.0
    request_headers_timeout: float = 0.0
    delayed_close_timeout: float = 1.0
    drain_timeout: float = 5.0  # between the first response that announces a connection's end, and its end
    accept_http_10: bool = False
    default_host: str = ""  # of HTTP/1.0 requests without one; "": refuse them
    underscores: str = "ALLOW"  # headers_with_underscores_action: ALLOW | REJECT_REQUEST | DROP_HEADER
    upgrades: frozenset[str] = frozenset()  # lower-case: "websocket", "connect"
    header_spelling: str = ""  # codec.key_case: of responses, or of requests on their way on
    enable_trailers: bool = False  # HTTP/1.1 trailers of requests are passed on, not dropped
    rds_timeout: float = 15.0  # initial_fetch_timeout: serve without routes after that; 0.0: wait for ever
    local_replies: LocalReplies | None = None
    filter_chain: str = ""  # the name of the chain that it is in
    log_interval: float = 0.0  # requests in progress are logged so often, too; 0.0: only when they are over
    log_starts: bool = False  # they are logged when they begin, too
    codec: str = "AUTO"  # AUTO | HTTP1 | HTTP2
    http2: Http2 = field(default_factory=Http2)
    log_tunnels: bool = False  # … and when their tunnel stands
    metrics: tuple[MetricChange, ...] = ()
    suppress_envoy_headers: bool = False  # what its router says
    keeps_to_mesh: bool = False  # services outside of the mesh are told nothing of the workload


@dataclass(frozen=True, slots=True)
class TcpProxy:
    stat_prefix: str
    clusters: tuple[WeightedCluster, ...]
    idle_timeout: float = 3600.0
    access_logs: tuple[AccessLog, ...] = ()
    filter_chain: str = ""
    log_interval: float = 0.0
    max_connect_attempts: int = 1
    max_duration: float = 0.0  # of a session; 0.0: as long as it likes
    hash_source_ip: bool = False  # tables that hash pick by the client's address
    log_connects: bool = False  # sessions are logged when their upstream is there, too
    sni_port: int = 0  # the name in the TLS hello is looked up first, for this port of it
    metrics: tuple[MetricChange, ...] = ()
    report_interval: float = 0.0  # between two counts of what a session has moved; 0.0: as usual
