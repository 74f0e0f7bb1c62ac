"""Responses of an upstream that are malformed, ambiguous, or odd."""

from __future__ import annotations

from collections.abc import Mapping

from tests.harness.upstream import Close, raw
from tests.oracle.case import Case, request


def got(name: str, response: bytes, status: int, flags: str = "-") -> Case:
    return Case(name, request("/x"), script=[raw(response)], expect={"client[0].status": status, "log[0].flags": flags})


OK = b"HTTP/1.1 200 OK\r\n"
TWO = b"Content-Length: 2\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def status_line(line: bytes) -> bytes:
    return line + b"\r\n" + TWO + b"\r\nok"


def fields(lines: bytes) -> bytes:
    return OK + lines + b"\r\n"


# Fault 36: what is no response, or could be read as another one.
STRICT: Mapping[str, bytes] = {
    "rtsp": status_line(b"RTSP/1.1 200 OK"),
    "ice": status_line(b"ICE/1.1 200 OK"),
    "icy": status_line(b"ICY 200 OK"),
    "lower_case": status_line(b"http/1.1 200 OK"),
    "leading_crlf": b"\r\n" + status_line(b"HTTP/1.1 200 OK"),
    "leading_lf": b"\n" + status_line(b"HTTP/1.1 200 OK"),
    "leading_space": b" " + status_line(b"HTTP/1.1 200 OK"),
    "version_one": status_line(b"HTTP/1 200 OK"),
    "version_111": status_line(b"HTTP/1.11 200 OK"),
    "version_12": status_line(b"HTTP/1.2 200 OK"),
    "version_09": status_line(b"HTTP/0.9 200 OK"),
    "version_of_letters": status_line(b"HTTP/x.y 200 OK"),
    "two_spaces": status_line(b"HTTP/1.1  200  OK"),
    "tabs": status_line(b"HTTP/1.1\t200\tOK"),
    "no_space": status_line(b"HTTP/1.1200 OK"),
    "space_behind": status_line(b"HTTP/1.1 200 "),
    "reason_with_cr": status_line(b"HTTP/1.1 200 O\rK"),
    "reason_with_nul": status_line(b"HTTP/1.1 200 O\0K"),
    "reason_with_control": status_line(b"HTTP/1.1 200 O\1K"),
    "reason_with_del": status_line(b"HTTP/1.1 200 O\x7fK"),
    "reason_with_8_bit": status_line(b"HTTP/1.1 200 \xc3\xa9"),
    "status_of_two": status_line(b"HTTP/1.1 20 OK"),
    "status_000": status_line(b"HTTP/1.1 000 OK"),
    "status_050": status_line(b"HTTP/1.1 050 OK"),
    "status_0200": status_line(b"HTTP/1.1 0200 OK"),
    "status_plus": status_line(b"HTTP/1.1 +200 OK"),
    "status_minus": status_line(b"HTTP/1.1 -200 OK"),
    "status_600": status_line(b"HTTP/1.1 600 OK"),
    "status_and_letters": status_line(b"HTTP/1.1 200OK"),
    "fold_first": fields(b" X: a\r\n" + TWO) + b"ok",
    "fold_in_length": fields(b"Content-Length: 2\r\n 3\r\n") + b"ok",
    "fold_in_coding": fields(b"Transfer-Encoding: chun\r\n ked\r\n") + b"0\r\n\r\n",
    "fold_of_nothing": fields(b"X:\r\n b\r\n" + TWO) + b"ok",
    "fold_last": fields(TWO + b"X: a\r\n b\r\n") + b"ok",
    "fold_blank": fields(b"X: a\r\n \r\n" + TWO) + b"ok",
    "coding_gzip": fields(b"Transfer-Encoding: gzip\r\n") + b"ok",
    "coding_identity": fields(b"Transfer-Encoding: identity\r\n" + TWO) + b"ok",
    "coding_capitals": fields(b"Transfer-Encoding: CHUNKED\r\n") + b"0\r\n\r\n",
    "coding_twice": fields(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") + b"0\r\n\r\n",
    "coding_list": fields(b"Transfer-Encoding: chunked, chunked\r\n") + b"0\r\n\r\n",
    "coding_empty": fields(b"Transfer-Encoding:\r\n") + b"ok",
    "coding_with_parameter": fields(b"Transfer-Encoding: chunked;x\r\n") + b"0\r\n\r\n",
    "coding_and_length": fields(b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n") + b"0\r\n\r\n",
    "length_with_zeros": fields(b"Content-Length: 00000000000000000002\r\n") + b"ok",
    "length_plus": fields(b"Content-Length: +2\r\n") + b"ok",
    "length_list": fields(b"Content-Length: 2, 2\r\n") + b"ok",
    "length_empty": fields(b"Content-Length:\r\n") + b"ok",
    "length_hex": fields(b"Content-Length: 0x2\r\n") + b"ok",
    "name_empty": fields(b": v\r\n" + TWO) + b"ok",
    "name_only": fields(b"foo\r\n" + TWO) + b"ok",
    "name_with_parenthesis": fields(b"X(: v\r\n" + TWO) + b"ok",
    "name_with_space": fields(b"X Y: v\r\n" + TWO) + b"ok",
    "name_with_8_bit": fields(b"X\xc3: v\r\n" + TWO) + b"ok",
    "name_with_cr": fields(b"X\r: v\r\n" + TWO) + b"ok",
    "value_with_control": fields(b"X: a\1\r\n" + TWO) + b"ok",
    "value_with_del": fields(b"X: a\x7f\r\n" + TWO) + b"ok",
    "value_with_8_bit": fields(b"X: \xff\r\n" + TWO) + b"ok",
    "value_ending_in_cr": fields(b"X: a\r\r\n" + TWO) + b"ok",
    "204_chunked": b"HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "204_length": b"HTTP/1.1 204 x\r\nContent-Length: 2\r\n\r\nok",
    "204_length_zero": b"HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n",
    "304_chunked": b"HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n",
    "304_gzip": b"HTTP/1.1 304 x\r\nTransfer-Encoding: gzip\r\n\r\n",
    "304_length": b"HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n",
    "304_length_and_chunked": b"HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "304_two_lengths": b"HTTP/1.1 304 x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "205": b"HTTP/1.1 205 x\r\nContent-Length: 2\r\n\r\nok",
    "100_length": b"HTTP/1.1 100 x\r\nContent-Length: 2\r\n\r\n" + OK + TWO + b"\r\nok",
    "100_chunked": b"HTTP/1.1 100 x\r\nTransfer-Encoding: chunked\r\n\r\n" + OK + TWO + b"\r\nok",
    "103": b"HTTP/1.1 103 x\r\nLink: a\r\n\r\n" + OK + TWO + b"\r\nok",
    "199": b"HTTP/1.1 199 x\r\n\r\n" + OK + TWO + b"\r\nok",
    "chunk_size_with_space": CHUNKED + b"2 \r\nok\r\n0\r\n\r\n",
    "chunk_size_after_space": CHUNKED + b" 2\r\nok\r\n0\r\n\r\n",
    "chunk_size_with_zeros": CHUNKED + b"00000000000000002\r\nok\r\n0\r\n\r\n",
    "chunk_size_and_letter": CHUNKED + b"2x\r\nok\r\n0\r\n\r\n",
    "chunk_lines_with_bare_lf": CHUNKED + b"2\nok\n0\n\n",
    "trailer_without_colon": CHUNKED + b"2\r\nok\r\n0\r\nTa\r\n\r\n",
    "trailer_with_space_in_name": CHUNKED + b"2\r\nok\r\n0\r\nT a: b\r\n\r\n",
    "trailer_with_nul": CHUNKED + b"2\r\nok\r\n0\r\nT: a\0\r\n\r\n",
    "trailer_with_cr": CHUNKED + b"2\r\nok\r\n0\r\nT: a\rb\r\n\r\n",
    "trailer_with_bare_lf": CHUNKED + b"2\r\nok\r\n0\r\nT: a\n\r\n",
}
# The framing of what has no body.
OF_HEAD = {name: data for name, data in STRICT.items() if name.startswith(("coding", "length", "204", "304"))}
# Fault 3, from the other side.
BARE_CR: Mapping[str, bytes] = {
    "extension": b"2;a\rb\r\nok\r\n0\r\n\r\n",
    "extension_twice": b"2\r\r\nok\r\n0\r\n\r\n",
    "last_extension": b"2\r\nok\r\n0;a\rb\r\n\r\n",
}
LARGE = {"60_kib": 60 * 1024, "79_kib": 79 * 1024, "81_kib": 81 * 1024}
CASES = (
    *(Case(f"strict_{name}", request("/x"), script=[raw(data)], faults=(36,)) for name, data in STRICT.items()),
    *(
        Case(
            f"strict_head_{name}",
            request("/x", method="HEAD"),
            methods=["HEAD"],
            script=[raw(data)],
            end="skip",
            faults=(36,),
        )
        for name, data in OF_HEAD.items()
    ),
    *(
        Case(f"response_bare_cr_in_{name}", request("/x"), script=[raw(CHUNKED + body)], faults=(3,))
        for name, body in BARE_CR.items()
    ),
    *(
        Case(
            f"response_head_of_{name}",
            request("/x"),
            script=[raw(fields(b"X-A: " + b"a" * size + b"\r\n" + TWO) + b"ok")],
            expect={"client[0].status": 200 if size < 80 * 1024 else 502},
            faults=(29,),
        )
        for name, size in LARGE.items()
    ),
    got("response_extra_bytes", OK + b"Content-Length: 2\r\n\r\nokEXTRA", 200),
    got(
        "response_length_and_chunked",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        502,
        "UPE",
    ),
    got("response_length_twice_different", OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", 502, "UPE"),
    got("response_length_twice_same", OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", 502, "UPE"),
    got("response_length_with_cr", OK + b"Content-Length: 2\r0\r\n\r\nok", 502, "UPE"),
    got("response_switching_chunked", b"HTTP/1.1 101 Switching\r\nTransfer-Encoding: chunked\r\n\r\n", 502, "UPE"),
    got("response_length_negative", OK + b"Content-Length: -2\r\n\r\nok", 502, "UPE"),
    got("response_te_gzip_chunked", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 502, "UPE"),
    got("response_without_reason", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200),
    got("response_status_99", b"HTTP/1.1 99 Odd\r\nContent-Length: 2\r\n\r\nok", 502, "UPE"),
    got("response_bare_lf", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200),
    got("response_obs_fold", OK + b"X-A: a\r\n b\r\nContent-Length: 2\r\n\r\nok", 200),
    got("response_obs_fold_with_cr", OK + b"X-A: a\r\n b\rc\r\nContent-Length: 2\r\n\r\nok", 200),
    got("response_cr_in_value", OK + b"X-A: b\rc\r\nContent-Length: 2\r\n\r\nok", 200),
    got("response_version_91", b"HTTP/9.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
    got("response_status_of_four", b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", 2000),
    got("response_status_garbage", b"HTTP/1.1 2+10 OK\r\nContent-Length: 2\r\n\r\nok", 502, "UPE"),
    got("response_only_a_version", b"HTTP/1.1 \n", 502, "UPE"),
    Case(
        "response_cut_in_the_status_line",
        request("/x"),
        script=[raw(b"HTTP/1.1 200", Close())],
        expect={"client[0].status": 502, "log[0].flags": "UPE"},
    ),
    Case(
        "response_cut_in_the_head",
        request("/x"),
        script=[raw(OK + b"Content-Length: 2\r\nContent-", Close())],
        expect={"client[0].status": 502, "log[0].flags": "UPE"},
    ),
    got("response_bare_lf_before_a_body_like_headers", b"HTTP/1.1 200 OK\nContent-Length: 11\n\nX-A: b\r\n\r\nx", 200),
    got("response_version_20", b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
    got("response_version_10", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
    got("response_large_header", OK + b"X-A: " + b"a" * 50_000 + b"\r\nContent-Length: 2\r\n\r\nok", 200),
    got(
        "response_with_as_many_headers_as_may_be",
        OK + b"".join(b"X-%d: 1\r\n" % n for n in range(99)) + b"Content-Length: 2\r\n\r\nok",
        200,
    ),
    got(
        "response_with_one_header_more_than_may_be",
        OK + b"".join(b"X-%d: 1\r\n" % n for n in range(100)) + b"Content-Length: 2\r\n\r\nok",
        502,
        "UPE",
    ),
    got(
        "response_too_many_headers",
        OK + b"".join(b"X-%d: 1\r\n" % n for n in range(101)) + b"Content-Length: 2\r\n\r\nok",
        502,
        "UPE",
    ),
    got("response_nul_in_value", OK + b"X-A: a\0b\r\nContent-Length: 2\r\n\r\nok", 502, "UPE"),
    got("response_space_before_colon", OK + b"X-A : a\r\nContent-Length: 2\r\n\r\nok", 502, "UPE"),
    got("response_chunk_extension", OK + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n", 200),
)
