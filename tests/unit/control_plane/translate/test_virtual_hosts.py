from hypothesis import given
from hypothesis import strategies as st

from control_plane.translate.virtual_hosts import (
    BLOCK_UNKNOWN,
    PASS_UNKNOWN,
    Entry,
    configuration,
    connect_route,
    virtual_hosts,
)

_domains = st.lists(st.sampled_from(["a", "A", "b", "a:80", "*.c", "d."]), max_size=4)


def test_own_domains_come_before_short_ones() -> None:
    entries = [Entry("1", ["a.b"], [], ["a", "b"]), Entry("2", ["a"], [], ["b"])]
    assert [(h.name, list(h.domains)) for h in virtual_hosts(entries)] == [("1", ["a.b", "b"]), ("2", ["a"])]


def test_who_has_no_domain_left_is_dropped() -> None:
    assert [h.name for h in virtual_hosts([Entry("2", ["A"], []), Entry("1", ["a"], [])])] == ["1"]
    assert [h.name for h in virtual_hosts([Entry("1", ["a"], []), Entry("1", ["b"], [])])] == ["1"]


@given(st.lists(st.builds(Entry, st.sampled_from(["x", "y", "z"]), _domains, st.just([]), _domains), max_size=6))
def test_no_two_have_a_domain_or_a_name_in_common(entries: list[Entry]) -> None:
    made = virtual_hosts(entries)
    domains = [domain for host in made for domain in host.domains]
    assert len(domains) == len(set(domains))
    assert len(made) == len({host.name for host in made})
    assert set(domains) <= {d.lower() for entry in entries for d in entry.claim.wished}


def test_configurations_stand_missing_clusters() -> None:
    config = configuration("x", [])
    assert config.HasField("validate_clusters") and not config.validate_clusters.value
    assert config.ignore_port_in_host_matching
    assert config.max_direct_response_body_size_bytes.value == 1024 * 1024


def test_connect_ends_at_the_proxy() -> None:
    route = connect_route((("c", 1),), http2=True)
    assert route.match.HasField("connect_matcher")
    assert route.metadata.filter_metadata["mesh.connect"]["http2"]
    assert not connect_route((("c", 1),), http2=False).HasField("metadata")
    (upgrade,) = route.route.upgrade_configs
    assert upgrade.upgrade_type == "CONNECT" and upgrade.HasField("connect_config")


def test_unknown_hosts() -> None:
    assert [route.direct_response.status for route in BLOCK_UNKNOWN.routes] == [502, 502]
    assert PASS_UNKNOWN.routes[0].route.cluster == "PassthroughCluster"
