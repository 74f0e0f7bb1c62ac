"""VirtualService: which requests a route is for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

from mesh.istio.model import Found, Message, Path, shown
from mesh.istio.refused import NOT_YET
from mesh.istio.scalars import (
    PSEUDO_HEADERS,
    Labels,
    OptionalDnsLabel,
    PortNumber,
    Rows,
    is_dns_label,
    is_header_name,
    regex_problem,
    wrong,
)

MESH_GATEWAY = "mesh"  # the reserved name for all sidecars
ANY_VALUE = "*"  # as a regex in `withoutHeaders`: the header must be absent
MAX_PARAMETER_NAME = 1024  # Envoy's
_JWT_CLAIM = "@request.auth.claims"


def _gateway_name(name: str) -> str:
    namespace, slash, short = name.rpartition("/")
    if is_dns_label(short) and (is_dns_label(namespace) if slash else True):
        return name
    parts = name.split(".")
    hint = f'; write "{parts[1]}/{parts[0]}"' if not slash and len(parts) > 1 else ""
    raise wrong(f"must be a gateway as NAME or NAMESPACE/NAME, not {shown(name)}{hint}")


# `mesh`, `name` or `namespace/name`; Istio's legacy `name.namespace.svc…` is refused.
GatewayName = Annotated[str, AfterValidator(_gateway_name)]


class StringMatch(Message):
    """One way to match a text. A regex matches the whole of it; the empty message matches presence, in headers and
    query parameters."""

    at_most_one = (("exact", "prefix", "regex"),)

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None

    @property
    def empty(self) -> bool:
        return self.exact is None and self.prefix is None and self.regex is None

    def rules(self) -> Iterator[Found]:
        if self.regex is not None and self.regex != ANY_VALUE and (problem := regex_problem(self.regex)):
            yield Found(("regex",), problem)


class HTTPMatchRequest(Message):
    """All of its conditions must hold. A `without_headers` entry must not match; the regex `*` there stands for any
    value."""

    name: str = ""
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: dict[str, StringMatch] = Field(default_factory=dict)
    without_headers: dict[str, StringMatch] = Field(default_factory=dict)
    query_params: dict[str, StringMatch] = Field(default_factory=dict)
    port: PortNumber | None = None
    source_labels: Labels = Field(default_factory=dict)
    source_namespace: OptionalDnsLabel = ""
    gateways: Rows[GatewayName] = ()
    ignore_uri_case: bool = False
    stat_prefix: str = ""

    def rules(self) -> Iterator[Found]:
        for field in ("uri", "scheme", "method", "authority"):
            match: StringMatch | None = getattr(self, field)
            if match is not None:
                if match.empty:
                    yield Found((field,), "one of exact, prefix and regex must be set")
                yield from _match_rules((field,), match, empty_prefix=field == "uri")
        for field, matches in (("headers", self.headers), ("withoutHeaders", self.without_headers)):
            for name, match in matches.items():
                if problem := _header_name_problem(name):
                    yield Found((field, name), problem)
                yield from _match_rules((field, name), match, any_value=field == "withoutHeaders")
        for name, match in self.query_params.items():
            if not name or len(name.encode()) > MAX_PARAMETER_NAME:
                yield Found(("queryParams", name), f"a name must have 1 to {MAX_PARAMETER_NAME} bytes")
            yield from _match_rules(("queryParams", name), match)


def _match_rules(
    path: Path, match: StringMatch, empty_prefix: bool = False, any_value: bool = False
) -> Iterator[Found]:
    if match.prefix == "" and not empty_prefix:
        yield Found((*path, "prefix"), "must not be empty")
    if match.regex == ANY_VALUE and not any_value:
        yield Found((*path, "regex"), 'is not a regular expression that RE2 understands: "*" repeats nothing')


def _header_name_problem(name: str) -> str:
    if name.startswith(_JWT_CLAIM):
        return f"JWT claims are {NOT_YET}"
    if name in PSEUDO_HEADERS or is_header_name(name):
        return ""
    return f"{shown(name)} is not a header name"
