"""RouteAction.hash_policy."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.errors import ConfigError
from sidecar.config.model import Forward, HashPolicy, HashSource
from tests.unit.sidecar.config.build import Data, parts, route_of


def policies_of(*given: Data) -> tuple[HashPolicy, ...]:
    made = parts()
    made.action["hash_policy"] = list(given)
    action = route_of(made).action
    assert isinstance(action, Forward)
    return action.hash_policies


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"header": {"header_name": "X-A"}, "terminal": True}, HashPolicy(HashSource.HEADER, "x-a", terminal=True)),
        (
            {"header": {"header_name": "a", "regex_rewrite": {"pattern": {"regex": "(b)"}, "substitution": "\\1"}}},
            HashPolicy(HashSource.HEADER, "a", rewrite=("(b)", "\\1")),
        ),
        ({"cookie": {"name": "c"}}, HashPolicy(HashSource.COOKIE, "c")),
        (
            {"cookie": {"name": "c", "ttl": "1.5s", "path": "/", "attributes": [{"name": "a", "value": "b"}]}},
            HashPolicy(HashSource.COOKIE, "c", ttl=1, path="/", attributes=(("a", "b"),)),
        ),
        ({"cookie": {"name": "c", "ttl": "0s"}}, HashPolicy(HashSource.COOKIE, "c", ttl=0)),
        ({"connection_properties": {"source_ip": True}}, HashPolicy(HashSource.SOURCE_IP)),
        ({"query_parameter": {"name": "Q"}}, HashPolicy(HashSource.QUERY_PARAMETER, "Q")),
    ],
)
def test_each_kind(given: Data, expected: HashPolicy) -> None:
    assert policies_of(given) == (expected,)


def test_the_sources_address_switched_off_is_no_policy() -> None:
    assert policies_of({"connection_properties": {}}) == ()


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"filter_state": {"key": "k"}}, "hash_policy[0].filter_state"),
        ({"header": {"header_name": "a", "regex_rewrite": {"pattern": {"regex": "("}}}}, "hash_policy[0].header"),
        ({"query_parameter": {"name": ""}}, "hash_policy[0].query_parameter"),
        ({"terminal": True}, "hash_policy[0]"),
    ],
)
def test_what_is_refused(given: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        policies_of(given)
    assert any(path in problem.field for problem in caught.value.problems)
