"""Telemetry: what the proxies of some workloads log and trace."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AfterValidator, Field

from mesh.istio.model import Found, Message, shown
from mesh.istio.scalars import Labels, Rows, wrong

LOG_PROVIDER: Final = "envoy"  # Istio's name for the log that a proxy writes itself
METRICS_PROVIDER: Final = "prometheus"

_COMPARISON = re.compile(r"\s*response\.code\s*(==|!=|>=|<=|>|<)\s*(\d{1,9})\s*", re.ASCII)


class Comparison(NamedTuple):
    """`response.code OPERATOR number`."""

    operator: str
    number: int


def parse_expression(text: str) -> tuple[tuple[Comparison, ...], ...] | None:
    """Comparisons of the status code, `&&` within `||`; None for any other CEL."""
    alternatives = []
    for part in text.split("||"):
        found = [_COMPARISON.fullmatch(each) for each in part.split("&&")]
        if not all(found):
            return None
        alternatives.append(tuple(Comparison(each[1], int(each[2])) for each in found if each is not None))
    return tuple(alternatives)


def _expression(value: str) -> str:
    if parse_expression(value) is None:
        raise wrong(
            'only comparisons of response.code, joined by && and ||, are implemented yet ("response.code >= 400"): '
            f"{shown(value)}"
        )
    return value


class ProviderRef(Message):
    name: str


class WorkloadLabels(Message):
    match_labels: Labels = Field(default_factory=dict)


class LogFilter(Message):
    expression: Annotated[str, AfterValidator(_expression)]


class AccessLogging(Message):
    providers: Rows[ProviderRef] = ()
    disabled: bool = False
    filter: LogFilter | None = None

    def rules(self) -> Iterator[Found]:
        yield from _providers(self.providers, LOG_PROVIDER, "logs go to where --access-log-file says")


class TagLiteral(Message):
    value: str


class TagHeader(Message):
    name: str
    default_value: str = ""


class CustomTag(Message):
    exactly_one = (("literal", "header"),)

    literal: TagLiteral | None = None
    header: TagHeader | None = None


class Tracing(Message):
    """Spans go to the mesh's one collector, by whatever name it is called here."""

    providers: Rows[ProviderRef] = ()
    random_sampling_percentage: Annotated[float, Field(ge=0, le=100)] | None = None
    disable_span_reporting: bool | None = None
    custom_tags: dict[str, CustomTag] = Field(default_factory=dict)


class Metrics(Message):
    providers: Rows[ProviderRef] = ()

    def rules(self) -> Iterator[Found]:
        yield from _providers(self.providers, METRICS_PROVIDER, "metrics are always there for it to fetch")


def _providers(providers: tuple[ProviderRef, ...], known: str, why: str) -> Iterator[Found]:
    for index, provider in enumerate(providers):
        if provider.name != known:
            yield Found(("providers", index, "name"), f'must be "{known}", not {shown(provider.name)}: {why}')


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
        for field, rows in (("tracing", self.tracing), ("accessLogging", self.access_logging)):
            if len(rows) > 1:
                yield Found((field, 1), "one is the limit: there is one log and one collector")


def summary(spec: Mapping[str, Any]) -> str:
    """What it is about."""
    return ", ".join(name for name in ("accessLogging", "tracing", "metrics") if spec.get(name))
