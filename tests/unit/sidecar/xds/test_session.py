"""Responses to configuration and answers, without a network."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.clock import ManualClock
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST
from sidecar.config.model import Address, AdsConfig, Bootstrap
from sidecar.xds.resources import Raw
from sidecar.xds.session import AdsSession
from sidecar.xds.subscriptions import DeltaRequest, Request
from tests.integration.xds_client.resources import by_vhds, cluster, endpoints, listener, routes
from tests.integration.xds_client.target import RecordingTarget

ADS = AdsConfig("xds", Address("127.0.0.1", 1), cds_timeout=15.0, lds_timeout=15.0)
BOOTSTRAP = Bootstrap({"id": "a"}, ads=ADS, cds_from_ads=True, lds_from_ads=True)


class Dialogue:
    """An intake, its target, and the server's half of the conversation."""

    def __init__(self, bootstrap: Bootstrap = BOOTSTRAP) -> None:
        self.clock = ManualClock()
        self.target = RecordingTarget()
        self.session = AdsSession(bootstrap, self.target, self.clock.monotonic, self.clock)
        self.session.start()
        self.first = self.session.opened()
        self.nonce = 0

    def push(self, type_url: str, *messages: Any, removed: tuple[str, ...] = ()) -> list[Request]:
        self.nonce += 1
        name = "cluster_name" if type_url == ENDPOINT else "name"
        raws = tuple(Raw(getattr(each, name), str(self.nonce), type_url, each.SerializeToString()) for each in messages)
        return self.session.received(type_url, f"n{self.nonce}", "", self.session.read(type_url, raws), removed)

    def ack(self, type_url: str) -> DeltaRequest:
        return DeltaRequest(type_url, nonce=f"n{self.nonce}")

    def nack(self, type_url: str, error: str) -> DeltaRequest:
        return DeltaRequest(type_url, nonce=f"n{self.nonce}", error=error)

    def first_round(self) -> None:
        self.push(CLUSTER, cluster("a"))
        self.push(ENDPOINT, endpoints("a", 1))
        self.push(LISTENER, listener("l", "r"))
        self.push(ROUTE, routes("r", "a"))
        assert self.target.ready


def test_the_first_round_step_by_step() -> None:
    d = Dialogue()
    assert d.first == [DeltaRequest(CLUSTER)]
    assert d.push(CLUSTER, cluster("a")) == [d.ack(CLUSTER), DeltaRequest(ENDPOINT, ("a",))]
    assert d.push(ENDPOINT, endpoints("a", 1)) == [d.ack(ENDPOINT), DeltaRequest(LISTENER)]
    assert d.push(LISTENER, listener("l", "r")) == [DeltaRequest(ROUTE, ("r",))]
    listeners = d.ack(LISTENER)
    assert d.push(ROUTE, routes("r", "a")) == [d.ack(ROUTE), listeners]
    assert d.target.calls == ["endpoints a", "cluster a", "routes r", "listener l", "initialized"]


def test_a_new_stream_names_what_is_there() -> None:
    d = Dialogue()
    d.first_round()
    assert d.session.opened() == [
        DeltaRequest(CLUSTER, versions={"a": "1"}),
        DeltaRequest(ENDPOINT, ("a",), versions={"a": "2"}),
        DeltaRequest(LISTENER, versions={"l": "3"}),
        DeltaRequest(ROUTE, ("r",), versions={"r": "4"}),
    ]


def test_only_what_the_bootstrap_says_comes_over_ads() -> None:
    d = Dialogue(Bootstrap({"id": "a"}, ads=ADS, lds_from_ads=True))
    assert d.first == [DeltaRequest(LISTENER)]


def test_several_bad_ones_are_all_named() -> None:
    d = Dialogue()
    bad = [
        cluster(name, type="STATIC", eds_cluster_config=None, lb_policy="LOAD_BALANCING_POLICY_CONFIG") for name in "xy"
    ]
    good = cluster("good", type="STATIC", eds_cluster_config=None)
    requests = d.push(CLUSTER, bad[0], good, bad[1])
    reason = "lb_policy: LOAD_BALANCING_POLICY_CONFIG is not implemented"
    assert requests[0] == d.nack(CLUSTER, f"x: {reason}\ny: {reason}")
    assert d.session.types[CLUSTER].accepted.keys() == {"good"}
    assert {name: each.error for name, each in d.session.types[CLUSTER].rejected.items()} == {"x": reason, "y": reason}


