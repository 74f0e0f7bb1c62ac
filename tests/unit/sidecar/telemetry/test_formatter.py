from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.access_log import ISTIO_JSON, ISTIO_TEXT
from mesh.errors import ConfigError
from sidecar.http.response_flags import Flag
from sidecar.telemetry.formatter import (
    ENVOY_TEXT,
    Command,
    compile_format,
    compile_json,
    compile_text,
    parse,
)
from tests.unit.sidecar.telemetry.exchanges import CLOCK_START, clock, exchange

NOW = CLOCK_START + 0.0421


def text(format_string: str, **fields: Any) -> str:
    return compile_text(format_string, clock())(exchange(**fields), NOW).decode("utf-8", "surrogateescape")


def as_json(fields: Any, **changes: Any) -> Any:
    line = compile_json(fields, clock())(exchange(**changes), NOW)
    assert line.endswith(b"\n")
    return json.loads(line)


# ── grammar ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_format_is_literals_and_commands() -> None:
    assert list(parse('a%%b %REQ(X?Y):5% {"c"} %START_TIME(%s.%3f)%')) == [
        "a",
        "%",
        "b ",
        Command("REQ", "X?Y", 5),
        ' {"c"} ',
        Command("START_TIME", "%s.%3f", None),
    ]


@pytest.mark.parametrize("bad", ["100%", "%REQ(a", "%START_TIME", "%req(a)%", "%REQ(a):x%", "a % b"])
def test_what_is_not_a_command_is_refused(bad: str) -> None:
    with pytest.raises(ConfigError, match="is not a %COMMAND%"):
        compile_text(bad)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("%NOPE%", "unknown command %NOPE%"),
        ("%REQ%", "REQ requires parameters"),
        ("%REQ()%", "REQ requires parameters"),
        ("%REQ(a?b?c)%", "more than one alternative"),
        ("%REQ(a b)%", "'a b' is not a header name"),
        ("%PROTOCOL:5%", "PROTOCOL does not take any parameters or length"),
        ("%DURATION(x)%", "DURATION does not take any parameters or length"),
        ("%HOSTNAME:2%", "HOSTNAME does not take"),
        ("%METADATA(LISTENER:a)%", "LISTENER"),
        ("%PATH(XX)%", "PATH"),
        ("%RESPONSE_CODE_DETAILS(x)%", "ALLOW_WHITESPACES"),
    ],
)
def test_unknown_and_wrong_commands_are_named(bad: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        compile_text(bad)
    with pytest.raises(ConfigError, match=reason):
        compile_json({"a": {"b": [bad]}})
    with pytest.raises(ConfigError, match=reason):
        compile_format(bad)


# ── text ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_envoys_default_line() -> None:
    assert text(ENVOY_TEXT) == (
        '[2023-11-14T22:13:20.000Z] "GET /reviews/1?verbose=1&x= HTTP/1.1" 200 - 0 5 42 3 "10.1.1.1" "curl/8" '
        '"11111111-2222-4333-8444-555555555555" "reviews:9080" "10.0.0.7:9080"\n'
    )


def test_istios_line() -> None:
    line = text(ISTIO_TEXT, status=503, flags=Flag.UF | Flag.URX, upstream_failure="delayed", original_path=b"/old")
    assert line == (
        '[2023-11-14T22:13:20.000Z] "GET /old HTTP/1.1" 503 URX,UF via_upstream - "delayed" 0 5 42 3 "10.1.1.1" '
        '"curl/8" "11111111-2222-4333-8444-555555555555" "reviews:9080" "10.0.0.7:9080" '
        "outbound|9080||reviews.default.svc.cluster.local 127.0.0.1:50000 127.0.1.2:15001 127.0.0.1:40000 - default\n"
    )


def test_what_is_not_there_is_a_dash() -> None:
    nothing = exchange(
        method=b"", headers=[], cluster=None, endpoint=None, route=None, upstream_local="", details="", request_id=b""
    )
    line = compile_text(
        "%REQ(:METHOD)% %REQ(A?B)% %RESP(C)% %UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% %ROUTE_NAME% "
        "%RESPONSE_CODE_DETAILS% %UPSTREAM_REMOTE_PORT% %REQ(X-REQUEST-ID)% %TRACE_ID% %METADATA(ROUTE:a:b)%"
    )
    assert line(nothing, NOW) == b" ".join([b"-"] * 12)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("%REQ(user-agent):4%", "curl"),
        ("%REQ(user-agent):0%", ""),
        ("%REQ(x-nope?USER-AGENT):3%", "cur"),
        ("%REQUEST_HEADER(:path)%", "/reviews/1?verbose=1&x="),
        ("%REQ(:SCHEME)% %REQ(host)%", "http reviews:9080"),
        ("%RESP(:status)% %RESPONSE_HEADER(content-type)%", "200 text/plain"),
        ("%PATH(NQ)% %PATH(WQ:PATH):4% %PATH(WQ:ORIG)%", "/reviews/1 /rev -"),
        ("%QUERY_PARAM(verbose)%|%QUERY_PARAM(x)%|%QUERY_PARAM(y)%", "1||-"),
        ("%UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.7:9080 10.0.0.7"),
        ("%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %UPSTREAM_LOCAL_PORT%", "127.0.0.1 50000"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%", "127.0.0.1 40000"),
        ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "127.0.0.1:40000"),
        ("%UPSTREAM_REQUEST_ATTEMPT_COUNT% %STREAM_ID%", "1 11111111-2222-4333-8444-555555555555"),
        ("%CLUSTER_METADATA(istio:services)%", '[{"host":"reviews.default.svc.cluster.local","name":"reviews",'
         '"namespace":"default"}]'),
        ("%START_TIME(%s %3f %f %Y/%m/%dT%H:%M:%S%z %Z)%", "1700000000 000 000000000 2023/11/14T22:13:20+0000 UTC"),
        ("%ACCESS_LOG_TYPE%", "DownstreamEnd"),
        ("100%% {a}", "100% {a}"),
    ],
)  # fmt: skip
def test_commands(command: str, expected: str) -> None:
    assert text(command) == expected


