"""Request heads over HTTP/2: what is a request, and what a message that is none ends (RFC 9113 §8)."""

from __future__ import annotations

from tests.oracle.case import Case, h2_cluster
from tests.oracle.h2_case import HOST, Block, Data, H2Action, Over, Pairs, Quiet, Request, UntilEnd

UP = {"": h2_cluster()}
PSEUDO: Pairs = ((":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "/"))
PER_STREAM = {"http2_protocol_options": {"override_stream_error_on_invalid_http_message": True}}


def without(name: str) -> Pairs:
    return tuple(field for field in PSEUDO if field[0] != name)


GOOD: dict[str, tuple[H2Action, ...]] = {
    "get": (Request("/plain"), Over()),
    "head": (Request("/head", method="HEAD"), Over()),
    "options": (Request("*", method="OPTIONS"), Over()),
    "unknown_method": (Request(method="BREW"), Over()),
    "post": (Request(method="POST", body=b"hello"), Over()),
    "post_empty": (Request(method="POST", body=b""), Over()),
    "post_length": (Request(method="POST", fields=(("content-length", "5"),), body=b"hello"), Over()),
    "post_trailers": (Request(method="POST", body=b"hello", trailers=(("x-sum", "5"),)), Over()),
    "host_for_authority": (Block((*without(":authority"), ("host", HOST))), Over()),
    "host_besides_authority": (Request(fields=(("host", "other.test"),)), Over()),
    "cookies": (Request(fields=(("cookie", "a=1"), ("x-a", "1"), ("cookie", "b=2"))), Over()),
    "te_trailers": (Request(fields=(("te", "trailers"),)), Over()),
    "repeated_field": (Request(fields=(("x-a", "1"), ("x-a", "2"))), Over()),
    "empty_value": (Request(fields=(("x-a", ""),)), Over()),
    "bytes_above_ascii": (Request(fields=(("x-a", "\xe4\xff"),)), Over()),
    "tab_in_value": (Request(fields=(("x-a", "a\tb"),)), Over()),
    "https_scheme": (Block(((":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/"))), Over()),
    "pseudo_in_any_order": (Block(tuple(reversed(PSEUDO))), Over()),
    "query": (Request("/a?b=c&d"), Over()),
    "path_with_fragment": (Request("/a#b"), Over()),
    "expect_continue": (Request(method="POST", fields=(("expect", "100-continue"),), body=b"hello"), Over()),
    "large_head": (Request(fields=(("x-large", "l" * 30000),)), Over()),
    "two_at_once": (Request("/one"), Request("/two", stream=3), Over((1, 3))),
    "skipped_numbers": (Request("/one"), Request("/nine", stream=9), Over((1, 9))),
    "user_agent_and_more": (
        Request(fields=(("user-agent", "t"), ("accept", "*/*"), ("x-forwarded-for", "1.2.3.4"))),
        Over(),
    ),
    "two_pieces_of_body": (
        Request(method="POST", end=False),
        Data(b"hel"),
        Quiet(0.1),
        Data(b"lo", end=True),
        Over(),
    ),
}

# What is added to a good request, or stands in its place.
BAD: dict[str, Pairs] = {
    "upper_case_name": (*PSEUDO, ("X-A", "1")),
    "space_in_name": (*PSEUDO, ("x a", "1")),
    "empty_name": (*PSEUDO, ("", "1")),
    "colon_in_name": (*PSEUDO, ("x:a", "1")),
    "nul_in_value": (*PSEUDO, ("x-a", "\0")),
    "line_feed_in_value": (*PSEUDO, ("x-a", "a\nb")),
    "carriage_return_in_value": (*PSEUDO, ("x-a", "a\rb")),
    "control_in_value": (*PSEUDO, ("x-a", "\x01")),
    "delete_in_value": (*PSEUDO, ("x-a", "\x7f")),
    "connection": (*PSEUDO, ("connection", "close")),
    "keep_alive": (*PSEUDO, ("keep-alive", "timeout=5")),
    "proxy_connection": (*PSEUDO, ("proxy-connection", "close")),
    "transfer_encoding": (*PSEUDO, ("transfer-encoding", "chunked")),
    "upgrade": (*PSEUDO, ("upgrade", "websocket")),
    "te_gzip": (*PSEUDO, ("te", "gzip")),
    "no_method": without(":method"),
    "no_scheme": without(":scheme"),
    "no_path": without(":path"),
    "no_authority": without(":authority"),
    "empty_path": ((":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "")),
    "relative_path": ((":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "a")),
    "absolute_path": ((":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "http://x/")),
    "space_in_path": ((":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "/a b")),
    "empty_method": ((":method", ""), (":scheme", "http"), (":authority", HOST), (":path", "/")),
    "space_in_method": ((":method", "GE T"), (":scheme", "http"), (":authority", HOST), (":path", "/")),
    "bad_authority": ((":method", "GET"), (":scheme", "http"), (":authority", "a b"), (":path", "/")),
    "user_in_authority": ((":method", "GET"), (":scheme", "http"), (":authority", "u@" + HOST), (":path", "/")),
    "odd_scheme": ((":method", "GET"), (":scheme", "ftp"), (":authority", HOST), (":path", "/")),
    "second_path": (*PSEUDO, (":path", "/again")),
    "second_method": (*PSEUDO, (":method", "GET")),
    "status_in_request": (*PSEUDO, (":status", "200")),
    "unknown_pseudo": (*PSEUDO, (":what", "1")),
    "late_pseudo": (*without(":path"), ("x-a", "1"), (":path", "/")),
    "protocol_without_connect": (*PSEUDO, (":protocol", "websocket")),
    "bad_length": (*PSEUDO, ("content-length", "x")),
    "negative_length": (*PSEUDO, ("content-length", "-1")),
    "two_lengths": (*PSEUDO, ("content-length", "1"), ("content-length", "2")),
    "two_equal_lengths": (*PSEUDO, ("content-length", "0"), ("content-length", "0")),
    "length_without_body": (*PSEUDO, ("content-length", "5")),
    "host_before_pseudo": (("host", HOST), *PSEUDO),
    "host_among_pseudo": (*PSEUDO[:3], ("host", HOST), PSEUDO[3]),
    "two_hosts": (*without(":authority"), ("host", HOST), ("host", HOST)),
    "two_hosts_besides_authority": (*PSEUDO, ("host", "b.test"), ("host", "c.test")),
    "too_many_fields": (*PSEUDO, *((f"x-{number}", "1") for number in range(110))),
    "too_large": (*PSEUDO, *((f"x-{number}", "v" * 1000) for number in range(70))),
    "underscore": (*PSEUDO, ("x_a", "1")),
    "leading_space_in_value": (*PSEUDO, ("x-a", " a")),
    "trailing_space_in_value": (*PSEUDO, ("x-a", "a ")),
}

TRAILERS: dict[str, tuple[H2Action, ...]] = {
    "without_end": (Request(method="POST", body=b"a", end=False), Block((("x-sum", "1"),), end=False)),
    "pseudo": (Request(method="POST", body=b"a", end=False), Block(((":path", "/"),))),
    "upper_case": (Request(method="POST", body=b"a", end=False), Block((("X-Sum", "1"),))),
    "with_the_length": (Request(method="POST", body=b"a", end=False), Block((("content-length", "1"),))),
    "with_another_length": (Request(method="POST", body=b"a", end=False), Block((("content-length", "3"),))),
    "with_a_connection_field": (Request(method="POST", body=b"a", end=False), Block((("connection", "close"),))),
    "before_the_length_is_there": (
        Request(method="POST", fields=(("content-length", "5"),), body=b"a", end=False),
        Block((("x-sum", "1"),)),
    ),
}
BODIES: dict[str, tuple[H2Action, ...]] = {
    "longer_than_said": (Request(method="POST", fields=(("content-length", "2"),), body=b"abc"),),
    "shorter_than_said": (Request(method="POST", fields=(("content-length", "9"),), body=b"abc"),),
}

# A message that is none makes Envoy end the connection without a word; ours says why (RFC 9113 §5.4.1 wants a GOAWAY).
GOAWAY = ("h2.goaway",)

CASES = (
    *(Case(f"h2_{name}", h2=steps, clusters=UP) for name, steps in GOOD.items()),
    *(
        Case(
            f"h2_{name}_of_a_length_per_stream",
            h2=(*steps, Over()),
            clusters=UP,
            hcm=PER_STREAM,
            ignore=("h2up",),
        )
        for name, steps in BODIES.items()
    ),
    *(Case(f"h2_bad_{name}", h2=(Block(fields), Over()), clusters=UP, ignore=GOAWAY) for name, fields in BAD.items()),
    *(
        Case(f"h2_bad_{name}_per_stream", h2=(Block(fields), Over()), clusters=UP, hcm=PER_STREAM)
        for name, fields in BAD.items()
        if name not in ("too_large", "too_many_fields", "underscore")
    ),
    *(
        Case(f"h2_trailers_{name}", h2=(*steps, UntilEnd(1.0)), clusters=UP, ignore=("h2up", *GOAWAY))
        for name, steps in TRAILERS.items()
    ),
)
