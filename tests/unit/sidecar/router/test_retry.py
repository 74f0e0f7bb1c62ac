"""Which failures are tried again."""

import pytest

from sidecar.codec.h1_parser import ResponseParser
from sidecar.config.model import HeaderMatcher, RetryPolicy, StringMatch, StringMatcher
from sidecar.http.exchange import Exchange
from sidecar.router.retry import Answer, Failure, RetryPlan, number, with_client_wishes


def plan(*conditions: str, codes: tuple[int, ...] = ()) -> RetryPlan:
    return RetryPlan(RetryPolicy(frozenset(conditions), status_codes=frozenset(codes)))


def head(status: int, *headers: tuple[bytes, bytes]) -> ResponseParser:
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    parsed = ResponseParser()
    parsed.parse(b"HTTP/1.1 %d x\r\n%b\r\n" % (status, lines))
    return parsed


@pytest.mark.parametrize(
    ("condition", "status", "wanted"),
    [
        ("5xx", 500, True),
        ("5xx", 429, False),
        ("gateway-error", 503, True),
        ("gateway-error", 500, False),
        ("retriable-4xx", 409, True),
        ("retriable-status-codes", 418, True),
        ("reset", 503, False),
    ],
)
def test_statuses(condition: str, status: int, wanted: bool) -> None:
    assert plan(condition, codes=(418,)).wants_response(head(status)) is wanted


def test_rate_limited_answers_are_retried_only_on_request() -> None:
    headers = [(b"x-envoy-ratelimited", b"true")]
    assert not plan("5xx").wants_response(head(503, *headers))
    assert plan("envoy-ratelimited").wants_response(head(429, *headers))


def test_grpc_status_of_a_trailers_only_answer() -> None:
    assert plan("unavailable").wants_response(head(200, (b"grpc-status", b"14")))
    assert not plan("unavailable").wants_response(head(200, (b"grpc-status", b"13")))


@pytest.mark.parametrize(
    ("condition", "failure", "wanted"),
    [
        ("connect-failure", Failure.CONNECT, True),
        ("connect-failure", Failure.RESET, False),
        ("reset-before-request", Failure.CONNECT, True),
        ("reset-before-request", Failure.RESET, False),
        ("reset-before-request", Failure.PER_TRY_TIMEOUT, False),
        ("reset", Failure.RESET, True),
        ("reset", Failure.CONNECT, True),
        ("5xx", Failure.PER_TRY_TIMEOUT, True),
        ("5xx", Failure.RESET, True),
        ("5xx", Failure.CONNECT, True),
        ("5xx", Failure.OVERFLOW, False),
        ("retriable-status-codes", Failure.RESET, False),
    ],
)
def test_failures(condition: str, failure: Failure, wanted: bool) -> None:
    assert plan(condition).wants_failure(failure) is wanted


def test_clients_add_conditions_and_replace_numbers() -> None:
    policy = with_client_wishes(
        RetryPolicy(frozenset(("5xx",)), attempts=1),
        {b"x-envoy-retry-on": b"reset, connect-failure", b"x-envoy-max-retries": b"7"},
    )
    assert policy is not None
    assert policy.conditions == {"5xx", "reset", "connect-failure"}
    assert policy.attempts == 7


def test_numbers_alone_make_no_policy() -> None:
    assert with_client_wishes(None, {b"x-envoy-max-retries": b"7"}) is None


def test_header_names_and_a_time_per_try_are_wishes_too() -> None:
    policy = with_client_wishes(
        None,
        {b"x-envoy-retriable-header-names": b"X-A, x-b", b"x-envoy-upstream-rq-per-try-timeout-ms": b"200"},
    )
    assert policy == RetryPolicy(
        frozenset(), headers=(HeaderMatcher(b"x-a"), HeaderMatcher(b"x-b")), per_try_timeout=0.2
    )


# ── headers ───────────────────────────────────────────────────────────────────────────────────────────────────────────

STARTS_WITH_A = HeaderMatcher(b"x", StringMatcher(StringMatch.PREFIX, "a"))


