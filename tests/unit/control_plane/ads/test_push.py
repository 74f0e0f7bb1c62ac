"""The order of pushes, as dialogues: `D` is a stream whose client answers when told to."""

from __future__ import annotations

import pytest

from control_plane.ads.ack_nack import Verdict
from control_plane.ads.order import ACK_WAIT, ASK_WAIT
from control_plane.ads.push import Progress, Push, PushCore, Variant
from control_plane.ads.subscription import DeltaRequest, SotwRequest
from control_plane.resource import Versioned
from control_plane.snapshot.build import Snapshot
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, SHORT, VIRTUAL_HOST
from tests.unit.control_plane.ads.simulated import (
    by_vhds,
    cluster,
    endpoints,
    host,
    listener,
    resource,
    route,
    snapshot,
)

SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
URLS = {short.lower(): url for url, short in SHORT.items()}
BOTH = pytest.mark.parametrize("variant", list(Variant))


class D:
    """`ask` and `ack` are the client's side; `says` is what the server sends in consequence, as text."""

    def __init__(self, variant: Variant, target: Snapshot | None = None) -> None:
        self.core = PushCore(variant)
        self.now = 100.0
        self.sent: dict[str, Push] = {}
        if target is not None:
            self.core.retarget(target)

    def says(self) -> list[str]:
        pushes = self.core.step(self.now)
        for push in pushes:
            self.sent[SHORT[push.type_url].lower()] = push
        return [text(push) for push in pushes]

    def target(self, target: Snapshot) -> list[str]:
        self.core.retarget(target)
        return self.says()

    def ask(self, kind: str, *names: str, drop: tuple[str, ...] = (), known: dict[str, str] | None = None) -> list[str]:
        """In state-of-the-world `names` are all names, in delta the new ones."""
        push = self.sent.get(kind)
        if self.core.variant is Variant.SOTW:
            version, nonce = (push.version, push.nonce) if push is not None else ("", "")
            self.core.receive(SotwRequest(URLS[kind], names, version, nonce), self.now)
        else:
            self.core.receive(DeltaRequest(URLS[kind], names, drop, known or {}), self.now)
        return self.says()

    def ack(self, kind: str, *names: str, error: str | None = None, old: str = "") -> list[str]:
        push = self.sent[kind]
        if self.core.variant is Variant.SOTW:
            version = push.version if error is None else old
            verdict = self.core.receive(SotwRequest(push.type_url, names, version, push.nonce, error), self.now)
        else:
            verdict = self.core.receive(DeltaRequest(push.type_url, nonce=push.nonce, error=error), self.now)
        assert verdict is (Verdict.ACK if error is None else Verdict.NACK)
        return self.says()


def text(push: Push) -> str:
    names = sorted(r.name for r in push.resources)
    return " ".join([SHORT[push.type_url], *names, *(f"-{name}" for name in push.removed)])


def running(variant: Variant, target: Snapshot) -> D:
    """A client that has all of `target`."""
    d = D(variant, target)
    d.ask("cds")
    names = {kind: tuple(sorted(target.of(URLS[kind]))) for kind in ("eds", "rds")}
    d.ask("eds", *names["eds"])
    d.ack("cds")
    d.ack("eds", *names["eds"])
    d.ask("lds")
    if names["rds"]:
        d.ask("rds", *names["rds"])
        d.ack("rds", *names["rds"])
    assert d.ack("lds") == []
    assert all(d.core.synced(url) for url in d.core.subscriptions)
    return d


ONE = snapshot(cds=[cluster("a")], lds=[listener("l", "r")], rds=[route("r", "a")])


@BOTH
def test_a_new_client_gets_what_it_asks_for(variant: Variant) -> None:
    d = D(variant, ONE)
    assert d.ask("cds") == ["CDS a"]
    assert d.ask("eds", "a") == ["EDS a"]
    assert d.ack("cds") == []
    assert d.ack("eds", "a") == []
    assert d.ask("lds") == ["LDS l"]
    assert d.ask("rds", "r") == ["RDS r"]
    assert d.ack("lds") == []
    assert d.ack("rds", "r") == []


@BOTH
def test_listeners_and_routes_wait_for_clusters_and_endpoints(variant: Variant) -> None:
    d = D(variant, ONE)
    assert d.ask("cds") == ["CDS a"]
    assert d.ask("lds") == []
    assert d.ack("cds") == []  # its endpoints are not asked for yet
    assert d.ask("eds", "a") == ["EDS a"]
    assert d.ack("eds", "a") == ["LDS l"]


