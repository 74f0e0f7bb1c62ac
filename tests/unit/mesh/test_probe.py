"""Probes as command lines and metadata say them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.node import Node
from mesh.probe import KINDS, Exec, Grpc, HttpGet, Probe, ProbeError, TcpSocket, decode, encode

PORTS = st.integers(1, 65535)
PATHS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20).map("/{}".format)
HOSTS = st.sampled_from(("", "10.0.0.1", "::1", "app.test"))
NAMES, VALUES = st.text("abc-X", min_size=1, max_size=9), st.text(" -~"[::2] + "abc=;", max_size=9)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=3).map(tuple)
CHECKS = st.one_of(
    st.builds(HttpGet, PORTS, PATHS, HOSTS, st.booleans(), HEADERS),
    st.builds(TcpSocket, PORTS, HOSTS),
    st.builds(Grpc, PORTS, st.text("abc.XYZ", max_size=9)),
    st.builds(Exec, st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=3).map(tuple)),
)
SECONDS = st.floats(0.1, 3600)
PROBES = st.builds(Probe, CHECKS, SECONDS, SECONDS, SECONDS, st.integers(1, 99), st.integers(1, 99))


@given(PROBES)
def test_metadata_keeps_a_probe(probe: Probe) -> None:
    assert decode(encode(probe)) == probe
    node = Node("sidecar", "127.0.1.2", "a", probe=probe)
    assert Node.from_xds(node.id, node.to_xds()["metadata"]).probe == probe


def test_it_is_said_in_istios_words_with_istios_defaults() -> None:
    said = {"httpGet": {"path": "/healthz", "port": 8080.0}}
    assert decode(said) == Probe(HttpGet(8080, "/healthz"), delay=0, timeout=1, period=10, successes=1, failures=3)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("http", "/healthz", HttpGet(9080, "/healthz")),
        ("http", "8081/", HttpGet(8081, "/")),
        ("http", ":8081/a/b?c=1", HttpGet(8081, "/a/b?c=1")),
        ("tcp", "", TcpSocket(9080)),
        ("tcp", "5432", TcpSocket(5432)),
        ("grpc", "", Grpc(9080)),
        ("grpc", "50051/shop.Prices", Grpc(50051, "shop.Prices")),
        ("grpc", "/shop.Prices", Grpc(9080, "shop.Prices")),
        ("exec", "test -f '/tmp/a b'", Exec(("test", "-f", "/tmp/a b"))),
    ],
)
def test_a_command_line(kind: str, text: str, expected: object) -> None:
    assert KINDS[kind](text, 9080) == expected


@pytest.mark.parametrize(
    ("kind", "text", "port", "said"),
    [
        ("http", "healthz", 9080, "expected /PATH or PORT/PATH"),
        ("http", "x/healthz", 9080, "expected a port"),
        ("http", "/healthz", 0, "the workload has none of its own"),
        ("tcp", "65536", 9080, "1 to 65535"),
        ("exec", "", 0, "empty"),
        ("exec", "'a", 0, "No closing quotation"),
    ],
)
def test_a_wrong_command_line_says_what_was_expected(kind: str, text: str, port: int, said: str) -> None:
    with pytest.raises(ProbeError, match=said):
        KINDS[kind](text, port)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "expected one of httpGet, tcpSocket, grpc, exec"),
        ({"httpGet": {"port": 1}, "exec": {"command": ["a"]}}, "expected one of"),
        ({"httpGet": {"port": 0}}, "httpGet.port: 0"),
        ({"httpGet": {"port": "http"}}, "httpGet.port: 'http'"),
        ({"httpGet": {"port": 1, "scheme": "FTP"}}, "scheme: 'FTP': expected HTTP or HTTPS"),
        ({"httpGet": {"port": 1, "host": "a b"}}, "httpGet.host: 'a b' is no host"),
        ({"tcpSocket": {"port": 1, "host": "a/b"}}, "tcpSocket.host: 'a/b' is no host"),
        ({"httpGet": {"port": 1, "path": "/a\r\nb"}}, "is no path"),
        ({"httpGet": {"port": 1, "httpHeaders": [{"name": "a", "value": "b\r\nc: d"}]}}, "httpHeaders[0]: 'a'"),
        ({"httpGet": {"port": 1, "httpHeaders": [{"name": "a b", "value": "b"}]}}, "'a b': 'b' is no header"),
        ({"httpGet": {"port": 1, "httpHeaders": ["a"]}}, "is no header"),
        ({"exec": {"command": "ls"}}, "a list of words"),
        ({"tcpSocket": 80}, "expected an object"),
        ({"tcpSocket": {"port": 80}, "periodSeconds": -1}, "periodSeconds: -1"),
        ({"tcpSocket": {"port": 80}, "periods": 1}, "unknown field periods"),
    ],
)
def test_wrong_metadata_says_which_field(data: dict[str, Any], said: str) -> None:
    with pytest.raises(ProbeError, match=re.escape(said)):
        decode(data)
