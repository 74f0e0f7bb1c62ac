from __future__ import annotations

from dataclasses import dataclass, field

from control_plane.ads.convergence import KEPT, Item, Ledger, report
from control_plane.ads.push import Progress
from control_plane.ads.status import Convergence, RevisionState
from mesh.xds import CLUSTER, ENDPOINT, ROUTE


@dataclass(eq=False)
class Proxy:
    """One whose progress is what the test says; what it says nothing about waits."""

    id: str = "a"
    generation: int = 0
    said: dict[Item, tuple[Progress, str]] = field(default_factory=dict)

    def progress(self, type_url: str, name: str) -> tuple[Progress, str]:
        return self.said.get((type_url, name), (Progress.WAITING, ""))

    def says(self, item: Item, progress: Progress, message: str = "") -> None:
        self.said[item] = (progress, message)


A, B = (CLUSTER, "a"), (ROUTE, "b")


def state(ledger: Ledger, revision: int, now: float = 0.0) -> Convergence:
    return report(revision, ledger.find(revision), now)


def test_a_change_for_nobody_has_converged_at_once() -> None:
    ledger = Ledger()
    ledger.publish(1, 8.0, [], 10.0)
    assert state(ledger, 1) == Convergence(1, RevisionState.CONVERGED, seconds=2.0)


def test_a_change_that_changes_nothing_for_those_who_are_there_affects_nobody() -> None:
    ledger, proxy = Ledger(), Proxy()
    ledger.publish(1, 8.0, [proxy], 10.0)
    assert state(ledger, 1, 11.0) == Convergence(1, RevisionState.PENDING, seconds=3.0)
    ledger.translated(proxy, [], 12.0)
    assert state(ledger, 1) == Convergence(1, RevisionState.CONVERGED, seconds=4.0)


def test_what_a_proxy_has_not_asked_for_does_not_affect_it() -> None:
    ledger, proxy = Ledger(), Proxy()
    proxy.says(B, Progress.UNWANTED)
    ledger.publish(1, 8.0, [proxy], 10.0)
    ledger.translated(proxy, [B], 12.0)
    assert state(ledger, 1).state == RevisionState.CONVERGED


def test_it_has_converged_when_everybody_has_everything() -> None:
    ledger, one, two = Ledger(), Proxy("one"), Proxy("two")
    ledger.publish(1, 10.0, [one, two], 10.0)
    for proxy in (one, two):
        ledger.translated(proxy, [A, B], 11.0)
    one.says(A, Progress.DONE)
    assert not ledger.progressed(one, 12.0)
    one.says(B, Progress.DONE)
    ledger.progressed(one, 12.0)
    assert state(ledger, 1, 12.5) == Convergence(1, RevisionState.PENDING, 2, 1, 2.5, p50=2.0, p99=2.0)
    two.says(A, Progress.DONE)
    two.says(B, Progress.DONE)
    assert [p.revision for p in ledger.progressed(two, 14.0)] == [1]
    assert state(ledger, 1, 99.0) == Convergence(1, RevisionState.CONVERGED, 2, 2, 4.0, p50=2.0, p99=4.0)


def test_endpoints_of_a_cluster_under_way_are_waited_for_before_they_are_asked_for() -> None:
    ledger, proxy = Ledger(), Proxy()
    item = (ENDPOINT, "a")
    proxy.says(item, Progress.UNWANTED)
    ledger.publish(1, 0.0, [proxy], 0.0)
    ledger.translated(proxy, [A, item], 0.0)
    proxy.says(item, Progress.WAITING)  # asked for before the cluster is acknowledged
    proxy.says(A, Progress.DONE)
    ledger.progressed(proxy, 1.0)
    assert state(ledger, 1).state == RevisionState.PENDING
    proxy.says(item, Progress.DONE)
    ledger.progressed(proxy, 2.0)
    assert state(ledger, 1).state == RevisionState.CONVERGED


def test_endpoints_that_nobody_asks_for_after_all_are_not_waited_for() -> None:
    ledger, proxy = Ledger(), Proxy()
    proxy.says((ENDPOINT, "a"), Progress.UNWANTED)
    ledger.publish(1, 0.0, [proxy], 0.0)
    ledger.translated(proxy, [A, (ENDPOINT, "a")], 0.0)
    proxy.says(A, Progress.DONE)
    ledger.progressed(proxy, 1.0)
    assert state(ledger, 1).state == RevisionState.CONVERGED


