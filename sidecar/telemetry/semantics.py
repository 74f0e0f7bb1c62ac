"""A span's attributes in OpenTelemetry's words for HTTP; pure.

A span is made with Envoy's tags (`http.url`, `http.status_code` …). What a collector gets of them says the same by the names
of the stable conventions (https://opentelemetry.io/docs/specs/semconv/http/http-spans/); MESH_SPAN_ATTRIBUTES=envoy keeps
the old ones, `both` sends both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from sidecar.telemetry.trace import CLIENT, Attribute, Span

VARIABLE: Final = "MESH_SPAN_ATTRIBUTES"
OTHER_METHOD: Final = "_OTHER"
_METHODS: Final = frozenset(["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"])
_PORTS: Final = {"http": 80, "https": 443}
_LAST_PORT: Final = 65535
# What nearly every URL is: it need not be parsed with all care.
_PLAIN_URL: Final = re.compile(r"(https?)://([A-Za-z0-9._-]+)(?::([1-9][0-9]{0,4}))?(/[^?#\\\s]*)(?:\?([^#\s]+))?")
# Envoy's names that have another one now; those that have none (upstream_cluster, guid:x-request-id …) stay as they are.
_REPLACED: Final = frozenset(
    (
        "http.url", "http.method", "http.protocol", "http.status_code", "user_agent", "request_size", "response_size",
        "peer.address", "retry.count", "error",
    )
)  # fmt: skip


class Names(StrEnum):
    OPENTELEMETRY = "opentelemetry"
    ENVOY = "envoy"
    BOTH = "both"


def attributes(span: Span, names: Names) -> Mapping[str, Attribute]:
    """What a collector is told of the span."""
    if names is Names.ENVOY or "http.method" not in span.attributes:
        return span.attributes
    given = span.attributes
    found = dict(given) if names is Names.BOTH else {k: v for k, v in given.items() if k not in _REPLACED}
    found.update(_current(span))
    return found


def _current(span: Span) -> dict[str, Attribute]:
    given = span.attributes
    method, status = str(given["http.method"]), int(given["http.status_code"])
    known = method in _METHODS
    found: dict[str, Attribute] = {"http.request.method": method if known else OTHER_METHOD}
    if not known:
        found["http.request.method_original"] = method
    if status:
        found["http.response.status_code"] = status
    found |= _place(span.kind, str(given["http.url"]))
    protocol = str(given.get("http.protocol", ""))
    if protocol.startswith("HTTP/"):
        found["network.protocol.version"] = protocol.removeprefix("HTTP/").removesuffix(".0") or "1.0"
    if (agent := given.get("user_agent", "-")) != "-":
        found["user_agent.original"] = agent
    found["http.request.body.size"] = given["request_size"]
    found["http.response.body.size"] = given["response_size"]
    if span.kind == CLIENT:
        if resent := given.get("retry.count"):
            found["http.request.resend_count"] = resent
        host, _, port = str(given.get("upstream_address", "")).rpartition(":")
        if host and port.isdigit():
            found["network.peer.address"], found["network.peer.port"] = host.strip("[]"), int(port)
    else:
        found["client.address"] = found["network.peer.address"] = given["peer.address"]
    if status == 0 or status >= (400 if span.kind == CLIENT else 500):
        found["error.type"] = str(status) if status else _reason(given)
    return found


def _place(kind: str, url: str) -> dict[str, Attribute]:
    """The parts of the URL, without what a password may be in."""
    plain = _PLAIN_URL.fullmatch(url)
    if plain is None:
        return _unusual_place(kind, url)
    scheme, host, digits, path, query = plain.groups()
    port = int(digits) if digits else _PORTS[scheme]
    if port > _LAST_PORT:
        return _unusual_place(kind, url)
    found: dict[str, Attribute] = {"server.address": host.lower(), "server.port": port}
    if kind == CLIENT:
        found["url.full"] = url
        return found
    found["url.scheme"], found["url.path"] = scheme, path
    if query:
        found["url.query"] = query
    return found


def _unusual_place(kind: str, url: str) -> dict[str, Attribute]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return {"url.full": url} if kind == CLIENT else {}
    found: dict[str, Attribute] = {"server.address": host}
    if port:
        found["server.port"] = port
    if kind == CLIENT:
        found["url.full"] = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return found
    found |= {"url.scheme": parts.scheme, "url.path": parts.path}
    if parts.query:
        found["url.query"] = parts.query
    return found


def _reason(given: Mapping[str, Attribute]) -> str:
    """Of a request without an answer: Envoy's response flags."""
    flags = str(given.get("response_flags", ""))
    return flags if flags not in ("", "-") else OTHER_METHOD
