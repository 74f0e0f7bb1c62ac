"""Prometheus' rule files (https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/), read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mesh.alerts.template import Template
from mesh.errors import MeshError
from mesh.promql.parse import parse, seconds
from mesh.promql.syntax import Expression, PromqlError


class RuleError(MeshError):
    """What is wrong with a rule file, and with which rule."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert, or with `record` a series that others are computed from. `hold` is how many seconds the expression has to
    give a series before its alert fires."""

    name: str
    expression: Expression
    text: str
    record: bool = False
    hold: float = 0.0
    labels: tuple[tuple[str, Template], ...] = ()
    annotations: tuple[tuple[str, Template], ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    rules: tuple[Rule, ...]


def load(path: Path) -> tuple[Group, ...]:
    """Raises RuleError for a file that Prometheus would not take, or that asks what is not supported here."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise RuleError(f"{path}: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("groups"), list):
        raise RuleError(f"{path}: expected a mapping with a list of groups")
    return tuple(_group(str(path), group) for group in document["groups"])


def _group(path: str, group: Any) -> Group:
    name = str(group.get("name", "")) if isinstance(group, dict) else ""
    if not name or not isinstance(group.get("rules"), list):
        raise RuleError(f"{path}: every group needs a name and a list of rules")
    _known(f"{path}: group {name}", group, {"name", "interval", "limit", "rules", "labels"})
    return Group(name, tuple(_rule(f"{path}: group {name}", rule) for rule in group["rules"]))


def _rule(where: str, rule: Any) -> Rule:
    if not isinstance(rule, dict) or ("alert" in rule) == ("record" in rule) or "expr" not in rule:
        raise RuleError(f"{where}: every rule needs expr, and either alert or record")
    record = "record" in rule
    name, text = str(rule["record" if record else "alert"]), str(rule["expr"])
    where = f"{where}: {name}"
    _known(where, rule, {"record", "expr", "labels"} if record else {"alert", "expr", "for", "labels", "annotations"})
    try:
        return Rule(
            name,
            parse(text),
            text,
            record,
            seconds(str(rule["for"])) if "for" in rule else 0.0,
            _templates(rule.get("labels")),
            _templates(rule.get("annotations")),
        )
    except PromqlError as error:
        raise RuleError(f"{where}: {error}") from error


def _templates(found: Mapping[str, Any] | None) -> tuple[tuple[str, Template], ...]:
    return tuple((str(name), Template(str(text))) for name, text in (found or {}).items())


def _known(where: str, found: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(found) - known):
        raise RuleError(f"{where}: {', '.join(unknown)} is not supported; expected {', '.join(sorted(known))}")