def test_a_rejection_is_forgotten_with_the_next_good_one() -> None:
    d = Dialogue()
    static = {"type": "STATIC", "eds_cluster_config": None}
    d.push(CLUSTER, cluster("a", **static, lb_policy="LOAD_BALANCING_POLICY_CONFIG"))
    d.push(CLUSTER, cluster("a", **static))
    state = d.session.types[CLUSTER]
    assert (state.rejected, state.rejections, state.successes) == ({}, 1, 1)
    assert state.accepted["a"].updated == d.clock.wall()


def test_a_listener_that_insists_on_a_cluster() -> None:
    d = Dialogue()
    d.push(CLUSTER)
    given = listener("l", "r")
    inline = listener("l", "", rds=None, route_config={"name": "i", "virtual_hosts": _one_route("nope")})
    assert d.push(LISTENER, inline) == [d.nack(LISTENER, "l: a route names the cluster 'nope', which is not there")]
    unchecked = {"name": "i", "virtual_hosts": _one_route("nope"), "validate_clusters": False}
    assert d.push(LISTENER, listener("l", "", rds=None, route_config=unchecked)) == [d.ack(LISTENER)]
    assert d.push(LISTENER, given) == [DeltaRequest(ROUTE, ("r",))]


def _one_route(name: str) -> list[dict[str, Any]]:
    return [{"name": "v", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": name}}]}]


def test_routes_that_insist_on_a_cluster() -> None:
    d = Dialogue()
    d.first_round()
    assert d.push(ROUTE, routes("r", "nope", validate_clusters=True)) == [
        d.nack(ROUTE, "r: a route names the cluster 'nope', which is not there")
    ]
    assert d.push(ROUTE, routes("r", "nope")) == [d.ack(ROUTE)]


def test_two_listeners_on_one_address() -> None:
    d = Dialogue()
    d.first_round()
    taken = "127.0.0.1:80 is the address of listener 'a' already"
    assert d.push(LISTENER, listener("a", "r", 80), listener("b", "r", 80)) == [d.nack(LISTENER, f"b: {taken}")]
    assert d.push(LISTENER, listener("c", "r", 80)) == [d.nack(LISTENER, f"c: {taken}")]
    assert d.push(LISTENER, listener("c", "r", 80), removed=("a",)) == [d.ack(LISTENER)]
    assert d.target.listeners.keys() == {"l", "c"}


def test_a_listener_that_cannot_be_bound() -> None:
    d = Dialogue()
    d.first_round()
    d.target.cannot_bind.add("x")
    error = "cannot bind 127.0.0.1:0: Address already in use"
    assert d.push(LISTENER, listener("x", "r")) == [d.nack(LISTENER, f"x: {error}")]
    assert d.session.types[LISTENER].accepted.keys() == {"l"}
    d.target.cannot_bind.clear()
    assert d.push(LISTENER, listener("x", "r")) == [d.ack(LISTENER)]


def test_a_listener_that_cannot_be_bound_once_its_routes_are_there() -> None:
    d = Dialogue()
    d.first_round()
    d.target.cannot_bind.add("x")
    assert d.push(LISTENER, listener("x", "s")) == [DeltaRequest(ROUTE, ("s",))]
    nack = d.nack(LISTENER, "x: cannot bind 127.0.0.1:0: Address already in use")
    requests = d.push(ROUTE, routes("s", "a"))
    assert requests == [d.ack(ROUTE), nack, DeltaRequest(ROUTE, unsubscribe=("s",))]
    assert d.session.types[LISTENER].accepted.keys() == {"l"}


def test_the_next_response_does_not_leave_the_one_before_unanswered() -> None:
    d = Dialogue()
    d.first_round()
    assert d.push(LISTENER, listener("x", "s")) == [DeltaRequest(ROUTE, ("s",))]
    held = d.ack(LISTENER)
    assert d.push(LISTENER, listener("y", "r")) == [held, d.ack(LISTENER)]


def test_a_wait_that_ends_by_the_clock() -> None:
    d = Dialogue()
    d.first_round()
    assert d.push(LISTENER, listener("x", "s")) == [DeltaRequest(ROUTE, ("s",))]
    assert d.session.next_deadline() == d.clock.monotonic() + 15.0
    d.clock.advance(15.0)
    assert d.session.expire() == [d.ack(LISTENER)]
    assert "x" in d.target.listeners


def test_a_response_that_fails_altogether() -> None:
    d = Dialogue()
    d.first_round()
    assert d.session.failed(ROUTE, "n9", "KeyError: 'x'") == [
        DeltaRequest(ROUTE, nonce="n9", error="a resource without a name: KeyError: 'x'")
    ]
    assert d.session.failed("other", "n9", "x") == []


def test_a_snapshot_restores_everything() -> None:
    d = Dialogue()
    d.first_round()
    snapshot = d.session.snapshot()
    again = Dialogue()
    again.session.restore(snapshot)
    assert again.target.calls == d.target.calls
    assert again.session.snapshot() == snapshot
    assert again.session.opened() == d.session.opened()


def test_what_is_bad_in_a_snapshot_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    d = Dialogue()
    d.first_round()
    snapshot = d.session.snapshot()
    bad = cluster("bad", type="STATIC", eds_cluster_config=None, lb_policy="LOAD_BALANCING_POLICY_CONFIG")
    snapshot[CLUSTER]["bad"] = type(snapshot[CLUSTER]["a"])("1", CLUSTER, bad.SerializeToString())
    again = Dialogue()
    again.session.restore(snapshot)
    assert again.target.ready
    assert again.session.types[CLUSTER].accepted.keys() == {"a"}
    assert "bad: lb_policy" in caplog.text


def test_static_clusters_of_the_bootstrap_are_not_restored_or_named() -> None:
    from sidecar.config.model import Cluster, Discovery

    static = Cluster("s", Discovery.STATIC)
    d = Dialogue(Bootstrap({"id": "a"}, clusters=(static,), ads=ADS, cds_from_ads=True, lds_from_ads=True))
    assert d.target.calls == ["cluster s"]
    assert d.session.snapshot()[CLUSTER] == {}


def test_versions_are_those_that_were_accepted() -> None:
    d = Dialogue()
    d.first_round()
    assert [d.session.version(CLUSTER, "a"), d.session.version(ROUTE, "r")] == ["1", "4"]
    d.push(CLUSTER, cluster("a", connect_timeout="-1s"))
    assert d.session.version(CLUSTER, "a") == "1"
    assert d.session.version(CLUSTER, "unknown") == d.session.version("unknown", "a") == ""


# ── virtual hosts as resources ────────────────────────────────────────────────────────────────────────────────────────


def virtual_host(name: str, to: str = "a", *domains: str) -> Any:
    made = routes("r", to).virtual_hosts[0]
    made.name = name
    made.domains[:] = domains or [name.rpartition("/")[2]]
    return made


def hosts_of(target: RecordingTarget, name: str = "r") -> list[str]:
    return [each.name for each in target.routes[name].virtual_hosts]


def with_hosts() -> Dialogue:
    d = Dialogue()
    d.push(CLUSTER, cluster("a"))
    d.push(ENDPOINT, endpoints("a", 1))
    d.push(LISTENER, listener("l", "r"))
    d.push(ROUTE, by_vhds("r"))
    d.push(VIRTUAL_HOST, virtual_host("r/one"), virtual_host("r/two"))
    return d


def test_a_listener_serves_when_its_virtual_hosts_are_there() -> None:
    d = Dialogue()
    d.push(CLUSTER, cluster("a"))
    d.push(ENDPOINT, endpoints("a", 1))
    assert d.push(LISTENER, listener("l", "r")) == [DeltaRequest(ROUTE, ("r",))]
    listeners = d.ack(LISTENER)
    assert d.push(ROUTE, by_vhds("r")) == [d.ack(ROUTE), DeltaRequest(VIRTUAL_HOST)]
    assert not d.target.ready
    assert d.push(VIRTUAL_HOST, virtual_host("r/one")) == [d.ack(VIRTUAL_HOST), listeners]
    assert d.target.ready
    assert hosts_of(d.target) == ["r/one"]


def test_without_virtual_hosts_it_serves_when_the_wait_is_over() -> None:
    d = Dialogue()
    d.push(CLUSTER, cluster("a"))
    d.push(ENDPOINT, endpoints("a", 1))
    d.push(LISTENER, listener("l", "r"))
    d.push(ROUTE, by_vhds("r"))
    d.clock.advance(15.0)
    d.session.expire()
    assert d.target.ready
    assert hosts_of(d.target) == []


def test_one_virtual_host_changes() -> None:
    d = with_hosts()
    before = {each.name: each for each in d.target.routes["r"].virtual_hosts}
    assert d.push(VIRTUAL_HOST, virtual_host("r/two", "b")) == [d.ack(VIRTUAL_HOST)]
    after = {each.name: each for each in d.target.routes["r"].virtual_hosts}
    assert after["r/one"] is before["r/one"]
    assert after["r/two"] != before["r/two"]
    d.push(VIRTUAL_HOST, virtual_host("r/three"), removed=("r/one",))
    assert hosts_of(d.target) == ["r/three", "r/two"]


def test_a_bad_virtual_host_is_named_and_its_last_good_one_stays() -> None:
    d = with_hosts()
    before = d.target.routes["r"].virtual_hosts
    bad = virtual_host("r/two")
    bad.routes[0].match.safe_regex.regex = "("
    clash = virtual_host("r/three", "a", "one")
    [request] = d.push(VIRTUAL_HOST, bad, clash, virtual_host("r/four"))
    assert isinstance(request, DeltaRequest)
    assert "r/two: routes[0].match.safe_regex" in request.error
    assert "r/three: domains[0]: 'one' is a domain of virtual host 'r/one' already" in request.error
    assert "r/four" not in request.error
    assert {host.name: host for host in d.target.routes["r"].virtual_hosts}["r/two"] == before[1]
    assert hosts_of(d.target) == ["r/four", "r/one", "r/two"]
    assert d.session.types[VIRTUAL_HOST].rejected.keys() == {"r/two", "r/three"}


def test_a_virtual_host_of_a_strict_configuration_names_clusters_that_are_there() -> None:
    d = with_hosts()
    d.push(ROUTE, by_vhds("r", validate_clusters=True))
    [request] = d.push(VIRTUAL_HOST, virtual_host("r/two", "nobody"))
    assert request == d.nack(VIRTUAL_HOST, "r/two: a route names the cluster 'nobody', which is not there")


def test_a_new_stream_says_which_virtual_hosts_there_are() -> None:
    d = with_hosts()
    asked = {request.type_url: request for request in d.session.opened()}
    assert asked[VIRTUAL_HOST] == DeltaRequest(VIRTUAL_HOST, versions={"r/one": "5", "r/two": "5"})


def test_virtual_hosts_come_back_from_the_disk() -> None:
    kept = with_hosts().session.snapshot()
    d = Dialogue()
    d.session.restore(kept)
    assert d.target.ready
    assert hosts_of(d.target) == ["r/one", "r/two"]
    assert DeltaRequest(VIRTUAL_HOST, versions={"r/one": "5", "r/two": "5"}) in d.session.opened()


def test_state_of_the_world_has_no_virtual_hosts() -> None:
    ads = AdsConfig("xds", Address("127.0.0.1", 1), cds_timeout=15.0, lds_timeout=15.0, delta=False)
    d = Dialogue(Bootstrap({"id": "a"}, ads=ads, cds_from_ads=True, lds_from_ads=True))
    d.push(CLUSTER, cluster("a"))
    d.push(ENDPOINT, endpoints("a", 1))
    d.push(LISTENER, listener("l", "r"))
    [request, *_] = d.push(ROUTE, by_vhds("r"))
    assert request.error == "r: vhds: virtual hosts can be had over delta xDS only"
