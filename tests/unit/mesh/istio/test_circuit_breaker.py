"""The annotation that gives a host's clusters a three-state breaker."""

from __future__ import annotations

import pytest

from mesh.errors import ConfigError
from mesh.istio.circuit_breaker import ANNOTATION, metadata, summary
from mesh.istio.load import load, load_documents
from tests.unit.mesh.istio.documents import document, problems

RULE = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: ratings
  annotations:
    mesh.asyncmesh.io/circuit-breaker: |
{lines}
spec:
  host: ratings
"""


def rule(*lines: str) -> str:
    return RULE.format(lines="\n".join(f"      {line}" for line in lines))


def test_all_fields() -> None:
    text = rule(
        "failureRate: 50",
        "consecutiveFailures: 5",
        "slowCallRate: 80.5",
        "slowCallDuration: 1s",
        "minimumRequests: 20",
        "window: 10s",
        "openTime: 500ms",
        "halfOpenRequests: 2",
    )
    (resource,) = load(text)
    assert metadata(resource.annotations) == {
        "failure_rate": 50.0,
        "consecutive_failures": 5,
        "slow_call_rate": 80.5,
        "slow_call_duration": 1.0,
        "minimum_requests": 20,
        "window": 10.0,
        "open_time": 0.5,
        "half_open_requests": 2,
    }


def test_json_does_as_well() -> None:
    annotations = {ANNOTATION: '{"consecutiveFailures": 3}'}
    (resource,) = load_documents([document("DestinationRule", {"host": "a"}, annotations=annotations)])
    assert metadata(resource.annotations) == {"consecutive_failures": 3}


def test_none() -> None:
    assert metadata({}) == {}


@pytest.mark.parametrize(
    ("lines", "field", "message"),
    [
        (["failureRate: 50", "windows: 10s"], ".windows", "unknown field"),
        (["failureRate: 0"], ".failureRate", "must be a percentage above 0"),
        (["failureRate: half"], ".failureRate", "number"),
        (["failureRate: 50", "window: 10"], ".window", 'did you mean "10s"'),
        (["failureRate: 50", "window: 2h"], ".window", "at most 3600s"),
        (["consecutiveFailures: 0"], ".consecutiveFailures", "1"),
        (["slowCallRate: 50"], ".slowCallDuration", "belong together"),
        (["window: 10s"], "", "one of"),
        (["- failureRate: 50"], "", "must be one mapping"),
        (["failureRate: 50", "failureRate: 60"], "", "line 2 of its value"),
        (["a: [", "]]"], "", "of its value"),
    ],
)
def test_refused_with_its_line(lines: list[str], field: str, message: str) -> None:
    (problem,) = problems(rule(*lines), "rule.yaml")
    assert problem.field == f'metadata.annotations["{ANNOTATION}"]{field}'
    assert (problem.file, problem.line) == ("rule.yaml", 6)
    assert message in problem.message, problem.message


def test_it_is_for_destination_rules() -> None:
    text = rule("failureRate: 50").replace("DestinationRule", "VirtualService").replace("host: ratings", "hosts: [a]")
    assert any("is for a DestinationRule" in problem.message for problem in problems(text))


KIND = "apiVersion: mesh.asyncmesh.io/v1alpha1\nkind: CircuitBreaker\nmetadata: {{name: ratings}}\nspec: {{{}}}\n"


def test_the_kind_has_the_same_fields_and_a_host() -> None:
    (resource,) = load(KIND.format("host: ratings, failureRate: 50, window: 5s"))
    assert resource.spec.host == "ratings"
    assert resource.spec.settings == {"failure_rate": 50.0, "window": 5.0}
    assert summary({"host": "ratings", "failureRate": 50, "slowCallRate": 80}) == "ratings opens at 50% or 80% slow"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("failureRate: 50", "spec.host: is required"),
        ("host: ratings", "one of failureRate, consecutiveFailures and slowCallRate must be set"),
        ("host: ratings, slowCallRate: 5", "slowCallRate and slowCallDuration belong together"),
        ("host: ratings, failureRate: 101", "must be a percentage above 0, at most 100"),
        ("host: ratings, failurerate: 10", 'did you mean "failureRate"'),
    ],
)
def test_what_is_wrong_with_the_kind(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(KIND.format(spec))
