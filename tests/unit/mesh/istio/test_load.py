from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import ConfigError
from mesh.istio.kinds import KINDS
from mesh.istio.load import field_path, load, load_documents, load_text
from mesh.istio.reference import messages
from mesh.istio.resource import Key
from tests.unit.mesh.istio.documents import document, problems, route

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.yaml"))

GOOD = """\
# The reviews service, and who gets which version.
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
  http:
  - match:
    - headers:
        end-user: {exact: jason}
    route:
    - destination: {host: reviews, subset: v2}
  - route:
    - destination:
        host: reviews
        subset: v1
---
# nothing here
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop, labels: {app: reviews}}
spec:
  selector: {app: reviews}
  ports: [{port: 9080, name: http}]
"""


def test_resources_come_in_the_order_of_the_text() -> None:
    rule, service = load(GOOD, "reviews.yaml")
    assert rule.key == Key("VirtualService", "default", "reviews")
    assert (rule.file, rule.line) == ("reviews.yaml", 2)
    assert rule.spec.http[0].match[0].headers["end-user"].exact == "jason"
    assert service.key == Key("Service", "shop", "reviews")
    assert service.line == 21
    assert service.labels == {"app": "reviews"}


def test_nothing_to_load() -> None:
    assert load("") == []
    assert load("---\n---\n# comment\n") == []
    assert load_documents([None]) == []


def test_json_loads_too() -> None:
    text = json.dumps(document("VirtualService", route(timeout="1s")), indent="\t")
    (resource,) = load(text)
    assert resource.spec.http[0].timeout == 1.0


def test_all_problems_are_reported_each_with_its_place_and_field() -> None:
    text = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: Reviews
spec:
  hosts: [reviews]
  htpt: []
  http:
  - miror: {host: x}
    route:
    - destination:
        host: reviews
        port:
          number: "9080"
      weight: 90
    - destination:
        hots: reviews
      weight: on
    timeout: 5
---
apiVersion: networking.istio.io/v1
kind: VirtualServce
---
kind: Service
apiVersion: v1
metadata: {name: a}
spec:
  ports:
  - port: 80
  - port: 80
    name: b
"""
    assert [str(problem) for problem in problems(text, "f.yaml")] == [
        'f.yaml:4:3: metadata.name: must be a name of lower-case letters, digits, - and ., at most 253 long, not "Reviews"',
        'f.yaml:7:3: spec.htpt: unknown field; did you mean "http"?',
        'f.yaml:9:5: spec.http[0].miror: unknown field; did you mean "mirror"?',
        'f.yaml:14:11: spec.http[0].route[0].destination.port.number: must be an integer, not "9080"; leave out the quotes',
        "f.yaml:16:7: spec.http[0].route[1].destination.host: is required",
        'f.yaml:17:9: spec.http[0].route[1].destination.hots: unknown field; did you mean "host"?',
        "f.yaml:18:7: spec.http[0].route[1].weight: must be an integer, not true",
        'f.yaml:19:5: spec.http[0].timeout: must be a duration such as "1.5s", "100ms" or "1h10m", not 5, '
        'did you mean "5s"?',
        'f.yaml:22:1: kind: unknown kind "VirtualServce" of networking.istio.io/v1; did you mean "VirtualService"?; '
        "supported are VirtualService, DestinationRule, Gateway, ServiceEntry, WorkloadEntry, WorkloadGroup, Sidecar, "
        "EnvoyFilter of networking.istio.io; "
        "Telemetry of telemetry.istio.io; Service, Endpoints of v1; EndpointSlice of discovery.k8s.io; "
        "MeshConfig, CircuitBreaker, RateLimit, Experiment of mesh.asyncmesh.io",
        "f.yaml:29:5: spec.ports[0].name: is required where there are several ports",
        "f.yaml:30:5: spec.ports[1].port: there is a port 80 already",
    ]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("hosts: [a]", "f.yaml:4:1: hosts: unknown field; it belongs in spec"),
        ("namespace: a\nspec: {}", "f.yaml:4:1: namespace: unknown field; it belongs in metadata"),
        ("spec: {hosts: [a], timeout: 5s}", "f.yaml:4:20: spec.timeout: unknown field; it belongs in http"),
        ("spec: {hosts: [a], route: []}", "f.yaml:4:20: spec.route: unknown field; it belongs in http, tls or tcp"),
        (
            "spec: {hosts: [a], http: [{route: [{host: a}]}]}",
            "f.yaml:4:37: spec.http[0].route[0].host: unknown field; it belongs in destination",
        ),
        (
            "spec: {hosts: [a], http: [{route: [{destination: {host: a, weight: 5}}]}]}",
            "f.yaml:4:60: spec.http[0].route[0].destination.weight: unknown field; "
            "it belongs one level up, beside destination",
        ),
    ],
)
def test_a_field_at_the_wrong_level_is_told_where_it_belongs(spec: str, said: str) -> None:
    text = f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\n{spec}\n"
    assert said in [str(problem) for problem in problems(text, "f.yaml")]


def test_broken_yaml_keeps_what_was_found_before_it() -> None:
    found = problems("kind: 5\n---\n[a", "x.yaml")
    assert [problem.line for problem in found][:1] == [1]
    assert "broken YAML" in found[-1].message
    assert found[-1].line == 3


def test_a_document_must_be_a_mapping() -> None:
    (problem,) = problems("- a\n- b\n", "x.yaml")
    assert str(problem) == "x.yaml:1:1: must be a mapping (apiVersion, kind, metadata, spec), not a list"


def test_lists_are_their_items() -> None:
    items = [document("VirtualService", route(), name="a"), document("VirtualService", {"hosts": ["b"]}, name="b")]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items})
    (problem,) = problems(text)
    assert problem.field == "items[1].spec.http"
    assert len(load_documents([{"apiVersion": "v1", "kind": "List", "items": items[:1]}])) == 1
    typed = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualServiceList", "items": items[:1]}
    assert len(load_documents([typed])) == 1
    assert load_documents([{"kind": "List", "items": []}]) == []


def test_the_same_resource_twice_is_refused() -> None:
    text = GOOD + "---\n" + GOOD
    found = problems(text)
    assert [problem.message for problem in found] == [
        "VirtualService/default/reviews is there twice, first on line 2",
        "Service/shop/reviews is there twice, first on line 21",
    ]
    assert found[0].field == "metadata.name"


def test_documents_without_text_have_no_lines() -> None:
    with pytest.raises(ConfigError) as caught:
        load_documents([document("VirtualService", {})], "api")
    assert [str(problem) for problem in caught.value.problems] == [
        "api: spec.http: must have at least one route (or tls, or tcp, must)"
    ]


def test_field_paths() -> None:
    assert field_path(("spec", "http", 0, "match", 1)) == "spec.http[0].match[1]"
    assert field_path(("metadata", "labels", "a.b/c")) == 'metadata.labels["a.b/c"]'
    assert field_path(("x" * 500,)) == '["' + "x" * 100 + '"]'
    assert field_path(()) == ""


def test_anchors_and_merges_work_in_resources() -> None:
    text = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - &rule
    name: first
    match: [{uri: {prefix: /a}}]
    route: &to [{destination: {host: reviews}}]
  - <<: *rule
    name: second
    route: *to
"""
    (resource,) = load(text)
    assert [rule.name for rule in resource.spec.http] == ["first", "second"]
    assert resource.spec.http[1].match[0].uri.prefix == "/a"


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_files_as_people_have_them_load_unchanged(path: Path) -> None:
    assert load(path.read_text(), str(path))


