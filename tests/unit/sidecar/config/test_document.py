"""YAML and JSON as Envoy reads them, and lines for what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.core.v3.base_pb2 import Node
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import ConfigError, Problem
from sidecar.config.document import Document
from sidecar.config.reader import plain
from sidecar.config.types import import_type
from tests.unit.sidecar.config.build import FAULT, T


def wrong(text: str, message: Any = Bootstrap) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Document(text, "f.yaml").parse(message())
    return [str(problem) for problem in caught.value.problems]


_NAMES = st.text("abcdefgh", min_size=1, max_size=6)


def test_reads_yaml_and_json() -> None:
    for text in ("node: {id: a}", '{"node": {"id": "a"}}'):
        assert Document(text, "f").parse(Bootstrap()).node.id == "a"


def test_an_empty_file_is_an_empty_message() -> None:
    assert Document("", "f").parse(Bootstrap()) == Bootstrap()


def test_both_spellings_of_a_field() -> None:
    assert Document("staticResources: {clusters: [{name: a}]}", "f").parse(Bootstrap()).static_resources.clusters


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("2024-01-02", "2024-01-02"),
        ("12:30:00", "12:30:00"),
        ("1_000", "1_000"),
        ('"5"', "5"),
        ("5", 5),
        ("-5", -5),
        ("1.5", 1.5),
        ("1e3", 1000),
        ("true", True),
        ("null", None),
        ("~", None),
        ("0x10", 16),
        ("-", [None]),
    ],
)
def test_scalars_are_those_of_json(text: str, value: Any) -> None:
    node = Document(f"metadata:\n  a: {text}\n" if text != "-" else "metadata:\n  a:\n  -\n", "f").parse(Node())
    assert plain(node.metadata) == {"a": value}


@pytest.mark.parametrize(
    "text",
    [
        "id: !!str 5",
        "? !!str id\n: a",
        "id: &name a\ncluster: *name",
        "metadata: &shared {a: {b: c}}\ndynamic_parameters: {}",
        "metadata: !!map {a: [1, 2]}",
    ],
)
def test_tags_and_anchors_are_as_pyyaml_reads_them(text: str) -> None:
    assert Document(text, "f").parse(Node()) == ParseDict(yaml.safe_load(text), Node())


@pytest.mark.parametrize("text", ["[a]: b", "{a: b}: c", "id: !made-up a", "!!seq {a: b}"])
def test_what_is_no_data_is_no_yaml(text: str) -> None:
    assert "not YAML" in wrong(text)[0]


def test_an_anchor_within_itself_has_no_end() -> None:
    assert wrong("id: &a [*a]") == ["f.yaml: is nested too deep"]


def test_every_unknown_field_with_its_line() -> None:
    text = "node:\n  id: a\n  nmae: b\nstatic_resources:\n  clusters:\n  - name: a\n  - name: b\n    typ: STATIC\n"
    assert wrong(text) == [
        "f.yaml:3: node.nmae: there is no such field in envoy.config.core.v3.Node",
        "f.yaml:8: static_resources.clusters[1].typ: there is no such field in envoy.config.cluster.v3.Cluster",
    ]


def test_unknown_fields_within_any_and_maps() -> None:
    text = f"""
static_resources:
  clusters:
  - name: a
    typed_extension_protocol_options:
      x:
        "@type": {FAULT}
        nope: 1
"""
    assert wrong(text) == [
        'f.yaml:8: static_resources.clusters[0].typed_extension_protocol_options["x"].nope: '
        "there is no such field in envoy.extensions.filters.http.fault.v3.HTTPFault"
    ]


def test_a_value_of_the_wrong_type_has_its_line() -> None:
    (problem,) = wrong("node:\n  id: [a]\n")
    assert problem.startswith("f.yaml:")
    assert "id" in problem


def test_a_duration_that_is_none() -> None:
    (problem,) = wrong("static_resources:\n  clusters:\n  - name: a\n    connect_timeout: 5\n")
    assert problem.startswith("f.yaml:")


def test_yaml_that_is_none() -> None:
    (problem,) = wrong("node:\n  id: 'a\n")
    assert problem.startswith("f.yaml:")
    assert "not YAML" in problem


@pytest.mark.parametrize("text", ["- a", "5", "a"])
def test_a_document_that_is_no_mapping(text: str) -> None:
    assert wrong(text) == ["f.yaml:1: must be a mapping of fields"]


def test_types_that_nobody_knows_are_kept_by_name() -> None:
    import_type("xds.type.v3.TypedStruct")
    text = json.dumps(
        {"name": "a", "typed_extension_protocol_options": {"x": {"@type": T + "mesh.Unknown", "a": [1, {"b": "c"}]}}}
    )
    from envoy.config.cluster.v3.cluster_pb2 import Cluster
    from xds.type.v3.typed_struct_pb2 import TypedStruct

    kept = TypedStruct()
    Document(text, "f").parse(Cluster()).typed_extension_protocol_options["x"].Unpack(kept)
    assert kept.type_url == T + "mesh.Unknown"
    assert plain(kept.value) == {"a": [1, {"b": "c"}]}


def test_lines_of_problems_found_later() -> None:
    text = """node:
  id: a
static_resources:
  clusters:
  - name: a
    typed_extension_protocol_options:
      x.y: {}
"""
    document = Document(text, "f.yaml")
    found = document.located(
        [
            Problem("m", "static_resources.clusters[0].name"),
            Problem("m", 'static_resources.clusters[0].typed_extension_protocol_options["x.y"].deep[3].er'),
            Problem("m", "static_resources.clusters[0].connect_timeout"),
            Problem("m", "admin.address"),
        ]
    )
    assert [problem.line for problem in found.problems] == [5, 7, 5, 0]


@given(
    st.recursive(
        st.none() | st.integers(-99, 99) | _NAMES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_document_is_read_or_refused(data: Any) -> None:
    """Whatever the YAML holds: a message, or a ConfigError with the file's name; nothing else."""
    try:
        Document(json.dumps(data), "f.yaml").parse(Bootstrap())
    except ConfigError as error:
        assert all(problem.file == "f.yaml" for problem in error.problems)
