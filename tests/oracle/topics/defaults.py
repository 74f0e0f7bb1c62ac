"""Defaults that are all there is of a field: what they do, where no other topic shows it."""

from __future__ import annotations

from tests.harness.upstream import raw, reply
from tests.oracle.case import Case, request
from tests.oracle.topics.chains import TLS

UNDERSCORES = [("x_a", "1"), ("_", "2")]

CASES = (
    Case(
        "default_underscores_in_responses",
        request("/x"),
        script=[reply(200, b"ok", UNDERSCORES)],
        expect={"client[0].header.x_a": ("1",), "client[0].header._": ("2",)},
    ),
    Case("default_no_fingerprints", request("/x"), listener=TLS, expect={"client[0].status": 200}),
    Case("default_codec_found", request("/x"), hcm={"codec_type": "AUTO"}, expect={"client[0].status": 200}),
    Case(
        "default_reason_of_our_own",
        request("/x"),
        script=[raw(b"HTTP/1.1 200 Whatever\r\ncontent-length: 0\r\n\r\n")],
        expect={"client[0].reason": "OK"},
    ),
)