def test_there_are_samples() -> None:
    assert len(SAMPLES) >= 5


_TOP = ["apiVersion: ", "networking.istio.io/v1", "v1", "kind: ", "VirtualService", "Service", "metadata: ", "name: "]
_WORDS = st.sampled_from([*_TOP, "spec:\n", "hosts: ", "http:\n", "route: ", "- ", "  ", "null", "---\n", *"\n{}[]5a"])


@given(st.lists(_WORDS, max_size=40).map("".join) | st.text())
def test_the_loader_raises_nothing_but_config_errors(text: str) -> None:
    try:
        load(text)
    except ConfigError as error:
        assert error.problems


_FIELDS = sorted({name for kind in KINDS.values() for each in messages(kind.model) for name in each.field_names()})
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["5s", "reviews", "*"])
)
_SPECS = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=5),
    max_leaves=25,
)


@given(st.sampled_from(sorted(KINDS)), _SPECS)
def test_any_data_is_a_resource_or_a_config_error(kind: str, spec: object) -> None:
    try:
        load_documents([document(kind, spec)])
    except ConfigError as error:
        assert all(problem.message for problem in error.problems)


@given(st.dictionaries(st.sampled_from(["apiVersion", "kind", "metadata", "spec", "status", "x"]), _SPECS))
def test_any_document_is_a_resource_or_a_config_error(item: dict[str, object]) -> None:
    try:
        load_documents([item])
    except ConfigError as error:
        assert all(problem.message for problem in error.problems)


@pytest.mark.fault(24)
def test_an_unknown_kind_is_one_problem() -> None:
    text = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\ndata: {a: b}\nrules: []\nspec: {template: {}}\n"
    (problem,) = problems(text, "f.yaml")
    assert str(problem).startswith('f.yaml:2:1: kind: unknown kind "Job" of batch/v1')


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ("swagger: '2.0'\ninfo: {title: x}\n---\n", 1),
        ("[1, 2]\n---\n", 1),
        ("{a: 1, b: 2}\n---\n", 1),
    ],
)
def test_what_is_no_document_of_kubernetes_can_be_passed_over(other: str, line: int) -> None:
    own = "apiVersion: v1\nkind: Namespace\nmetadata: {name: n}\n"
    loaded = load_text(other + own, "a.yaml", skip_unknown=True)
    assert [str(resource.key) for resource in loaded.resources] == ["Namespace/default/n"]
    assert [(note.file, note.line) for note in loaded.skipped] == [("a.yaml", line)]
    assert "neither apiVersion nor kind" in loaded.skipped[0].message
    with pytest.raises(ConfigError):
        load_text(other + own, "a.yaml")


def test_a_file_that_could_not_be_one_of_kubernetes_need_not_be_whole() -> None:
    lines = "{rating: 1}\n{rating: 2}\n"
    assert load_text(lines, skip_unknown=True).resources == ()
    installer = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {name: x}\n"
    assert load_text(installer, skip_unknown=True).resources == ()
    with pytest.raises(ConfigError):
        load_text(lines)
    with pytest.raises(ConfigError):
        load_text(lines + "kind: x\n", skip_unknown=True)