def test_a_rejection_is_reported_with_its_reason_and_heals() -> None:
    ledger, proxy = Ledger(), Proxy()
    ledger.publish(1, 0.0, [proxy], 0.0)
    ledger.translated(proxy, [A], 0.0)
    proxy.says(A, Progress.REJECTED, "no")
    ledger.progressed(proxy, 1.0)
    refused = state(ledger, 1)
    assert (refused.state, refused.affected, refused.acked) == (RevisionState.REJECTED, 1, 0)
    assert [(n.proxy, n.type, n.resource, n.message) for n in refused.nacks] == [("a", "CDS", "a", "no")]
    proxy.says(A, Progress.DONE)
    ledger.progressed(proxy, 2.0)
    assert state(ledger, 1).state == RevisionState.CONVERGED


def test_an_older_rejection_does_not_spoil_a_later_change() -> None:
    ledger, proxy = Ledger(), Proxy()
    ledger.publish(1, 0.0, [proxy], 0.0)
    ledger.translated(proxy, [A], 0.0)
    proxy.says(A, Progress.REJECTED, "no")
    ledger.progressed(proxy, 1.0)
    ledger.publish(2, 2.0, [proxy], 2.0)
    ledger.translated(proxy, [B], 2.0)
    proxy.says(B, Progress.DONE)
    ledger.progressed(proxy, 3.0)
    assert state(ledger, 1).state == RevisionState.REJECTED
    assert state(ledger, 2) == Convergence(2, RevisionState.CONVERGED, 1, 1, 1.0, p50=1.0, p99=1.0)


def test_a_revision_is_in_the_first_world_that_is_not_older() -> None:
    ledger, proxy = Ledger(), Proxy()
    ledger.publish(3, 0.0, [], 0.0)
    assert ledger.find(4) is None
    assert report(4, None, 0.0).state == RevisionState.PENDING
    ledger.publish(7, 0.0, [proxy], 0.0)  # 4 to 7, merged
    ledger.publish(9, 0.0, [], 0.0)
    assert [found.revision for n in (1, 3, 4, 7, 8) if (found := ledger.find(n))] == [3, 3, 7, 7, 9]


def test_worlds_that_a_proxy_skipped_are_all_waited_for_with_the_one_that_it_got() -> None:
    ledger, proxy = Ledger(), Proxy()
    ledger.publish(1, 0.0, [proxy], 0.0)
    ledger.publish(2, 0.0, [proxy], 0.0)
    ledger.translated(proxy, [A], 0.0)
    assert (state(ledger, 1).affected, state(ledger, 2).affected) == (1, 1)
    proxy.says(A, Progress.DONE)
    assert len(ledger.progressed(proxy, 1.0)) == 2


def test_a_proxy_that_leaves_is_not_waited_for() -> None:
    ledger, one, two = Ledger(), Proxy("one"), Proxy("two")
    ledger.publish(1, 0.0, [one, two], 0.0)
    ledger.translated(one, [A], 0.0)
    ledger.left(two, 0.0)
    assert state(ledger, 1).state == RevisionState.PENDING
    assert [p.revision for p in ledger.left(one, 1.0)] == [1]
    assert state(ledger, 1) == Convergence(1, RevisionState.CONVERGED, 0, 0, 1.0)


def test_a_proxy_for_which_nothing_could_be_made_counts_as_a_rejection() -> None:
    ledger, proxy = Ledger(), Proxy()
    ledger.publish(1, 0.0, [proxy], 0.0)
    assert len(ledger.failed(proxy, "broken", 1.0)) == 1
    refused = state(ledger, 1)
    assert (refused.state, [nack.message for nack in refused.nacks]) == (RevisionState.REJECTED, ["broken"])


def test_old_publications_are_forgotten() -> None:
    ledger, proxy = Ledger(), Proxy()
    for revision in range(1, 2 * KEPT):
        ledger.publish(revision, 0.0, [proxy], 0.0)
    found = ledger.find(1)
    assert found is not None
    assert found.revision == KEPT
    assert len(ledger.translated(proxy, [], 0.0)) == KEPT
