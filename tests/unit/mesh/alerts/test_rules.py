from __future__ import annotations

from pathlib import Path

import pytest

from mesh.alerts.rules import RuleError, load


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("groups: 1", "expected a mapping with a list of groups"),
        ("groups: [{rules: []}]", "every group needs a name and a list of rules"),
        ("groups: [{name: g, rules: [{alert: a}]}]", "group g: every rule needs expr, and either alert or record"),
        ("groups: [{name: g, rules: [{alert: a, expr: 'sum('}]}]", "group g: a: column 5: expected an expression"),
        ("groups: [{name: g, rules: [{alert: a, expr: up, for: soon}]}]", "group g: a: 'soon' is not a duration"),
        (
            "groups: [{name: g, rules: [{alert: a, expr: up, fro: 5m}]}]",
            "group g: a: fro is not supported; expected alert",
        ),
        (
            "groups: [{name: g, rules: [{alert: a, expr: up, annotations: {s: '{{ query }}'}}]}]",
            "group g: a: {{ query }} is not supported",
        ),
        ("groups: [", "while parsing"),
    ],
)
def test_what_is_wrong_is_said_with_file_group_and_rule(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(text)
    with pytest.raises(RuleError) as error:
        load(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)
