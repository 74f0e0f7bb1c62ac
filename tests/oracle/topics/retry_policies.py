"""The less common parts of a retry policy: idle attempts, rate-limited back-off, matchers, and where a retry goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.upstream import Close, Hang, Pause, Plan, ReadBody, Send, raw, reply
from tests.oracle.case import Case, Up, request
from tests.oracle.topics import internal

TYPE = "type.googleapis.com/envoy.extensions.retry."
STATS = tuple(
    f"cluster.%CLUSTER%.{name}"
    for name in (
        "upstream_rq_total",
        "upstream_rq_retry",
        "upstream_rq_retry_success",
        "upstream_rq_retry_limit_exceeded",
        "upstream_rq_retry_backoff_exponential",
        "upstream_rq_retry_backoff_ratelimited",
        "upstream_rq_per_try_timeout",
        "upstream_rq_per_try_idle_timeout",
        "upstream_rq_timeout",
        "upstream_rq_completed",
        "upstream_rq_504",
    )
)
HANG: Plan = [ReadBody(), Hang()]
PART: Plan = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", Hang())
TRICKLE: Plan = raw(
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
    *(step for _ in range(3) for step in (Pause(0.15), Send(b"x"))),
)


def case(
    name: str, policy: Mapping[str, Any], script: Sequence[Plan], attempts: int | None, *lines: str, **more: Any
) -> Case:
    """`attempts` is what Envoy's log says."""
    expect = {**({} if attempts is None else {"log[0].attempts": attempts}), **more.pop("expect", {})}
    action = {"retry_policy": {"retry_back_off": {"base_interval": "0.001s"}, **policy}, **more.pop("action", {})}
    ignore = ("upstream[1].connection", *more.pop("ignore", ()))
    return Case(
        name, request("/x", *lines), action=action, script=script, stats=STATS, expect=expect, ignore=ignore, **more
    )


def limited(name: str, header: Mapping[str, str], value: str, *, kind: str, **more: Any) -> Case:
    """A 503 that says when to come again."""
    back_off = {"reset_headers": [header], **more.pop("back_off", {})}
    policy = {"retry_on": "5xx", "rate_limited_retry_back_off": back_off}
    script = [reply(503, b"", [(header["name"], value)]), reply()]
    expect = {f"stats.cluster.{name}.upstream_rq_retry_backoff_{kind}": 1}
    return case(name, policy, script, 2, expect=expect, ignore=["upstream[1].header.x-envoy-expected-rq-timeout-ms"])


def matched(name: str, matcher: Mapping[str, Any], headers: Sequence[tuple[str, str]], attempts: int) -> Case:
    policy = {"retry_on": "retriable-headers", "retriable_headers": [matcher]}
    return case(name, policy, [reply(200, b"no", headers), reply()], attempts)


def asked(name: str, matchers: Sequence[Mapping[str, Any]], attempts: int, *lines: str, **more: Any) -> Case:
    policy = {"retry_on": "5xx", "retriable_request_headers": list(matchers)}
    return case(name, policy, [reply(503), reply()], attempts, *lines, **more)


def predicate(kind: str, config: str, **fields: Any) -> dict[str, Any]:
    return {"name": kind, "typed_config": {"@type": f"{TYPE}host.{kind}.v3.{config}", **fields}}


def marked(**labels: Any) -> dict[str, Any]:
    return {"metadata": {"filter_metadata": {"envoy.lb": labels}}}


def elsewhere(name: str, *predicates: Mapping[str, Any], lb: Sequence[Mapping[str, Any]]) -> Case:
    """The first host refuses every connection; it is the one that a retry must not take."""
    policy = {
        "retry_on": "connect-failure",
        "num_retries": 1,
        "retry_host_predicate": list(predicates),
        "host_selection_retry_max_attempts": 50,
    }
    return case(
        name,
        policy,
        [reply()],
        None,
        clusters={"": Up(endpoints=["refused", "up"], lb=lb)},
        ignore=["log[0].attempts", "log[0].failure", "stats", "upstream[0].header.x-envoy-expected"],
        expect={"client[0].status": 200},
    )