def test_a_host_that_was_picked_is_not_yet_connected_to() -> None:
    assert text("%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS%", upstream_local="") == "10.0.0.7:9080 -"


def test_flags_in_long() -> None:
    assert text("%RESPONSE_FLAGS_LONG%") == "-"
    assert text("%RESPONSE_FLAGS_LONG%", flags=Flag.NR | Flag.DC) == "NoRouteFound,DownstreamConnectionTermination"


def test_every_flag_has_a_long_name() -> None:
    for flag in Flag:
        assert text("%RESPONSE_FLAGS_LONG%", flags=int(flag)) not in ("", "-")


def test_spaces_in_details_are_kept_only_on_demand() -> None:
    formats = "%RESPONSE_CODE_DETAILS% %RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%"
    assert text(formats, details="a b") == "a_b a b"


def test_repeated_headers_read_as_envoy_reads_them() -> None:
    headers = [(b"user-agent", b"one"), (b"user-agent", b"two"), (b"x-a", b"1"), (b"x-a", b"2")]
    assert text("%REQ(user-agent)% %REQ(x-a)%", headers=headers) == "one,two 1"


def test_headers_that_the_codec_keeps_apart_are_found() -> None:
    assert text("%REQ(upgrade)%", hop_headers={b"upgrade": b"websocket"}) == "websocket"


def test_ipv6_addresses_are_bracketed() -> None:
    made = exchange()
    made.downstream.remote = type(made.downstream.remote)("::1", 5)
    assert compile_text("%DOWNSTREAM_REMOTE_ADDRESS%")(made, NOW) == b"[::1]:5"


def test_the_environment_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_TEST", "value")
    line = compile_text("%ENVIRONMENT(MESH_TEST):3% %ENVIRONMENT(MESH_TEST_NOT_SET)%")
    monkeypatch.delenv("MESH_TEST")
    assert line(exchange(), NOW) == b"val -"


def test_start_time_follows_a_clock_that_is_set() -> None:
    time = clock()
    line = compile_text("%START_TIME%", time)
    assert line(exchange(), NOW) == b"2023-11-14T22:13:20.000Z"
    assert line(exchange(started=CLOCK_START + 0.9876), NOW) == b"2023-11-14T22:13:20.987Z"
    assert line(exchange(started=CLOCK_START + 61), NOW) == b"2023-11-14T22:14:21.000Z"


def test_bytes_that_are_not_utf8_stay_as_they_are() -> None:
    headers = [(b"user-agent", b"a\xe9\xff b")]
    assert compile_text("<%REQ(user-agent)%>\n")(exchange(headers=headers), NOW) == b"<a\xe9\xff b>\n"


