"""Route configurations: virtual hosts, routes, and what a route does with a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from sidecar.config.balancing_model import MetadataMatch
from sidecar.config.basic_model import MILLION, HeaderMatcher, RouteMatch, StringMatcher

MAX_DIRECT_RESPONSE: Final = 4096  # bytes: Envoy's default of max_direct_response_body_size_bytes


class AppendAction(Enum):
    """Envoy's HeaderAppendAction."""

    APPEND = "APPEND_IF_EXISTS_OR_ADD"
    ADD_IF_ABSENT = "ADD_IF_ABSENT"
    OVERWRITE = "OVERWRITE_IF_EXISTS_OR_ADD"
    OVERWRITE_IF_EXISTS = "OVERWRITE_IF_EXISTS"


@dataclass(frozen=True, slots=True)
class HeaderAdd:
    """`value` may hold %COMMAND%s (sidecar.telemetry.formatter)."""

    name: bytes
    value: str
    action: AppendAction = AppendAction.APPEND
    keep_empty: bool = False


@dataclass(frozen=True, slots=True)
class HeaderOps:
    add: tuple[HeaderAdd, ...] = ()
    remove: tuple[bytes, ...] = ()


NO_OPS: Final = HeaderOps()


@dataclass(frozen=True, slots=True)
class ResetHeader:
    """A response header that says when to come again: in so many seconds, or at a Unix time."""

    name: bytes
    timestamp: bool = False


@dataclass(frozen=True, slots=True, weakref_slot=True)
class RetryPolicy:
    """`conditions` are the words of `retry_on` (and of x-envoy-retry-on); `attempts` is num_retries (Envoy's default 1).

    With `request_headers` only requests that one of them matches are retried. `reset_headers` are believed up to
    `reset_max_interval`. A retry passes over hosts that an attempt was made to, canaries, and those whose `envoy.lb`
    metadata has all the labels of one of `omit_metadata`, as far as it is told to; every `priority_frequency` attempts
    (0: never) it also leaves out the priorities that were tried."""

    conditions: frozenset[str]
    attempts: int = 1
    per_try_timeout: float = 0.0
    per_try_idle_timeout: float = 0.0
    status_codes: frozenset[int] = frozenset()
    headers: tuple[HeaderMatcher, ...] = ()  # of responses
    request_headers: tuple[HeaderMatcher, ...] = ()
    base_interval: float = 0.025
    max_interval: float = 0.250
    reset_headers: tuple[ResetHeader, ...] = ()
    reset_max_interval: float = 300.0
    avoid_previous_hosts: bool = False
    omit_canaries: bool = False
    omit_metadata: tuple[Mapping[str, Any], ...] = ()
    host_selection_attempts: int = 1
    priority_frequency: int = 0


@dataclass(frozen=True, slots=True)
class RemoveMatching:
    """Removes the headers whose name matches."""

    name: StringMatcher


