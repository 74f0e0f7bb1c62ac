"""Telemetry: what the proxies of some workloads log and trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from mesh.cel.attributes import OF_METRICS, OF_REQUESTS
from mesh.cel.check import Type, check
from mesh.cel.parse import parse
from mesh.cel.syntax import CelError
from mesh.istio.model import Found, Message, shown
from mesh.istio.scalars import Duration, Labels, Rows, Word, wrong


class WorkloadMode(StrEnum):
    """Which of a workload's two sides something is about: what it asks (`CLIENT`), or what it is asked."""

    CLIENT_AND_SERVER = "CLIENT_AND_SERVER"
    CLIENT = "CLIENT"
    SERVER = "SERVER"

    def covers(self, side: WorkloadMode) -> bool:
        return self is WorkloadMode.CLIENT_AND_SERVER or self is side


def _expression(value: str) -> str:
    try:
        said = check(parse(value), OF_REQUESTS, conversions=False)
    except CelError as error:
        raise wrong(f"{error}: {shown(value)}") from None
    if said is not Type.BOOL:
        raise wrong(f'must say true or false, as "response.code >= 400" does, not {said}: {shown(value)}')
    return value


def _tag_value(value: str) -> str:
    try:
        check(parse(value), OF_METRICS)
    except CelError as error:
        raise wrong(f"{error}: {shown(value)}{_bare_word(value)}") from None
    return value


def _bare_word(value: str) -> str:
    plain = value.replace("-", "").replace("_", "").isalnum()
    return f"; text stands in quotes within quotes: \"'{value}'\"" if plain else ""


class ProviderRef(Message):
    name: Annotated[str, Field(min_length=1)]


class WorkloadLabels(Message):
    match_labels: Labels = Field(default_factory=dict)


class LogFilter(Message):
    expression: Annotated[str, AfterValidator(_expression)]


class SideSelector(Message):
    mode: Word[WorkloadMode] = WorkloadMode.CLIENT_AND_SERVER

    def covers(self, side: WorkloadMode) -> bool:
        return self.mode.covers(side)


_BOTH_SIDES: Final = SideSelector()


class OfASide(Message):
    """Something that may be said of one side alone."""

    match: SideSelector = Field(default_factory=lambda: _BOTH_SIDES)


class AccessLogging(OfASide):
    providers: Rows[ProviderRef] = ()
    disabled: bool = False
    filter: LogFilter | None = None


class TagLiteral(Message):
    value: str


class TagHeader(Message):
    name: str
    default_value: str = ""


class TagEnvironment(Message):
    """A variable of the proxy's environment."""

    name: str
    default_value: str = ""


class TagFormatter(Message):
    """A format as of access logs: `%REQUESTED_SERVER_NAME%`."""

    value: Annotated[str, Field(min_length=1)]


class CustomTag(Message):
    exactly_one = (("literal", "environment", "header", "formatter"),)

    literal: TagLiteral | None = None
    environment: TagEnvironment | None = None
    header: TagHeader | None = None
    formatter: TagFormatter | None = None


class Tracing(OfASide):
    """Spans go to the first of the providers; to the mesh's own collector where that is none of MeshConfig's."""

    providers: Rows[ProviderRef] = ()
    random_sampling_percentage: Annotated[float, Field(ge=0, le=100)] | None = None
    disable_span_reporting: bool | None = None
    custom_tags: dict[str, CustomTag] = Field(default_factory=dict)
    enable_istio_tags: bool | None = None
    use_request_id_for_trace_sampling: bool | None = None


class TagOperation(StrEnum):
    UPSERT = "UPSERT"
    REMOVE = "REMOVE"


class TagOverride(Message):
    """`value` is an expression."""

    operation: Word[TagOperation] = TagOperation.UPSERT
    value: Annotated[str, AfterValidator(_tag_value)] | None = None

    def rules(self) -> Iterator[Found]:
        if self.operation is TagOperation.UPSERT and self.value is None:
            yield Found(("value",), "is required to set a tag (operation: REMOVE takes one away)")
        if self.operation is TagOperation.REMOVE and self.value is not None:
            yield Found(("value",), "must be left out where a tag is removed")


class IstioMetric(StrEnum):
    ALL_METRICS = "ALL_METRICS"
    REQUEST_COUNT = "REQUEST_COUNT"
    REQUEST_DURATION = "REQUEST_DURATION"
    REQUEST_SIZE = "REQUEST_SIZE"
    RESPONSE_SIZE = "RESPONSE_SIZE"
    GRPC_REQUEST_MESSAGES = "GRPC_REQUEST_MESSAGES"
    GRPC_RESPONSE_MESSAGES = "GRPC_RESPONSE_MESSAGES"
    TCP_OPENED_CONNECTIONS = "TCP_OPENED_CONNECTIONS"
    TCP_CLOSED_CONNECTIONS = "TCP_CLOSED_CONNECTIONS"
    TCP_SENT_BYTES = "TCP_SENT_BYTES"
    TCP_RECEIVED_BYTES = "TCP_RECEIVED_BYTES"


class MetricSelector(SideSelector):
    metric: Word[IstioMetric] = IstioMetric.ALL_METRICS


_EVERY_METRIC: Final = MetricSelector()
# What a metric's labels are called is what Prometheus lets them be called.
TagName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=100)]


class MetricsOverride(Message):
    match: MetricSelector = Field(default_factory=lambda: _EVERY_METRIC)
    disabled: bool | None = None
    tag_overrides: dict[TagName, TagOverride] = Field(default_factory=dict)


class Metrics(Message):
    providers: Rows[ProviderRef] = ()
    overrides: Rows[MetricsOverride] = ()
    reporting_interval: Duration | None = None


class Telemetry(Message):
    """For the workloads of its namespace that `selector` picks, or without one for all of them; in the mesh's root
    namespace for those of every namespace. What a nearer one says of logs or of traces counts."""

    selector: WorkloadLabels | None = None
    tracing: Rows[Tracing] = ()
    metrics: Rows[Metrics] = ()
    access_logging: Rows[AccessLogging] = ()

    @property
    def labels(self) -> Mapping[str, str]:
        return self.selector.match_labels if self.selector is not None else {}

    def rules(self) -> Iterator[Found]:
        for side in (WorkloadMode.CLIENT, WorkloadMode.SERVER):
            about = [index for index, row in enumerate(self.tracing) if row.match.covers(side)]
            if len(about) > 1:
                yield Found(("tracing", about[1]), f"{side} has one already: spans go to one collector")
                break


def summary(spec: Mapping[str, Any]) -> str:
    """What it is about."""
    return ", ".join(name for name in ("accessLogging", "tracing", "metrics") if spec.get(name))
