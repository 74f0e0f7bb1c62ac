"""What only callers from internal addresses may ask for by x-envoy-* headers; others' are removed (topic forwarded)."""

from __future__ import annotations

from typing import Any

from tests.harness.upstream import Hang, Plan, ReadBody, reply
from tests.oracle.case import Case, request
from tests.oracle.topics.retries import CONNECTIONS

HCM = {
    "use_remote_address": True,
    "internal_address_config": {"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]},
}
HANG: Plan = [ReadBody(), Hang()]
BAD: Plan = reply(503)


def asked(name: str, *lines: str, script: list[Plan], retry_on: str = "", **expect: Any) -> Case:
    """`expect` names fields of the log line."""
    action = {"retry_policy": {"retry_on": retry_on}} if retry_on else {}
    pinned = {f"log[0].{key}": value for key, value in expect.items()}
    return Case(name, request("/x", *lines), hcm=HCM, action=action, script=script, expect=pinned, ignore=CONNECTIONS)


CASES = (
    asked("internal_plain", script=[reply()], code=200),
    asked(
        "internal_headers_are_kept", "X-Envoy-Foo: 1", "X-Request-Id: abc", "X-Envoy-Attempt-Count: 5", script=[reply()]
    ),
    asked("internal_timeout", "X-Envoy-Upstream-Rq-Timeout-Ms: 200", script=[HANG], flags="UT"),
    asked("internal_timeout_garbage", "X-Envoy-Upstream-Rq-Timeout-Ms: abc", script=[reply()], code=200),
    asked("internal_timeout_zero", "X-Envoy-Upstream-Rq-Timeout-Ms: 0", script=[reply()], code=200),
    asked(
        "internal_per_try_timeout",
        "X-Envoy-Upstream-Rq-Per-Try-Timeout-Ms: 150",
        script=[HANG, reply()],
        retry_on="5xx",
        attempts=2,
    ),
    asked("internal_more_retries", "X-Envoy-Max-Retries: 4", script=[BAD], retry_on="5xx", attempts=5),
    asked("internal_no_retries", "X-Envoy-Max-Retries: 0", script=[BAD], retry_on="5xx", attempts=1),
    asked("internal_retries_garbage", "X-Envoy-Max-Retries: x", script=[BAD], retry_on="5xx", attempts=2),
    asked("internal_another_condition", "X-Envoy-Retry-On: 5xx", script=[BAD, reply()], retry_on="reset", attempts=2),
    asked("internal_condition_alone", "X-Envoy-Retry-On: 5xx", script=[BAD, reply()], attempts=2),
    asked(
        "internal_status_codes",
        "X-Envoy-Retry-On: retriable-status-codes",
        "X-Envoy-Retriable-Status-Codes: 418,419",
        script=[reply(419), reply()],
        attempts=2,
    ),
    asked("internal_unknown_condition", "X-Envoy-Retry-On: nonsense,5xx", script=[BAD, reply()], attempts=2),
    asked("internal_forwarded_for", "X-Forwarded-For: 1.2.3.4", script=[reply()], code=200),
)
