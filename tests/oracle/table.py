"""What a user of Istio knows Envoy by, and the cases that hold us to it: one row a kind of failure (status, body, response
flags, code details, attempts), as a reader of Envoy's documentation and logs would look it up.

Rows that need TLS, RBAC, JWT, external authorization or HTTP/2 come with those features.
"""

from __future__ import annotations

ROWS: dict[str, tuple[str, ...]] = {
    "no route": ("no_route", "no_route_post_with_body", "no_route_head"),
    "route to an unknown cluster": ("unknown_cluster", "unknown_cluster_code_404"),
    "weighted cluster whose only non-zero weight is unknown": ("weighted_unknown_cluster",),
    "no endpoints, or none healthy": ("no_endpoints",),
    "connect refused": ("connect_refused",),
    "connect refused, retries used": ("retry_connect_failure_used_up",),
    "upstream closes or resets before headers": ("upstream_closes_before_headers", "upstream_resets_before_headers"),
    "the same, retries used up": ("retry_reset_used_up",),
    "upstream sends no HTTP": ("upstream_speaks_no_http",),
    "upstream truncates a content-length body": ("upstream_truncates_length_body",),
    "route time-out": ("route_timeout",),
    "per-try time-out, retries used up": ("per_try_timeouts_used_up",),
    "upstream's 503 after retries used up": ("retry_5xx_used_up",),
    "retry policy with no retries, 503": ("retry_policy_with_zero_retries",),
    "circuit-breaker overflow, which is not retried": ("overflow_of_requests", "overflow_of_pending"),
    "local rate limit": ("rate_limited", "rate_limit_told"),
    "fault abort": ("fault_abort",),
    "fault delay": ("fault_delay",),
    "fault delay and abort": ("fault_delay_and_abort",),
    "fault delay beyond the route's time-out, with retries": ("fault_delay_beats_timeout_and_retry",),
    "upgrade that is not enabled": ("upgrade_not_enabled",),
    "CONNECT with a bad target": ("connect_to_a_path", "connect_to_two_ports", "connect_without_port"),
    "CONNECT that is not enabled": ("connect_not_enabled",),
    "header block over 60 KiB": ("headers_too_large",),
    "HTTP/1.1 without Host": ("host_missing",),
    "HTTP/1.0": ("version_10",),
    "Content-Length and Transfer-Encoding": ("length_and_chunked", "chunked_and_length"),
    "garbage request line": ("garbage_line",),
    "client stalls inside headers": ("stream_idle_in_the_head",),
    "client goes away": ("client_goes_away",),
    "redirect and direct response": ("redirect_path", "direct_response_with_body"),
    "CORS preflight, good origin": ("cors_preflight",),
    "CORS preflight, other origin": ("cors_preflight_other_origin_is_forwarded",),
    "TCP proxy, connect refused": ("tcp_connect_refused",),
    "TCP proxy, no endpoints": ("tcp_no_endpoints",),
    "gRPC, no route": ("grpc_no_route",),
    "gRPC, time-out": ("grpc_time_out",),
    "gRPC, connect failure": ("grpc_local_reply",),
    "gRPC fault, to a gRPC request and to another": (
        "fault_grpc_abort_of_grpc_request",
        "fault_grpc_abort_of_plain_request",
    ),
    "headers added upstream": ("names_are_lowered_and_order_kept", "retry_attempt_count_header"),
    "headers added by rewrites": ("rewrite_prefix", "rewrite_host"),
    "headers of a mirrored request": ("mirror_get", "mirror_with_forwarded", "mirror_port"),
}