HeaderMutation = HeaderAdd | bytes | RemoveMatching  # bytes: removes the header of this name


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where copies of requests go: to `cluster`, or to the one that the request header `cluster_header` names; a
    `fraction` of them, in parts per million. Their host is `host`, or what it was with `-shadow` unless `same_host`.
    `sampled` False: the copies are in no trace."""

    cluster: str = ""
    cluster_header: bytes = b""
    fraction: int = MILLION
    sampled: bool = True
    same_host: bool = False
    host: str = ""
    mutations: tuple[HeaderMutation, ...] = ()


@dataclass(frozen=True, slots=True)
class InternalRedirects:
    """internal_redirect_policy: which redirects of upstreams are followed here, at most `limit` one after the other.
    With `allowed_routes` only to these; with `no_route_twice` from this route to each route once; to the other scheme
    with `cross_scheme`, and then from http to https not with `safe_scheme`."""

    limit: int = 1
    codes: frozenset[int] = frozenset((302,))
    allowed_routes: frozenset[str] | None = None
    no_route_twice: bool = False
    safe_scheme: bool = False
    cross_scheme: bool = False
    copied_headers: tuple[bytes, ...] = ()  # of the response, to the next request


@dataclass(frozen=True, slots=True)
class StreamDuration:
    """max_stream_duration: how long a request may last, in seconds (0.0: for ever; None: as long as the connection
    manager lets it). A grpc-timeout header counts when `grpc_max` is set, up to that (0.0: whatever it is), less
    `grpc_offset`."""

    whole: float | None = None
    grpc_max: float | None = None
    grpc_offset: float = 0.0


@dataclass(frozen=True, slots=True)
class WeightedCluster:
    """The request header `cluster_header` says which cluster it is, where there is no `name`."""

    name: str
    weight: int
    request_ops: HeaderOps = NO_OPS
    response_ops: HeaderOps = NO_OPS
    host_rewrite: str = ""
    metadata_match: MetadataMatch | None = None
    cluster_header: bytes = b""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """At most one of `prefix`, `regex` and `path_format`, and one of those for the host: literal, from the header
    `host_header`, from the path by `host_regex`, with the %COMMAND%s of `host_format`, or the upstream's. Regexes are
    (RE2 pattern, substitution with \\1)."""

    prefix: str | None = None
    regex: tuple[str, str] | None = None
    host: str = ""
    host_from_upstream: bool = False  # auto_host_rewrite
    append_forwarded_host: bool = False
    host_header: bytes = b""
    host_regex: tuple[str, str] | None = None
    host_format: str = ""
    path_format: str = ""


class HashSource(Enum):
    """What of a request a hash policy looks at."""

    HEADER = "header"
    COOKIE = "cookie"
    SOURCE_IP = "source_ip"
    QUERY_PARAMETER = "query_parameter"


@dataclass(frozen=True, slots=True)
class HashPolicy:
    """A part of what requests are balanced by. `name` is the header's (lower-case), the cookie's, or the parameter's;
    `rewrite` is (RE2 pattern, substitution with \\1) for a header's values. A missing cookie is made up when `ttl` is
    set (whole seconds, 0: for the session), with its `path` and `attributes`."""

    source: HashSource
    name: str = ""
    terminal: bool = False
    rewrite: tuple[str, str] | None = None
    ttl: int | None = None
    path: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Forward:
    """Sends the request to a cluster: the only cluster, or one drawn by weight; the draw is the number in the request
    header `weight_header`, or `weight_by_hash` what the hash policies make of the request."""

    clusters: tuple[WeightedCluster, ...]
    timeout: float = 15.0  # 0.0: none
    idle_timeout: float | None = None
    max_grpc_timeout: float | None = None  # with it a grpc-timeout header counts, up to that (0.0: whatever it is) …
    grpc_timeout_offset: float = 0.0  # … less this
    retry: RetryPolicy | None = None
    rewrite: Rewrite | None = None
    cluster_not_found_code: int = 503
    high_priority: bool = False
    upgrades: Mapping[str, bool] = field(default_factory=dict)  # route-level upgrade_configs: type → enabled
    hash_policies: tuple[HashPolicy, ...] = ()
    weight_header: bytes = b""
    weight_by_hash: bool = False
    duration: StreamDuration | None = None
    hedges: bool | None = None  # on a time-out per try; None: as the virtual host says
    redirects: InternalRedirects | None = None
    mirrors: tuple[Mirror, ...] = ()  # where there are none, the virtual host's, then the route configuration's


@dataclass(frozen=True, slots=True)
class Redirect:
    code: int = 301
    scheme: str = ""
    https: bool = False
    host: str = ""
    port: int = 0
    path: str = ""
    prefix: str | None = None
    regex: tuple[str, str] | None = None
    strip_query: bool = False
    keep_port: bool = False  # in any case, also where the new scheme implies another one


@dataclass(frozen=True, slots=True)
class DirectResponse:
    status: int
    body: bytes = b""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Route:
    """`filters` holds typed_per_filter_config by filter name, compiled (None where the filter is disabled)."""

    match: RouteMatch
    action: Forward | Redirect | DirectResponse
    name: str = ""
    request_ops: HeaderOps = NO_OPS
    response_ops: HeaderOps = NO_OPS
    filters: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    decorator: str = ""  # what spans call it
    propagate_decorator: bool = True  # and the other side's spans too
    retry_buffer: int | None = None  # bytes of a request's body kept for a retry; None: the virtual host's


class RequireTls(Enum):
    """Which requests of a virtual host have to come over TLS: none, those from outside, all."""

    NONE = "NONE"
    EXTERNAL_ONLY = "EXTERNAL_ONLY"
    ALL = "ALL"


@dataclass(frozen=True, slots=True)
class VirtualHost:
    name: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...]
    request_ops: HeaderOps = NO_OPS
    response_ops: HeaderOps = NO_OPS
    retry: RetryPolicy | None = None
    include_attempt_count: bool = False  # x-envoy-attempt-count upstream
    include_attempt_count_in_response: bool = False
    include_is_timeout_retry: bool = False  # x-envoy-is-timeout-retry upstream
    require_tls: RequireTls = RequireTls.NONE
    hedges: bool = False
    filters: Mapping[str, Any] = field(default_factory=dict)
    retry_buffer: int | None = None  # None: the listener's buffer limit
    mirrors: tuple[Mirror, ...] = ()
    source: bytes = b""  # of one that is a resource itself


@dataclass(frozen=True, slots=True)
class RouteConfig:
    """`vhds`: its virtual hosts are resources of their own (and those that it has itself). `body_limit` is of its direct
    responses."""

    name: str
    virtual_hosts: tuple[VirtualHost, ...]
    request_ops: HeaderOps = NO_OPS
    response_ops: HeaderOps = NO_OPS
    filters: Mapping[str, Any] = field(default_factory=dict)
    ignore_port_in_host: bool = False
    specific_last: bool = False  # changes of headers: from the most general level to the most specific, which wins
    mirrors: tuple[Mirror, ...] = ()
    validate_clusters: bool | None = None  # None: Envoy's default, which is yes for inline and no for RDS
    vhds: bool = False
    body_limit: int = MAX_DIRECT_RESPONSE
    source: bytes = b""
