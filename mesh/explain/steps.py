"""An explanation: the stations of a request, in order, each in a sentence, with the place of the configuration that made
it so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple


class Named(NamedTuple):
    """A step into a list: the element of this name."""

    name: str


Path = tuple["str | int | Named", ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Which resource says so, by Istio's path of it (`/apis/networking.istio.io/v1/namespaces/…`), and where in it: the
    first of `places` that it has. One that has none of them leaves it at the default; no `places` mean all of it."""

    config: str
    places: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """A place in a resource, as far as it is known; `line` is 0 where there is no file."""

    kind: str
    namespace: str
    name: str
    field: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file else f"{self.kind} {self.namespace}/{self.name}"
        return f"{place} {self.field}".rstrip()


@dataclass(frozen=True, slots=True)
class Step:
    """`passed` None is what only tells; False is what did not match, or is out of use. `source` is where it comes from,
    `origin` the same once somebody has looked it up."""

    station: str
    says: str
    passed: bool | None = None
    source: Source | None = None
    origin: Origin | None = None
    steps: tuple[Step, ...] = ()

    def all(self) -> Iterator[Step]:
        yield self
        for step in self.steps:
            yield from step.all()


@dataclass(frozen=True, slots=True)
class Explanation:
    """`ends` says in a word how: forwarded, answered, redirected, refused, passed; `outcome` in a sentence. `clusters` are
    those that it may go to, with their shares (0 to 1)."""

    steps: tuple[Step, ...]
    ends: str
    outcome: str
    listener: str = ""
    virtual_host: str = ""
    route: str = ""
    rule: int = -1  # of the virtual host's, from 0; -1: none
    clusters: tuple[tuple[str, float], ...] = ()

    def all(self) -> Iterator[Step]:
        for step in self.steps:
            yield from step.all()

    def station(self, name: str) -> list[Step]:
        return [step for step in self.all() if step.station == name]


def as_json(explained: Explanation) -> dict[str, Any]:
    """As data; what is not there is left out."""
    return {
        "ends": explained.ends,
        "outcome": explained.outcome,
        "listener": explained.listener,
        "virtual_host": explained.virtual_host,
        "route": explained.route,
        "rule": explained.rule,
        "clusters": dict(explained.clusters),
        "steps": [step_json(step) for step in explained.steps],
    }


def step_json(step: Step) -> dict[str, Any]:
    """A step as data."""
    found: dict[str, Any] = {"station": step.station, "says": step.says}
    if step.passed is not None:
        found["passed"] = step.passed
    if (origin := step.origin) is not None:
        fields = {"kind": origin.kind, "namespace": origin.namespace, "name": origin.name, "field": origin.field}
        found["origin"] = {key: value for key, value in fields.items() if value}
        if origin.file:
            found["origin"] |= {"file": origin.file, "line": origin.line}
    if step.steps:
        found["steps"] = [step_json(each) for each in step.steps]
    return found


def with_steps(step: Step, steps: tuple[Step, ...], origin: Origin | None) -> Step:
    return replace(step, steps=steps, origin=origin)
