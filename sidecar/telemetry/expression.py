"""What commands are compiled to: Python expressions, with the names that they use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mesh.clock import Clock
from mesh.errors import ConfigError, Problem

BYTES = "bytes"  # as it came off the wire, or None
TEXT = "text"  # a str that JSON has to quote
PLAIN = "plain"  # a str without anything to quote
NUMBER = "number"
VALUE = "value"  # any JSON data: text as it is in a line, everything else as JSON

# Where headers are: attributes of the exchange.
REQUEST = "headers"
RESPONSE = "response_headers"


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a log writes of: `%ACCESS_LOG_TYPE%`, and the filter chain that it belongs to."""

    log_type: str = "DownstreamEnd"
    filter_chain: str = ""


ANY_OCCASION = Occasion()


@dataclass(frozen=True, slots=True)
class Expression:
    """`optional` ones may be not there: None, or for `empty_is_none` anything false."""

    source: str
    kind: str
    optional: bool = False
    empty_is_none: bool = False


@dataclass(slots=True)
class Scope:
    """The names an expression may use, and the `wanted` headers, looked up beforehand: the first one of the request is
    `headers0`, of the response `response_headers0`."""

    clock: Clock
    occasion: Occasion = ANY_OCCASION
    names: dict[str, Any] = field(default_factory=dict)
    wanted: dict[str, list[bytes]] = field(default_factory=lambda: {REQUEST: [], RESPONSE: []})

    def header(self, which: str, name: bytes) -> str:
        wanted = self.wanted[which]
        if name not in wanted:
            wanted.append(name)
        return f"{which}{wanted.index(name)}"

    def constant(self, value: Any) -> str:
        name = f"k{len(self.names)}"
        self.names[name] = value
        return name


def refuse(reason: str) -> ConfigError:
    """For a format that is not one: the caller raises it."""
    return ConfigError(Problem(reason))
