"""HTTP/1.1 on one side and HTTP/2 on the other, both ways, trailers included; GOAWAY and limits of hosts."""

from __future__ import annotations

from tests.harness.h2_upstream import AwaitBody, Body, GoAway, Head, Pause, Plan, Trailers, reply
from tests.harness.upstream import chunked
from tests.harness.upstream import reply as h1_reply
from tests.oracle.case import H2_OPTIONS, Case, Up, h2_cluster, post, request
from tests.oracle.h2_case import Over, Request

UP = {"": h2_cluster()}
TRAILERS = {"http_protocol_options": {"enable_trailers": True}}
TAKES_TRAILERS = Up(
    fields={
        "typed_extension_protocol_options": {
            H2_OPTIONS: {
                "@type": f"type.googleapis.com/{H2_OPTIONS}",
                "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}},
            }
        }
    }
)
CHUNKED = request("/chunks", "Transfer-Encoding: chunked", method="POST", body=b"5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n")
WITH_TRAILERS: Plan = [AwaitBody(), Head(), Body(b"ok"), Trailers((("x-sum", "2"),))]
SLOW: Plan = [AwaitBody(), Pause(2.0)]
# Answers that are none.
NO_ANSWERS: dict[str, Plan] = {
    "no_content_with_a_length": [AwaitBody(), Head(204, (("content-length", "5"),), end=True)],
    "hints_with_a_length": [AwaitBody(), Head(103, (("content-length", "5"),)), *reply()[1:]],
    "two_equal_lengths": [AwaitBody(), Head(200, (("content-length", "2"),) * 2), Body(b"ok", end=True)],
    "trailers_with_the_length": [AwaitBody(), Head(), Body(b"ok"), Trailers((("content-length", "2"),))],
    "trailers_with_another_length": [AwaitBody(), Head(), Body(b"ok"), Trailers((("content-length", "3"),))],
}
COOKIES = (("set-cookie", "a=1"), ("set-cookie", "b=2"))
ALL = {"match": {"prefix": "/"}}
HI = {"inline_string": "hi"}
AS_CLIENT = {
    "typed_extension_protocol_options": {
        H2_OPTIONS: {
            "@type": f"type.googleapis.com/{H2_OPTIONS}",
            "use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}},
        }
    }
}
ONLY_HTTP1 = {
    "typed_extension_protocol_options": {
        H2_OPTIONS: {"@type": f"type.googleapis.com/{H2_OPTIONS}", "use_downstream_protocol_config": {}}
    }
}

