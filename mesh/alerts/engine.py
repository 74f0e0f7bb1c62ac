"""Which alerts are pending, firing and over, by rules and samples. Pure: the time is handed in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mesh.alerts.rules import Group, Rule
from mesh.alerts.template import Template
from mesh.promql.evaluate import evaluate
from mesh.promql.functions import Vector
from mesh.promql.series import METRIC, Labels, Store, labels_of
from mesh.promql.syntax import PromqlError


class State(StrEnum):
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(slots=True)
class Alert:
    """One series for which an alert's expression holds. `since` is when it began to; `ended` when it no longer did."""

    name: str
    labels: dict[str, str]
    annotations: dict[str, str]
    state: State
    since: float
    value: float
    ended: float = 0.0


@dataclass(slots=True)
class Engine:
    """`errors` are rules that could not be evaluated the last time, with the reason."""

    groups: Sequence[Group]
    store: Store
    errors: dict[str, str] = field(default_factory=dict)
    _active: dict[tuple[str, Labels], Alert] = field(default_factory=dict)

    def evaluate(self, now: float) -> list[Alert]:
        """One round; the alerts that began to fire or are over, in that state."""
        self.errors = {}
        changed: list[Alert] = []
        for rule in (rule for group in self.groups for rule in group.rules):
            try:
                value = evaluate(rule.expression, self.store, now)
            except PromqlError as error:
                self.errors[rule.name] = str(error)
                continue
            vector: Vector = value if isinstance(value, dict) else {(): value}
            if rule.record:
                self._record(rule, vector, now)
            else:
                changed += self._update(rule, vector, now)
        return changed

    def alerts(self) -> list[Alert]:
        """Those that are pending or firing: firing first, then by age."""
        return sorted(self._active.values(), key=lambda alert: (alert.state is not State.FIRING, alert.since))

    def _record(self, rule: Rule, vector: Vector, now: float) -> None:
        extra = {name: template.text for name, template in rule.labels}
        samples = [(labels_of(rule.name, _named(labels) | extra), value) for labels, value in vector.items()]
        self.store.scraped(f"rule {rule.name}", now, samples)

    def _update(self, rule: Rule, vector: Vector, now: float) -> Iterator[Alert]:
        for labels, value in vector.items():
            alert = self._active.get((rule.name, labels))
            if alert is None:
                alert = self._active[rule.name, labels] = _begun(rule, labels, value, now)
            else:
                alert.value, alert.annotations = value, _expanded(rule.annotations, labels, value)
            if alert.state is State.PENDING and now - alert.since >= rule.hold:
                alert.state = State.FIRING
                yield alert
        yield from self._over(rule, vector, now)

    def _over(self, rule: Rule, vector: Iterable[Labels], now: float) -> Iterator[Alert]:
        gone = [key for key in self._active if key[0] == rule.name and key[1] not in vector]
        for key in gone:
            alert = self._active.pop(key)
            if alert.state is State.FIRING:
                alert.state, alert.ended = State.RESOLVED, now
                yield alert


def _begun(rule: Rule, labels: Labels, value: float, now: float) -> Alert:
    own = {name: template.expand(_named(labels), value) for name, template in rule.labels}
    return Alert(
        rule.name,
        _named(labels) | own,
        _expanded(rule.annotations, labels, value),
        State.PENDING,
        now,
        value,
    )


def _expanded(templates: tuple[tuple[str, Template], ...], labels: Labels, value: float) -> dict[str, str]:
    return {name: template.expand(_named(labels), value) for name, template in templates}


def _named(labels: Labels) -> dict[str, str]:
    return {name: value for name, value in labels if name != METRIC}
