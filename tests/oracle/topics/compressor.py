"""The compressor: which responses are compressed for whom, and what their headers say. Bodies are compared decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.harness.upstream import Close, chunked, raw, reply
from tests.oracle.case import Case, Read, Up, Write, post, request
from tests.oracle.topics.log_commands import WITH_TRAILERS

NAME = "envoy.filters.http.compressor"
HTTP = "type.googleapis.com/envoy.extensions.filters.http."
TYPE = HTTP + "compressor.v3.Compressor"
PER_ROUTE = HTTP + "compressor.v3.CompressorPerRoute"
GZIP_TYPE = "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip"
BODY = b"compress me, please; " * 20
PREFIX = "compressing"


def library(name: str = "text", **gzip: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": GZIP_TYPE, **gzip}}


def compressor(name: str = NAME, **how: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": TYPE, "compressor_library": library(), **how}}


def response(**how: Any) -> dict[str, Any]:
    return compressor(response_direction_config=how)


COUNTED = (
    "compressed",
    "not_compressed",
    "total_uncompressed_bytes",
    "content_length_too_small",
    "no_accept_header",
    "header_identity",
    "header_compressor_used",
    "header_compressor_overshadowed",
    "header_wildcard",
    "header_not_valid",
    "not_compressed_etag",
    "request.compressed",
    "request.not_compressed",
    "response.compressed",
    "response.not_compressed",
    "response.content_length_too_small",
    "response.no_accept_header",
    "response.header_compressor_used",
)


def case(
    name: str, *lines: str, filters: Sequence[Any] = (compressor(),), accept: str | None = "gzip", **more: Any
) -> Case:
    asks = [f"Accept-Encoding: {accept}"] if accept is not None else []
    more["hcm"] = {"stat_prefix": PREFIX, **more.get("hcm", {})}
    more.setdefault("request", request("/x", *asks, *lines))
    more.setdefault("script", [text()])
    more.setdefault("stats", [f"http.{PREFIX}.compressor.text.gzip.{each}" for each in COUNTED])
    more.setdefault("ignore", ["log[0].bytes_sent"])  # how well zlib did
    return Case(f"compressor_{name}", filters=list(filters), **more)


def text(*headers: tuple[str, str], body: bytes = BODY, status: int = 200, kind: str = "text/plain") -> Any:
    return reply(status, body, [("content-type", kind), *headers])


def overridden(**how: Any) -> dict[str, Any]:
    return {"typed_per_filter_config": {NAME: {"@type": PER_ROUTE, **how}}}


OFF = {"enabled": {"default_value": False, "runtime_key": "none"}}
DELAY = {
    "name": "delay",
    "typed_config": {
        "@type": HTTP + "fault.v3.HTTPFault",
        "delay": {"fixed_delay": "0.1s", "percentage": {"numerator": 100}},
    },
}
BUFFER = {"name": "buffer", "typed_config": {"@type": HTTP + "buffer.v3.Buffer", "max_request_bytes": 10_000}}
YES = {"client[0].header.content-encoding": ("gzip",), "client[0].framing": "chunked", "client[0].body": BODY}
NO = {"client[0].header.content-encoding": None}

CASES = (
    case("usual", expect={**YES, "client[0].header.vary": ("Accept-Encoding",)}),
    # what is accepted
    case("not_asked", accept=None, expect=NO),
    *(
        case(f"accepting_{number}", accept=accept, expect=expect)
        for number, (accept, expect) in enumerate(
            (
                ("", NO),
                ("*", YES),
                ("identity", NO),
                ("deflate, br", NO),
                ("deflate, gzip;q=1.0, *;q=0.5", YES),
                ("gzip;q=0", NO),
                ("gzip;q=0,*;q=1", NO),
                ("*;q=0,gzip;q=1", YES),
                ("identity;q=0.5, gzip;q=0.7", YES),
                ("identity;q=0.7, gzip;q=0.5", NO),
                ("identity, gzip", NO),
                ("gzip, identity", YES),
                ("GZIP", NO),
                ("x-gzip", NO),
                ("gzip;q=abc", NO),
                ("gzip ; Q = 0.5", YES),
                ("gzip;level=9", YES),
                ("gzip;q=0.1;x=1", NO),
                ("br;q=1.0,gzip;q=0.2", YES),
                (",,gzip,", YES),
                ("*;q=0", NO),
                ("gzip;q=-1", NO),
            )
        )
    ),
    case("accepting_in_two_fields", "Accept-Encoding: gzip", accept="br", expect=YES),
    case("preferring_the_first", filters=[compressor(choose_first=True)], accept="identity, gzip", expect=YES),
    # which responses
    *(
        case(f"of_{kind.replace('/', '_').replace('; ', '_')}", script=[text(kind=kind)])
        for kind in (
            "application/json",
            "application/javascript",
            "application/x-javascript",
            "application/ecmascript",
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/x-json",
            "application/xml",
            "application/xhtml+xml",
            "image/svg+xml",
            "image/png",
            "text/css",
            "text/ecmascript",
            "text/javascript",
            "text/jscript",
            "text/js",
            "text/x-javascript",
            "text/x-js",
            "text/html; charset=utf-8",
            "TEXT/XML",
            "application/grpc",
            "text/event-stream",
            "application/wasm",
        )
    ),
    case("of_no_type", script=[reply(body=BODY)], expect=YES),
    case("of_a_configured_type", filters=[compressor(content_type=["a/B"])], script=[text(kind="A/b")], expect=YES),
    case("of_another_than_the_configured_type", filters=[compressor(content_type=["a/b"])], expect=NO),
    case("of_29_bytes", script=[text(body=b"x" * 29)], expect=NO),
    case("of_30_bytes", script=[text(body=b"x" * 30)], expect={"client[0].header.content-encoding": ("gzip",)}),
    case("of_a_configured_length", filters=[compressor(content_length=1000)], expect=NO),
    case("of_chunks", script=[chunked(b"a", b"b", b"c" * 100)], expect={"client[0].body": b"ab" + b"c" * 100}),
    case("of_one_byte_in_a_chunk", script=[chunked(b"a")]),
    case("of_no_chunk", script=[chunked()]),
    case("until_the_end", script=[raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/css\r\n\r\n" + BODY, Close())]),
    case(
        "with_trailers",
        script=[chunked(BODY, trailers=[("a", "b")])],
        hcm={"http_protocol_options": {"enable_trailers": True}},
        clusters={"": Up(fields={"typed_extension_protocol_options": WITH_TRAILERS})},
    ),
    case("of_head", request=request("/x", "Accept-Encoding: gzip", method="HEAD"), methods=["HEAD"], script=[text()]),
    case("of_204", script=[text(status=204)]),
    case("of_304", script=[text(status=304)]),
    case("of_500", script=[text(status=500)], expect=YES),
    case("of_nothing", script=[text(body=b"")]),
    case("of_what_is_encoded", script=[text(("content-encoding", "br"))], expect={"client[0].header.vary": None}),
    case("of_what_must_not_be_transformed", script=[text(("cache-control", "max-age=1, No-Transform"))], expect=NO),
    case("of_what_may_be_cached", script=[text(("cache-control", "no-transformx"))], expect=YES),
    case(
        "to_http_1_0",
        request=b"GET /x HTTP/1.0\r\nHost: %HOST%\r\nAccept-Encoding: gzip\r\n\r\n",
        hcm={"http_protocol_options": {"accept_http_10": True}},
    ),
    # etags and vary
    *(
        case(f"etag_{number}", script=[text(("etag", value))])
        for number, value in enumerate(('"abc"', 'W/"abc"', 'w/"abc"', '""', "x", '"a'))
    ),
    case(
        "etag_disables", filters=[compressor(disable_on_etag_header=True)], script=[text(("etag", 'W/"a"'))], expect=NO
    ),
    case("etag_not_there", filters=[compressor(disable_on_etag_header=True)], expect=YES),
    *(
        case(f"vary_{number}", script=[text(*(("vary", value) for value in values))])
        for number, values in enumerate((("Cookie",), ("accept-encoding",), ("Cookie, Accept-Encoding",), ("a", "b")))
    ),
    # directions and routes
    case("accept_removed", filters=[compressor(remove_accept_encoding_header=True)], expect=YES),
    case("by_response_direction", filters=[response()], expect=YES),
    case(
        "by_response_direction_of_some",
        filters=[
            response(
                common_config={"min_content_length": 100, "content_type": ["text/plain"]},
                remove_accept_encoding_header=True,
                disable_on_etag_header=True,
            )
        ],
        expect=YES,
    ),
    case("by_response_direction_too_small", filters=[response(common_config={"min_content_length": 1000})], expect=NO),
    case("by_response_direction_not_asked", filters=[response()], accept=None, expect=NO),
    case(
        "disabled",
        filters=[response(common_config={"enabled": {"default_value": False, "runtime_key": "none"}})],
        expect=NO,
    ),
    case(
        "disabled_by_old_field", filters=[compressor(runtime_enabled={"default_value": False, "runtime_key": "none"})]
    ),
    *(
        case(
            f"uncompressible_{status}",
            filters=[response(uncompressible_response_codes=[206])],
            script=[text(status=status)],
        )
        for status in (200, 206)
    ),
    case("disabled_by_the_route", route=overridden(disabled=True), expect=NO),
    case(
        "enabled_by_the_route",
        filters=[response(common_config={"enabled": {"default_value": False, "runtime_key": "none"}})],
        route=overridden(overrides={"response_direction_config": {}}),
        expect=YES,
    ),
    case(
        "accept_removed_by_the_route",
        route=overridden(overrides={"response_direction_config": {"remove_accept_encoding_header": True}}),
        expect=YES,
    ),
    case(
        "library_of_the_route",
        route=overridden(overrides={"compressor_library": library("other", window_bits=9)}),
        expect=YES,
    ),
    case(
        "library_with_all_its_fields",
        filters=[
            compressor(
                compressor_library=library(
                    memory_level=9,
                    compression_level="BEST_COMPRESSION",
                    compression_strategy="HUFFMAN_ONLY",
                    window_bits=15,
                    chunk_size=8192,
                )
            )
        ],
        expect=YES,
    ),
    case(
        "two_for_two_types",
        filters=[
            compressor("html", content_type=["text/html"]),
            compressor("plain", compressor_library=library("second"), content_type=["text/plain"]),
        ],
        expect=YES,
    ),
    # requests
    *(
        case(
            f"request_{name}",
            filters=[compressor(request_direction_config=how)],
            accept=None,
            request=sent,
            expect={"upstream[0].framing": framing},
        )
        for name, how, sent, framing in (
            ("usual", {}, post("/x", "Content-Type: text/plain", body=BODY), "chunked"),
            ("of_no_type", {}, post("/x", body=BODY), "chunked"),
            ("of_another_type", {}, post("/x", "Content-Type: image/png", body=BODY), "length"),
            ("too_small", {}, post("/x", body=b"x" * 29), "length"),
            ("of_30_bytes", {}, post("/x", body=b"x" * 30), "chunked"),
            ("encoded", {}, post("/x", "Content-Encoding: br", body=BODY), "length"),
            ("not_to_be_transformed", {}, post("/x", "Cache-Control: no-transform", body=BODY), "chunked"),
            ("without_body", {}, request("/x"), "none"),
            ("of_nothing", {}, post("/x", body=b""), "length"),
            ("disabled", {"common_config": OFF}, post("/x", body=BODY), "length"),
            ("by_length", {"common_config": {"min_content_length": 1000}}, post("/x", body=BODY), "length"),
            (
                "by_type",
                {"common_config": {"content_type": ["a/b"]}},
                post("/x", "Content-Type: a/b", body=BODY),
                "chunked",
            ),
            (
                "of_chunks",
                {},
                request("/x", "Transfer-Encoding: chunked", method="POST", body=b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
                "chunked",
            ),
        )
    ),
    case(
        "request_after_a_delay",
        filters=[DELAY, compressor(request_direction_config={})],
        accept=None,
        request=post("/x", body=BODY),
        expect={"upstream[0].body": BODY, "upstream[0].framing": "chunked"},
    ),
    case(
        "request_before_a_buffer",
        filters=[compressor(request_direction_config={}), BUFFER],
        accept=None,
        request=post("/x", body=BODY),
        ignore=["upstream[0].header.content-length"],
        expect={"upstream[0].body": BODY, "upstream[0].framing": "length"},
    ),
    case(
        "request_after_a_buffer",
        filters=[BUFFER, compressor(request_direction_config={})],
        accept=None,
        request=post("/x", body=BODY),
        expect={"upstream[0].body": BODY},
    ),
    case(
        "request_that_is_tried_again",
        filters=[compressor(request_direction_config={})],
        accept=None,
        request=post("/x", body=BODY),
        script=[reply(503), text()],
        action={"retry_policy": {"retry_on": "5xx"}},
        ignore=["upstream[1].connection"],  # as in retry_on_another_connection
        expect={"upstream[1].body": BODY},
    ),
    # who else answers
    case(
        "of_a_direct_response",
        routes=[
            {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "text " * 20}}}
        ],
        expect={"client[0].header.content-encoding": ("gzip",), "client[0].body": b"text " * 20},
    ),
    case("of_no_route", request=request("/x", "Accept-Encoding: gzip", host="nobody.test")),
    case("of_no_upstream", clusters={"": Up(endpoints=["refused"])}),
    case(
        "of_two_requests",
        actions=[Write(request("/a", "Accept-Encoding: gzip") + request("/b")), Read(), Read()],
        ignore=["log[0].bytes_sent"],
    ),
)