@BOTH
def test_a_wildcard_is_answered_even_with_nothing(variant: Variant) -> None:
    d = D(variant, snapshot())
    assert d.ask("cds") == ["CDS"]
    assert d.ack("cds") == []
    assert d.ask("lds") == ["LDS"]


@BOTH
def test_what_did_not_change_is_not_sent_again(variant: Variant) -> None:
    d = running(variant, ONE)
    assert d.target(snapshot(cds=[cluster("a")], lds=[listener("l", "r")], rds=[route("r", "a")])) == []


@BOTH
def test_a_switch_makes_before_it_breaks(variant: Variant) -> None:
    d = running(variant, ONE)
    first = d.target(snapshot(cds=[cluster("b")], lds=[listener("l", "r")], rds=[route("r", "b")]))
    assert first == (["CDS a b"] if variant is Variant.SOTW else ["CDS b"])
    eds = d.ask("eds", *(("a", "b") if variant is Variant.SOTW else ("b",)))
    assert eds == ["EDS b"]
    assert d.ack("cds") == []
    assert d.ack("eds", "a", "b") == ["RDS r"]
    assert d.core.progress(CLUSTER, "a")[0] is Progress.WAITING
    last = d.ack("rds", "r")
    assert last == (["CDS b -a"] if variant is Variant.SOTW else ["CDS -a"])
    if variant is Variant.DELTA:
        d.ask("eds", drop=("a",))
    assert d.ack("cds") == []
    assert all(d.core.synced(url) for url in d.core.subscriptions)
    assert d.core.progress(CLUSTER, "a")[0] is Progress.DONE


@BOTH
def test_a_changed_cluster_gets_its_endpoints_again_at_once(variant: Variant) -> None:
    d = running(variant, ONE)
    assert d.target(snapshot(cds=[cluster("a", 2)], lds=[listener("l", "r")], rds=[route("r", "a", 2)])) == [
        "CDS a",
        "EDS a",
    ]
    assert d.ack("eds", "a") == []
    assert d.ack("cds") == ["RDS r"]


@BOTH
def test_new_endpoints_alone_are_sent_alone(variant: Variant) -> None:
    d = running(variant, ONE)
    changed = snapshot(cds=[cluster("a")], eds=[endpoints("a", 7)], lds=[listener("l", "r")], rds=[route("r", "a")])
    assert d.target(changed) == ["EDS a"]


def test_asking_again_with_the_old_nonce_is_no_answer_to_the_new_endpoints() -> None:
    d = running(Variant.SOTW, ONE)
    before = d.sent["eds"]
    d.target(snapshot(cds=[cluster("a", 2)], lds=[listener("l", "r")], rds=[route("r", "a")]))
    again = SotwRequest(ENDPOINT, ("a",), before.version, before.nonce)
    assert d.core.receive(again, d.now) is Verdict.STALE
    assert d.core.progress(ENDPOINT, "a")[0] is Progress.DONE  # the content is what the client has already
    assert not d.core.synced(ENDPOINT)
    assert d.says() == []


@BOTH
def test_changes_while_one_is_under_way_become_one(variant: Variant) -> None:
    d = running(variant, ONE)

    def version(n: int) -> Snapshot:
        return snapshot(cds=[cluster("a")], eds=[endpoints("a", n)], lds=[listener("l", "r")], rds=[route("r", "a")])

    assert d.target(version(2)) == ["EDS a"]
    assert d.target(version(3)) == []
    assert d.target(version(4)) == []
    assert d.ack("eds", "a") == ["EDS a"]
    assert d.ack("eds", "a") == []


@BOTH
def test_a_change_that_is_taken_back_while_it_waits_is_never_sent(variant: Variant) -> None:
    d = running(variant, ONE)
    assert d.target(snapshot(cds=[cluster("a")], eds=[endpoints("a", 2)], rds=[route("r", "a", 2)])) == ["EDS a"]
    assert (
        d.target(snapshot(cds=[cluster("a")], eds=[endpoints("a", 2)], lds=[listener("l", "r")], rds=[route("r", "a")]))
        == []
    )
    assert d.ack("eds", "a") == []


