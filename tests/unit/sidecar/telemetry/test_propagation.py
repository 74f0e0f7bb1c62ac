from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http.headers import Headers, get
from sidecar.telemetry.propagation import (
    B3_MULTI,
    B3_SINGLE,
    Inherited,
    RandomIds,
    TraceContext,
    extract,
    go_on,
    inject,
    is_tracestate,
    parse_b3,
    parse_b3_headers,
    parse_traceparent,
    replace,
    unsample,
)

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = b"00f067aa0ba902b7"
NEW = b"1111111111111111"


def facts(found: Inherited | None) -> tuple[bytes, bytes, bool | None] | None:
    return None if found is None else (found.trace_id, found.span_id, found.sampled)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"00-%b-%b-01" % (TRACE, SPAN), (TRACE, SPAN, True)),
        (b"00-%b-%b-00" % (TRACE, SPAN), (TRACE, SPAN, False)),
        (b"00-%b-%b-03" % (TRACE, SPAN), (TRACE, SPAN, True)),
        (b"cc-%b-%b-01-what-the-future-brings" % (TRACE, SPAN), (TRACE, SPAN, True)),
        (b"00-%b-%b-01-more" % (TRACE, SPAN), None),
        (b"ff-%b-%b-01" % (TRACE, SPAN), None),
        (b"00-%b-%b-01" % (b"0" * 32, SPAN), None),
        (b"00-%b-%b-01" % (TRACE, b"0" * 16), None),
        (b"00-%b-%b-01" % (TRACE.upper(), SPAN), None),
        (b"00-%b-%b-1" % (TRACE, SPAN), None),
        (b"00-%b-%b-01,00-%b-%b-01" % (TRACE, SPAN, TRACE, SPAN), None),
        (b"", None),
    ],
)
def test_traceparent(value: bytes, expected: tuple[bytes, bytes, bool] | None) -> None:
    assert facts(parse_traceparent(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"%b-%b-1" % (TRACE, SPAN), (TRACE, SPAN, True)),
        (b"%b-%b-0-%b" % (TRACE, SPAN, NEW), (TRACE, SPAN, False)),
        (b"%b-%b" % (TRACE, SPAN), (TRACE, SPAN, None)),
        (b"%b-%b-d" % (TRACE[16:], SPAN), (b"0" * 16 + TRACE[16:], SPAN, True)),
        (b"0", (b"", b"", False)),
        (b"1", (b"", b"", True)),
        (b"d", (b"", b"", True)),
        (b"%b-%b-1" % (b"0" * 32, SPAN), None),
        (b"%b-%b-2" % (TRACE, SPAN), None),
        (b"x", None),
    ],
)
def test_b3_in_one_header(value: bytes, expected: tuple[bytes, bytes, bool | None] | None) -> None:
    assert facts(parse_b3(value)) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({b"x-b3-traceid": TRACE, b"x-b3-spanid": SPAN, b"x-b3-sampled": b"1"}, (TRACE, SPAN, True)),
        ({b"x-b3-traceid": TRACE, b"x-b3-spanid": SPAN, b"x-b3-sampled": b"0"}, (TRACE, SPAN, False)),
        ({b"x-b3-traceid": TRACE, b"x-b3-spanid": SPAN, b"x-b3-sampled": b"true"}, (TRACE, SPAN, True)),
        ({b"x-b3-traceid": TRACE, b"x-b3-spanid": SPAN, b"x-b3-flags": b"1"}, (TRACE, SPAN, True)),
        ({b"x-b3-traceid": TRACE, b"x-b3-spanid": SPAN}, (TRACE, SPAN, None)),
        ({b"x-b3-sampled": b"0"}, (b"", b"", False)),
        ({b"x-b3-traceid": TRACE}, None),
        ({b"x-b3-traceid": b"zz", b"x-b3-spanid": SPAN}, None),
    ],
)
def test_b3_in_several_headers(headers: dict[bytes, bytes], expected: tuple[bytes, bytes, bool | None] | None) -> None:
    assert facts(parse_b3_headers(list(headers.items()))) == expected


