"""Retries: what is retried, how often, what the client and the log see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.harness.upstream import Close, Hang, Plan, ReadBody, Reset, raw, reply
from tests.oracle.case import Case, Up, post, request

RETRY_STATS = (
    "cluster.%CLUSTER%.upstream_rq_retry",
    "cluster.%CLUSTER%.upstream_rq_retry_success",
    "cluster.%CLUSTER%.upstream_rq_retry_limit_exceeded",
    "cluster.%CLUSTER%.upstream_rq_retry_backoff_exponential",
    "cluster.%CLUSTER%.upstream_rq_total",
    "cluster.%CLUSTER%.upstream_rq_503",
    "cluster.%CLUSTER%.retry.upstream_rq_503",
)
PREVIOUS_HOSTS = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
# Which connection a retry takes is what `retry_on_another_connection` is about.
CONNECTIONS = tuple(f"upstream[{number}].connection" for number in range(1, 6))
CLOSE: Plan = [ReadBody(), Close()]
RESET: Plan = [ReadBody(), Reset()]


def retry(
    name: str,
    retry_on: str,
    script: Sequence[Plan],
    attempts: int,
    *,
    policy: Mapping[str, Any] | None = None,
    **more: Any,
) -> Case:
    """`attempts` is what Envoy's log says."""
    fields = {"retry_on": retry_on, "num_retries": 2, **(policy or {})}
    expect = {"log[0].attempts": attempts, **more.pop("expect", {})}
    sent = more.pop("sent", request("/x"))
    case = Case(name, sent, action={"retry_policy": fields}, script=script, stats=RETRY_STATS, expect=expect, **more)
    return replace(case, ignore=CONNECTIONS)


