"""Where copies of requests go, as configured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.config.model import Forward, HeaderAdd, Mirror
from sidecar.config.references import clusters_of_routes
from tests.unit.sidecar.config.build import Data, hcm_of, parts, problems, route_of


def mirrors_of(*policies: Data) -> tuple[Mirror, ...]:
    given = parts()
    given.action["request_mirror_policies"] = list(policies)
    action = route_of(given).action
    assert isinstance(action, Forward)
    return action.mirrors


def test_all_that_a_mirror_may_say() -> None:
    assert mirrors_of(
        {"cluster": "up"},
        {
            "cluster_header": "To",
            "runtime_fraction": {"default_value": {"numerator": 5}},
            "trace_sampled": False,
            "disable_shadow_host_suffix_append": True,
            "host_rewrite_literal": "h",
            "request_headers_mutations": [{"remove": "A"}, {"append": {"header": {"key": "B", "value": "c"}}}],
        },
    ) == (
        Mirror("up"),
        Mirror("", b"to", 50_000, False, True, "h", (b"a", HeaderAdd(b"b", "c"))),
    )


@pytest.mark.parametrize("policy", [{}, {"cluster": "up", "cluster_header": "b"}])
def test_a_mirror_has_one_cluster(policy: Data) -> None:
    given = parts()
    given.action["request_mirror_policies"] = [policy]
    assert problems(given) == ["request_mirror_policies[0]: needs exactly one of cluster and cluster_header"]


def test_virtual_hosts_and_route_configurations_have_mirrors_too() -> None:
    given = parts()
    given.routes.update(request_mirror_policies=[{"cluster": "all"}], validate_clusters=False)
    routes = hcm_of(given).routes
    assert routes is not None
    assert routes.mirrors == (Mirror("all"),)
    assert clusters_of_routes(replace(routes, validate_clusters=True)) == {"up", "all"}
    given.host["request_mirror_policies"] = [{"cluster": "some"}, {"cluster_header": "h"}]
    routes = hcm_of(given).routes
    assert routes is not None
    assert routes.virtual_hosts[0].mirrors == (Mirror("some"), Mirror(cluster_header=b"h"))
    assert clusters_of_routes(replace(routes, validate_clusters=True)) == {"up", "some"}
