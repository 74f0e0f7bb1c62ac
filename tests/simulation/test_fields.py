"""Every field of the API has a case or a test that shows it, or a reason why nothing can, as its page says."""

from __future__ import annotations

import ast
import json
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from mesh.errors import ConfigError
from mesh.istio.kinds import KINDS
from mesh.istio.load import load, load_text
from mesh.istio.model import Message
from mesh.istio.refused import NO_EFFECT, NOT_YET, REFUSED
from mesh.istio.resource import Resource
from tests.simulation.effects import Mesh, by_name, told
from tests.simulation.field_page import PAGE, ROOT, Row, page, read_rows
from tests.simulation.fields import Step, all_fields, below

TEXT = PAGE.read_text(encoding="utf-8")
ROWS = list(read_rows(TEXT))


def by_case() -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in ROWS:
        if row.case:
            found[row.case].append(row)
    return found


BY_CASE = by_case()


def test_the_page_has_every_field() -> None:
    assert [row.field for row in ROWS] == [field for kind in KINDS for field in all_fields(kind)], "run `make docs`"
    assert page(ROWS) == TEXT, "run `make docs`"


def test_every_field_is_shown() -> None:
    without = [row.field for row in ROWS if not (row.case or row.test or row.reason)]
    assert without == []


@pytest.mark.parametrize("case", BY_CASE)
def test_a_case_shows_its_fields(case: str) -> None:
    assert case in by_name(), "run `make docs`"
    for row in BY_CASE[case]:
        assert told(case).shows(row.field) is row.effect, row.field


@pytest.mark.parametrize("test", sorted({row.test for row in ROWS if row.test}))
def test_the_tests_are_there(test: str) -> None:
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


# ── what is refused, and what has no effect ───────────────────────────────────────────────────────────────────────────


@cache
def places() -> dict[str, tuple[str, int, Step]]:
    """Message, and kind/message → a case, its resource that has such a message, and where."""
    found: dict[str, tuple[str, int, Step]] = {}
    for name in by_name():
        for index, resource in enumerate(told(name).resources):
            kind = resource.key.kind
            start: Step = () if KINDS[kind].whole else ("spec",)
            for message, path in [(resource.spec, start), *below(resource.spec, start)]:
                found.setdefault(type(message).__name__, (name, index, path))
                found.setdefault(f"{kind}/{type(message).__name__}", (name, index, path))
    return found


def with_field(message: str, field: str, value: Any) -> tuple[list[Resource], int, dict[str, Any], Step]:
    """A case's resources, and the document of one of them in which such a message says this, too."""
    name, index, path = places()[message]
    resources = told(name).resources
    document = json.loads(json.dumps(resources[index].document))
    place = document
    for step in path:
        place = place[step]
    place[field] = value
    return resources, index, document, (*path, field)


def refusals() -> Iterator[Any]:
    for message, rows in REFUSED.items():
        for row in rows:
            field, _, value = row.partition("=")
            yield pytest.param(message, field, value, id=f"{message}.{row}")


def dotted(path: Step) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)[1:]


@pytest.mark.parametrize(("message", "field", "value"), list(refusals()))
def test_what_is_refused_is_refused_by_its_name(message: str, field: str, value: str) -> None:
    assert message in places(), "no case has such a message"
    _, _, document, path = with_field(message, field, value or {})
    lines = json.dumps(document, indent=1).splitlines()
    with pytest.raises(ConfigError) as caught:
        load_text("\n".join(lines), "rules.yaml")
    (problem,) = [each for each in caught.value.problems if each.field == dotted(path)]
    assert problem.file == "rules.yaml" and f'"{field}":' in lines[problem.line - 1]
    assert NOT_YET in problem.message and (not value or value in problem.message)


# By field, or by Message.field where it has another value than its namesakes.
VALUES: dict[str, Any] = {
    "annotations": {"a": "b"},
    "subjectAltNames": ["spiffe://somebody"],
    "allocateLoadBalancerNodePorts": True,
    "loadBalancerSourceRanges": ["10.0.0.0/8"],
    "ipFamilies": ["IPv4"],
    "externalIPs": ["192.0.2.1"],
    "externalTrafficPolicy": "Local",
    "internalTrafficPolicy": "Cluster",
    "healthCheckNodePort": 30081,
    "sessionAffinityConfig": {},
    "clientIP": {},
    "timeoutSeconds": 5,
    "holdApplicationUntilProxyStarts": True,
    "nodePort": 30080,
    "tls": {"mode": "DISABLE"},
    "mode": "DISABLE",
    "InboundTrafficPolicy.mode": "LOCALHOST",
    "location": "MESH_INTERNAL",
    "h2UpgradePolicy": "UPGRADE",
    "useClientProtocol": True,
    "ServicePort.protocol": "TCP",
    "ContainerPort.protocol": "UDP",
    "addressType": "IPv6",
    "selector": {"matchLabels": {"a": "b"}},
    "matchLabels": {"a": "b"},
    "replicas": 3,
    "data": {"a": "b"},
    "providers": [{"name": "prometheus"}],
    "metrics": ["prometheus"],
    "serviceAttributeEnrichment": "ISTIO_CANONICAL",
    "filterClass": "STATS",
    "settings": {"clusterLocal": True},
    "clusterLocal": True,
    "hosts": ["*"],
    "inclusionPrefixes": ["a"],
    "inclusionSuffixes": ["a"],
    "inclusionRegexps": ["a"],
    "disableEnvoyListenerLog": True,
    "enablePrometheusMerge": True,
    "inboundTrafficPolicy": {"mode": "LOCALHOST"},
    "serviceSettings": [{"settings": {"clusterLocal": True}, "hosts": ["*"]}],
    "extraStatTags": ["a"],
    "proxyStatsMatcher": {"inclusionPrefixes": ["a"]},
}


@pytest.mark.parametrize(
    ("message", "field"), [pytest.param(m, f, id=f"{m}.{f}") for m, fields in NO_EFFECT.items() for f in fields]
)
def test_what_has_no_effect_has_none(message: str, field: str) -> None:
    assert message in places(), "no case has such a message"
    name, _, said = field.partition("=")
    value = said or VALUES.get(f"{message.rpartition('/')[2]}.{name}", VALUES.get(name, "x"))
    resources, index, document, _ = with_field(message, name, value)
    (changed,) = load(json.dumps(document))
    mesh = Mesh([*resources[:index], changed, *resources[index + 1 :]])
    assert mesh.differs(Mesh(resources), changed.key.kind) is None
    assert isinstance(changed.spec, Message)
