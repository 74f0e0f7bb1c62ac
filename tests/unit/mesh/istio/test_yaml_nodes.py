from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.istio import yaml_flow, yaml_nodes
from mesh.istio.yaml_nodes import MAX_DEPTH, Node, YamlError, compose, line_and_column


@pytest.fixture(autouse=True, params=["libyaml", "python"])
def _parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds with PyYAML's own parser too."""
    if request.param == "python":
        monkeypatch.setattr(yaml_nodes, "SafeLoader", yaml_flow.Loader)


def data(text: str) -> Any:
    (node,) = compose(text)
    return node.data


def broken(text: str) -> tuple[int, str]:
    with pytest.raises(YamlError) as caught:
        list(compose(text))
    return caught.value.line, caught.value.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("5", 5),
        ("-5", -5),
        ("0", 0),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("-0.5E-2", -0.005),
        ("on", True),
        ("off", False),
        ("yes", True),
        ("no", False),
        ("y", "y"),
        ("2024-01-01", "2024-01-01"),
        ("12:30", "12:30"),
        ("0755", 493),
        ("0o14", 12),
        ("0x1F", 31),
        ("1_000", 1000),
        ("+5", 5),
        (".5", 0.5),
        ("-0b11", -3),
        ("08", 8),
        ("1.", 1.0),
        ("1__0.5e1", 105.0),
        ("0x", "0x"),
        ("_1", "_1"),
        ("5s", "5s"),
        ("oN", "oN"),
        ("1e", "1e"),
        ("tRUE", "tRUE"),
        ('"5"', "5"),
        ("'true'", "true"),
        ('"\\u00e9"', "é"),
        ("!!str 5", "5"),
        ('!!int "5"', 5),
        ("!!float 5", 5.0),
        ('!!bool "true"', True),
        ("! 5", "5"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars_are_kubernetes(text: str, value: Any) -> None:
    result = data(text)
    assert result == value
    assert type(result) is type(value)


def test_documents_comments_and_empty_documents() -> None:
    text = "# first\na: 1 # one\n---\n---\n# nothing\n---\nb: 2\n...\n"
    nodes = list(compose(text))
    assert [node.data for node in nodes] == [{"a": 1}, None, None, {"b": 2}]
    assert (nodes[0].line, nodes[3].line) == (2, 7)


def test_nothing_at_all() -> None:
    assert list(compose("")) == []
    assert list(compose("# only a comment\n")) == []


def test_keys_are_strings_whatever_they_look_like() -> None:
    assert data("{80: a, true: b, off: c, 1.50: d, 'x': e}") == {
        "80": "a",
        "true": "b",
        "false": "c",
        "1.50": "d",
        "x": "e",
    }


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("a: 1\nb: 2\na: 3", 3, 'the key "a" is there twice, first on line 1'),
        ("a: {x: 1, 'x': 2}", 1, 'the key "x" is there twice'),
        ("? [a]\n: b", 1, "a key must be a string"),
        ("~: b", 1, "a key must not be null"),
        ("a: !env HOME", 1, 'the tag "!env" is not supported'),
        ("a: !!timestamp 2024-01-01", 1, 'the tag "!!timestamp" is not supported'),
        ("a: !!set {b}", 1, 'the tag "!!set" is not supported'),
        ("!!int x", 1, '"x" is not a value of the tag "!!int"'),
        ("a:\n  - *b", 2, 'the alias "*b" has no anchor before it'),
        ("a: &a\n  - *a", 2, 'the alias "*a" contains itself'),
        ("a: &x 1\n---\nb: *x", 3, 'the alias "*x" has no anchor before it'),
        ("a:\n  <<: 5", 2, '"<<" merges a mapping'),
        ("a:\n  <<: [{b: 1}, 5]", 2, '"<<" merges a mapping'),
        ("a: 1e999", 1, "a number out of range"),
        ("a: -.inf", 1, "a number out of range"),
        ("a: .NaN", 1, "a number out of range"),
        ("a: " + "9" * 101, 1, "a number out of range"),
        ("a: \x00", 1, "U+0000"),
        ("é:\n  \x07", 2, "U+0007"),
        ("a: \ud800", 1, "U+D800"),
        ('a: "\\ud800"', 1, ""),
    ],
)
def test_what_kubernetes_would_not_read(text: str, line: int, part: str) -> None:
    found_line, message = broken(text)
    assert part in message
    assert found_line == line


