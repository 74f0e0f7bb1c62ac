"""Words that all of the configuration uses: directions, addresses, and what matches strings, headers and paths."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

MILLION: Final = 1_000_000
UNLIMITED: Final = 2**32 - 1


class Direction(Enum):
    """`traffic_direction` of a listener; it decides which side of Istio's metrics and peer headers apply."""

    UNSPECIFIED = 0
    INBOUND = 1
    OUTBOUND = 2


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address (or a DNS name, in STRICT_DNS endpoints) and a port; or, as host, the path of a Unix domain socket (with
    "@" in front an abstract one) and port 0."""

    host: str
    port: int
    text: str = field(init=False, repr=False, compare=False)  # every log line has two of them

    def __post_init__(self) -> None:
        text = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        object.__setattr__(self, "text", self.host if self.is_pipe else text)

    @property
    def is_pipe(self) -> bool:
        return self.host[:1] in ("/", "@")

    def __str__(self) -> str:
        return self.text


class StringMatch(Enum):
    EXACT = "exact"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    CONTAINS = "contains"
    REGEX = "regex"  # RE2, full match


@dataclass(frozen=True, slots=True)
class StringMatcher:
    kind: StringMatch
    value: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class HeaderMatcher:
    """`match` None with `value_range` None means presence (or absence, when `present` is False)."""

    name: bytes
    match: StringMatcher | None = None
    value_range: tuple[int, int] | None = None
    present: bool = True
    invert: bool = False
    treat_missing_as_empty: bool = False


@dataclass(frozen=True, slots=True)
class QueryMatcher:
    """`match` None means presence."""

    name: str
    match: StringMatcher | None = None


class PathMatch(Enum):
    PREFIX = "prefix"
    PATH = "path"
    REGEX = "safe_regex"
    SEPARATED_PREFIX = "path_separated_prefix"
    CONNECT = "connect_matcher"


@dataclass(frozen=True, slots=True)
class RouteMatch:
    kind: PathMatch
    value: str
    case_sensitive: bool = True
    headers: tuple[HeaderMatcher, ...] = ()
    query: tuple[QueryMatcher, ...] = ()
    fraction: int = MILLION  # runtime_fraction's default value
    grpc: bool = False  # gRPC requests only
