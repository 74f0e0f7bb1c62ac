"""The decompressor: gzip taken off requests and responses, and what is said of it."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import Any

from tests.harness.upstream import ReadBody, Send, reply
from tests.oracle.case import Case, Up, post, request
from tests.oracle.topics.compressor import HTTP, compressor
from tests.oracle.topics.log_commands import WITH_TRAILERS

PLAIN = b"plain again; " * 30
BODY = gzip.compress(PLAIN, mtime=0)
OFF = {"enabled": {"default_value": False, "runtime_key": "none"}}
PREFIX = "decompressing"
COUNTED = [
    f"{direction}.{each}"
    for direction in ("request", "response")
    for each in ("decompressed", "not_decompressed", "total_compressed_bytes", "total_uncompressed_bytes")
]


def decompressor(request: Any = None, response: Any = None, **library: Any) -> dict[str, Any]:
    how = {"request_direction_config": request, "response_direction_config": response}
    typed = {"@type": "type.googleapis.com/envoy.extensions.compression.gzip.decompressor.v3.Gzip", **library}
    config = {
        "@type": HTTP + "decompressor.v3.Decompressor",
        "decompressor_library": {"name": "text", "typed_config": typed},
        **{key: value for key, value in how.items() if value is not None},
    }
    return {"name": "envoy.filters.http.decompressor", "typed_config": config}


def case(name: str, sent: bytes, *headers: tuple[str, str], filters: Sequence[Any] = (), **more: Any) -> Case:
    """A response of gzip, as its headers say or do not say."""
    more["hcm"] = {"stat_prefix": PREFIX, **more.get("hcm", {})}
    more.setdefault("script", [reply(200, BODY, headers)])
    names = [*COUNTED, "decompressor_library.zlib_data_error"]
    more.setdefault("stats", [f"http.{PREFIX}.decompressor.text.gzip.{each}" for each in names])
    return Case(f"decompressor_{name}", sent, filters=list(filters) or [decompressor()], **more)


GET = request("/x")
CODED = ("content-encoding", "gzip")
TRAILERS = {
    "hcm": {"http_protocol_options": {"enable_trailers": True}},
    "clusters": {"": Up(fields={"typed_extension_protocol_options": WITH_TRAILERS})},
}
CHUNKS = [
    ReadBody(),
    Send(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"),
    *(Send(b"%x\r\n%b\r\n" % (len(piece), piece)) for piece in (BODY[:9], BODY[9:])),
    Send(b"0\r\n\r\n"),
]
CODED_POST = post("/x", "Content-Encoding: gzip", body=BODY)
ROUND_TRIP = request("/x", "Accept-Encoding: gzip")

CASES = (
    case("response", GET, CODED, expect={"client[0].body": PLAIN, "client[0].framing": "chunked"}),
    case("response_not_coded", GET, expect={"client[0].body": BODY}),
    *(
        case(f"response_{number}", GET, ("content-encoding", value))
        for number, value in enumerate(("GZIP", "br", "gzip, br", "br, gzip", " gzip ,br", "gzip,", "x-gzip"))
    ),
    case("response_no_transform", GET, CODED, ("cache-control", "no-transform")),
    case(
        "response_no_transform_ignored",
        GET,
        CODED,
        ("cache-control", "no-transform"),
        filters=[decompressor(response={"common_config": {"ignore_no_transform_header": True}})],
        expect={"client[0].body": PLAIN},
    ),
    case("response_disabled", GET, CODED, filters=[decompressor(response={"common_config": OFF})]),
    case("response_of_head", request("/x", method="HEAD"), CODED, methods=["HEAD"]),
    case("response_of_nothing", GET, CODED, script=[reply(200, b"", [CODED])]),
    case("response_of_chunks", GET, script=[CHUNKS]),
    case("response_that_is_no_gzip", GET, script=[reply(200, PLAIN, [CODED])]),
    case("response_that_ends_early", GET, script=[reply(200, BODY[:-12], [CODED])], ignore=["client[0].body"]),
    case(
        "response_with_more_behind", GET, script=[reply(200, BODY + b"more", [CODED])], expect={"client[0].body": PLAIN}
    ),
    case("response_with_trailers", GET, CODED, **TRAILERS),
    case("response_with_a_small_window", GET, CODED, filters=[decompressor(window_bits=9)]),
    *(
        case(f"accept_{number}", request("/x", f"Accept-Encoding: {value}"))
        for number, value in enumerate(("br", "gzip;q=0.1, br;q=0.2", "gzip", " , br ,,"))
    ),
    case("accept_not_advertised", GET, filters=[decompressor(request={"advertise_accept_encoding": False})]),
    case("accept_not_advertised_where_disabled", GET, filters=[decompressor(response={"common_config": OFF})]),
    case(
        "request",
        CODED_POST,
        expect={"upstream[0].body": PLAIN, "upstream[0].framing": "chunked"},
    ),
    case("request_not_coded", post("/x", body=BODY)),
    case(
        "request_disabled",
        post("/x", "Content-Encoding: gzip", body=BODY),
        filters=[decompressor({"common_config": OFF})],
    ),
    case("request_no_transform", post("/x", "Content-Encoding: gzip", "Cache-Control: no-transform", body=BODY)),
    case("request_that_is_no_gzip", post("/x", "Content-Encoding: gzip", body=PLAIN)),
    case("request_of_nothing", post("/x", "Content-Encoding: gzip", body=b"")),
    case("request_with_trailers", CODED_POST, **TRAILERS),
    case(
        "and_compressor",
        ROUND_TRIP,
        CODED,
        ("content-type", "text/plain"),
        filters=[compressor(), decompressor()],
        ignore=["log[0].bytes_sent"],
        expect={"client[0].body": PLAIN, "client[0].header.content-encoding": ("gzip",)},
    ),
)