def test_broken_yaml_says_where() -> None:
    line, message = broken("a: 1\nb: [1,\n  2\nc: 3\n")
    assert line in (3, 4)
    assert message.startswith("broken YAML: while parsing a flow sequence that begins on line 2")
    assert broken("a: b: c")[0] == 1
    assert broken('a: "x\n\nb: c')[0] == 3


def test_merges() -> None:
    text = """
base: &base {a: 1, b: 2}
other: &other {b: 3, c: 4}
one: {<<: *base, b: 5}
two: {<<: [*base, *other], d: 6}
three: {<<: {x: 1}}
"""
    result = data(text)
    assert result["one"] == {"a": 1, "b": 5}
    assert result["two"] == {"a": 1, "b": 2, "c": 4, "d": 6}
    assert result["three"] == {"x": 1}
    assert data("{'<<': 5}") == {"<<": 5}


def test_aliases_share_values_and_keys() -> None:
    assert data("a: &x [1, 2]\nb: *x\nc: &k key\n*k : 1") == {"a": [1, 2], "b": [1, 2], "c": "key", "key": 1}


def test_lines_of_paths() -> None:
    (node,) = compose("a:\n  b:\n  - c: 1\n  -\n    d: |\n      x\ne: 2\n")
    assert node.line_of(("a",)) == 1
    assert node.line_of(("a", "b")) == 2
    assert node.line_of(("a", "b", 0)) == 3
    assert node.line_of(("a", "b", 1, "d")) == 5
    assert node.line_of(("e",)) == 7
    assert node.line_of(("a", "b", 0, "missing", "deeper")) == 3
    assert node.line_of(("a", "b", 7)) == 2
    assert node.line_of(()) == 1


def test_columns_of_paths_and_errors() -> None:
    (node,) = compose("a:\n  b:\n  - cé: [1, {d: e}]\n")
    places = [("a",), ("a", "b"), ("a", "b", 0), ("a", "b", 0, "cé", 1), ("a", "b", 0, "cé", 1, "d")]
    assert [line_and_column(node.place_of(path)) for path in places] == [(1, 1), (2, 3), (3, 5), (3, 13), (3, 14)]
    for text, place in (("a: 1\nb: *y\n", (2, 4)), ("a:\n  b: 1\n  b: 2\n", (3, 3)), ("a: \x01", (1, 4))):
        with pytest.raises(YamlError) as caught:
            list(compose(text))
        assert (caught.value.line, caught.value.column) == place


def test_lines_of_merged_fields_are_where_they_are_written() -> None:
    (node,) = compose("base: &base\n  x: 1\nuse:\n  <<: *base\n  y: 2\n")
    assert node.line_of(("use", "x")) == 2
    assert node.line_of(("use", "y")) == 5


def test_an_alias_bomb_is_refused_before_it_costs_anything() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    assert "values, aliases expanded" in broken("\n".join(lines))[1]


def test_a_merge_bomb_is_refused() -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 50)}], k{i}: 1}}" for i in range(1, 30)]
    assert "values, aliases expanded" in broken("\n".join(lines))[1]


@pytest.mark.parametrize("text", ["[" * 5000, "- " * 5000, "{a: " * 5000])
def test_depth_is_capped(text: str) -> None:
    assert broken(text)[1] == f"more than {MAX_DEPTH} values deep"


def test_depth_by_aliases_is_capped() -> None:
    nested = "[" * 60 + "]" * 60
    text = f"a: &a {nested}\nb: " + "[" * 60 + "*a" + "]" * 60
    assert broken(text)[1] == f"more than {MAX_DEPTH} values deep"


