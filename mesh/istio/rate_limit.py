"""RateLimit: how many requests a workload takes of a service's callers. A kind of this mesh's own.

Each workload counts for itself, in its sidecar: with three of them the service takes three times as much.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from mesh.istio.model import Found, Message, repeated
from mesh.istio.scalars import Count, DnsLabel, Duration, Host, OptionalDnsLabel, Rows
from mesh.istio.virtual_service_match import HTTPMatchRequest, StringMatch

SHORTEST_INTERVAL: Final = 0.05  # Envoy's
_ELSEWHERE: Final = (  # what a match may have, and means something to the caller's proxy only
    ("name", "name"),
    ("port", "port"),
    ("source_labels", "sourceLabels"),
    ("source_namespace", "sourceNamespace"),
    ("gateways", "gateways"),
    ("stat_prefix", "statPrefix"),
)

Requests = Annotated[Count, Field(ge=1)]


class RequestSource(Message):
    """Who calls, as its sidecar names itself; nothing proves it before there is mutual TLS."""

    at_least_one = (("workload", "namespace"),)

    workload: StringMatch | None = None
    namespace: OptionalDnsLabel = ""

    def rules(self) -> Iterator[Found]:
        if self.workload is not None and self.workload.empty:
            yield Found(("workload",), "one of exact, prefix and regex must be set")


class RequestLimit(Message):
    """Of the requests of `source` that satisfy any of `match` (all, without them), `requests` in each `per`, at most
    `burst` at once. The first limit that a request is for counts it."""

    name: DnsLabel
    match: Rows[HTTPMatchRequest] = ()
    source: RequestSource | None = None
    requests: Requests
    per: Duration = 1.0
    burst: Requests | None = None

    def rules(self) -> Iterator[Found]:
        if self.per < SHORTEST_INTERVAL:
            yield Found(("per",), "must be at least 50ms")
        if self.burst is not None and self.burst < self.requests:
            yield Found(("burst",), f"must be at least requests ({self.requests})")
        for index, match in enumerate(self.match):
            for field, alias in _ELSEWHERE:
                if getattr(match, field):
                    yield Found(("match", index, alias), "is not known where requests are limited, beside the service")


class RateLimit(Message):
    """`host` is the service whose workloads limit what they take; with `dry_run` they only count what they would refuse."""

    host: Host
    limits: Rows[RequestLimit]
    dry_run: bool = False

    def rules(self) -> Iterator[Found]:
        if not self.limits:
            yield Found(("limits",), "must have at least one limit")
        for index, name in repeated(limit.name for limit in self.limits):
            yield Found(("limits", index, "name"), f'there is a limit "{name}" already')


def summary(spec: Mapping[str, Any]) -> str:
    """The limits."""
    limits = [f"{each.get('name')} {each.get('requests')}/{each.get('per', '1s')}" for each in spec.get("limits", [])]
    return f"{spec.get('host', '')} {', '.join(limits)}" + (" (dry run)" if spec.get("dryRun") else "")