@BOTH
def test_who_does_not_answer_holds_the_rest_back_for_a_while_only(variant: Variant) -> None:
    d = running(variant, ONE)
    changed = snapshot(cds=[cluster("a")], eds=[endpoints("a", 2)], lds=[listener("l", "r")], rds=[route("r", "a", 2)])
    assert d.target(changed) == ["EDS a"]
    assert d.core.deadline(d.now) == d.now + ACK_WAIT
    d.now += ACK_WAIT
    assert d.says() == ["RDS r"]
    assert d.core.progress(ENDPOINT, "a")[0] is Progress.WAITING


@BOTH
def test_who_never_asks_for_endpoints_holds_the_rest_back_for_a_moment_only(variant: Variant) -> None:
    d = D(variant, ONE)
    d.ask("cds")
    d.ask("lds")
    assert d.ack("cds") == []
    assert d.core.deadline(d.now) == d.now + ASK_WAIT
    d.now += ASK_WAIT
    assert d.says() == ["LDS l"]


@BOTH
def test_a_rejected_cluster_holds_back_its_routes_and_nothing_else(variant: Variant) -> None:
    d = running(variant, ONE)
    assert d.target(
        snapshot(
            cds=[cluster("a"), cluster("b")],
            lds=[listener("l", "r"), listener("m", "s")],
            rds=[route("r", "b"), route("s", "a")],
        )
    ) == (["CDS a b"] if variant is Variant.SOTW else ["CDS b"])
    assert d.ack("cds", error="cluster b: no") == (["LDS l m"] if variant is Variant.SOTW else ["LDS m"])
    names = ("r", "s") if variant is Variant.SOTW else ("s",)
    assert d.ask("rds", *names) == ["RDS s"]
    progress, reason = d.core.progress(ROUTE, "r")
    assert progress is Progress.REJECTED
    assert "cluster b" in reason
    assert d.core.progress(CLUSTER, "b") == (Progress.REJECTED, "cluster b: no")


def needing_b(version: int, changed: int = 1) -> Snapshot:
    """A new listener with a new cluster, beside one that may have changed for that cluster, too."""
    old = listener("l", "r", changed, to="b" if changed > 1 else "")
    return snapshot(
        cds=[cluster("a"), cluster("b", version)], lds=[old, listener("m", "r", to="b")], rds=[route("r", "a")]
    )


@BOTH
def test_what_was_refused_for_want_of_a_cluster_is_tried_again_with_it(variant: Variant) -> None:
    d = running(variant, ONE)
    lds, eds = (["LDS l m"], ("a", "b")) if variant is Variant.SOTW else (["LDS m"], ("b",))
    d.target(needing_b(1))
    assert d.ack("cds", error="cluster b: no") == lds
    assert d.ack("lds", error="listener m: unknown cluster") == []
    d.target(needing_b(2))
    d.ask("eds", *eds)
    d.ack("cds")
    assert d.ack("eds", "a", "b") == lds
    assert d.ack("lds") == []
    assert d.core.progress(LISTENER, "m") == (Progress.DONE, "")


@BOTH
def test_a_change_that_is_held_back_is_not_forgotten_when_others_go(variant: Variant) -> None:
    """In state-of-the-world the others bring along what the client has."""
    d = running(variant, ONE)
    d.target(needing_b(1, changed=2))
    lds = ["LDS l m"] if variant is Variant.SOTW else ["LDS m"]
    assert d.ack("cds", error="cluster b: no") == lds
    assert "b" not in {r.packed.decode().strip("<>") for r in d.sent["lds"].resources if r.name == "l"}
    d.ack("lds", error="listener m: unknown cluster")
    d.target(needing_b(2, changed=2))
    d.ask("eds", *(("a", "b") if variant is Variant.SOTW else ("b",)))
    d.ack("cds")
    assert d.ack("eds", "a", "b") == ["LDS l m"]


@BOTH
def test_a_suspect_on_its_way_is_not_due(variant: Variant) -> None:
    d = running(variant, snapshot(cds=[cluster("a"), cluster("b")]))
    d.target(snapshot(cds=[cluster("a"), cluster("b")], eds=[endpoints("a", 2), endpoints("b", 2)]))
    d.ack("eds", "a", "b", error="something is wrong")
    subscription = d.core.subscriptions[ENDPOINT]
    (tried,) = d.sent["eds"].resources
    subscription.unsure = None  # to be compared as a whole
    assert d.says() == []
    assert set(subscription.due) == {"a", "b"} - {tried.name}


