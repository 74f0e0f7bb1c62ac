"""A case: a fragment of configuration, what the client does, what the upstream does, what has to be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.harness.h2_upstream import Plan as H2Plan
from tests.harness.upstream import Plan
from tests.oracle.h2_case import H2Action

HOST = b"%HOST%"  # in request bytes: the virtual host of the case
CLUSTER = "%CLUSTER%"  # in configuration: the cluster of the case, its first
PORT = re.compile(r"%PORT:(\w+)%")  # in both: the port of an endpoint word


# ── what the client does ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Write:
    data: bytes


@dataclass(frozen=True, slots=True)
class Read:
    """Reads one response; `method` decides whether it has a body."""

    method: str = "GET"


@dataclass(frozen=True, slots=True)
class ReadUntil:
    """Reads tunnel bytes up to and with the marker."""

    marker: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


@dataclass(frozen=True, slots=True)
class AwaitUpstream:
    """Waits until the upstream has received so many requests."""

    requests: int = 1


@dataclass(frozen=True, slots=True)
class HalfClose:
    """FIN from the client."""


@dataclass(frozen=True, slots=True)
class Abort:
    """RST from the client."""


@dataclass(frozen=True, slots=True)
class Post:
    """A POST to the proxy's admin port. Cases share the proxy: what it does has to be undone in the case."""

    path: str


Action = Write | Read | ReadUntil | Wait | AwaitUpstream | HalfClose | Abort | Post


# ── configuration ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Up:
    """A cluster: `endpoints` are words, `up` for the scripted upstream, `second` for another one, `refused` for a port
    where nobody listens; `shared0` and so on, and `shared_refused`, have the same addresses on both sides, and what they
    receive is not compared. `lb` are Envoy's fields of the endpoints, `priorities` theirs (0), by position, `zones` their
    zones, and `zone_weights` those of the zones, `policy` their assignment's. `fields` are the cluster's, over the
    defaults."""

    endpoints: Sequence[str] = ("up",)
    lb: Sequence[Mapping[str, Any]] = ()
    priorities: Sequence[int] = ()
    zones: Sequence[str] = ()
    zone_weights: Mapping[str, int] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)


H2_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def h2_cluster(**options: Any) -> Up:
    """A cluster of the upstream that speaks HTTP/2; `options` are its http2_protocol_options."""
    typed = {
        "@type": f"type.googleapis.com/{H2_OPTIONS}",
        "explicit_http_config": {"http2_protocol_options": options},
    }
    return Up(("h2up",), fields={"typed_extension_protocol_options": {H2_OPTIONS: typed}})


@dataclass(frozen=True, slots=True)
class Case:
    """`routes` defaults to one route of everything to the case's cluster with `action` on top. Cases with equal `hcm`,
    `filters` and log share a listener; `tcp` are the fields of a TCP proxy in place of the connection manager. `log`
    adds to the log's JSON: of values whose key starts with `~` the digits do not count, those that start
    with `head:` are sizes of response heads, without the digits of the `~service_time` beside them, those whose key
    starts with `steps:` are milliseconds, of which only steps of 400 do. `log_fields` are the access log's
    own (its filter), `log_format` those of its format. `chains` are filter chains by name, each with its match and all with
    the same filters; `listener` are fields of the listener. `local` says
    that the case's cluster is the one of the proxies of this kind, which are in the zone `home`: a topic has one such case
    at most.

    `expect` pins what Envoy does, so that a case keeps testing what its name says; keys are paths of `observe`. `ignore`
    holds path prefixes that are not compared. `end` is `auto` (asks with another request whether the connection lives,
    when the response does not end it), `wait` (watches for a while) or `skip`. `faults` are the numbers in `tests/faults.md`
    of those that the case keeps from coming back.

    With `h2` the client speaks HTTP/2, with these SETTINGS, gives credit for what it reads unless `h2_credit` is off, and
    answers PINGs unless `h2_pongs` is; `h2_script` is what the endpoint `h2up` does, which speaks it, too (`H2_UP` is a
    cluster of it)."""

    name: str
    request: bytes = b""
    actions: Sequence[Action] = ()
    methods: Sequence[str] = ("GET",)
    script: Sequence[Plan] = ()
    action: Mapping[str, Any] = field(default_factory=dict)
    route: Mapping[str, Any] = field(default_factory=dict)
    routes: Sequence[Mapping[str, Any]] | None = None
    vhost: Mapping[str, Any] = field(default_factory=dict)
    hcm: Mapping[str, Any] = field(default_factory=dict)
    filters: Sequence[Mapping[str, Any]] = ()
    clusters: Mapping[str, Up] = field(default_factory=lambda: {"": Up()})
    stats: Sequence[str] = ()
    expect: Mapping[str, Any] = field(default_factory=dict)
    ignore: Sequence[str] = ()
    end: str = "auto"
    logs: int | None = None
    log: Mapping[str, Any] = field(default_factory=dict)
    log_fields: Mapping[str, Any] = field(default_factory=dict)
    log_format: Mapping[str, Any] = field(default_factory=dict)
    tcp: Mapping[str, Any] | None = None
    chains: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    listener: Mapping[str, Any] = field(default_factory=dict)
    local: bool = False
    h2: Sequence[H2Action] = ()
    h2_script: Sequence[H2Plan] = ()
    h2_settings: Mapping[int, int] = field(default_factory=dict)
    h2_credit: bool = True
    h2_pongs: bool = True
    faults: Sequence[int] = ()

    @property
    def host(self) -> str:
        return f"{self.name.replace('_', '-')}.test"

    def steps(self) -> list[Action]:
        """What the client does: `actions`, or the request and one response per method."""
        if self.actions:
            return list(self.actions)
        return [Write(self.request), *(Read(method) for method in self.methods)]


def request(
    target: str = "/", *lines: str, method: str = "GET", host: str | None = "%HOST%", body: bytes = b""
) -> bytes:
    """The bytes of a request with its Host first; no length is added."""
    head = [f"{method} {target} HTTP/1.1", *([f"Host: {host}"] if host is not None else []), *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def post(target: str = "/", *lines: str, body: bytes = b"hello", method: str = "POST") -> bytes:
    """A request with a content-length body."""
    return request(target, *lines, f"Content-Length: {len(body)}", method=method, body=body)