def test_a_value_cannot_end_a_line() -> None:
    headers = [(b"user-agent", b"a\r\n[2023] forged")]
    assert compile_text("<%REQ(user-agent)%>\n")(exchange(headers=headers), NOW) == b"<a\\x0d\\x0a[2023] forged>\n"


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_istios_json_is_typed() -> None:
    line = as_json(ISTIO_JSON)
    assert sorted(line) == sorted(ISTIO_JSON)
    assert line["response_code"] == 200
    assert line["duration"] == 42
    assert line["upstream_service_time"] == "3"
    assert line["response_flags"] == "-"
    assert line["connection_termination_details"] is None
    assert line["requested_server_name"] is None
    assert line["upstream_host"] == "10.0.0.7:9080"


def test_keys_are_sorted_and_data_nests() -> None:
    fields = {"b": {"z": "%DURATION%", "a": [1.0, True, None, "x", 2.5]}, "a": ""}
    assert compile_json(fields)(exchange(), NOW) == b'{"a":"","b":{"a":[1,true,null,"x",2.5],"z":42}}\n'


def test_a_command_among_text_is_text() -> None:
    fields = {"a": "x%RESPONSE_CODE%y", "b": "%REQ(nope)%", "c": "a%REQ(nope)%", "d": "%REQ(x)%%REQ(y)%"}
    assert as_json(fields) == {"a": "x200y", "b": None, "c": "a-", "d": "--"}


def test_braces_and_quotes_in_a_format_are_literal() -> None:
    fields = {'k"{}': '{"\\%PROTOCOL%}'}
    assert as_json(fields) == {'k"{}': '{"\\HTTP/1.1}'}


def test_invalid_utf8_is_escaped_byte_by_byte() -> None:
    headers = [(b"user-agent", b'a"b\\c\xe9\xc3\xa9\t/x')]
    line = compile_json({"ua": "%REQ(user-agent)%"})(exchange(headers=headers), NOW)
    assert line == b'{"ua":"a\\u0022b\\u005cc\\u00e9\\u00c3\\u00a9\\u0009/x"}\n'


@given(st.binary(max_size=40), st.text(max_size=40))
def test_any_value_gives_one_line_of_json(value: bytes, details: str) -> None:
    made = exchange(headers=[(b"user-agent", value), (b"x-b", value)], details=details)
    fields = {"a": "%REQ(user-agent)%", "b": "<%REQ(x-b)% %RESPONSE_CODE_DETAILS%>", "c": "%REQ(x-b):7%"}
    line = compile_json(fields)(made, NOW)
    assert line.count(b"\n") == 1
    found = json.loads(line)
    try:
        assert found["a"] == value.decode()
    except UnicodeDecodeError:
        assert found["a"].encode("latin-1") == value


@given(st.binary(max_size=40))
def test_any_value_gives_one_line_of_text(value: bytes) -> None:
    line = compile_text("%REQ(user-agent)%\n")(exchange(headers=[(b"user-agent", value)]), NOW)
    assert line.count(b"\n") == 1
    if not any(byte < 32 or byte == 127 for byte in value):
        assert line == value + b"\n"


@given(st.text())
def test_any_text_is_a_format_or_refused(value: str) -> None:
    try:
        line = compile_text(value)
    except ConfigError:
        return
    if "%" not in value:
        assert line(exchange(), NOW) == value.encode("utf-8", "surrogateescape")


def test_repeated_values_do_not_pile_up() -> None:
    line = compile_json({"a": "%REQ(user-agent)%"})
    for number in range(5000):
        value = b"agent-%d" % number
        assert json.loads(line(exchange(headers=[(b"user-agent", value)]), NOW))["a"] == value.decode()


# ── header values ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_header_value_leaves_out_what_is_not_there() -> None:
    value = compile_format("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %REQ(nope)% %REQ(user-agent)%")
    assert value(exchange()) == b"127.0.0.1  curl/8"
    assert compile_format("%REQ(nope)%")(exchange()) == b""


def test_a_literal_header_value_is_rendered_once() -> None:
    value = compile_format("100%% plain")
    assert value(exchange()) == b"100% plain"
    assert value(exchange()) is value(exchange())


def test_a_header_value_cannot_end_its_header() -> None:
    value = compile_format("%REQ(x)%")
    assert value(exchange(headers=[(b"x", b"a\r\nevil: 1")])) == b"a\\x0d\\x0aevil: 1"
