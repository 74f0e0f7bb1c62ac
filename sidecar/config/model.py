"""The immutable configuration that the data plane runs on: what remains of Envoy's messages once they are checked.

Received from `sidecar.config.*` compilers (protobuf → these), read by listener, router, filters, balancer and upstream.
Durations are seconds (float), None means not set and 0.0 means disabled where Envoy says so. Header names are lower-case
bytes. Percentages are parts per million. Everything here is frozen: an update builds new objects and swaps a reference.

This module is the one to import from; each topic has a file.
"""

from __future__ import annotations

from sidecar.config.basic_model import (
    MILLION,
    UNLIMITED,
    Address,
    Direction,
    HeaderMatcher,
    PathMatch,
    QueryMatcher,
    RouteMatch,
    StringMatch,
    StringMatcher,
)
from sidecar.config.bootstrap_model import AdsConfig, Bootstrap
from sidecar.config.cluster_model import (
    DEFAULT_HASHING,
    HASHING,
    Assignment,
    CircuitBreaker,
    Cluster,
    Discovery,
    DnsFamily,
    Endpoint,
    Hashing,
    Health,
    HealthCheck,
    HttpProbe,
    LbPolicy,
    Limits,
    LocalityEndpoints,
    OutlierDetection,
    TcpProbe,
)
from sidecar.config.http_model import AccessLog, FaultConfig, Hcm, HttpFilter, TcpProxy, Tracing
from sidecar.config.listener_model import FilterChain, FilterChainMatch, Listener
from sidecar.config.route_model import (
    NO_OPS,
    AppendAction,
    DirectResponse,
    Forward,
    HashPolicy,
    HashSource,
    HeaderAdd,
    HeaderOps,
    Redirect,
    RetryPolicy,
    Rewrite,
    Route,
    RouteConfig,
    VirtualHost,
    WeightedCluster,
)

__all__ = [
    "DEFAULT_HASHING",
    "HASHING",
    "MILLION",
    "NO_OPS",
    "UNLIMITED",
    "AccessLog",
    "Address",
    "AdsConfig",
    "AppendAction",
    "Assignment",
    "Bootstrap",
    "CircuitBreaker",
    "Cluster",
    "DirectResponse",
    "Direction",
    "Discovery",
    "DnsFamily",
    "Endpoint",
    "FaultConfig",
    "FilterChain",
    "FilterChainMatch",
    "Forward",
    "HashPolicy",
    "HashSource",
    "Hashing",
    "Hcm",
    "HeaderAdd",
    "HeaderMatcher",
    "HeaderOps",
    "Health",
    "HealthCheck",
    "HttpFilter",
    "HttpProbe",
    "LbPolicy",
    "Limits",
    "Listener",
    "LocalityEndpoints",
    "OutlierDetection",
    "PathMatch",
    "QueryMatcher",
    "Redirect",
    "RetryPolicy",
    "Rewrite",
    "Route",
    "RouteConfig",
    "RouteMatch",
    "StringMatch",
    "StringMatcher",
    "TcpProbe",
    "TcpProxy",
    "Tracing",
    "VirtualHost",
    "WeightedCluster",
]