@BOTH
def test_a_cluster_that_a_rejected_route_needs_stays(variant: Variant) -> None:
    d = running(variant, ONE)
    d.target(snapshot(cds=[cluster("b")], lds=[listener("l", "r")], rds=[route("r", "b")]))
    d.ask("eds", *(("a", "b") if variant is Variant.SOTW else ("b",)))
    d.ack("cds")
    assert d.ack("eds", "a", "b") == ["RDS r"]
    assert d.ack("rds", "r", error="route r: no") == []
    assert d.target(snapshot(cds=[cluster("b")], lds=[listener("l", "r")], rds=[route("r", "b", 2)])) == ["RDS r"]
    assert d.ack("rds", "r") == (["CDS b -a"] if variant is Variant.SOTW else ["CDS -a"])


@BOTH
def test_what_was_rejected_is_not_sent_again(variant: Variant) -> None:
    d = running(variant, ONE)
    bad = snapshot(cds=[cluster("a")], lds=[listener("l", "r")], rds=[route("r", "a", 2)])
    assert d.target(bad) == ["RDS r"]
    assert d.ack("rds", "r", error="no") == []
    assert d.says() == []
    assert d.core.progress(ROUTE, "r")[0] is Progress.REJECTED
    assert d.target(ONE) == ["RDS r"]


@BOTH
def test_after_a_nameless_rejection_each_is_tried_alone(variant: Variant) -> None:
    start = snapshot(cds=[cluster("a"), cluster("b")])
    d = running(variant, start)
    changed = snapshot(cds=[cluster("a"), cluster("b")], eds=[endpoints("a", 2), endpoints("b", 2)])
    assert d.target(changed) == ["EDS a b"]
    first = d.ack("eds", "a", "b", error="something is wrong")
    assert len(first) == 1
    assert first[0] in ("EDS a", "EDS b")
    second = d.ack("eds", "a", "b", error="something is wrong")
    assert {*first, *second} == {"EDS a", "EDS b"}
    assert d.ack("eds", "a", "b") == []
    blamed, good = (first[0][4:], second[0][4:])
    assert d.core.progress(ENDPOINT, blamed)[0] is Progress.REJECTED
    assert d.core.progress(ENDPOINT, good)[0] is Progress.DONE


@BOTH
def test_a_listener_that_goes_makes_room_for_one_on_its_address(variant: Variant) -> None:
    d = running(variant, snapshot(cds=[cluster("a")], lds=[listener("l", "r", bind=":80")], rds=[route("r", "a")]))
    renamed = snapshot(cds=[cluster("a")], lds=[listener("m", "r", bind=":80")], rds=[route("r", "a")])
    assert d.target(renamed) == ["LDS m -l"]
    assert [r.name for r in d.sent["lds"].resources] == ["m"]


@BOTH
def test_a_listener_that_goes_without_a_successor_goes_last(variant: Variant) -> None:
    d = running(variant, ONE)
    changed = snapshot(cds=[cluster("a")], lds=[listener("m", "s")], rds=[route("s", "a")])
    assert d.target(changed) == (["LDS l m"] if variant is Variant.SOTW else ["LDS m"])
    d.ask("rds", *(("r", "s") if variant is Variant.SOTW else ("s",)))
    assert d.ack("lds") == []
    assert d.ack("rds", "r", "s") == (["LDS m -l"] if variant is Variant.SOTW else ["LDS -l"])


# ── delta ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_comes_back_is_sent_what_it_does_not_have() -> None:
    d = D(Variant.DELTA, snapshot(cds=[cluster("a"), cluster("b", 2)]))
    assert d.ask("cds", known={"a": "1", "b": "1", "c": "1"}) == ["CDS b"]
    assert d.ask("eds", "a", "b", known={"a": "0", "b": "0"}) == ["EDS a b"]
    assert d.ack("eds") == []
    assert d.ack("cds") == ["CDS -c"]


def test_who_comes_back_with_everything_is_in_sync() -> None:
    d = D(Variant.DELTA, snapshot(cds=[cluster("a")]))
    assert d.ask("cds", known={"a": "1"}) == ["CDS"]
    assert d.ask("eds", "a", known={"a": "0"}) == ["EDS a"]  # Envoy may be warming the cluster still
    d.ack("eds")
    assert d.core.progress(CLUSTER, "a")[0] is Progress.DONE
    d.ack("cds")
    assert d.core.synced(CLUSTER)
    assert d.core.synced(ENDPOINT)