@pytest.mark.parametrize(
    ("matcher", "headers", "wanted"),
    [
        (STARTS_WITH_A, [(b"x", b"b"), (b"x", b"ab")], True),
        (STARTS_WITH_A, [(b"x", b"b")], False),
        (HeaderMatcher(b":status", StringMatcher(StringMatch.EXACT, "200")), [], True),
        (HeaderMatcher(b"content-length", StringMatcher(StringMatch.EXACT, "0")), [(b"content-length", b"0")], True),
        (HeaderMatcher(b"x", invert=True), [], True),
    ],
)
def test_headers_of_responses(matcher: HeaderMatcher, headers: list[tuple[bytes, bytes]], wanted: bool) -> None:
    policy = RetryPolicy(frozenset({"retriable-headers"}), headers=(matcher,))
    assert RetryPlan(policy).wants_response(head(200, *headers)) is wanted
    assert not RetryPlan(RetryPolicy(frozenset({"5xx"}), headers=(matcher,))).wants_response(head(200, *headers))


def test_an_answer_joins_what_is_repeated() -> None:
    answer = Answer(head(200, (b"x", b"a"), (b"x", b"b")))
    assert answer.header(b"x") == b"a,b"
    assert answer.header(b"y") is None


def test_only_some_requests_may_be_retried() -> None:
    policy = RetryPolicy(frozenset({"5xx"}), request_headers=(STARTS_WITH_A, HeaderMatcher(b"y")), per_try_timeout=1.0)
    plan = RetryPlan(policy)
    assert plan.of(Exchange(None, b"GET", b"/", [(b"y", b"")], 0.0)) is plan
    other = plan.of(Exchange(None, b"GET", b"/", [(b"x", b"b")], 0.0))
    assert not other.enabled
    assert not other.wants_response(head(503))
    assert not other.wants_failure(Failure.CONNECT)
    assert other.per_try_timeout == 1.0


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("per_try", "whole", "counts"), [(1.0, 2.0, 1.0), (2.0, 2.0, 0.0), (3.0, 2.0, 0.0), (3.0, 0.0, 3.0)]
)
def test_the_time_per_try_counts_below_the_whole(per_try: float, whole: float, counts: float) -> None:
    plan = RetryPlan(RetryPolicy(frozenset(), per_try_timeout=per_try), whole)
    assert plan.per_try_timeout == counts
    assert plan.timed is (counts > 0)
    assert plan.barred().per_try_timeout == counts


@pytest.mark.fault("F:sidecar/router/retry.py:19")
@pytest.mark.parametrize(
    ("status", "wanted"), [(500, False), (501, False), (502, True), (503, True), (504, True), (505, False)]
)
def test_gateway_errors(status: int, wanted: bool) -> None:
    assert plan("gateway-error").wants_response(head(status)) is wanted


@pytest.mark.fault("F:sidecar/router/retry.py:102")
@pytest.mark.parametrize("condition", ["5xx", "gateway-error", "reset"])
@pytest.mark.parametrize("failure", [Failure.RESET, Failure.CONNECT, Failure.PER_TRY_TIMEOUT])
def test_what_covers_answers_of_the_host_covers_none_at_all(condition: str, failure: Failure) -> None:
    assert plan(condition).wants_failure(failure)


GRPC = {"1": "cancelled", "4": "deadline-exceeded", "8": "resource-exhausted", "13": "internal", "14": "unavailable"}


@pytest.mark.parametrize("condition", GRPC.values())
@pytest.mark.parametrize("code", [*GRPC, "0", "2", ""])
def test_each_grpc_condition_means_its_code(condition: str, code: str) -> None:
    assert plan(condition).wants_response(head(200, (b"grpc-status", code.encode()))) is (GRPC.get(code) == condition)
    assert not plan(condition).wants_response(head(200))


