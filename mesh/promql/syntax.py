"""The tree of a PromQL expression (https://prometheus.io/docs/prometheus/latest/querying/basics/)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from mesh.errors import MeshError

AGGREGATIONS: Final = frozenset(("sum", "min", "max", "avg", "count", "group", "quantile", "topk", "bottomk"))
SET_OPERATORS: Final = frozenset(("and", "or", "unless"))
COMPARISONS: Final = frozenset(("==", "!=", ">", "<", ">=", "<="))


class PromqlError(MeshError):
    """What is wrong with an expression, and where in it."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label; a label that a series lacks is empty."""

    label: str
    operator: str
    value: str

    def compiled(self) -> Callable[[Mapping[str, str]], bool]:
        label, value = self.label, self.value
        if self.operator in ("=", "!="):
            wanted = self.operator == "="
            return lambda labels: (labels.get(label, "") == value) is wanted
        found, wanted = re.compile(value).fullmatch, self.operator == "=~"
        return lambda labels: (found(labels.get(label, "")) is not None) is wanted


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """The newest sample of each series that matches; with `window` (seconds), all its samples of that time."""

    name: str
    matchers: tuple[Matcher, ...] = ()
    window: float = 0.0


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Aggregation:
    """`labels` are kept, or with `without` left out; None: all in one."""

    operator: str
    of: Expression
    parameter: Expression | None = None
    labels: tuple[str, ...] | None = None
    without: bool = False


@dataclass(frozen=True, slots=True)
class Matching:
    """Which labels of both sides have to be the same; `many` is the side that several series may come from, whose labels
    the result has, and `include` are labels taken from the other one."""

    labels: tuple[str, ...] | None = None
    on: bool = False
    many: str = ""
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Expression
    right: Expression
    matching: Matching = Matching()
    as_bool: bool = False


@dataclass(frozen=True, slots=True)
class Negation:
    of: Expression


Expression = Number | Text | Selector | Call | Aggregation | Binary | Negation