def test_clusters_stay_while_it_is_unknown_what_a_route_of_before_needs() -> None:
    d = D(Variant.DELTA, ONE)
    assert d.ask("cds", known={"a": "1", "z": "1"}) == ["CDS"]
    assert d.ask("rds", "r", known={"r": "old"}) == []
    assert d.ask("eds", "a", "z", known={"a": "0", "z": "0"}) == ["EDS a"]
    assert d.ack("eds") == []
    assert d.ack("cds") == ["RDS r"]
    assert d.ack("rds") == ["CDS -z"]


def test_a_name_that_is_not_there_is_answered_and_sent_when_it_appears() -> None:
    d = D(Variant.DELTA, snapshot())
    assert d.ask("rds", "r") == ["RDS -r"]
    assert d.ack("rds") == []
    assert d.target(snapshot(rds=[route("r", "a")])) == ["RDS r"]


def test_asking_again_for_what_one_has_is_answered() -> None:
    d = running(Variant.DELTA, ONE)
    assert d.ask("eds", "a") == ["EDS a"]


def test_what_is_asked_for_while_a_push_is_under_way_is_sent_at_once() -> None:
    d = running(Variant.DELTA, snapshot(cds=[cluster("a")]))
    assert d.target(snapshot(cds=[cluster("a"), cluster("b")], eds=[endpoints("a", 2)])) == ["CDS b", "EDS a"]
    assert d.ask("eds", "b") == ["EDS b"]


def test_unsubscribed_names_are_forgotten() -> None:
    d = running(Variant.DELTA, ONE)
    assert d.ask("rds", drop=("r",)) == []
    assert d.target(snapshot(cds=[cluster("a")], lds=[listener("l", "r")], rds=[route("r", "a", 2)])) == []
    assert d.core.progress(ROUTE, "r")[0] is Progress.UNWANTED


def test_types_that_nobody_orders_are_sent_at_once() -> None:
    d = D(Variant.DELTA, ONE)
    d.ask("cds")
    secret = Snapshot({**ONE.types, SECRET: snapshot(eds=[resource(SECRET, "key", "1")]).types[ENDPOINT]})
    d.core.retarget(secret)
    assert d.ask("sds", "key") == ["SDS key"]


# ── proxyless gRPC: state of the world, everything by name ────────────────────────────────────────────────────────────


def test_a_client_that_names_everything_gets_what_it_names() -> None:
    d = D(
        Variant.SOTW,
        snapshot(
            cds=[cluster("a"), cluster("b")],
            lds=[listener("l", "r"), listener("m", "s")],
            rds=[route("r", "a"), route("s", "b")],
        ),
    )
    assert d.ask("lds", "l") == ["LDS l"]
    assert d.ack("lds", "l") == []
    assert d.ask("rds", "r") == ["RDS r"]
    assert d.ack("rds", "r") == []
    assert d.ask("cds", "a") == ["CDS a"]
    assert d.ack("cds", "a") == []
    assert d.ask("eds", "a") == ["EDS a"]
    assert d.ack("eds", "a") == []
    assert d.ask("lds", "l", "m") == ["LDS l m"]
    assert d.core.progress(CLUSTER, "b")[0] is Progress.UNWANTED
    assert d.core.progress(ROUTE, "s")[0] is Progress.WAITING  # the listener that it just got asks for it


def test_a_listener_that_is_asked_for_too_early_is_sent_when_it_appears() -> None:
    d = D(Variant.SOTW, snapshot())
    assert d.ask("lds", "l") == []
    assert d.ask("lds", "l") == []
    assert d.target(snapshot(lds=[listener("l", "r")])) == ["LDS l"]


def test_a_listener_that_such_a_client_has_and_that_goes_is_left_out() -> None:
    d = D(Variant.SOTW, snapshot(lds=[listener("l", "r"), listener("m", "r")], rds=[route("r", "a")]))
    assert d.ask("lds", "l", "m") == ["LDS l m"]
    assert d.ask("rds", "r") == ["RDS r"]
    d.ack("rds", "r")
    d.ack("lds", "l", "m")
    assert d.target(snapshot(lds=[listener("l", "r")], rds=[route("r", "a")])) == ["LDS l -m"]


def test_who_names_nothing_any_more_gets_nothing() -> None:
    d = D(Variant.SOTW, snapshot(lds=[listener("l", "r")]))
    d.ask("lds", "l")
    assert d.ack("lds") == []
    assert d.target(snapshot(lds=[listener("l", "r", 2)])) == []
    assert d.core.progress(LISTENER, "l")[0] is Progress.UNWANTED


