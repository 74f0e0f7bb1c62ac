from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.cel.parse import parse
from mesh.cel.syntax import Call, CelError, Entry, Has, ListOf, Literal, Name


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("response.code >= 400", Call(">=", (Name("response.code"), Literal(400)))),
        ("a['x']", Entry(Name("a"), Literal("x"))),
        ('"it\'s"', Literal("it's")),
        (r"'a\'b\n'", Literal("a'b\n")),
        ("has(request.headers.x)", Has(Name("request.headers.x"))),
        ("a.startsWith('x')", Call("startsWith", (Name("a"), Literal("x")), method=True)),
        ("size(a)", Call("size", (Name("a"),))),
        ("a in [1, 2]", Call("in", (Name("a"), ListOf((Literal(1), Literal(2)))))),
        ("!!a", Call("!", (Call("!", (Name("a"),)),))),
        ("-1.5", Literal(-1.5)),
        ("a || b && c", Call("||", (Name("a"), Call("&&", (Name("b"), Name("c")))))),
        ("(a || b) && c", Call("&&", (Call("||", (Name("a"), Name("b"))), Name("c")))),
        ("a ? 1 : b ? 2 : 3", Call("?:", (Name("a"), Literal(1), Call("?:", (Name("b"), Literal(2), Literal(3)))))),
        ("a // the rest\n", Name("a")),
    ],
)
def test_trees(text: str, tree: object) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "needs a value at character 1, not its end"),
        ("a ==", "needs a value at character 5, not its end"),
        ("a = 1", "'=' at character 3, which begins nothing known"),
        ("a | 'x'", "'|' at character 3"),
        ("a b", "needs an operator, or the end at character 3, not 'b'"),
        ("f(a b)", 'needs "," or ")"'),
        ("(a", 'needs ")" at character 3'),
        ("'open", "which begins nothing known"),
        ("1u", "unsigned numbers are not supported: write 1"),
        ("null", "null is not supported"),
        ("-a", '"-" is supported before numbers only'),
        ("has('x')", "has(…) takes one attribute"),
        (r"'\x41'", r"the escape \x is not supported"),
        ("a.'x'", "needs a name after the dot"),
        ("(" * 40 + "a" + ")" * 40, "is nested more than 32 deep"),
        ("a" * 5000, "is 5000 characters long; 4096 is the limit"),
    ],
)
def test_what_is_none(text: str, problem: str) -> None:
    with pytest.raises(CelError) as caught:
        parse(text)
    assert problem in str(caught.value)


@given(st.text(alphabet="abc.()[]'\"=!<>&|?:,-+ 019in", max_size=60))
def test_any_text_is_a_tree_or_an_error_with_words(text: str) -> None:
    try:
        parse(text)
    except CelError as error:
        assert str(error)