def extracted(headers: Headers) -> Inherited | None:
    return extract(dict(headers), headers)


def test_nothing_came() -> None:
    assert extracted([(b"tracestate", b"a=b")]) is None


def test_w3c_wins_and_every_format_is_remembered() -> None:
    other = b"a" * 32
    headers = [
        (b"b3", b"%b-%b-0" % (other, SPAN)),
        (b"traceparent", b"00-%b-%b-01" % (TRACE, SPAN)),
        (b"x-b3-traceid", other),
    ]
    found = extracted(headers)
    assert found is not None
    assert facts(found) == (TRACE, SPAN, True)
    assert found.b3 == B3_SINGLE | B3_MULTI


def test_the_state_of_a_broken_trace_is_dropped() -> None:
    headers = [(b"traceparent", b"garbage"), (b"tracestate", b"a=b"), (b"x", b"y")]
    assert extracted(headers) is None
    assert headers == [(b"traceparent", b"garbage"), (b"x", b"y")]


def test_a_good_trace_keeps_its_state() -> None:
    headers = [(b"traceparent", b"00-%b-%b-01" % (TRACE, SPAN)), (b"tracestate", b"a=b")]
    extracted(headers)
    assert (b"tracestate", b"a=b") in headers


def test_a_new_context_is_added() -> None:
    headers: Headers = [(b"a", b"b")]
    inject(TraceContext(TRACE, NEW, b"", True), headers, None)
    assert headers == [(b"a", b"b"), (b"traceparent", b"00-%b-%b-01" % (TRACE, NEW))]


def test_a_present_context_is_replaced() -> None:
    headers = [(b"traceparent", b"x"), (b"a", b"b"), (b"traceparent", b"y")]
    inject(TraceContext(TRACE, NEW, SPAN, False), headers, b"x,y")
    assert headers == [(b"traceparent", b"00-%b-%b-00" % (TRACE, NEW)), (b"a", b"b")]


@pytest.mark.parametrize(("sampled", "debug", "word"), [(True, False, b"1"), (False, False, b"0"), (True, True, b"d")])
def test_b3_goes_on_as_it_came(sampled: bool, debug: bool, word: bytes) -> None:
    context = TraceContext(TRACE, NEW, SPAN, sampled)
    context.b3, context.debug = B3_SINGLE, debug
    headers: Headers = []
    inject(context, headers, None)
    assert get(headers, b"b3") == b"-".join((TRACE, NEW, word, SPAN))
    found = parse_b3(get(headers, b"b3") or b"")
    assert facts(found) == (TRACE, NEW, sampled)


def test_b3_headers_go_on_as_they_came() -> None:
    headers = [(b"x-b3-traceid", TRACE), (b"x-b3-spanid", SPAN), (b"x-b3-parentspanid", b"2" * 16)]
    context = TraceContext(TRACE, NEW, b"", True)
    context.b3 = B3_MULTI
    inject(context, headers, None)
    assert get(headers, b"x-b3-spanid") == NEW
    assert get(headers, b"x-b3-sampled") == b"1"
    assert get(headers, b"x-b3-parentspanid") is None
    context.parent_id = SPAN
    inject(context, headers, get(headers, b"traceparent"))
    assert get(headers, b"x-b3-parentspanid") == SPAN


def test_a_header_is_replaced_wherever_it_is() -> None:
    headers = [(b"a", b"1"), (b"x", b"old"), (b"b", b"2")]
    replace(headers, b"x", b"old", b"new")
    assert headers == [(b"a", b"1"), (b"x", b"new"), (b"b", b"2")]
    headers = [(b"x", b"one"), (b"x", b"two")]
    replace(headers, b"x", b"one,two", b"new")
    assert headers == [(b"x", b"new")]


