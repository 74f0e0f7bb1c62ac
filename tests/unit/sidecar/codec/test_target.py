"""Absolute URLs and CONNECT's authority; which of them Envoy refuses is asked of it in the oracle (`request_lines`)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.codec.target import CODEC_ERROR, INVALID_SCHEME, INVALID_URL, host_of, names_a_host, split_absolute


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (b"http://a/x?y", (b"a", b"/x?y")),
        (b"HTTPS://a:80", (b"a:80", b"/")),
        (b"http://a?x", (b"a", b"?x")),
        (b"http://u:p@a/@b", (b"a", b"/@b")),
        (b"http:///x", INVALID_URL),
        (b"http://u@/x", INVALID_URL),
        (b"http://a:65536/", INVALID_URL),
        (b"ftp://a/", INVALID_SCHEME),
        (b"ftp:///", INVALID_URL),
        (b"1http://a/", CODEC_ERROR),
        (b"http://a@@b/", CODEC_ERROR),
        (b"http://a\\b/", CODEC_ERROR),
    ],
)
def test_an_absolute_target_is_taken_apart_or_refused(target: bytes, wanted: tuple[bytes, bytes] | str) -> None:
    assert split_absolute(target) == wanted


@pytest.mark.parametrize(
    ("text", "host", "host_and_port"),
    [
        (b"a", True, False),
        (b"a:0", True, True),
        (b"a:0065535", True, True),
        (b"a:65536", False, False),
        (b"a:100000", False, False),
        (b"[::1]", True, False),
        (b"[::1]:1", True, True),
        (b"[::g]", False, False),
        (b"[1.2.3.4]", False, False),
        (b"", False, False),
        (b":1", False, False),
        (b"a_b", False, False),
    ],
)
def test_a_host_may_have_a_port(text: bytes, host: bool, host_and_port: bool) -> None:
    assert (names_a_host(text), names_a_host(text, with_port=True)) == (host, host_and_port)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_host_or_none(text: bytes) -> None:
    host = host_of(text)
    assert not host or (text.endswith(host) and b"@" not in host)
    assert isinstance(split_absolute(b"http://" + text), tuple | str)
