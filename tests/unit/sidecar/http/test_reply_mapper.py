from __future__ import annotations

import random

from sidecar.config.log_filter_model import Compares, Measured
from sidecar.config.model import HeaderAdd, HeaderOps, LocalReplies, ReplyFormat, ReplyMapping
from sidecar.http.headers import Headers
from sidecar.http.reply_mapper import ReplyMapper
from tests.unit.sidecar.telemetry.exchanges import exchange

NOT_FOUND = Compares(Measured.STATUS, "EQ", 404)
TEXT = ReplyFormat(b"text/html", "<%LOCAL_REPLY_BODY%> %RESPONSE_CODE%")


def rewritten(
    config: LocalReplies, status: int = 404, body: bytes = b"old", headers: Headers | None = None, *, grpc: bool = False
) -> tuple[int, dict[bytes, bytes], bytes]:
    mapper = ReplyMapper(config, random.Random(1))
    status, found, body = mapper.rewrite(exchange(), status, list(headers or []), body, grpc, None)
    return status, dict(found), body


def test_without_mapping_or_format_a_reply_is_text() -> None:
    plain = {b"content-length": b"3", b"content-type": b"text/plain"}
    assert rewritten(LocalReplies()) == (404, plain, b"old")
    assert rewritten(LocalReplies(), body=b"", headers=[(b"content-type", b"x")]) == (404, {}, b"")


def test_the_first_mapping_that_wants_it_changes_it() -> None:
    config = LocalReplies(
        (
            ReplyMapping(Compares(Measured.STATUS, "EQ", 500), 501),
            ReplyMapping(NOT_FOUND, 410, b"new"),
            ReplyMapping(Compares(Measured.STATUS, "GE", 0), 411),
        )
    )
    status, _, body = rewritten(config)
    assert (status, body) == (410, b"new")
    assert rewritten(config, 200)[0] == 411


def test_a_mappings_format_takes_the_place_of_the_general_one() -> None:
    own = ReplyFormat(b"application/json", json={"code": "%RESPONSE_CODE%"})
    config = LocalReplies((ReplyMapping(NOT_FOUND, 410, format=own),), TEXT)
    assert rewritten(config)[1:] == (
        {b"content-length": b"13", b"content-type": b"application/json"},
        b'{"code":410}\n',
    )
    assert rewritten(config, 503)[2] == b"<old> 503"


def test_a_mappings_content_type_stays() -> None:
    own = HeaderOps((HeaderAdd(b"content-type", "a/b"),))
    assert rewritten(LocalReplies((ReplyMapping(NOT_FOUND, headers=own),), TEXT))[1][b"content-type"] == b"a/b"
    assert rewritten(LocalReplies((), TEXT), headers=[(b"content-type", b"a/b")])[1][b"content-type"] == b"text/html"


def test_grpc_hears_it_in_its_message() -> None:
    config = LocalReplies(
        (ReplyMapping(NOT_FOUND, 503),), ReplyFormat(b"application/json", json={"a": "%LOCAL_REPLY_BODY%"})
    )
    status, headers, body = rewritten(config, grpc=True)
    assert (status, body) == (200, b"")
    assert (headers[b"grpc-status"], headers[b"grpc-message"]) == (b"14", b'{"a":"old"}')


def test_the_reply_is_not_left_in_the_log() -> None:
    made = exchange()
    ReplyMapper(LocalReplies((), TEXT), random.Random(1)).rewrite(made, 404, [], b"old", False, None)
    assert made.kept("local_reply_body") == b""
