"""What goes out to one proxy now: the order in which configuration changes, decided without any I/O.

Make before break: clusters and their endpoints first; listeners and routes once those are acknowledged; what nothing
points to any more is removed last. Each wait is bounded, and what a proxy rejected holds back only what needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from control_plane.ads.ack_nack import Verdict, judge
from control_plane.ads.admission import check_count, check_types
from control_plane.ads.held import brought_along
from control_plane.ads.order import ACK_WAIT, ASK_WAIT, BACK, FRONT, REMOVALS, WHOLE_TYPES, in_the_way
from control_plane.ads.subscription import (
    DeltaRequest,
    Flight,
    Interest,
    Request,
    Subscription,
    interest_after,
    shrink,
)
from control_plane.resource import ASKED, Versioned
from control_plane.snapshot.build import Snapshot, changed_names, set_version
from mesh.xds import CLUSTER, ENDPOINT, ROUTE, VIRTUAL_HOST, routes_of


class Variant(Enum):
    SOTW = "sotw"
    DELTA = "delta"


class Progress(Enum):
    """Of one resource on its way to one client."""

    DONE = "done"  # acknowledged
    UNWANTED = "unwanted"  # the client has not asked for it
    WAITING = "waiting"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Push:
    """One response to be sent."""

    type_url: str
    nonce: str
    version: str
    resources: tuple[Versioned, ...]
    removed: tuple[str, ...] = ()


class PushCore:
    """One stream's subscriptions and the snapshot that its proxy is to have. `receive` and `retarget` take in what
    happened, `step` returns what is to be sent in consequence, `deadline` says when to step again if nothing does."""

    def __init__(self, variant: Variant, ack_wait: float = ACK_WAIT, ask_wait: float = ASK_WAIT) -> None:
        self.variant = variant
        self.target = Snapshot()
        self.subscriptions: dict[str, Subscription] = {}
        self._ack_wait = ack_wait
        self._ask_wait = ask_wait
        self._nonces = 0
        # By type: names that the client is going to ask for because of what it was sent, and since when. Endpoints in
        # here are sent even if the client has the same already: Envoy keeps a changed cluster warming until then.
        self._awaited: dict[str, dict[str, float]] = {ENDPOINT: {}, ROUTE: {}}
        # By type: what the snapshot no longer holds and the client is still going to ask for, because of something that
        # it was sent and that is not removed yet. Envoy acknowledges no cluster before it has its endpoints.
        self._kept: dict[str, dict[str, Versioned]] = {ENDPOINT: {}, ROUTE: {}}

    # ── what happened ─────────────────────────────────────────────────────────────────────────────────────────────────

    def retarget(self, snapshot: Snapshot) -> None:
        """From now on the proxy is to have `snapshot`; what was still due for an older one is not sent any more. Costs what
        is different between the two."""
        for type_url, subscription in self.subscriptions.items():
            old, new = self.target.resources(type_url), snapshot.resources(type_url)
            if new is not old:
                changed = list(changed_names(old, new))
                subscription.doubt(changed)
                for held in (subscription.told, subscription.accepted):
                    if held and held.base is old.by_name:
                        held.rebase(new.by_name, changed)
                    elif held and not old.by_name:
                        held.rebase(new.by_name)  # from what others brought along as well
        for asking, asked in ASKED.items():
            self._keep_what_is_asked_for(asking, asked, snapshot)
        self.target = snapshot

    def _keep_what_is_asked_for(self, asking: str, asked: str, snapshot: Snapshot) -> None:
        old, new = self.target.resources(asked), snapshot.resources(asked)
        kept, there, before = self._kept[asked], new.by_name, old.by_name
        lost = [name for name in changed_names(old, new) if name not in there] if before else []
        if lost or kept:
            names = self._asked_besides(asking, snapshot).intersection((*lost, *kept)) - there.keys()
            self._kept[asked] = {n: r for n in names if (r := before.get(n) or kept.get(n)) is not None}
            self._doubt(asked, (*lost, *kept))
        expected = self._awaited[asked]
        if expected:
            self._awaited[asked] = {n: since for n, since in expected.items() if n in there or n in self._kept[asked]}
            self._doubt(asked, expected)

    def _doubt(self, type_url: str, names: Iterable[str]) -> None:
        subscription = self.subscriptions.get(type_url)
        if subscription is not None:
            subscription.doubt(names)

    def receive(self, request: Request, now: float) -> Verdict:
        """Takes in one request and says what it was. Raises RequestError when it asks for too much."""
        known = self.subscriptions.get(request.type_url)
        verdict = judge(known, request)
        interest = interest_after(known, request)
        check_count(request.type_url, len(interest.names))
        check_types(len(self.subscriptions) + (known is None))
        subscription = known or Subscription(request.type_url)
        if known is None:
            self.subscriptions[request.type_url] = subscription
            subscription.owes_reply = interest.wildcard
        before, subscription.interest = subscription.interest, interest.lasting()
        refused = tuple(subscription.rejected) if request.type_url == CLUSTER else ()
        if verdict is Verdict.ACK:
            subscription.accept(request.nonce, now)
            self._share(subscription)
        elif verdict is Verdict.NACK:
            message = request.error or "rejected without a reason"
            subscription.reject(request.nonce, message, self._partial(request.type_url))
            for name in subscription.rejected.keys() | subscription.suspects:  # for which it asks nothing
                self._await_no_more(subscription, name)
        self._try_again([n for n in refused if n in subscription.accepted and n not in subscription.rejected])
        if interest is not before:
            subscription.asked |= interest.asked
            self._doubt_interest(subscription, before, interest)
        if known is None and isinstance(request, DeltaRequest):
            self._remember(subscription, request.initial)
        return verdict

    def _try_again(self, clusters: Iterable[str]) -> None:
        """The client has these now, for want of which it may have refused what names them."""
        for subscription in (self.subscriptions[url] for url in FRONT if clusters and url in self.subscriptions):
            refused = [r for name in subscription.rejected if (r := subscription.told.get(name)) is not None]
            names = {r.name for r in refused if any(each.encode() in r.packed for each in clusters)}
            subscription.asked |= names
            subscription.doubt(names)

    def _doubt_interest(self, subscription: Subscription, before: Interest, interest: Interest) -> None:
        if interest.wildcard != before.wildcard:
            subscription.unsure = None
        subscription.doubt(interest.asked)
        subscription.doubt(interest.names ^ before.names)
        if not interest.wildcard:
            left = subscription.told if before.wildcard else before.names - interest.names
            for name in [name for name in left if not interest.wants(name)]:
                subscription.forget(name)

    def _share(self, subscription: Subscription) -> None:
        """Once a client has most of what it is to have, only what is different is kept of what it has."""
        target = self.target.of(subscription.type_url)
        if subscription.flights or subscription.told.base is target or 2 * len(subscription.told) < len(target):
            return
        subscription.told.rebase(target)
        subscription.accepted.rebase(target)

    def _remember(self, subscription: Subscription, initial: Mapping[str, str]) -> None:
        """What a client still has from an earlier stream need not be sent again. Endpoints are nevertheless: the stream
        may have ended after a changed cluster and before its endpoints, which Envoy then still waits for."""
        if not initial:
            return
        base = self.target.of(subscription.type_url) or brought_along(subscription.type_url, initial)
        had: dict[str, Versioned] = {}
        for name, version in initial.items():
            if subscription.interest.wants(name):
                current = base.get(name)
                same = current is not None and current.version == version
                had[name] = current if same and current is not None else Versioned(name, version)
        if subscription.type_url != ENDPOINT:
            subscription.asked.difference_update(had)
        subscription.told.adopt(had, base)
        subscription.accepted.adopt(had, base)

    # ── what to send ──────────────────────────────────────────────────────────────────────────────────────────────────

    def step(self, now: float) -> list[Push]:
        """Everything that can go out now, in order."""
        pushes: list[Push] = []
        for type_url in self.subscriptions:
            if type_url not in BACK and type_url not in FRONT:
                pushes += self._changes(type_url, now)
        for type_url in BACK:
            pushes += self._changes(type_url, now)
        if not self._settled(BACK, now):
            return pushes
        for type_url in FRONT:
            pushes += self._changes(type_url, now)
        if self._settled(FRONT, now):
            pushes += self._removals(now)
        return pushes

    def deadline(self, now: float) -> float | None:
        """When a wait of now ends, None if nothing is waited for."""
        ends = [f.sent_at + self._ack_wait for s in self.subscriptions.values() for f in s.flights.values()]
        ends += [since + self._ask_wait for names in self._awaited.values() for since in names.values()]
        return min((end for end in ends if end > now), default=None)

    def _changes(self, type_url: str, now: float) -> list[Push]:
        """New and changed resources of one type, and the answers to what was asked."""
        subscription = self.subscriptions.get(type_url)
        if subscription is None:
            return []
        self._compare(subscription)
        due = {name: r for name, r in subscription.due.items() if not self._held(type_url, r)}
        if self._in_flight(subscription, now):
            # One push at a time, but a client that asked, or that warms a cluster, is not kept waiting.
            urgent = subscription.asked | self._awaited.get(type_url, {}).keys()
            due = {name: r for name, r in due.items() if name in urgent} if self._partial(type_url) else {}
            if not due:
                return []
        elif subscription.suspects:
            others = {name: resource for name, resource in due.items() if name not in subscription.suspects}
            due = others or dict(list(due.items())[:1])
        absent = subscription.absent if self.variant is Variant.DELTA else set()
        removed = absent | in_the_way(subscription, due)
        if not due and not removed and not subscription.owes_reply:
            return []
        return [self._push(subscription, due, removed, now)]

    def _removals(self, now: float) -> list[Push]:
        """What the snapshot no longer holds, from the front to the back: each type once nothing points to it."""
        pushes: list[Push] = []
        for type_url, front in REMOVALS:
            subscription = self.subscriptions.get(type_url)
            if subscription is None or not subscription.gone:
                continue
            if any(self._flying(each, now) for each in (*front, type_url)):
                continue
            gone = self._unused_clusters(subscription.gone) if type_url == CLUSTER else self._unasked(subscription)
            if not gone:
                continue
            if self.variant is Variant.SOTW and self._partial(type_url):
                for name in gone:  # there is no way to say it: the client unsubscribes by itself
                    subscription.forget(name)
                continue
            pushes.append(self._push(subscription, {}, gone, now))
        return pushes

    def _push(self, subscription: Subscription, due: Mapping[str, Versioned], removed: set[str], now: float) -> Push:
        type_url = subscription.type_url
        self._nonces += 1
        nonce = f"{self._nonces:x}"
        items: dict[str, Versioned | None] = {**due, **dict.fromkeys(removed)}
        if type_url == ROUTE:
            self._send_hosts_again({name for name, resource in due.items() if resource.by_vhds})
        for name, resource in due.items():
            self._await_asks(type_url, resource, subscription.told.get(name), now)
            self._awaited.get(type_url, {}).pop(name, None)
        for name in removed:
            self._await_no_more(subscription, name)
        shrink(*self._awaited.values())
        resources = due
        if not self._partial(type_url):
            resources = {name: r for name, r in {**subscription.told, **due}.items() if name not in removed}
            items |= resources
        subscription.absent = set()
        subscription.owes_reply = False
        version = set_version(resources.values()) if self.variant is Variant.SOTW else self.target.version(type_url)
        subscription.sent(nonce, Flight(version, now, items))
        there = self.target.of(type_url)
        subscription.doubt(name for name in due if name not in there)  # kept so far: it is to go
        subscription.pushed_at = now
        return Push(type_url, nonce, version, tuple(resources.values()), tuple(sorted(removed)))

    # ── what there is to send ─────────────────────────────────────────────────────────────────────────────────────────

    def _compare(self, subscription: Subscription) -> None:
        """Finds `due`, `absent` and `gone` anew where they may have changed."""
        url = subscription.type_url
        subscription.compare(self.target.of(url), self._kept.get(url, {}), self._awaited.get(url, {}).keys())

    def _await_asks(self, type_url: str, resource: Versioned, had: Versioned | None, now: float) -> None:
        """The client will ask for what a new resource refers to. A changed cluster needs its endpoints again in any
        case; routes that are there already serve a changed listener too."""
        asked_type = ASKED.get(type_url)
        if asked_type is None:
            return
        asked = self.subscriptions.get(asked_type)
        for name in resource.asks:
            if asked_type == ENDPOINT or asked is None or name not in asked.told:
                self._awaited[asked_type][name] = now
                self._doubt(asked_type, (name,))

    def _send_hosts_again(self, routes: set[str]) -> None:
        """A client that gets a route configuration may have dropped its virtual hosts with an earlier one, and never asks
        for them: all that it has said, once, is that it takes virtual hosts."""
        hosts = self.subscriptions.get(VIRTUAL_HOST)
        if hosts is not None and routes:
            names = [name for name in self.target.of(VIRTUAL_HOST) if routes_of(name) in routes]
            hosts.asked.update(names)
            hosts.doubt(names)

    def _await_no_more(self, subscription: Subscription, name: str) -> None:
        """What the client does not have, or not any more, it does not ask anything for."""
        for asked in subscription.told[name].asks if name in subscription.told else ():
            self._awaited[ASKED[subscription.type_url]].pop(asked, None)
            self._kept[ASKED[subscription.type_url]].pop(asked, None)
            self._doubt(ASKED[subscription.type_url], (asked,))

    def _asked_besides(self, type_url: str, snapshot: Snapshot) -> set[str]:
        """What the client asks for because of resources of this type that it was sent and that the snapshot has not, or not
        the same: what those of the snapshot ask for is all in there. One of which only the version is known asks for what is
        named like itself, if it is a cluster."""
        subscription = self.subscriptions.get(type_url)
        told = subscription.told.unlike(snapshot.of(type_url)) if subscription is not None else ()
        return {name for resource in told for name in (resource.asks if resource.known else (resource.name,))}

    # ── what has to wait ──────────────────────────────────────────────────────────────────────────────────────────────

    def _settled(self, types: Iterable[str], now: float) -> bool:
        """The client has all of these types that it asks for, or had time enough."""
        for type_url in types:
            if any(now - since < self._ask_wait for since in self._awaited.get(type_url, {}).values()):
                return False
            subscription = self.subscriptions.get(type_url)
            if subscription is not None and self._in_flight(subscription, now):
                return False
        return True

    def _in_flight(self, subscription: Subscription, now: float) -> bool:
        return any(now - flight.sent_at < self._ack_wait for flight in subscription.flights.values())

    def _flying(self, type_url: str, now: float) -> bool:
        subscription = self.subscriptions.get(type_url)
        return subscription is not None and self._in_flight(subscription, now)

    def _partial(self, type_url: str) -> bool:
        """Whether a response may hold a part of what the client is to have."""
        return self.variant is Variant.DELTA or type_url not in WHOLE_TYPES

    def _held(self, type_url: str, resource: Versioned) -> bool:
        return self.held_by(type_url, resource) is not None

    def held_by(self, type_url: str, resource: Versioned) -> str | None:
        """The new cluster that this changed listener or route needs and that the client rejected: sent nevertheless, it
        would turn working traffic into errors. One that is new itself has no traffic yet."""
        clusters = self.subscriptions.get(CLUSTER)
        if clusters is None or not clusters.rejected or type_url not in FRONT:
            return None
        if resource.name not in self.subscriptions[type_url].accepted:
            return None
        for name in clusters.rejected:
            if name not in clusters.accepted and name.encode() in resource.packed:
                return name
        return None

    def _unused_clusters(self, names: set[str]) -> set[str]:
        """Those of `names` that no listener or route that the client may still be using refers to."""
        front = ((url, self.subscriptions[url]) for url in FRONT if url in self.subscriptions)
        stale = [resource for url, held in front for resource in held.accepted.unlike(self.target.of(url))]
        if not all(resource.known for resource in stale):
            return set()
        return {name for name in names if not any(name.encode() in resource.packed for resource in stale)}

    def _unasked(self, subscription: Subscription) -> set[str]:
        """What is gone and what no cluster or listener that the client still has asks for."""
        asking = next((asking for asking, asked in ASKED.items() if asked == subscription.type_url), "")
        return subscription.gone - self._asked_besides(asking, self.target)

    # ── what the client has ───────────────────────────────────────────────────────────────────────────────────────────

    def told(self, type_url: str) -> list[Versioned]:
        """What it was sent of a type, on this stream, by name."""
        subscription = self.subscriptions.get(type_url)
        if subscription is None:
            return []
        return [resource for _, resource in sorted(subscription.told.items()) if resource.known]

    def synced(self, type_url: str) -> bool:
        """Whether the client has acknowledged all of this type that it asked for, and nothing is left to be removed."""
        subscription = self.subscriptions[type_url]
        self._compare(subscription)
        return not (subscription.flights or subscription.due or subscription.gone)

    def progress(self, type_url: str, name: str) -> tuple[Progress, str]:
        """How far the client is with one resource of the snapshot, or with the removal of one; and why it refused."""
        subscription = self.subscriptions.get(type_url)
        if subscription is None:
            return (Progress.UNWANTED, "")
        resource = self.target.of(type_url).get(name)
        if resource is None:
            removing = any(name in flight.items for flight in subscription.flights.values())
            return (Progress.WAITING if removing or name in subscription.told else Progress.DONE, "")
        if not subscription.interest.wants(name):
            expected = name in self._awaited.get(type_url, {})
            return (Progress.WAITING if expected else Progress.UNWANTED, "")
        if (rejection := subscription.rejected.get(name)) is not None and rejection.version == resource.version:
            return (Progress.REJECTED, rejection.message)
        accepted = subscription.accepted.get(name)
        if accepted is not None and accepted.version == resource.version:
            return (Progress.DONE, "")
        if (cluster := self.held_by(type_url, resource)) is not None:
            return (Progress.REJECTED, f"held back: it needs cluster {cluster}, which this proxy rejected")
        return (Progress.WAITING, "")
