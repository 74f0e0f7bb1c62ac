"""Explanations as text."""

from __future__ import annotations

from mesh.explain.steps import Explanation, Origin, Step, as_json
from mesh.explain.view import text

LONG = Step("cluster", "outbound|9080|v1|reviews.default.svc.cluster.local " * 3, True)
RULE = Step(
    "rule 1", "path is /x: the path is /y", False, origin=Origin("VirtualService", "default", "r", "spec.http[0]")
)
TIMEOUT = Step("timeout", "none")


def explained(*steps: Step) -> Explanation:
    return Explanation(steps, "answered", "answered 404 NR", "virtualOutbound", "host", clusters=(("a", 1.0),))


def test_it_fits_the_width() -> None:
    lines = text(explained(LONG, RULE, TIMEOUT))
    assert max(map(len, lines)) <= 80
    assert "rule 1          × path is /x: the path is /y" in lines
    assert "                  └ VirtualService default/r spec.http[0]" in lines
    assert lines[-1] == "→ answered 404 NR"


def test_what_nobody_has_set_is_the_default() -> None:
    assert text(explained(TIMEOUT))[0] == "timeout           none (default)"


def test_as_data() -> None:
    data = as_json(explained(RULE))
    assert data["clusters"] == {"a": 1.0} and data["ends"] == "answered"
    assert data["steps"] == [
        {
            "station": "rule 1",
            "says": "path is /x: the path is /y",
            "passed": False,
            "origin": {"kind": "VirtualService", "namespace": "default", "name": "r", "field": "spec.http[0]"},
        }
    ]
