"""Where ours is meant to differ from Envoy, and why. Each is asserted to be still different: the list stays true."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """`paths` are prefixes of `observe`'s paths: each of them differs, and nothing else does."""

    case: str
    paths: tuple[str, ...]
    reason: str

    def surprises(self, found: Iterable[str]) -> list[str]:
        """What differs beyond this, and what does not differ any more."""
        found = list(found)
        return [
            *(path for path in found if not path.startswith(self.paths)),
            *(f"{path} (equal by now)" for path in self.paths if not any(one.startswith(path) for one in found)),
        ]


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "length_with_leading_zeros",
        ("upstream[0].header.content-length",),
        "a length goes on as a number, not as it was written: the next reader may take zeros for octal",
    ),
    *(
        Difference(
            f"bare_cr_in_chunk_end{suffix}",
            ("client", "log[0]", "upstream"),
            "what stands between a chunk's data and its CRLF is no chunked coding (RFC 9112 §7.1)",
        )
        for suffix in ("", "_with_trailers")
    ),
    Difference(
        "strict_trailer_with_bare_lf",
        ("client.end", "client[0].complete", "log[0]"),
        "lines of a chunked body end in CRLF: a reader that wants it takes the rest for the same trailer",
    ),
    *(
        Difference(
            case,
            ("log[0].cluster", "log[0].route"),
            "when the route of an internal redirect is looked for and not found, Envoy's log has lost the route and the "
            "cluster of the request that the redirect was the answer to; ours has not",
        )
        for case in ("redirect_to_a_port", "redirect_to_no_route")
    ),
    Difference(
        "retry_on_another_connection",
        ("upstream[1].connection",),
        "a complete response that is retried leaves its connection usable, and ours is used again; Envoy resets the "
        "stream, and with HTTP/1.1 so the connection, before it has seen the response's end",
    ),
    Difference(
        "resent_on_a_reused_connection",
        ("client[1]", "log[1]", "upstream", "stats"),
        "asked for by the cluster's metadata (mesh.connection_pool), which Envoy does not know: a request that met a "
        "connection which its host had closed is sent again, where Envoy answers 503 unless a retry policy says otherwise",
    ),
    Difference(
        "chunk_overrun",
        ("client", "log[0]", "upstream"),
        "bytes between a chunk and its line end are skipped by Envoy; two readers of one stream that skip differently "
        "are how requests are smuggled, so ours refuses (RFC 9112 has no such bytes)",
    ),
    Difference(
        "te_with_cr",
        ("client", "log[0]", "upstream"),
        "Envoy removes a CR inside `transfer-encoding` once it has decided that the request has no body; ours refuses",
    ),
    Difference(
        "response_status_of_four",
        ("client[0]", "log[0]"),
        "a status code has three digits (RFC 9112 4); Envoy passes 2000 on, ours calls it a protocol error",
    ),
    Difference(
        "tcp_connect_refused",
        ("log[0].flags",),
        "Envoy prints response flags in the order in which they were set, ours in one order: URX,UF for TCP as for HTTP",
    ),
    Difference(
        "tcp_connect_attempts_used_up",
        ("log[0].flags",),
        "as in tcp_connect_refused",
    ),
    Difference(
        "measures_of_refused",
        ("log[0].request_bytes",),
        "x-envoy-expected-rq-timeout-ms says what is left of the time-out when a request is sent, so one that never was "
        "has none; Envoy's was written before the connection failed",
    ),
    *(
        Difference(
            case,
            ("h2up[0].reset",),
            "an attempt that is given up is reset with CANCEL, which says so (RFC 9113 7); Envoy says INTERNAL_ERROR",
        )
        for case in (
            "h2_grpc_time_out",
            "grpc_per_try_time_out",
            "grpc_deadline_short",
            "grpc_deadline_above_the_most",
            "grpc_deadline_without_a_most",
            "grpc_deadline_none",
            "h2_time_out",
            "h2_ping_not_answered_in_a_request",
        )
    ),
    *(
        Difference(
            case,
            paths,
            "trailers must not tell a length (RFC 9110 6.5.1); Envoy lets one pass that is the body's",
        )
        for case, paths in (
            ("h2_trailers_with_the_length", ("client.end", "h2[1]", "log[0]")),
            ("h2_answer_trailers_with_the_length", ("h2[1]", "log[0]")),
        )
    ),
    Difference(
        "h1_to_h2_user_in_host",
        ("client[0]", "h2up", "log[0]"),
        "an authority with a user in it is malformed over HTTP/2 (RFC 9113 8.3.1), for which a host may end the connection "
        "that others share: here the request gets a 502; Envoy sends it, and as a server does not take it",
    ),
    Difference(
        "h2_frame_headers_backwards",
        ("client.end", "h2[5]"),
        "a stream whose number is not higher than the last one's is an error of the connection (RFC 9113 5.1.1); Envoy "
        "passes over it",
    ),
    Difference(
        "h2_frame_priority_on_zero",
        ("client.end",),
        "PRIORITY on stream 0 is an error of the connection (RFC 9113 6.3); Envoy passes over it",
    ),
    *(
        Difference(
            case,
            ("client.end", "h2[1]", "log[0].details"),
            "an error of a stream's window ends the stream (RFC 9113 6.9), in Envoy the connection",
        )
        for case in ("h2_frame_window_update_zero_on_a_stream", "h2_frame_window_overflow_on_a_stream")
    ),
    *(
        Difference(
            case,
            ("client.end", "h2[1]"),
            "a frame on a stream that its sender has ended is an error of the stream (RFC 9113 5.1), in Envoy of all",
        )
        for case in ("h2spec_5_1_half_closed_data", "h2spec_5_1_half_closed_headers")
    ),
    *(
        Difference(
            case,
            ("client.end",),
            "HEADERS on a stream that is over, or below the last one's number, are an error of the connection (RFC 9113 "
            "5.1, 5.1.1); Envoy passes over them",
        )
        for case in (
            "h2spec_5_1_closed_by_rst_stream_then_headers",
            "h2spec_5_1_closed_headers",
            "h2spec_5_1_1_lower_number_than_the_last",
        )
    ),
    Difference(
        "h2spec_5_3_headers_that_depend_on_themselves",
        ("client.end", "h2[1]"),
        "priorities are not heeded, and RFC 9113 has no such error any more; Envoy keeps that of RFC 7540",
    ),
    Difference("h2spec_6_3_on_stream_0", ("client.end",), "as in h2_frame_priority_on_zero"),
    *(
        Difference(case, ("client.end", "h2[1]"), "as in h2_frame_window_overflow_on_a_stream")
        for case in ("h2spec_6_9_of_zero_on_a_stream", "h2spec_6_9_1_a_stream_s_window_too_large")
    ),
    Difference(
        "h2spec_6_9_2_windows_too_large_by_settings",
        ("client.end", "h2[1]"),
        "SETTINGS that make a window larger than it can be are an error of the connection (RFC 9113 6.9.2), in Envoy of the "
        "stream",
    ),
    *(
        Difference(
            f"h2_stats_{case}",
            (f"stats.{group}http2.goaway_sent",),
            "a connection that ends by its peer's fault ends with a GOAWAY that says so (RFC 9113 5.4.1), which counts; "
            "Envoy sends none",
        )
        for case, group in (
            ("host_is_malformed", "cluster.h2_stats_host_is_malformed."),
            ("client_breaks_a_rule", ""),
            ("client_is_malformed", ""),
        )
    ),
    Difference(
        "h2_ws_not_configured",
        ("h2.goaway",),
        "an upgrade that is refused ends its stream; Envoy announces the end of the whole connection, too",
    ),
    Difference(
        "drain_and_a_request_that_closes",
        ("client.end",),
        "a client that asks for the end gets it; Envoy, when it drains, keeps that connection for the drain_timeout, too",
    ),
)
BY_CASE = {difference.case: difference for difference in DIFFERENCES}
