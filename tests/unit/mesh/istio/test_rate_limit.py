"""RateLimits: what is refused although a rule of a VirtualService may have it."""

from __future__ import annotations

import pytest

from mesh.errors import ConfigError
from mesh.istio.load import load

HEAD = "apiVersion: mesh.asyncmesh.io/v1alpha1\nkind: RateLimit\nmetadata: {name: few}\n"


def refused(match: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(f"{HEAD}spec: {{host: reviews, limits: [{{name: all, requests: 5, match: [{{{match}}}]}}]}}\n")
    return str(caught.value)


@pytest.mark.parametrize(
    ("match", "field"),
    [
        ("name: a", "name"),
        ("port: 80", "port"),
        ("sourceLabels: {app: a}", "sourceLabels"),
        ("sourceNamespace: a", "sourceNamespace"),
        ("gateways: [a]", "gateways"),
        ("statPrefix: a", "statPrefix"),
    ],
)
def test_what_only_the_callers_proxy_knows(match: str, field: str) -> None:
    said = f"spec.limits[0].match[0].{field}: is not known where requests are limited, beside the service"
    assert said in refused(match)
