"""Methods, versions, targets and lengths at the edge of what is HTTP: the verdict is Envoy's, and it is the same for a head
that comes whole and for one that comes in pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tests.oracle.case import Case, Read, Wait, Write
from tests.oracle.topics.codec_requests import length, lines
from tests.oracle.topics.upgrades import CONNECT, CONNECT_ROUTE

ANY_VERSION = {"http_protocol_options": {"accept_http_10": True}}
DEFAULT_HOST = {"http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "default.test"}}
# What is sent after an answer that came early: whether the connection ends by FIN or RST is a race.
EARLY = ("client.end",)
PIECE = 8
PAUSE = 0.03

NAMES = (
    "ACL BIND CHECKOUT COPY DELETE GET LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE MSEARCH NOTIFY OPTIONS "
    "PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK UNLOCK "
    "UNSUBSCRIBE PRI FLUSH DESCRIBE SETUP TEARDOWN GET_PARAMETER LABEL UPDATE GETT G get"
)
METHODS = NAMES.split()
ABSOLUTE = (
    "http:///x",
    "http://",
    "http://?x",
    "http://:80/x",
    "http://u@/x",
    "https:///x",
    "http://a:/x",
    "http://a:0/x",
    "http://a:080/x",
    "http://a:65535/x",
    "http://a:65536/x",
    "http://a:x/x",
    "http://a:b:80/x",
    "http://a::/x",
    "http://a_b/x",
    "http://a~b/x",
    "http://a%41/x",
    "http://a,b/x",
    "http://a\\b/x",
    "http://a..b/x",
    "http://[::1]/x",
    "http://[::1]:80/x",
    "http://[::ffff:1.2.3.4]/x",
    "http://[::1]:/x",
    "http://[::1]x/",
    "http://[::1/x",
    "http://[]/x",
    "http://[zz]/x",
    "http://[::1%25eth]/x",
    "http://a[b]/x",
    "http://a]b/x",
    "http://:p@h/x",
    "http://u:p:q@h:80/x",
    "http://u@p@a/x",
    "http://a@@c/x",
    "http://u[@a/x",
    "http://u/@a/x",
    "HTTPS://a/x",
    "ftp://a/x",
    "ftp:///x",
    "1http://a/x",
    "://a/x",
    "http:a",
    "http//x",
    "*x",
    "*",
    "x/y",
)
AUTHORITIES = (
    "a:80",
    "a",
    "a:",
    "a:0",
    "a:080",
    "a:65536",
    "a:+80",
    "a:8x",
    ":80",
    "a:b:80",
    "u@a:80",
    "a@:80",
    "a_b:80",
    "a%41:80",
    "a[b:80",
    "[::1]:80",
    "[::ffff:1.2.3.4]:80",
    "[::1]",
    "[]:80",
    "[zz]:80",
    "http://a:80",
    "a:80/",
    "/",
    "*",
)
CONNECTS = {
    "length": lines(b"Content-Length: 3", start=b"CONNECT %HOST%:80 HTTP/1.1") + b"abc",
    "length_zero": lines(b"Content-Length: 0", start=b"CONNECT %HOST%:80 HTTP/1.1"),
    "chunked": lines(b"Transfer-Encoding: chunked", start=b"CONNECT %HOST%:80 HTTP/1.1") + b"0\r\n\r\n",
    "version_10": lines(start=b"CONNECT %HOST%:80 HTTP/1.0"),
}
VERSIONLESS = {
    "": b"GET /x\r\n",
    "whole": b"GET /x\r\n\r\n",
    "bare_lf": b"GET /x\n\n",
    "space": b"GET /x \r\n\r\n",
    "headers": lines(start=b"GET /x"),
    "post": b"POST /x\r\n\r\n",
    "absolute": b"GET http://%HOST%/x\r\n\r\n",
}
VERSIONS = ("HTTP/0.9", "HTTP/1.0", "HTTP/1.1", "HTTP/1.2", "HTTP/2.0", "HTTP/1.11", "HTTP/.1", "http/1.1")
OTHERS = {
    "query_with_content_type": lines(b"Content-Type: a/b", start=b"QUERY /x HTTP/1.1"),
    "query_with_body": lines(b"Content-Type: a/b", b"Content-Length: 3", start=b"QUERY /x HTTP/1.1") + b"abc",
    "query_with_empty_content_type": lines(b"Content-Type:", start=b"QUERY /x HTTP/1.1"),
    "query_without_host": b"QUERY /x HTTP/1.1\r\n\r\n",
    "tabs": b"GET\t/x\tHTTP/1.1\r\nHost: %HOST%\r\n\r\n",
    "te_trailers": lines(b"TE: trailers"),
    "te_in_capitals": lines(b"TE: Trailers"),
    "te_trailers_among_others": lines(b"TE: gzip , trailers"),
    "te_twice_trailers": lines(b"TE: gzip", b"TE: trailers"),
    "te_of_more": lines(b"TE: gzip, trailers;q=1"),
    "te_of_a_longer_word": lines(b"TE: xtrailers"),
    "length_beyond_64_bits": length(b"18446744073709551616", body=b"abc"),
    "expect_of_an_old_version": lines(b"Expect: 100-continue", b"Content-Length: 0", start=b"POST /x HTTP/1.0"),
}


def both(name: str, data: bytes, split: int = PIECE, method: str = "GET", **more: Any) -> Iterator[Case]:
    """The head whole, and cut after its first bytes; `method` decides how the response is read."""
    fields = {"ignore": EARLY, "faults": (34,), "end": "auto", **more}
    yield Case(name, data, methods=[method], **fields)
    yield Case(f"{name}_split", actions=[Write(data[:split]), Wait(PAUSE), Write(data[split:]), Read(method)], **fields)


def connects() -> Iterator[Case]:
    for kind, data in CONNECTS.items():
        for suffix, hcm in (("", CONNECT), ("_any_version", {**CONNECT, **ANY_VERSION})):
            name = f"connect_{kind}{suffix}"
            for case in both(name, data, method="CONNECT", hcm=hcm, routes=CONNECT_ROUTE, end="skip"):
                yield replace(case, vhost={"domains": [f"{case.host}:80"]})


def versions() -> Iterator[Case]:
    settings: Mapping[str, Mapping[str, Any]] = {"": {}, "_any": ANY_VERSION, "_default_host": DEFAULT_HOST}
    for suffix, hcm in settings.items():
        for name, data in VERSIONLESS.items():
            yield from both(f"no_version_{name}{suffix}", data, split=3, hcm=hcm)
        for number, version in enumerate(VERSIONS):
            yield from both(f"version_{number}{suffix}", lines(start=f"GET /x {version}".encode()), hcm=hcm)


CASES = (
    *(
        case
        for number, method in enumerate(METHODS)
        for case in both(f"method_{number}", lines(start=method.encode() + b" /x HTTP/1.1"), split=2)
    ),
    *(
        case
        for number, target in enumerate(ABSOLUTE)
        for case in both(f"absolute_{number}", lines(start=f"GET {target} HTTP/1.1".encode()))
    ),
    *(
        case
        for number, target in enumerate(AUTHORITIES)
        for case in both(f"authority_{number}", lines(start=f"CONNECT {target} HTTP/1.1".encode()))
    ),
    *connects(),
    *versions(),
    *(case for name, data in OTHERS.items() for case in both(name, data)),
    Case("length_with_leading_zeros", length(b"003", body=b"abc"), faults=(34,)),
)