@BOTH
def test_a_change_of_a_cluster_that_is_rejected_holds_back_nothing(variant: Variant) -> None:
    """The client goes on with the cluster that it had."""
    d = running(variant, ONE)
    d.target(snapshot(cds=[cluster("a", 2)], lds=[listener("l", "r")], rds=[route("r", "a", 2)]))
    d.ack("eds", "a")
    assert d.ack("cds", error="cluster a: no") == ["RDS r"]
    assert d.core.progress(ROUTE, "r")[0] is Progress.WAITING


# ── virtual hosts as resources ────────────────────────────────────────────────────────────────────────────────────────


def with_hosts(*hosts: Versioned, clusters: tuple[str, ...] = ("a",), routes: int = 1) -> Snapshot:
    return snapshot(cds=map(cluster, clusters), lds=[listener("l", "r")], rds=[by_vhds("r", routes)], vhds=hosts)


def served(target: Snapshot) -> D:
    """A client that has all of `target`."""
    d = D(Variant.DELTA, target)
    d.ask("cds")
    d.ask("eds", *sorted(target.of(ENDPOINT)))
    d.ack("cds")
    d.ack("eds")
    d.ask("lds")
    assert d.ask("rds", "r") == ["RDS r"]
    assert d.ask("vhds") == ["VHDS " + " ".join(sorted(target.of(VIRTUAL_HOST)))]
    for kind in ("rds", "lds", "vhds"):
        assert d.ack(kind) == []
    assert all(d.core.synced(url) for url in d.core.subscriptions)
    return d


def test_one_virtual_host_of_many_is_sent() -> None:
    d = served(with_hosts(host("r/x", "a"), host("r/y", "a")))
    assert d.target(with_hosts(host("r/x", "a"), host("r/y", "a", version=2), host("r/z", "a"))) == ["VHDS r/y r/z"]
    assert d.ack("vhds") == []


def test_a_virtual_host_waits_for_its_new_cluster_and_the_old_one_for_it() -> None:
    d = served(with_hosts(host("r/x", "a")))
    assert d.target(with_hosts(host("r/x", "b"), clusters=("b",))) == ["CDS b"]
    assert d.ask("eds", "b") == ["EDS b"]
    d.ack("cds")
    assert d.ack("eds") == ["VHDS r/x"]
    assert d.ack("vhds") == ["CDS -a"]


def test_virtual_hosts_go_before_their_clusters() -> None:
    d = served(with_hosts(host("r/x", "a"), host("r/y", "b"), clusters=("a", "b")))
    assert d.target(with_hosts(host("r/x", "a"))) == ["VHDS -r/y"]
    assert d.ack("vhds") == ["CDS -b"]


def test_one_that_goes_makes_way_for_its_domain() -> None:
    d = served(with_hosts(host("r/x", "a", "one"), host("r/y", "a", "two")))
    assert d.target(with_hosts(host("r/z", "a", "one"))) == ["VHDS r/z -r/x"]
    assert d.ack("vhds") == ["VHDS -r/y"]


def test_a_new_stream_gets_what_is_different() -> None:
    target = with_hosts(host("r/x", "a"), host("r/y", "a", version=2))
    d = D(Variant.DELTA, target)
    d.ask("cds", known={"a": "1"})
    d.ack("cds")
    d.ask("eds", "a", known={"a": "1"})
    d.ack("eds")
    d.ask("lds", known={"l": "1/r"})
    d.ack("lds")
    assert d.ask("rds", "r", known={"r": "1"}) == []
    assert d.ask("vhds", known={"r/x": target.of(VIRTUAL_HOST)["r/x"].version, "r/y": "1/a", "r/gone": "1/a"}) == [
        "VHDS r/y -r/gone"
    ]


def test_a_route_configuration_brings_its_virtual_hosts_again() -> None:
    d = served(with_hosts(host("r/x", "a"), host("s/y", "a")))
    assert d.target(with_hosts(host("r/x", "a"), host("s/y", "a"), routes=2)) == ["RDS r", "VHDS r/x"]


def test_a_refused_virtual_host_is_told_apart() -> None:
    d = served(with_hosts(host("r/x", "a"), host("r/y", "a")))
    d.target(with_hosts(host("r/x", "a", version=2), host("r/y", "a", version=2)))
    assert d.ack("vhds", error="r/y is bad") == []
    assert d.core.progress(VIRTUAL_HOST, "r/y") == (Progress.REJECTED, "r/y is bad")
    assert d.core.progress(VIRTUAL_HOST, "r/x") == (Progress.DONE, "")
