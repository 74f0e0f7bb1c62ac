"""gRPC-Web: binary and text, over HTTP/1.1 and HTTP/2, trailers in the body, answers that are no gRPC, CORS."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from tests.harness.h2_upstream import (
    EMPTY_MESSAGE,
    GRPC_HEAD,
    AwaitBody,
    Body,
    EchoBody,
    Head,
    Pause,
    Plan,
    ResetStream,
    Trailers,
    grpc_reply,
    reply,
    trailers_only,
)
from tests.harness.upstream import reply as h1_reply
from tests.oracle.case import Case, Up, h2_cluster, post, request
from tests.oracle.h2_case import Block, Data, H2Action, Over, Pairs, Quiet, Request
from tests.oracle.topics.compressor import HTTP, compressor

UP = {"": h2_cluster()}
LOG = {"grpc": "%GRPC_STATUS%", "grpc_number": "%GRPC_STATUS_NUMBER%", "trailer": "%TRAILER(grpc-status)%"}
PATH = "/pkg.Service/Method"
WEB, WEB_PROTO = "application/grpc-web", "application/grpc-web+proto"
TEXT, TEXT_PROTO = "application/grpc-web-text", "application/grpc-web-text+proto"
FILTER = {"name": "envoy.filters.http.grpc_web", "typed_config": {"@type": HTTP + "grpc_web.v3.GrpcWeb"}}
CORS = {"name": "envoy.filters.http.cors", "typed_config": {"@type": HTTP + "cors.v3.Cors"}}
FAULT = {
    "name": "envoy.filters.http.fault",
    "typed_config": {
        "@type": HTTP + "fault.v3.HTTPFault",
        "abort": {"percentage": {"numerator": 100}, "grpc_status": 8},
    },
}


def message(data: bytes, flags: int = 0) -> bytes:
    return bytes((flags,)) + len(data).to_bytes(4) + data


ASKED = message(b"question")
ANSWERED = message(b"an answer") + message(b"") + message(b"another")
OK: Plan = grpc_reply(message=ANSWERED)
QUICK = {"base_interval": "0.01s", "max_interval": "0.02s"}


def call(
    content_type: str = WEB_PROTO,
    body: bytes | None = ASKED,
    *fields: tuple[str, str],
    accept: str = "",
    end: bool = True,
) -> Request:
    more: Pairs = (("content-type", content_type), *((("accept", accept),) if accept else ()), *fields)
    return Request(PATH, more, method="POST", body=body, end=end)


def case(name: str, *steps: H2Action, plan: Plan = OK, filters: Sequence[Any] = (FILTER,), **more: Any) -> Case:
    more.setdefault("clusters", UP)
    more.setdefault("log", LOG)
    more.setdefault("h2_script", [plan])
    counted = (
        f"cluster.%CLUSTER%.grpc-web.pkg.Service.Method.{word}" for word in ("0", "14", "success", "failure", "total")
    )
    more.setdefault("stats", list(counted))
    return Case(f"grpc_web_{name}", h2=steps or (call(), Over()), filters=list(filters), **more)


def h1(
    name: str, content_type: str = WEB_PROTO, body: bytes = ASKED, *lines: str, plan: Plan = OK, **more: Any
) -> Case:
    more.setdefault("clusters", UP)
    more.setdefault("h2_script", [plan])
    sent = post(PATH, f"Content-Type: {content_type}", *lines, body=body)
    return Case(f"grpc_web_h1_{name}", sent, filters=[FILTER], log=LOG, **more)


ANSWERS: dict[str, Plan] = {
    "ok": OK,
    "status_14": grpc_reply(14, text="down"),
    "status_odd": [AwaitBody(), GRPC_HEAD, Body(EMPTY_MESSAGE), Trailers((("grpc-status", "99"),))],
    "more_trailers": [AwaitBody(), GRPC_HEAD, Trailers((("grpc-status", "0"), ("x-a", "1"), ("x-a", "2")))],
    "trailers_only_14": trailers_only(14, "down"),
    "trailers_only_0": trailers_only(0),
    "no_trailers": [AwaitBody(), GRPC_HEAD, Body(EMPTY_MESSAGE, end=True)],
    "no_content": [AwaitBody(), GRPC_HEAD, Trailers((("grpc-status", "0"),))],
    "length": [
        AwaitBody(),
        Head(200, (("content-type", "application/grpc"), ("content-length", "5"))),
        Body(EMPTY_MESSAGE),
        Trailers((("grpc-status", "0"),)),
    ],
    "grpc_proto": [AwaitBody(), Head(200, (("content-type", "application/grpc+proto"),)), Body(ANSWERED, end=True)],
    "web_already": [AwaitBody(), Head(200, (("content-type", WEB),)), Body(ANSWERED, end=True)],
    "web_with_parameters": [
        AwaitBody(),
        Head(200, (("content-type", "Application/Grpc-Web+Proto ; charset=x"),)),
        Body(ANSWERED, end=True),
    ],
    "text_already": [AwaitBody(), Head(200, (("content-type", TEXT),)), Body(ANSWERED, end=True)],
    "plain": reply(200, b"no gRPC at all\n"),
    "plain_503": reply(503, b"down", ("content-type", "text/plain")),
    "plain_404_without_body": reply(404, b""),
    "plain_418": reply(418, b"\xc3\xa4 100% \x01"),
    "plain_in_pieces": [AwaitBody(), Head(502), Body(b"one "), Pause(0.1), Body(b"two", end=True)],
    "plain_long_in_pieces": [AwaitBody(), Head(500), Body(b"x" * 9000), Pause(0.1), Body(b"y" * 9000, end=True)],
    "plain_with_trailers": [AwaitBody(), Head(500), Body(b"text"), Trailers((("x-a", "1"),))],
    "plain_trailers_alone": [AwaitBody(), Head(500), Pause(0.1), Trailers((("x-a", "1"),))],
    "grpc_503": [AwaitBody(), Head(503, (("content-type", "application/grpc"),)), Body(b"down", end=True)],
    "pieces": [
        AwaitBody(),
        GRPC_HEAD,
        *(Body(ANSWERED[at : at + 4]) for at in range(0, len(ANSWERED), 4)),
        Trailers((("grpc-status", "0"),)),
    ],
    "unfinished": [AwaitBody(), GRPC_HEAD, Body(ANSWERED[:-2]), Trailers((("grpc-status", "0"),))],
    "compressed": [AwaitBody(), GRPC_HEAD, Body(message(b"zz", 1)), Trailers((("grpc-status", "0"),))],
    "reset": [AwaitBody(), GRPC_HEAD, Body(EMPTY_MESSAGE), Pause(0.1), ResetStream(2)],
    "reset_of_plain": [AwaitBody(), Head(500), Body(b"text"), Pause(0.1), ResetStream(2)],
    "reset_at_once": [AwaitBody(), ResetStream(2)],
}
REFUSED = Up(("refused",), fields=UP[""].fields)
VALID, INVALID = b64encode(ASKED), b"!" * 8

CASES = (
    *(case(f"answer_{name}", plan=plan) for name, plan in ANSWERS.items()),
    *(
        case(f"text_answer_{name}", call(TEXT, VALID, accept=TEXT), Over(), plan=plan)
        for name, plan in ANSWERS.items()
        if name != "unfinished"  # of which Envoy sends nothing, ours whole groups of letters
    ),
    *(
        h1(f"answer_{name}", plan=ANSWERS[name])
        for name in ("ok", "status_14", "trailers_only_14", "no_trailers", "plain_503", "plain_in_pieces", "length")
    ),
    *(
        h1(f"text_answer_{name}", TEXT, VALID, f"Accept: {TEXT}", plan=ANSWERS[name])
        for name in ("ok", "status_14", "plain")
    ),
    # ── which requests ──
    *(
        case(f"type_{number}", call(kind, VALID if "text" in kind else ASKED, accept=accept), Over())
        for number, (kind, accept) in enumerate(
            (
                (WEB, ""),
                (WEB, "*/*"),
                (WEB, TEXT),
                (WEB_PROTO, TEXT_PROTO),
                (TEXT, WEB),
                (TEXT_PROTO, f"{TEXT}, */*"),
                (f"{WEB};charset=utf-8", ""),
                ("application/grpc-web+json", ""),
                ("Application/Grpc-Web", ""),
                ("application/grpc", ""),
                ("text/plain", TEXT),
            )
        )
    ),
    case("get", Request(PATH, (("content-type", WEB),)), Over()),
    case("grpc_accept_encoding", call(WEB, ASKED, ("grpc-accept-encoding", "gzip")), Over()),
    case("te", call(WEB, ASKED, ("te", "trailers")), Over()),
    case("with_length", call(WEB, ASKED, ("content-length", str(len(ASKED)))), Over()),
    case(
        "disabled_on_a_route",
        route={
            "typed_per_filter_config": {
                FILTER["name"]: {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}
            }
        },
    ),
    *(
        case(f"path_{number}", Request(path, (("content-type", WEB),), method="POST", body=ASKED), Over())
        for number, path in enumerate(("/", "/a", "/a/b/c", "//b", "/pkg.Service/Method?x=/y"))
    ),
    # ── text ──
    case("text_request", call(TEXT, VALID), Over()),
    case("text_twice", call(TEXT, b64encode(b"ab"), end=False), Quiet(0.1), Data(b64encode(b"cd"), end=True), Over()),
    case(
        "text_in_pieces",
        call(TEXT, VALID[:3], end=False),
        Quiet(0.1),
        Data(VALID[3:9]),
        Quiet(0.1),
        Data(VALID[9:], end=True),
        Over(),
    ),
    case("text_empty", call(TEXT, b""), Over()),
    case("text_with_trailers", call(TEXT, VALID, end=False), Block((("x-last", "1"),)), Over()),
    *(
        case(f"text_{name}", call(TEXT, body), Over(), ignore=["h2up"])
        for name, body in (
            ("invalid", INVALID),
            ("of_bad_size", VALID[:-1]),
            ("of_bad_size_alone", b"AA"),
            ("with_padding_within", b"AA==AAAA"),
            ("with_line_ends", b"AAAA\r\nAAAA\r\n"),
            ("of_the_url_alphabet", b"A-_A"),
            ("with_bits_behind_the_end", b"AB=="),
        )
    ),
    case("text_invalid_later", call(TEXT, VALID, end=False), Quiet(0.2), Data(INVALID), Over(), ignore=["h2up"]),
    case(
        "text_invalid_after_the_answer",
        call(TEXT, VALID, end=False),
        Quiet(0.2),
        Data(INVALID),
        Over(),
        plan=[GRPC_HEAD, EchoBody()],
        ignore=["h2up"],
    ),
    h1("text_invalid", TEXT, INVALID, ignore=["h2up"]),
    h1("text_request", TEXT, VALID),
    # ── replies of the proxy's own ──
    case("no_route", routes=[], h2_script=()),
    case("no_route_text", call(TEXT, VALID, accept=TEXT), Over(), routes=[], h2_script=()),
    case("no_host", clusters={"": Up(())}, h2_script=()),
    case("refused", clusters={"": REFUSED}, h2_script=(), log={}),
    case("time_out", plan=[AwaitBody(), Pause(2.0), Head()], action={"timeout": "0.3s"}, ignore=["h2up[0].reset"]),
    case(
        "deadline",
        call(WEB, ASKED, ("grpc-timeout", "200m")),
        Over(),
        plan=[AwaitBody(), Pause(0.8), *OK[1:]],
        action={"timeout": "5s", "max_grpc_timeout": "10s"},
        ignore=["h2up[0].reset"],
    ),
    case(
        "direct_response",
        h2_script=(),
        routes=[{"match": {"prefix": "/"}, "direct_response": {"status": 429, "body": {"inline_string": "slow down"}}}],
    ),
    case(
        "direct_response_without_body",
        h2_script=(),
        routes=[{"match": {"prefix": "/"}, "direct_response": {"status": 401}}],
    ),
    case("redirect", h2_script=(), routes=[{"match": {"prefix": "/"}, "redirect": {"path_redirect": "/b"}}]),
    case("fault_behind", filters=[FILTER, FAULT], h2_script=()),
    case("fault_before", filters=[FAULT, FILTER], h2_script=()),
    case(
        "local_reply_mapper",
        routes=[],
        h2_script=(),
        hcm={
            "local_reply_config": {"body_format": {"text_format_source": {"inline_string": "mapped %RESPONSE_CODE%"}}}
        },
    ),
    # ── with retries, other filters, HTTP/1.1 hosts ──
    case(
        "retried",
        h2_script=[trailers_only(14), OK],
        action={"retry_policy": {"retry_on": "unavailable", "num_retries": 2, "retry_back_off": QUICK}},
    ),
    case(
        "compressed_answer",
        call(TEXT, VALID, ("accept-encoding", "gzip"), accept=TEXT),
        Over(),
        plan=grpc_reply(message=message(b"a" * 300)),
        filters=[compressor(), FILTER],
        ignore=["h2[1].body", "log[0].bytes_sent"],
    ),
    case(
        "to_http1",
        clusters={"": Up()},
        h2_script=(),
        script=[h1_reply(200, ANSWERED, [("content-type", "application/grpc")])],
    ),
    case("plain_from_http1", clusters={"": Up()}, h2_script=(), script=[h1_reply(500, b"broken")]),
    # ── CORS ──
    *(
        Case(
            f"grpc_web_cors_{name}",
            sent,
            filters=[CORS, FILTER],
            clusters=UP,
            h2_script=[plan],
            log=LOG,
            vhost={
                "typed_per_filter_config": {
                    CORS["name"]: {
                        "@type": HTTP + "cors.v3.CorsPolicy",
                        "allow_origin_string_match": [{"exact": "https://shop.test"}],
                        "allow_methods": "POST, OPTIONS",
                        "allow_headers": "content-type,x-grpc-web",
                        "expose_headers": "grpc-status,grpc-message",
                        "max_age": "600",
                    }
                }
            },
        )
        for name, sent, plan in (
            (
                "preflight",
                request(PATH, "Origin: https://shop.test", "Access-Control-Request-Method: POST", method="OPTIONS"),
                OK,
            ),
            ("call", post(PATH, f"Content-Type: {WEB}", "Origin: https://shop.test", "X-Grpc-Web: 1", body=ASKED), OK),
            (
                "failure",
                post(PATH, f"Content-Type: {WEB}", "Origin: https://shop.test", body=ASKED),
                reply(503, b"down"),
            ),
            ("stranger", post(PATH, f"Content-Type: {WEB}", "Origin: https://else.test", body=ASKED), OK),
        )
    ),
)
