"""Fields that are accepted and change nothing, by message type, each with the reason.

They tune threads, buffers or statistics of Envoy's that have no counterpart here, or belong to a protocol that this
sidecar does not speak. A field that would change what a request sees is never on this list: it is implemented or refused.
`python -m sidecar.config` prints the list.
"""

from __future__ import annotations

from typing import Final

_WORKERS = "one event loop accepts everything"
_BUFFERS = "buffers have caps of their own"
_NOT_READ = "nothing here reads it"
_STATS = "the statistics' names and labels are fixed"
_H3 = "HTTP/3 is not spoken"
_DNS_CHANNELS = "a channel, its sockets and their ports answer a name once"
_TLS_ONLY = "means something with TLS only"

REASONS: Final[dict[str, dict[str, str]]] = {
    "envoy.config.bootstrap.v3.Bootstrap": {
        "watchdog": _WORKERS,
        "watchdogs": _WORKERS,
        "stats_config": _STATS,
        "stats_flush_interval": "statistics are exact whenever they are read",
        "stats_flush_on_admin": "statistics are exact whenever they are read",
        "stats_eviction_interval": _STATS,
        "deferred_stat_options": _STATS,
        "enable_dispatcher_stats": _STATS,
        "memory_allocator_manager": "Python manages the memory",
        "default_socket_interface": "there is one socket interface",
        "inline_headers": "all headers are looked up alike",
        "grpc_async_client_manager_config": "one gRPC channel per control plane",
    },
    "envoy.config.bootstrap.v3.Admin": {
        "access_log": "requests to the admin port are not logged",
        "access_log_path": "requests to the admin port are not logged",
        "profile_path": "there is no CPU profiler",
        "ignore_global_conn_limit": "connections to the admin port are not counted",
    },
    "envoy.config.listener.v3.Listener": {
        "connection_balance_config": _WORKERS,
        "enable_reuse_port": _WORKERS,
        "reuse_port": _WORKERS,
        "max_connections_to_accept_per_socket_event": _WORKERS,
        "tcp_fast_open_queue_length": "TCP fast open is not offered",
        "metadata": _NOT_READ,
    },
    "envoy.config.listener.v3.FilterChain": {"metadata": _NOT_READ},
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector": {
        "initial_read_buffer_size": _BUFFERS,
        "max_client_hello_size": _BUFFERS,
        "close_connection_on_client_hello_parsing_errors": "what is not TLS is passed on as it is",
    },
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager": {
        "http3_protocol_options": _H3,
    },
    "envoy.extensions.filters.http.router.v3.Router": {
        "dynamic_stats": _STATS,
        "suppress_grpc_request_failure_code_stats": _STATS,
    },
    "envoy.extensions.filters.http.fault.v3.HTTPFault": {
        "disable_downstream_cluster_stats": _STATS,
        **dict.fromkeys(
            (
                "abort_grpc_status_runtime",
                "abort_http_status_runtime",
                "abort_percent_runtime",
                "delay_duration_runtime",
                "delay_percent_runtime",
                "max_active_faults_runtime",
                "response_rate_limit_percent_runtime",
            ),
            "there is no runtime: the configured value holds",
        ),
    },
    "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit": {
        "stage": "it belongs to descriptors, which are refused",
        "always_consume_default_token_bucket": "it belongs to descriptors, which are refused",
        "max_dynamic_descriptors": "it belongs to descriptors, which are refused",
    },
    "envoy.config.route.v3.RouteConfiguration": {"metadata": _NOT_READ},
    "envoy.config.route.v3.VirtualHost": {"metadata": _NOT_READ, "virtual_clusters": _STATS},
    "envoy.config.route.v3.Route": {"stat_prefix": _STATS},
    "envoy.config.route.v3.RouteAction": {"early_data_policy": _TLS_ONLY},
    "envoy.config.core.v3.RuntimeFeatureFlag": {"runtime_key": "there is no runtime: the default value holds"},
    "envoy.extensions.compression.gzip.compressor.v3.Gzip": {"chunk_size": _BUFFERS},
    "envoy.extensions.compression.gzip.decompressor.v3.Gzip": {"chunk_size": _BUFFERS},
    "envoy.config.core.v3.RuntimeFractionalPercent": {"runtime_key": "there is no runtime: the default value holds"},
    "envoy.config.core.v3.Metadata": {"typed_filter_metadata": _NOT_READ},
    "envoy.config.cluster.v3.Cluster": {
        "wait_for_warm_on_init": "a static cluster is warm at once",
        "track_timeout_budgets": _STATS,
        "track_cluster_stats": _STATS,
    },
    "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig": {
        "udp_max_queries": _DNS_CHANNELS,
        "max_udp_channel_duration": _DNS_CHANNELS,
        "reinit_channel_on_timeout": _DNS_CHANNELS,
    },
    "envoy.config.cluster.v3.Cluster.CommonLbConfig": {
        "update_merge_window": "an update costs no more than a pick",
    },
    "envoy.config.cluster.v3.UpstreamConnectionOptions": {
        "set_local_interface_name_on_upstream_connections": _NOT_READ,
    },
    "envoy.config.cluster.v3.CircuitBreakers.Thresholds": {
        "max_connection_pools": "a host has one pool",
    },
    "envoy.config.endpoint.v3.LocalityLbEndpoints": {"metadata": _NOT_READ, "proximity": _NOT_READ},
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"upstream_http_protocol_options": _TLS_ONLY},
    "envoy.config.trace.v3.OpenTelemetryConfig": {"max_cache_size": _BUFFERS},
    "envoy.config.core.v3.ApiConfigSource": {
        "set_node_on_first_message_only": "the node is only ever in the first message",
        "refresh_delay": "streams are not polled",
        "request_timeout": "streams have no deadline",
    },
}

NO_EFFECT: Final[dict[str, frozenset[str]]] = {name: frozenset(fields) for name, fields in REASONS.items()}
