"""Which exchanges an access log is told of, and which local replies a mapper changes (see `sidecar.config.model`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sidecar.config.basic_model import HeaderMatcher


class Measured(Enum):
    """What a comparison looks at."""

    STATUS = "status_code_filter"
    DURATION = "duration_filter"  # milliseconds


@dataclass(frozen=True, slots=True)
class Compares:
    """`operator` is Envoy's: EQ, GE, LE or NE."""

    what: Measured
    operator: str
    value: int


@dataclass(frozen=True, slots=True)
class NoHealthCheck:
    """Not answered, or passed on, as a health check."""


@dataclass(frozen=True, slots=True)
class Traced:
    """The request asked for its trace (x-envoy-force-trace), or one before us did."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """`numerator` of `denominator`, drawn from the request id unless it is to be `independent` of it."""

    numerator: int
    denominator: int
    independent: bool = False


@dataclass(frozen=True, slots=True)
class AllOf:
    filters: tuple[LogFilter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    filters: tuple[LogFilter, ...]


@dataclass(frozen=True, slots=True)
class HasHeader:
    matcher: HeaderMatcher


@dataclass(frozen=True, slots=True)
class HasFlag:
    """Short names of response flags; empty: any flag."""

    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HasGrpcStatus:
    statuses: frozenset[int]
    exclude: bool = False


@dataclass(frozen=True, slots=True)
class HasMetadata:
    """Dynamic metadata, of which nothing here makes any: only what is said of missing keys counts."""

    when_missing: bool = True


@dataclass(frozen=True, slots=True)
class HasLogType:
    """Names of `%ACCESS_LOG_TYPE%`."""

    types: frozenset[str]
    exclude: bool = False


@dataclass(frozen=True, slots=True)
class Holds:
    """A CEL expression that is true."""

    expression: str


LogFilter = (
    Compares
    | NoHealthCheck
    | Traced
    | Sampled
    | AllOf
    | AnyOf
    | HasHeader
    | HasFlag
    | HasGrpcStatus
    | HasMetadata
    | HasLogType
    | Holds
)