CASES = (
    # ── HTTP/1.1 → HTTP/2 ──
    Case("h1_to_h2_get", request("/get", "X-A: 1"), clusters=UP),
    Case("h1_to_h2_post", post("/post"), clusters=UP),
    Case("h1_to_h2_chunked", CHUNKED, clusters=UP),
    Case("h1_to_h2_trailers", CHUNKED, clusters=UP, hcm=TRAILERS, h2_script=[WITH_TRAILERS]),
    Case("h1_to_h2_trailers_dropped", request(), clusters=UP, h2_script=[WITH_TRAILERS]),
    Case("h1_to_h2_head", request(method="HEAD"), methods=("HEAD",), clusters=UP, h2_script=[reply(200, b"")]),
    Case("h1_to_h2_empty", request(), clusters=UP, h2_script=[reply(204, b"")]),
    Case("h1_to_h2_length", request(), clusters=UP, h2_script=[reply(200, b"ok", ("content-length", "2"))]),
    Case("h1_to_h2_cookies", request("/", "Cookie: a=1; b=2", "TE: trailers"), clusters=UP),
    Case("h1_to_h2_connection_fields", request("/", "Connection: X-A, keep-alive", "X-A: 1"), clusters=UP),
    Case("h1_to_h2_status_of_none", request(), clusters=UP, h2_script=[[AwaitBody(), Head(299, end=True)]]),
    Case("h1_to_h2_pipelined", request("/a") + request("/b"), methods=("GET", "GET"), clusters=UP),
    Case(
        "h1_to_h2_set_cookies",
        request(),
        clusters=UP,
        h2_script=[reply(200, b"ok", ("set-cookie", "a=1"), ("set-cookie", "b=2"))],
    ),
    *(Case(f"h2_answer_{name}", h2=(Request(), Over()), clusters=UP, h2_script=[p]) for name, p in NO_ANSWERS.items()),
    Case(
        "h2_answer_no_content_of_length_zero",
        request(),
        clusters=UP,
        h2_script=[reply(204, b"", ("content-length", "0"))],
    ),
    Case("h1_user_in_host", request(host="u@%HOST%"), vhost={"domains": ["u@h1-user-in-host.test"]}),
    Case(
        "h1_to_h2_user_in_host",
        request(host="u@%HOST%"),
        vhost={"domains": ["u@h1-to-h2-user-in-host.test"]},
        clusters=UP,
    ),
    # ── HTTP/2 → HTTP/1.1 ──
    Case("h2_to_h1_get", h2=(Request("/get", (("x-a", "1"),)), Over())),
    Case("h2_to_h1_post", h2=(Request("/post", method="POST", body=b"hello"), Over())),
    Case("h2_to_h1_post_length", h2=(Request(method="POST", fields=(("content-length", "5"),), body=b"hello"), Over())),
    Case("h2_to_h1_chunked", h2=(Request("/chunked"), Over())),
    Case(
        "h2_to_h1_trailers",
        h2=(Request(method="POST", body=b"hello", trailers=(("x-sum", "5"),)), Over()),
        script=[chunked(b"ok", trailers=[("x-sum", "2")])],
        clusters={"": TAKES_TRAILERS},
    ),
    Case(
        "h2_to_h1_trailers_dropped",
        h2=(Request(method="POST", body=b"hello", trailers=(("x-sum", "5"),)), Over()),
        script=[chunked(b"ok", trailers=[("x-sum", "2")])],
    ),
    Case("h2_to_h1_head", h2=(Request(method="HEAD"), Over())),
    Case("h2_to_h1_no_content", h2=(Request("/status/204"), Over())),
    Case("h2_to_h1_not_modified", h2=(Request("/status/304"), Over())),
    Case("h2_to_h1_cookies", h2=(Request(fields=(("cookie", "a=1"), ("cookie", "b=2"))), Over())),
    Case("h2_to_h1_closed", h2=(Request("/close"), Over())),
    Case("h2_to_h1_reset", h2=(Request("/reset"), Over())),
    Case("h2_to_h1_garbage", h2=(Request("/garbage"), Over())),
    Case("h2_to_h1_truncated", h2=(Request("/truncated"), Over())),
    Case("h2_to_h1_server_closes", h2=(Request(), Over()), script=[h1_reply(headers=[("connection", "close")])]),
    # ── as the client ──
    Case("as_client_h1", request("/one"), clusters={"": Up(fields=AS_CLIENT)}),
    Case("as_client_h2", h2=(Request("/two"), Over()), clusters={"": Up(("h2up",), fields=AS_CLIENT)}),
    Case("as_client_without_h2", h2=(Request("/three"), Over()), clusters={"": Up(fields=ONLY_HTTP1)}),
    # ── what the connection manager says ──
    Case("h2_codec", h2=(Request(), Over()), clusters=UP, hcm={"codec_type": "HTTP2"}),
    Case("h2_via_and_server", h2=(Request(), Over()), clusters=UP, hcm={"via": "p", "server_name": "s"}),
    Case("h2_no_route", h2=(Request(), Over()), routes=[]),
    Case(
        "h2_redirect",
        h2=(Request("/a"), Over()),
        routes=[{"match": {"prefix": "/"}, "redirect": {"path_redirect": "/b"}}],
    ),
    Case(
        "h2_direct",
        h2=(Request(), Over()),
        routes=[{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "hi"}}}],
    ),
    Case(
        "h2_time_out",
        h2=(Request(), Over()),
        clusters=UP,
        h2_script=[[AwaitBody(), Pause(2.0)]],
        action={"timeout": "0.3s"},
    ),
    Case("h2_refused", h2=(Request(), Over()), clusters={"": Up(("refused",), fields=UP[""].fields)}),
    # ── GOAWAY of the host ──
    Case(
        "h2_host_goes_away_answering",
        h2=(Request("/one"), Over(), Request("/two", stream=3), Over((3,))),
        clusters=UP,
        h2_script=[[AwaitBody(), GoAway(), Head(), Body(b"last", end=True)], reply()],
    ),
    Case(
        "h2_host_goes_away_without_answer",
        h2=(Request(), Over()),
        clusters=UP,
        h2_script=[[AwaitBody(), GoAway(answered=False), Pause(0.3)]],
        ignore=("h2up",),
    ),
)