@given(st.text("0123456789abcdefg-", min_size=54, max_size=56))
def test_the_quick_way_agrees_with_the_slow_way(text: str) -> None:
    candidates = (b"00-" + text[3:].encode(), b"00-%b-%b-%b" % (TRACE, SPAN, text[:2].encode()), b"", b"0" * 55)
    for value in (*candidates, b"00-%b-%b-01" % (b"0" * 32, SPAN), b"00-%b-%b-01" % (TRACE, b"0" * 16)):
        slow, quick = parse_traceparent(value), go_on(value, NEW)
        if slow is None:
            assert quick is None
        else:
            assert quick is not None
            assert (quick.trace_id, quick.parent_id, quick.sampled) == facts(slow)
            assert quick.span_id == NEW


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80))
def test_any_headers_can_be_read(traceparent: bytes, b3: bytes, multi: bytes) -> None:
    found = extracted([(b"traceparent", traceparent), (b"b3", b3), (b"x-b3-traceid", multi), (b"x-b3-spanid", multi)])
    if found is not None and found.trace_id:
        assert len(found.trace_id) == 32
        assert int(found.trace_id, 16)


def test_random_digits_do_not_repeat() -> None:
    ids = RandomIds()
    drawn = [ids.digits(16) for _ in range(2000)]
    assert len(set(drawn)) == 2000
    assert {len(each) for each in drawn} == {16}


def test_who_is_not_to_record_is_told_so() -> None:
    headers: Headers = [(b"traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"), (b"x-b3-sampled", b"1")]
    context = TraceContext(b"a" * 32, b"b" * 16, b"", True)
    context.b3 = B3_MULTI
    unsample(context, headers)
    assert get(headers, b"traceparent") == b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-00"
    assert get(headers, b"x-b3-sampled") == b"0"
    assert context.sampled


@pytest.mark.fault(35)
@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        (b"a=b", True),
        (b"a=b, tenant@system=x ,,0a=!", True),
        (b"", True),
        (b",".join(b"k%d=v" % number for number in range(32)), True),
        (b",".join(b"k%d=v" % number for number in range(33)), False),
        (b"a=1,a=2", False),
        (b"A=1", False),
        (b"a", False),
        (b"a=", False),
        (b"=b", False),
        (b"a=b=c", False),
        (b"a b=c", False),
        (b"a=\x01", False),
        (b"a=\xc3\xa9", False),
        (b"k" * 256 + b"=v", True),
        (b"k" * 257 + b"=v", False),
        (b"a=" + b"v" * 256, True),
        (b"a=" + b"v" * 257, False),
        (b"_a=b", False),
    ],
)
def test_tracestate(value: bytes, accepted: bool) -> None:
    assert is_tracestate(value) is accepted


@given(st.binary(max_size=300))
def test_any_bytes_are_a_tracestate_or_none(value: bytes) -> None:
    assert is_tracestate(value) in (True, False)


@pytest.mark.fault(35)
@pytest.mark.parametrize("flags", [b"00", b"01", b"02", b"03"])
@pytest.mark.parametrize("version", [b"00", b"cc"])
def test_the_random_flag_goes_on(flags: bytes, version: bytes) -> None:
    value = b"%b-%b-%b-%b" % (version, TRACE, SPAN, flags)
    found = parse_traceparent(value)
    assert found is not None
    bits = int(flags, 16)
    assert (found.sampled, found.random) == (bool(bits & 1), bool(bits & 2))
    quick = go_on(value, NEW)
    assert (quick is None) == (version != b"00")
    context = quick or TraceContext(TRACE, NEW, SPAN, bool(found.sampled), found.random)
    headers: Headers = [(b"traceparent", value)]
    inject(context, headers, value)
    assert headers == [(b"traceparent", b"00-%b-%b-%b" % (TRACE, NEW, flags))]