@pytest.mark.parametrize(("text", "value"), [(b"0", 0), (b"9999999999", 9999999999), (b"99999999999", None)])
def test_numbers_of_wishes_have_ten_digits_at_most(text: bytes, value: int | None) -> None:
    assert number(text) == value
    assert number(b"-1") is number(b"") is number(None) is None


@pytest.mark.parametrize(("status", "wanted"), [(499, False), (500, True), (599, True), (600, False)])
def test_the_five_hundreds(status: int, wanted: bool) -> None:
    assert plan("5xx").wants_response(head(status)) is wanted


@pytest.mark.parametrize(
    ("condition", "refused", "reset"),
    [
        ("refused-stream", True, False),
        ("connect-failure", False, False),
        ("reset", True, True),
        ("cancelled", False, False),
    ],
)
def test_streams_that_the_host_refused(condition: str, refused: bool, reset: bool) -> None:
    assert plan(condition).wants_failure(Failure.REFUSED) is refused
    assert plan(condition).wants_failure(Failure.RESET) is reset


def test_an_answer_has_the_headers_of_its_hop_too() -> None:
    answer = Answer(head(200, (b"connection", b"x-a"), (b"content-length", b"0"), (b"x", b"1")))
    assert answer.header_values(b"content-length") == [b"0"]
    assert answer.header_values(b"x") == [b"1"]
    assert answer.header_values(b"y") == []


def test_a_status_that_is_wanted_needs_no_header() -> None:
    policy = RetryPolicy(frozenset({"5xx", "retriable-headers"}), headers=(STARTS_WITH_A,))
    assert RetryPlan(policy).wants_response(head(503))
    assert RetryPlan(policy).wants_response(head(200, (b"x", b"a")))
    assert not RetryPlan(policy).wants_response(head(200))


def test_a_plan_without_conditions_is_not_enabled_and_times_its_attempt() -> None:
    assert not RetryPlan(RetryPolicy(frozenset())).enabled
    assert plan("5xx").enabled
    assert not plan("5xx").timed
    assert RetryPlan(RetryPolicy(frozenset(), per_try_idle_timeout=1.0)).timed
    assert RetryPlan(RetryPolicy(frozenset(), per_try_idle_timeout=1.0)).barred().timed


def test_a_plan_passes_over_hosts_as_its_policy_says() -> None:
    assert plan("5xx").rejects == ()
    assert len(RetryPlan(RetryPolicy(frozenset(), avoid_previous_hosts=True)).rejects) == 1


def test_a_plan_for_every_request_needs_no_header() -> None:
    every = plan("5xx")
    assert every.of(Exchange(None, b"GET", b"/", [], 0.0)) is every


def test_statuses_and_conditions_of_clients_come_on_top() -> None:
    policy = RetryPolicy(frozenset({"reset"}), status_codes=frozenset({418}), per_try_timeout=3.0, attempts=4)
    asked = with_client_wishes(
        policy,
        {b"x-envoy-retriable-status-codes": b"429, x,503", b"x-envoy-retry-grpc-on": b"cancelled , ,internal"},
    )
    assert asked is not None
    assert asked.status_codes == {418, 429, 503}
    assert asked.conditions == {"reset", "cancelled", "internal"}
    assert (asked.per_try_timeout, asked.attempts) == (3.0, 4)


def test_a_clients_names_come_after_the_routes() -> None:
    policy = RetryPolicy(frozenset(), headers=(HeaderMatcher(b"z"),))
    asked = with_client_wishes(policy, {b"x-envoy-retriable-header-names": b"b,A"})
    assert asked is not None
    assert asked.headers == (HeaderMatcher(b"z"), HeaderMatcher(b"a"), HeaderMatcher(b"b"))


def test_a_condition_alone_makes_a_policy() -> None:
    asked = with_client_wishes(None, {b"x-envoy-retry-on": b"5xx"})
    assert asked == RetryPolicy(frozenset({"5xx"}))
    assert with_client_wishes(None, {}) is None
    assert with_client_wishes(None, {b"x-envoy-upstream-rq-per-try-timeout-ms": b"0"}) is None
