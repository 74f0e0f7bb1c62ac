"""VirtualService: what happens to requests for some hosts. HTTP routes only."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from mesh.istio.model import Message
from mesh.istio.scalars import (
    Count,
    Duration,
    ExportTo,
    HttpStatus,
    Integer,
    Labels,
    OptionalDnsLabel,
    Percentage,
    PortNumber,
    Regex,
    Rows,
    WholePercent,
    WildcardHost,
    Word,
)

MAX_BODY = 1024 * 1024
MESH_GATEWAY = "mesh"


class StringMatch(Message):
    """One way to match a text; the empty message matches presence, in headers and query parameters."""

    at_most_one = (("exact", "prefix", "regex"),)

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None

    @property
    def empty(self) -> bool:
        return self.exact is None and self.prefix is None and self.regex is None


class Percent(Message):
    value: Percentage = 0.0


class PortSelector(Message):
    number: PortNumber


class Destination(Message):
    host: str
    subset: OptionalDnsLabel = ""
    port: PortSelector | None = None


class HeaderOperations(Message):
    set: dict[str, str] = Field(default_factory=dict)
    add: dict[str, str] = Field(default_factory=dict)
    remove: Rows[str] = ()


class Headers(Message):
    request: HeaderOperations = HeaderOperations()
    response: HeaderOperations = HeaderOperations()


class HTTPMatchRequest(Message):
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
    gateways: Rows[str] = ()
    ignore_uri_case: bool = False


class HTTPRouteDestination(Message):
    destination: Destination
    weight: Count = 0
    headers: Headers = Headers()


class RedirectPortSelection(StrEnum):
    FROM_PROTOCOL_DEFAULT = "FROM_PROTOCOL_DEFAULT"
    FROM_REQUEST_PORT = "FROM_REQUEST_PORT"


class HTTPRedirect(Message):
    at_most_one = (("uri", "prefixRewrite"), ("port", "derivePort"))
    at_least_one = (("uri", "prefixRewrite", "authority", "port", "derivePort", "scheme"),)

    uri: str = ""
    prefix_rewrite: str = ""
    authority: str = ""
    port: PortNumber | None = None
    derive_port: Word[RedirectPortSelection] | None = None
    scheme: str = ""
    redirect_code: Integer = 301


class HTTPBody(Message):
    at_most_one = (("string", "bytes"),)

    string: str | None = None
    bytes: str | None = None


class HTTPDirectResponse(Message):
    status: HttpStatus
    body: HTTPBody | None = None


class RegexRewrite(Message):
    match: Regex
    rewrite: str


class HTTPRewrite(Message):
    at_most_one = (("uri", "uriRegexRewrite"),)
    at_least_one = (("uri", "authority", "uriRegexRewrite"),)

    uri: str = ""
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None


class HTTPRetry(Message):
    attempts: Count = 0
    per_try_timeout: Duration | None = None
    retry_on: str = ""
    retry_ignore_previous_hosts: bool | None = None
    backoff: Duration | None = None


class FaultDelay(Message):
    at_most_one = (("percent", "percentage"),)

    fixed_delay: Duration
    percentage: Percent | None = None
    percent: WholePercent | None = None


class FaultAbort(Message):
    exactly_one = (("httpStatus", "grpcStatus"),)

    http_status: HttpStatus | None = None
    grpc_status: str | None = None
    percentage: Percent | None = None


class HTTPFaultInjection(Message):
    at_least_one = (("delay", "abort"),)

    delay: FaultDelay | None = None
    abort: FaultAbort | None = None


class HTTPRoute(Message):
    name: str = ""
    match: Rows[HTTPMatchRequest] = ()
    route: Rows[HTTPRouteDestination] = ()
    redirect: HTTPRedirect | None = None
    direct_response: HTTPDirectResponse | None = None
    rewrite: HTTPRewrite | None = None
    timeout: Duration | None = None
    retries: HTTPRetry | None = None
    fault: HTTPFaultInjection | None = None
    headers: Headers = Headers()


class VirtualService(Message):
    hosts: Rows[WildcardHost]
    gateways: Rows[str] = ()
    http: Rows[HTTPRoute] = ()
    export_to: ExportTo = ()
