"""Envoy's tags in OpenTelemetry's words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.telemetry import semantics
from sidecar.telemetry.semantics import Names, attributes
from sidecar.telemetry.trace import Span

TAGS: dict[str, Any] = {
    "component": "proxy",
    "guid:x-request-id": "a",
    "http.url": "http://user:secret@reviews:9080/reviews/0?a=1",
    "http.method": "GET",
    "http.protocol": "HTTP/1.1",
    "http.status_code": 200,
    "user_agent": "curl/8",
    "request_size": 0,
    "response_size": 375,
    "response_flags": "-",
    "peer.address": "127.0.1.2",
    "upstream_cluster": "outbound|9080||reviews.default.svc.cluster.local",
    "upstream_address": "127.0.1.9:15006",
}


def told(kind: str, names: Names = Names.OPENTELEMETRY, **tags: Any) -> dict[str, Any]:
    changed = {name.replace("__", "."): value for name, value in tags.items()}
    return dict(attributes(Span("a", kind, "0" * 32, "0" * 16, "", 0, 1, {**TAGS, **changed}, False), names))


def test_a_client() -> None:
    assert told("CLIENT") == {
        "component": "proxy",
        "guid:x-request-id": "a",
        "response_flags": "-",
        "upstream_cluster": "outbound|9080||reviews.default.svc.cluster.local",
        "upstream_address": "127.0.1.9:15006",
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "reviews",
        "server.port": 9080,
        "url.full": "http://reviews:9080/reviews/0?a=1",
        "network.protocol.version": "1.1",
        "user_agent.original": "curl/8",
        "http.request.body.size": 0,
        "http.response.body.size": 375,
        "network.peer.address": "127.0.1.9",
        "network.peer.port": 15006,
    }


def test_a_server() -> None:
    found = told("SERVER")
    assert found["url.scheme"] == "http" and found["url.path"] == "/reviews/0" and found["url.query"] == "a=1"
    assert found["client.address"] == "127.0.1.2"
    assert "url.full" not in found and "network.peer.port" not in found


@pytest.mark.parametrize(
    ("kind", "tags", "expected"),
    [
        ("CLIENT", {"http__status_code": 404}, {"error.type": "404"}),
        ("SERVER", {"http__status_code": 404}, {"error.type": None}),
        ("SERVER", {"http__status_code": 503}, {"error.type": "503"}),
        (
            "CLIENT",
            {"http__status_code": 0, "response_flags": "UF"},
            {"error.type": "UF", "http.response.status_code": None},
        ),
        ("CLIENT", {"http__status_code": 0}, {"error.type": "_OTHER", "http.response.status_code": None}),
        ("CLIENT", {"retry__count": 2}, {"http.request.resend_count": 2, "retry.count": None}),
        ("CLIENT", {"http__method": "BREW"}, {"http.request.method": "_OTHER", "http.request.method_original": "BREW"}),
        ("CLIENT", {"http__protocol": "HTTP/2"}, {"network.protocol.version": "2"}),
        ("CLIENT", {"http__protocol": "HTTP/1.0"}, {"network.protocol.version": "1"}),
        ("CLIENT", {"user_agent": "-"}, {"user_agent.original": None}),
        ("CLIENT", {"http__url": "https://a/"}, {"server.port": 443, "server.address": "a"}),
        ("CLIENT", {"http__url": "http://[::1/x"}, {"url.full": "http://[::1/x", "server.address": None}),
        ("CLIENT", {"upstream_address": "[::1]:80"}, {"network.peer.address": "::1", "network.peer.port": 80}),
    ],
)
def test_what_differs(kind: str, tags: dict[str, Any], expected: dict[str, Any]) -> None:
    found = told(kind, **tags)
    assert {name: found.get(name) for name in expected} == expected


def test_the_switch() -> None:
    assert told("CLIENT", Names.ENVOY) == TAGS
    both = told("CLIENT", Names.BOTH)
    assert both.items() >= TAGS.items() and both["http.request.method"] == "GET"


def test_a_span_that_is_not_http_stays_as_it_is() -> None:
    span = Span("a", "CLIENT", "0" * 32, "0" * 16, "", 0, 1, {"component": "proxy"}, False)
    assert attributes(span, Names.OPENTELEMETRY) == {"component": "proxy"}


_PIECES = st.sampled_from(
    [
        "http",
        "https",
        "://",
        "a.example",
        "A",
        "[::1]",
        ":",
        "80",
        "443",
        "99999",
        "0",
        "/",
        "b",
        "?",
        "c=1",
        "#",
        "@",
        "%20",
    ]
)


@given(st.lists(_PIECES, max_size=6).map(lambda more: "http://" + "".join(more)), st.sampled_from(["CLIENT", "SERVER"]))
def test_a_plain_url_is_read_as_any_other(url: str, kind: str) -> None:
    read = semantics._place(kind, url)
    parsed = semantics._unusual_place(kind, url)
    assert read == parsed
