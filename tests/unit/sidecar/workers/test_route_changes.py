"""What a worker is told of a changed route configuration."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import RouteConfig, VirtualHost
from sidecar.workers.route_changes import changed, changes

NAMES = st.lists(st.sampled_from("abcdef"), unique=True)


def host(name: str) -> VirtualHost:
    return VirtualHost(name, (name,), (), source=name.encode() * 1000)


@given(NAMES, NAMES, st.sets(st.sampled_from("abcdef")))
def test_both_sides_come_to_the_same(first: list[str], second: list[str], renewed: set[str]) -> None:
    known = {name: host(name) for name in "abcdef"}
    before = RouteConfig("r", tuple(known[name] for name in first), vhds=True)
    hosts = tuple(host(name) if name in renewed else known[name] for name in second)
    after = RouteConfig("r", hosts, vhds=True, body_limit=7)
    theirs = pickle.loads(pickle.dumps(before))
    found = changed(theirs, *pickle.loads(pickle.dumps(changes(before, after))))
    assert found == after
    kept = [name for name in second if name in first and name not in renewed]
    mine = {each.name: each for each in theirs.virtual_hosts}
    assert all(each is mine[each.name] for each in found.virtual_hosts if each.name in kept)


def test_it_weighs_what_has_changed() -> None:
    before = RouteConfig("r", tuple(host(f"{n}") for n in range(1000)), vhds=True)
    after = RouteConfig("r", (*before.virtual_hosts[:-1], host("other")), vhds=True)
    assert len(pickle.dumps(changes(before, after))) < 10_000 < 1_000_000 < len(pickle.dumps(after))