REFUSED = {"": Up(endpoints=["refused"])}
CASES = (
    retry("retry_5xx_once", "5xx", [reply(503), reply()], 2, expect={"client[0].status": 200, "log[0].flags": "-"}),
    retry(
        "retry_5xx_used_up", "5xx", [reply(503, b"mine")], 3, expect={"client[0].body": b"mine", "log[0].flags": "URX"}
    ),
    retry(
        "retry_policy_with_zero_retries",
        "5xx",
        [reply(503)],
        1,
        policy={"num_retries": 0},
        expect={"log[0].flags": "URX"},
    ),
    retry("retry_default_number", "5xx", [reply(503)], 2, policy={"num_retries": None}),
    retry("retry_5xx_not_on_404", "5xx", [reply(404), reply()], 1),
    retry("retry_5xx_on_close", "5xx", [CLOSE, reply()], 2),
    retry("retry_gateway_error_502", "gateway-error", [reply(502), reply()], 2),
    retry("retry_gateway_error_not_500", "gateway-error", [reply(500), reply()], 1),
    retry("retry_gateway_error_on_close", "gateway-error", [CLOSE, reply()], 2),
    retry("retry_reset_on_close", "reset", [CLOSE, reply()], 2),
    retry("retry_reset_on_rst", "reset", [RESET, reply()], 2),
    retry("retry_reset_used_up", "reset", [CLOSE], 3, expect={"client[0].status": 503, "log[0].flags": "URX,UC"}),
    retry("retry_reset_not_on_503", "reset", [reply(503), reply()], 1),
    retry("retry_reset_on_protocol_error", "reset", [raw(b"nonsense\r\n\r\n"), reply()], 2),
    retry("retry_reset_before_request", "reset-before-request", [CLOSE, reply()], 1),
    retry("retry_connect_failure_not_on_close", "connect-failure", [CLOSE, reply()], 1),
    retry(
        "retry_connect_failure_used_up", "connect-failure", [], 3, clusters=REFUSED, expect={"log[0].flags": "URX,UF"}
    ),
    retry("retry_5xx_on_connect_failure", "5xx", [], 3, clusters=REFUSED, expect={"log[0].flags": "URX,UF"}),
    retry("retry_reset_not_on_connect_failure", "reset", [], 3, clusters=REFUSED),
    retry("retry_refused_stream_not_on_close", "refused-stream", [CLOSE, reply()], 1),
    retry("retry_retriable_4xx", "retriable-4xx", [reply(409), reply()], 2),
    retry("retry_retriable_4xx_not_404", "retriable-4xx", [reply(404), reply()], 1),
    retry(
        "retry_status_codes",
        "retriable-status-codes",
        [reply(418), reply()],
        2,
        policy={"retriable_status_codes": [418]},
    ),
    retry(
        "retry_status_codes_other",
        "retriable-status-codes",
        [reply(419), reply()],
        1,
        policy={"retriable_status_codes": [418]},
    ),
    retry("retry_several_conditions", "connect-failure,retriable-4xx,reset", [CLOSE, reply(409), reply()], 3),
    retry("retry_after_overloaded_too", "5xx", [reply(503, b"", [("x-envoy-overloaded", "true")]), reply()], 2),
    retry(
        "retry_envoy_ratelimited", "envoy-ratelimited", [reply(429, b"", [("x-envoy-ratelimited", "true")]), reply()], 2
    ),
    retry("retry_not_after_ratelimited", "5xx", [reply(503, b"", [("x-envoy-ratelimited", "true")]), reply()], 1),
    retry("retry_body_is_replayed", "5xx", [reply(503), reply()], 2, sent=post("/x", body=b"replay me")),
    retry(
        "retry_chunked_body_is_replayed",
        "5xx",
        [reply(503), reply()],
        2,
        sent=request("/x", "Transfer-Encoding: chunked", method="POST", body=b"5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n"),
    ),
    retry("retry_post_like_get", "reset", [CLOSE, reply()], 2, sent=post("/x")),
    retry(
        "retry_not_beyond_the_buffer",
        "5xx",
        [reply(503), reply()],
        1,
        sent=post("/x", body=b"x" * 5000),
        vhost={"per_request_buffer_limit_bytes": 1000},
    ),
    retry(
        "retry_attempt_count_header",
        "5xx",
        [reply(503), reply()],
        2,
        vhost={"include_request_attempt_count": True, "include_attempt_count_in_response": True},
        expect={"upstream[1].header.x-envoy-attempt-count": ("2",), "client[0].header.x-envoy-attempt-count": ("2",)},
    ),
    retry(
        "retry_not_after_headers", "5xx,reset", [raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", Close())], 1
    ),
    Case(
        "retry_on_another_connection",
        request("/x"),
        script=[reply(503, b"whole"), reply()],
        action={"retry_policy": {"retry_on": "5xx"}},
        expect={"upstream[1].connection": 1},
    ),
    retry(
        "retry_without_waiting_for_the_body",
        "5xx",
        [raw(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\npart", Hang()), reply()],
        2,
        expect={"client[0].status": 200},
    ),
    Case(
        "retry_none_without_policy",
        request("/x"),
        script=[reply(503), reply()],
        expect={"log[0].attempts": 1, "log[0].flags": "-"},
    ),
    Case(
        "retry_policy_of_the_virtual_host",
        request("/x"),
        script=[reply(503), reply()],
        vhost={"retry_policy": {"retry_on": "5xx"}},
        ignore=CONNECTIONS,
        expect={"log[0].attempts": 2},
    ),
    Case(
        "retry_policy_of_the_route_wins",
        request("/x"),
        script=[reply(503), reply()],
        action={"retry_policy": {"retry_on": "reset"}},
        vhost={"retry_policy": {"retry_on": "5xx"}},
        expect={"log[0].attempts": 1},
    ),
    Case(
        "retry_limit_of_the_cluster",
        request("/x"),
        script=[reply(503), reply()],
        action={"retry_policy": {"retry_on": "5xx"}},
        clusters={"": Up(fields={"circuit_breakers": {"thresholds": [{"max_retries": 0}]}})},
        stats=["cluster.%CLUSTER%.upstream_rq_retry_overflow"],
        expect={"log[0].attempts": 1, "stats.cluster.retry_limit_of_the_cluster.upstream_rq_retry_overflow": 1},
    ),
    Case(
        "retry_elsewhere",
        request("/x"),
        script=[reply()],
        action={
            "retry_policy": {
                "retry_on": "connect-failure",
                "num_retries": 5,
                "retry_host_predicate": [
                    {
                        "name": "envoy.retry_host_predicates.previous_hosts",
                        "typed_config": {"@type": PREVIOUS_HOSTS},
                    }
                ],
                "host_selection_retry_max_attempts": 20,
            }
        },
        clusters={"": Up(endpoints=["refused", "up"])},
        ignore=["log[0].attempts", "log[0].failure", "upstream[0].header.x-envoy-expected"],
        expect={"client[0].status": 200},
    ),
)