def test_long_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_nodes, "MAX_TEXT", 10)
    assert "10 is the limit" in broken("a: 12345678")[1]


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("indent", [None, 2, "\t"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_is_yaml(indent: Any, ascii_only: bool) -> None:
    value = {"a": [1, 2.5, None, True, 'x\u1234 \U0001f600 / \\ " \n'], "\U0001f680": {"b": []}}
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    if indent == "\t" and yaml_nodes.SafeLoader is yaml_flow.Loader:
        pytest.skip("PyYAML's own parser takes no tabs here; libyaml does")
    assert data(text) == value


@given(_JSON)
def test_json_text_reads_back_or_is_refused(value: Any) -> None:
    text = json.dumps(value)
    try:
        assert data(text) == value
    except YamlError as error:
        # YAML, unlike JSON, has no control characters, halves of surrogate pairs and such even as escapes.
        assert not text.isprintable() or "\\u" in text, error


@given(st.text())
def test_any_text_is_documents_or_a_yaml_error(text: str) -> None:
    try:
        for node in compose(text):
            assert isinstance(node, Node)
    except YamlError as error:
        assert error.line >= 0


_FRAGMENTS = st.sampled_from(
    [
        "a",
        "b: ",
        ": ",
        "- ",
        "\n",
        "  ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&x ",
        "*x ",
        "<<: ",
        "!!str ",
        "'",
        '"',
        "|\n",
        "# ",
        "---\n",
        "? ",
        "%",
        "\t",
    ]
)


@given(st.lists(_FRAGMENTS, max_size=30).map("".join))
def test_any_yaml_like_text_is_documents_or_a_yaml_error(text: str) -> None:
    try:
        for node in compose(text):
            json.dumps(node.data)
    except YamlError as error:
        assert error.message


@pytest.mark.fault(23)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1.2.3.4, 2001:db8::1]", ["1.2.3.4", "2001:db8::1"]),
        ("[::1]", ["::1"]),
        ("[1.2.3.4, 001:db8::]", ["1.2.3.4", "001:db8::"]),
        ("{a: fe80::, b: [x:, y]}", {"a": "fe80::", "b": ["x:", "y"]}),
        ("[::1, fe80::1, a:b]", ["::1", "fe80::1", "a:b"]),
        ("{hosts: [::], at: ::1, n: {x: :8080}}", None),
        ('{"a": ::1, "b":"c", d: [i,\n  ::1 # comment\n  ]}', {"a": "::1", "b": "c", "d": ["i", "::1"]}),
        ("[{address: ::1}, {address: 10.0.0.1}]", [{"address": "::1"}, {"address": "10.0.0.1"}]),
        ("[x y:z ::1 w, 'q']", ["x y:z ::1 w", "q"]),
        ("[::1, true, 5, ~]", ["::1", True, 5, None]),
    ],
)
def test_colons_in_flow_scalars_are_as_in_yaml_1_2(text: str, expected: object) -> None:
    found = [node.data for node in compose(f"first: 1\n---\nx: {text}\n---\nlast: 1\n")]
    assert (found[0], found[2]) == ({"first": 1}, {"last": 1})
    if expected is not None:
        assert found[1] == {"x": expected}


def test_lines_are_known_in_what_was_read_again() -> None:
    _, node = compose("a: 1\n---\nb:\n- [::1,\n   2]\n")
    assert (node.line_of(("b",)), node.line_of(("b", 0, 1))) == (3, 5)


@pytest.mark.fault(24)
@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("a:\n\tb: 1", 2, "a tab: YAML is indented with spaces only"),
        ("a: b\n\tc: d", 2, "a tab: YAML is indented with spaces only"),
        ("a: 1\nb: {{ .Values.b }}", 2, "a template ({{ … }}) that nobody has rendered"),
        ("a: 1\n{{- if .Values.b }}\nb: 2\n{{- end }}", 2, "a template ({{ … }}) that nobody has rendered"),
        ("a: b: c", 1, 'a ": " within a value'),
    ],
)
def test_common_slips_have_a_plain_word(text: str, line: int, word: str) -> None:
    with pytest.raises(YamlError) as caught:
        list(compose(text))
    assert caught.value.line == line
    assert caught.value.message.startswith(word)
