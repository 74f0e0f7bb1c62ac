"""What both proxies say that they have, once they have all cases: the same clusters with the same limits and hosts, the same
listeners and routes."""

from __future__ import annotations

import json
import re
from typing import Final

import pytest

from tests.harness.process import http_get, wait_until
from tests.integration.cases.conftest import PROXIES, SECONDS, Stage
from tests.simulation.cases import BASE

LIMITS: Final = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
OF_HOSTS: Final = ("hostname", "weight", "region", "zone", "sub_zone", "canary", "priority")
SETTINGS: Final = frozenset((*LIMITS, *OF_HOSTS, "observability_name", "added_via_api"))
KINDS: Final = {"dynamic_active_clusters": "cluster", "dynamic_listeners": "", "dynamic_route_configs": "route_config"}
# Where a retry budget holds, Envoy shows how many retries it allows at this moment, ours the limit that it replaces.
ELSE: Final = frozenset({("c217.example.com", "max_retries")})


def said(stage: Stage, via: str, whose: str) -> dict[str, str]:
    """By what it is about, without the counters; the addresses of the two proxies are one."""
    address, alike = stage.addresses[(via, whose)], [stage.addresses[(via, each)] for each in PROXIES]
    found = {}
    for line in page(address, "/clusters", alike).splitlines():
        subject, _, value = line.rpartition("::")
        name, _, setting = subject.rpartition("::")
        host = name.split("::", 1)[0].rpartition("|")[2]
        if setting in SETTINGS and (host, setting) not in ELSE:
            found[subject] = value
    for part in json.loads(page(address, "/config_dump", alike))["configs"]:
        for kind, key in KINDS.items():
            found.update({f"{kind} {(each[key] if key else each)['name']}": "there" for each in part.get(kind, ())})
    return found


def page(address: str, path: str, alike: list[str]) -> str:
    text = wait_until(lambda: http_get(15000, path, address)[1], SECONDS, path)
    return re.sub(rf"({'|'.join(map(re.escape, alike))})(?!\d)", "OWN", text)


def differences(stage: Stage, via: str) -> list[tuple[str, str | None, str | None]]:
    ours, envoy = (said(stage, via, whose) for whose in PROXIES)
    assert len(envoy) > 10_000
    names = sorted(ours.keys() | envoy.keys())
    return [(name, ours.get(name), envoy.get(name)) for name in names if ours.get(name) != envoy.get(name)]


@pytest.mark.parametrize("via", ["sidecar", "gateway"])
def test_both_say_that_they_have_the_same(stage: Stage, via: str) -> None:
    stage.enter(BASE)
    if different := differences(stage, via):  # workloads of other tests may be on their way out
        wait_until(lambda: not differences(stage, via), 20, f"the same instead of {different[:20]}")