SECONDS = {"name": "Retry-After", "format": "SECONDS"}
STAMP = {"name": "X-Reset", "format": "UNIX_TIMESTAMP"}
PRIORITIES = {
    "name": "previous_priorities",
    "typed_config": {"@type": TYPE + "priority.previous_priorities.v3.PreviousPrioritiesConfig", "update_frequency": 1},
}
OFF = "4102444800"  # 2100
CASES = (
    case("per_try_idle", {"per_try_idle_timeout": "0.2s"}, [HANG], 1, expect={"client[0].status": 504}),
    case("per_try_idle_retried", {"retry_on": "5xx", "per_try_idle_timeout": "0.2s"}, [HANG, reply()], 2),
    case("per_try_idle_used_up", {"retry_on": "5xx", "per_try_idle_timeout": "0.2s"}, [HANG], 2),
    case("per_try_idle_in_the_body", {"retry_on": "5xx", "per_try_idle_timeout": "0.2s"}, [PART], 1),
    case("per_try_idle_trickle", {"retry_on": "5xx", "per_try_idle_timeout": "0.25s"}, [TRICKLE], 1),
    case(
        "per_try_idle_and_per_try",
        {"retry_on": "5xx", "per_try_idle_timeout": "0.4s", "per_try_timeout": "0.2s"},
        [HANG, reply()],
        2,
    ),
    case(
        "per_try_alone", {"per_try_timeout": "0.2s"}, [HANG], 1, expect={"log[0].details": "upstream_per_try_timeout"}
    ),
    case(
        "per_try_beyond_the_whole",
        {"retry_on": "5xx", "per_try_timeout": "0.3s"},
        [HANG],
        1,
        action={"timeout": "0.3s"},
        expect={"log[0].details": "response_timeout"},
    ),
    case(
        "per_try_is_timeout_retry",
        {"retry_on": "5xx", "per_try_timeout": "0.2s", "num_retries": 2},
        [HANG, reply(503), reply()],
        3,
        vhost={"include_is_timeout_retry_header": True},
        expect={
            "upstream[1].header.x-envoy-is-timeout-retry": ("true",),
            "upstream[2].header.x-envoy-is-timeout-retry": ("false",),
        },
        ignore=["upstream[2].connection"],
    ),
    limited("rate_limited_seconds", SECONDS, "1", kind="ratelimited"),
    limited("rate_limited_zero", SECONDS, "0", kind="exponential"),
    limited("rate_limited_nonsense", SECONDS, "soon", kind="exponential"),
    limited("rate_limited_too_long", SECONDS, "1", kind="exponential", back_off={"max_interval": "0.5s"}),
    limited("rate_limited_too_long_by_default", SECONDS, "301", kind="exponential"),
    limited("rate_limited_past", STAMP, "1000000000", kind="exponential"),
    limited("rate_limited_far", STAMP, OFF, kind="exponential"),
    matched("retriable_header", {"name": "X-Again", "present_match": True}, [("x-again", "")], 2),
    matched("retriable_header_missing", {"name": "X-Again", "present_match": True}, [], 1),
    matched("retriable_header_value", {"name": "x", "string_match": {"prefix": "a"}}, [("x", "b"), ("x", "ab")], 2),
    matched("retriable_header_status", {"name": ":status", "string_match": {"exact": "200"}}, [], 2),
    matched("retriable_header_inverted", {"name": "z", "present_match": True, "invert_match": True}, [("z", "1")], 1),
    case(
        "retriable_header_without_condition",
        {"retry_on": "5xx", "retriable_headers": [{"name": "x", "present_match": True}]},
        [reply(200, b"", [("x", "1")]), reply()],
        1,
    ),
    asked("retriable_request_header", [{"name": "x-try", "present_match": True}], 2, "X-Try: 1"),
    asked("retriable_request_header_one_of", [{"name": "a"}, {"name": "b"}], 2, "B: 1"),
    asked("retriable_request_header_missing", [{"name": "x-try", "present_match": True}], 1),
    asked("retriable_request_method", [{"name": ":method", "string_match": {"exact": "GET"}}], 2),
    elsewhere(
        "elsewhere_no_canary", predicate("omit_canary_hosts", "OmitCanaryHostsPredicate"), lb=[marked(canary=True)]
    ),
    elsewhere(
        "elsewhere_no_match",
        predicate(
            "omit_host_metadata",
            "OmitHostMetadataConfig",
            metadata_match={"filter_metadata": {"envoy.lb": {"kind": "old"}}},
        ),
        lb=[marked(kind="old"), marked(kind="new")],
    ),
    case(
        "elsewhere_next_priority",
        {"retry_on": "connect-failure", "retry_priority": PRIORITIES},
        [reply()],
        2,
        clusters={"": Up(endpoints=["refused", "up"], priorities=[0, 1])},
        ignore=["log[0].failure"],
    ),
    case(
        "elsewhere_and_back_again",
        {"retry_on": "connect-failure", "retry_priority": PRIORITIES, "num_retries": 3},
        [reply()],
        4,
        clusters={"": Up(endpoints=["refused", "refused"], priorities=[0, 1])},
        ignore=["log[0].failure"],
    ),
    case(
        "reset_before_request_on_connect_failure",
        {"retry_on": "reset-before-request"},
        [],
        2,
        clusters={"": Up(endpoints=["refused"])},
    ),
    case("reset_before_request_not_after_it", {"retry_on": "reset-before-request"}, [[ReadBody(), Close()]], 1),
    case(
        "reset_before_request_on_time_out",
        {"retry_on": "reset-before-request", "per_try_timeout": "0.2s"},
        [HANG],
        1,
    ),
    case("connect_failure_on_time_out", {"retry_on": "connect-failure", "per_try_timeout": "0.2s"}, [HANG], 1),
    case(
        "wish_for_header_names",
        {"retry_on": "retriable-headers"},
        [reply(200, b"", [("x-b", "1")]), reply()],
        2,
        "X-Envoy-Retriable-Header-Names: x-a, x-b",
        hcm=internal.HCM,
    ),
    case(
        "wish_for_a_time_per_try",
        {},
        [HANG],
        1,
        "X-Envoy-Upstream-Rq-Per-Try-Timeout-Ms: 200",
        hcm=internal.HCM,
        expect={"log[0].details": "upstream_per_try_timeout"},
    ),
    case(
        "wish_for_no_content",
        {},
        [HANG],
        1,
        "X-Envoy-Upstream-Rq-Timeout-Ms: 200",
        "X-Envoy-Upstream-Rq-Timeout-Alt-Response: 1",
        hcm=internal.HCM,
        expect={"client[0].status": 204},
    ),
    case(
        "wish_without_a_policy",
        {},
        [HANG],
        1,
        "X-Envoy-Upstream-Rq-Per-Try-Timeout-Ms: 200",
        "X-Envoy-Upstream-Rq-Timeout-Ms: 200",
        hcm=internal.HCM,
    ),
    case(
        "wishes_of_strangers",
        {"retry_on": "retriable-headers"},
        [reply(200, b"", [("x-b", "1")]), reply()],
        1,
        "X-Envoy-Retriable-Header-Names: x-b",
        "X-Envoy-Hedge-On-Per-Try-Timeout: true",
        "X-Envoy-Upstream-Alt-Stat-Name: x",
        "X-Envoy-Upstream-Rq-Timeout-Alt-Response: 1",
        "X-Envoy-Original-Url: http://a/",
        "X-Envoy-Ip-Tags: a",
        "X-Envoy-Is-Timeout-Retry: true",
        "X-Envoy-Upstream-Stream-Duration-Ms: 5",
        "X-Envoy-Attempt-Count: 5",
    ),
    case(
        "wishes_end_here",
        {},
        [reply()],
        1,
        "X-Envoy-Retriable-Header-Names: x-b",
        "X-Envoy-Hedge-On-Per-Try-Timeout: true",
        "X-Envoy-Upstream-Alt-Stat-Name: x",
        "X-Envoy-Upstream-Rq-Timeout-Alt-Response: 1",
        "X-Envoy-Original-Url: http://a/",
        "X-Envoy-Ip-Tags: a",
        "X-Envoy-Upstream-Stream-Duration-Ms: 5000",
        hcm=internal.HCM,
    ),
)
