"""Requests that are malformed, ambiguous, or odd: the same verdict as Envoy's, byte by byte."""

from __future__ import annotations

from tests.oracle.case import Case, request


def sent(name: str, data: bytes, status: int, **expect: object) -> Case:
    return Case(name, data, expect={"client[0].status": status, **expect})


def refused(name: str, data: bytes, status: int, details: str, flags: str = "DPE") -> Case:
    """Answered by the codec, and closed."""
    expect = {"client[0].status": status, "log[0].details": details, "log[0].flags": flags, "client.end": "fin"}
    return Case(name, data, expect=expect)


def lines(*headers: bytes, start: bytes = b"GET /x HTTP/1.1", end: bytes = b"\r\n") -> bytes:
    return end.join([start, b"Host: %HOST%", *headers, b"", b""])


def chunks(body: bytes) -> bytes:
    return lines(b"Transfer-Encoding: chunked", start=b"POST /x HTTP/1.1") + body


def length(*values: bytes, body: bytes = b"hello") -> bytes:
    return lines(*(b"Content-Length: " + value for value in values), start=b"POST /x HTTP/1.1") + body


BAD = "http1.codec_error"
# Fault 3: what one reader takes for a line's end and another one does not.
BARE_CR = {
    "extension": b"1;a\rb\r\nx\r\n0\r\n\r\n",
    "extension_before_crlf": b"1;a\r\r\nx\r\n0\r\n\r\n",
    "size_line": b"1\r\r\nx\r\n0\r\n\r\n",
    "quoted_extension": b'1;a="\r"\r\nx\r\n0\r\n\r\n',
    "last_extension": b"1\r\nx\r\n0;a\rb\r\n\r\n",
    "last_size_line": b"1\r\nx\r\n0\r\r\n\r\n",
    "chunk_end": b"1\r\nx\r\r\n0\r\n\r\n",
    "trailer": b"1\r\nx\r\n0\r\nT: a\rb\r\n\r\n",
    "trailer_name": b"1\r\nx\r\n0\r\nT\ra: b\r\n\r\n",
}
ODD_CHUNKS = {
    "nul_in_extension": b"1;a\0b\r\nx\r\n0\r\n\r\n",
    "control_in_extension": b"1;a\1b\r\nx\r\n0\r\n\r\n",
    "8_bit_in_extension": b"1;\xff\r\nx\r\n0\r\n\r\n",
    "nul_in_trailer": b"1\r\nx\r\n0\r\nT: a\0\r\n\r\n",
    "size_with_zeros": b"00000000000000001\r\nx\r\n0\r\n\r\n",
    "size_beyond_64_bits": b"10000000000000000\r\nx\r\n0\r\n\r\n",
}
TRAILERS = {"http_protocol_options": {"enable_trailers": True}}
CASES = (
    *(
        Case(f"bare_cr_in_{name}{suffix}", chunks(body), hcm=hcm, faults=(3,))
        for name, body in BARE_CR.items()
        for suffix, hcm in (("", {}), ("_with_trailers", TRAILERS))
    ),
    *(Case(f"chunks_with_{name}", chunks(body), faults=(3,)) for name, body in ODD_CHUNKS.items()),
    # Line ends and white space.
    sent("bare_lf", lines(b"X-A: 1", end=b"\n"), 200),
    sent("bare_lf_and_a_folded_line", lines(b"X-A: 1\n 2", end=b"\n"), 200),
    Case(
        "bare_lf_head_before_another_head",
        lines(end=b"\n") + lines(start=b"GET /y HTTP/1.1"),
        methods=["GET", "GET"],
        expect={"client[0].body": b"/x", "client[1].body": b"/y"},
    ),
    Case(
        "bare_lf_head_before_a_body_like_headers",
        lines(b"Content-Length: 12", start=b"POST /x HTTP/1.1", end=b"\n") + b"X-A: evil\r\n\r" + b"\n",
        expect={"upstream[0].header.x-a": None, "upstream[0].body": b"X-A: evil\r\n\r"},
    ),
    sent("bare_lf_in_one_header", b"GET /x HTTP/1.1\r\nHost: %HOST%\nX-A: 1\r\n\r\n", 200),
    sent("obs_fold", lines(b"X-A: a\r\n  b"), 200),
    sent("obs_fold_white_space", lines(b"X-A: a \t\r\n \t b \r\n\tc"), 200),
    sent("obs_fold_of_nothing", lines(b"X-A:\r\n b"), 200),
    refused("obs_fold_first", b"GET /x HTTP/1.1\r\n X-A: a\r\nHost: %HOST%\r\n\r\n", 400, BAD),
    refused("obs_fold_with_nul", lines(b"X-A: a\r\n b\0c"), 400, "http1.invalid_characters"),
    refused("obs_fold_in_length", length(b"5\r\n 6"), 400, BAD),
    sent("leading_crlf", b"\r\n\r\n" + lines(), 200),
    sent("leading_lf", b"\n" + lines(), 200),
    sent("two_spaces_in_the_request_line", lines(start=b"GET  /x HTTP/1.1"), 200),
    refused("space_before_colon", lines(b"X-A : 1"), 400, BAD),
    # Characters.
    refused("nul_in_value", lines(b"X-A: a\0b"), 400, "http1.invalid_characters"),
    refused("control_in_value", lines(b"X-A: a\7b"), 400, "http1.invalid_characters"),
    refused("del_in_value", lines(b"X-A: a\x7fb"), 400, "http1.invalid_characters"),
    sent("cr_in_value", lines(b"X-A: a\rb"), 200),
    sent("tab_in_value", lines(b"X-A: a\tb"), 200),
    sent("empty_value", lines(b"X-A:"), 200),
    refused("empty_name", lines(b": v"), 400, BAD),
    refused("bad_character_in_name", lines(b"X(y): v"), 400, BAD),
    refused("header_without_colon", lines(b"foo"), 400, BAD),
    # Request lines.
    refused("garbage_line", b"garbage\r\n\r\n", 400, BAD),
    refused("lower_case_method", lines(start=b"get /x HTTP/1.1"), 400, BAD),
    refused("unknown_method", lines(start=b"FOO /x HTTP/1.1"), 400, BAD),
    refused("bad_character_in_method", lines(start=b"G@T /x HTTP/1.1"), 400, BAD),
    refused("tls_hello", b"\x16\x03\x01\x00\xa5\x01\x00\x00", 400, BAD),
    refused("version_12", lines(start=b"GET /x HTTP/1.2"), 426, "low_version"),
    refused("version_20", lines(start=b"GET /x HTTP/2.0"), 426, "low_version"),
    refused("version_10", lines(start=b"GET /x HTTP/1.0"), 426, "low_version"),
    refused("version_missing", lines(start=b"GET /x"), 426, "low_version"),
    refused("version_without_major", lines(start=b"GET /x HTTP/.1"), 400, BAD),
    refused("version_01", lines(start=b"GET /x HTTP/0.1"), 426, "low_version"),
    refused("version_11_with_more", lines(start=b"GET /x HTTP/1.11"), 400, BAD),
    refused("version_91", lines(start=b"GET /x HTTP/9.1"), 426, "low_version"),
    refused("leading_space", b" GET /x HTTP/1.1\r\nHost: %HOST%\r\n\r\n", 400, BAD),
    refused("version_in_lower_case", lines(start=b"GET /x http/1.1"), 400, BAD),
    # Targets and hosts.
    sent("absolute_form", request("http://%HOST%/y?z", host="other.test"), 200),
    sent("absolute_form_https", request("https://%HOST%/y", host="other.test"), 200),
    sent("absolute_form_without_path", request("http://%HOST%"), 200),
    sent("absolute_form_without_host_header", request("http://%HOST%/y", host=None), 200),
    sent("absolute_form_with_userinfo", request("http://u:p@%HOST%/y"), 200),
    sent("absolute_form_with_query_only", request("http://%HOST%?x=1"), 404),
    refused("absolute_form_ftp", request("ftp://%HOST%/y"), 400, "http1.invalid_scheme"),
    sent("options_star", request("*", method="OPTIONS"), 404),
    refused("get_star", request("*"), 400, "http1.invalid_url"),
    refused("target_without_slash", request("x"), 400, BAD),
    refused("fragment", request("/x#frag"), 400, "path_normalization_failed", "-"),
    refused("target_with_8_bit", lines(start=b"GET /\xc3\xa9 HTTP/1.1"), 400, BAD),
    refused("target_with_control", lines(start=b"GET /a\1b HTTP/1.1"), 400, "http1.invalid_characters"),
    refused("target_with_space", request("/a b"), 400, BAD),
    sent("target_with_odd_characters", request('/a"<>{}|\\^`%zz'), 200),
    sent("target_not_normalised", request("//a/../b/./c%2e"), 200),
    refused("host_missing", request("/x", host=None), 400, "missing_host_header", "-"),
    sent("host_empty", request("/x", host=""), 404),
    sent("host_twice", b"GET /x HTTP/1.1\r\nHost: %HOST%\r\nHost: %HOST%\r\n\r\n", 404),
    refused("host_with_bad_characters", request("/x", host="a b/c"), 400, "http.invalid_authority"),
    # Framing.
    refused(
        "length_and_chunked",
        lines(b"Content-Length: 5", b"Transfer-Encoding: chunked", start=b"POST /x HTTP/1.1") + b"0\r\n\r\n",
        400,
        "http1.content_length_and_chunked_not_allowed",
    ),
    refused(
        "chunked_and_length",
        lines(b"Transfer-Encoding: chunked", b"Content-Length: 5", start=b"POST /x HTTP/1.1") + b"0\r\n\r\n",
        400,
        "http1.content_length_and_chunked_not_allowed",
    ),
    refused("length_twice_same", length(b"5", b"5"), 400, BAD),
    refused("length_twice_different", length(b"5", b"6", body=b"hello!"), 400, BAD),
    refused("length_list", length(b"5, 5"), 400, BAD),
    refused("length_with_cr", length(b"5\r0"), 400, BAD),
    sent("te_with_cr", lines(b"Transfer-Encoding: chun\rked", start=b"POST /x HTTP/1.1") + b"0\r\n\r\n", 200),
    refused("name_with_cr", lines(b"Content\r-Length: 5", start=b"POST /x HTTP/1.1"), 400, BAD),
    refused("length_negative", length(b"-5"), 400, BAD),
    refused("length_with_plus", length(b"+5"), 400, BAD),
    refused("length_in_hex", length(b"0x5"), 400, BAD),
    refused("length_empty", length(b""), 400, BAD),
    refused("length_overflow", length(b"99999999999999999999"), 400, BAD),
    refused(
        "te_gzip_chunked",
        lines(b"Transfer-Encoding: gzip, chunked", start=b"POST /x HTTP/1.1") + b"0\r\n\r\n",
        501,
        "http1.invalid_transfer_encoding",
    ),
    refused(
        "te_identity",
        lines(b"Transfer-Encoding: identity", start=b"POST /x HTTP/1.1"),
        501,
        "http1.invalid_transfer_encoding",
    ),
    refused(
        "te_unknown",
        lines(b"Transfer-Encoding: xchunked", start=b"POST /x HTTP/1.1") + b"0\r\n\r\n",
        501,
        "http1.invalid_transfer_encoding",
    ),
    refused(
        "te_twice",
        lines(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", start=b"POST /x HTTP/1.1") + b"0\r\n\r\n",
        501,
        "http1.invalid_transfer_encoding",
    ),
    sent("chunk_overrun", chunks(b"3\r\nabcd\r\n0\r\n\r\n"), 200),
    sent("chunk_size_with_space", chunks(b"3 \r\nabc\r\n0\r\n\r\n"), 200),
    sent("chunk_size_leading_zeros", chunks(b"0003\r\nabc\r\n00\r\n\r\n"), 200),
    Case(
        "chunk_size_garbage",
        chunks(b"zz\r\nabc\r\n0\r\n\r\n"),
        expect={"client[0].status": 400, "log[0].details": BAD},
        ignore=["upstream"],
    ),
    Case("chunk_bare_lf", chunks(b"3\nabc\n0\n\n"), expect={"client[0].status": 400}, ignore=["upstream"]),
    Case(
        "chunk_size_overflow",
        chunks(b"fffffffffffffffff\r\nabc"),
        expect={"client[0].status": 400},
        ignore=["upstream"],
    ),
    Case(
        "trailer_malformed",
        chunks(b"3\r\nabc\r\n0\r\nbad\r\n\r\n"),
        expect={"client[0].status": 400},
        ignore=["upstream"],
    ),
    # Limits.
    refused("headers_too_large", lines(b"X-A: " + b"a" * 62_000), 431, "http1.headers_too_large"),
    refused("target_too_large", request("/" + "a" * 62_000), 431, "http1.headers_too_large"),
    refused("too_many_headers", lines(*(b"X-%d: 1" % n for n in range(100))), 431, "http1.too_many_headers"),
    sent("just_enough_headers", lines(*(b"X-%d: 1" % n for n in range(99))), 200),
    sent("just_small_enough_headers", lines(b"X-A: " + b"a" * 60_000), 200),
    Case(
        "headers_limit_raised",
        lines(b"X-A: " + b"a" * 90_000),
        hcm={"max_request_headers_kb": 96},
        expect={"client[0].status": 200},
    ),
    Case(
        "underscore_refused",
        request("/x", "x_y: 1"),
        hcm={"common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"}},
        expect={"client[0].status": 400},
    ),
    Case(
        "underscore_dropped",
        request("/x", "x_y: 1", "x-z: 2"),
        hcm={"common_http_protocol_options": {"headers_with_underscores_action": "DROP_HEADER"}},
        expect={"client[0].status": 200},
    ),
    # CONNECT where it is not enabled.
    refused(
        "connect_not_enabled", request("%HOST%:80", method="CONNECT", host="%HOST%:80"), 404, "route_not_found", "NR"
    ),
    refused("connect_to_a_path", request("/x", method="CONNECT"), 400, "http1.invalid_url"),
    refused("connect_to_two_ports", request("a:b:80", method="CONNECT", host="a:80"), 400, "http1.invalid_url"),
    refused("connect_without_port", request("%HOST%", method="CONNECT"), 400, "http1.invalid_url"),
    refused(
        "connect_with_body",
        request("%HOST%:80", "Content-Length: 3", method="CONNECT", host="%HOST%:80", body=b"abc"),
        400,
        "http1.body_disallowed",
    ),
    # HTTP/1.0 where it is accepted.
    *(
        Case(
            name,
            data,
            hcm={"http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "old-default.test"}},
            vhost={"domains": domains},
            expect={"client[0].status": 200},
        )
        for name, data, domains in (
            ("old_version_with_host", lines(start=b"GET /x HTTP/1.0"), ["old-version-with-host.test"]),
            ("old_version_default_host", b"GET /x HTTP/1.0\r\n\r\n", ["old-default.test"]),
            (
                "old_version_keep_alive",
                lines(b"Connection: keep-alive", start=b"GET /x HTTP/1.0"),
                ["old-version-keep-alive.test"],
            ),
            (
                "old_version_chunked_upstream",
                lines(start=b"GET /chunked HTTP/1.0"),
                ["old-version-chunked-upstream.test"],
            ),
        )
    ),
    # Path normalisation.
    *(
        Case(name, request(target), hcm=options)
        for name, target, options in (
            ("normalize_path", "/a/../b/./c%2e%7E/%2F", {"normalize_path": True}),
            ("normalize_path_escaping_root", "/../../b", {"normalize_path": True}),
            ("merge_slashes", "//a///b", {"merge_slashes": True}),
            ("normalize_path_and_merge_slashes", "//a//../b", {"normalize_path": True, "merge_slashes": True}),
            ("normalize_keeps_query", "/a/../b?x=/../y", {"normalize_path": True}),
        )
    ),
)
