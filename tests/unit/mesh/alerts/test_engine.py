"""The cases that promtool runs, run by our engine, and promtool itself beside it."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh.alerts.engine import Engine, State
from mesh.alerts.rules import load
from mesh.promql.evaluate import query
from mesh.promql.parse import parse, seconds
from mesh.promql.series import Labels, Store, labels_of
from mesh.promql.syntax import Selector
from tests.harness.prometheus import binary

EXAMPLES = Path(__file__).resolve().parents[4] / "examples" / "prometheus"
RULES = sorted(EXAMPLES.glob("rules/*.yml"))
CASES = EXAMPLES / "tests" / "mesh-alerts.test.yml"
DOCUMENT: dict[str, Any] = yaml.safe_load(CASES.read_text())
STEP = seconds(DOCUMENT["evaluation_interval"])


def values(text: str) -> Iterator[float]:
    """promtool's notation: `a+bxn` is a, a+b … for n steps more; `axn` is a, n times more."""
    for word in text.split():
        found = re.fullmatch(r"(-?[\d.]+)(?:([+-][\d.]+))?(?:x(\d+))?", word)
        assert found is not None, word
        start, step, times = float(found[1]), float(found[2] or 0), int(found[3] or 0)
        yield from (start + step * index for index in range(times + 1))


def series_of(text: str) -> Labels:
    selector = parse(text)
    assert isinstance(selector, Selector)
    return labels_of(selector.name, {each.label: each.value for each in selector.matchers})


@pytest.mark.parametrize("case", DOCUMENT["tests"], ids=lambda case: case["name"])
def test_alerts_fire_and_end(case: dict[str, Any]) -> None:
    store = Store(keep=math.inf)
    engine = Engine([group for path in RULES for group in load(path)], store)
    interval = seconds(case["interval"])
    given = {series_of(each["series"]): list(values(each["values"])) for each in case["input_series"]}
    asked = sorted(
        {seconds(each["eval_time"]) for kind in ("alert_rule_test", "promql_expr_test") for each in case.get(kind, ())}
    )
    now, fed = 0.0, 0
    while now <= asked[-1]:
        while fed * interval <= now:
            store.scraped(
                "test", fed * interval, [(labels, found[fed]) for labels, found in given.items() if fed < len(found)]
            )
            fed += 1
        engine.evaluate(now)
        assert not engine.errors
        check(case, engine, store, now)
        now += STEP


def check(case: dict[str, Any], engine: Engine, store: Store, now: float) -> None:
    for each in case["alert_rule_test"]:
        if seconds(each["eval_time"]) == now:
            firing = [
                alert for alert in engine.alerts() if alert.name == each["alertname"] and alert.state is State.FIRING
            ]
            found = [{"exp_labels": alert.labels, "exp_annotations": alert.annotations} for alert in firing]
            assert found == each["exp_alerts"], (each["alertname"], now)
    for each in case.get("promql_expr_test", ()):
        if seconds(each["eval_time"]) == now:
            expected = {series_of(sample["labels"]): sample["value"] for sample in each["exp_samples"]}
            assert query(each["expr"], store, now) == pytest.approx(expected)


def test_promtool_says_the_same() -> None:
    answer = subprocess.run([binary("promtool"), "test", "rules", CASES], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    answer = subprocess.run([binary("promtool"), "check", "rules", *RULES], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_example_of_an_alertmanager_is_one() -> None:
    config = EXAMPLES.parent / "alertmanager" / "alertmanager.yml"
    answer = subprocess.run([binary("amtool"), "check-config", config], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_compose_stack_s_prometheus_finds_the_rules() -> None:
    answer = subprocess.run(
        [binary("promtool"), "check", "config", EXAMPLES / "prometheus.yml"], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "2 rule files found" in answer.stdout + answer.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    fires, quiet = set(), set()
    for each in (each for case in DOCUMENT["tests"] for each in case["alert_rule_test"]):
        (fires if each["exp_alerts"] else quiet).add(each["alertname"])
    alerts = {rule.name for path in RULES for group in load(path) for rule in group.rules if not rule.record}
    assert fires == alerts
    assert quiet == alerts
