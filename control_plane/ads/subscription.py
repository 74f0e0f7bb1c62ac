"""One client's interest in one type of resource, what it was sent of it and what it has accepted; the same for
state-of-the-world and delta as far as they go. What a request says of earlier responses is judged in `ack_nack`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from control_plane.ads.held import Held, shared_names
from control_plane.resource import Versioned
from mesh.xds import CLUSTER, LISTENER, VIRTUAL_HOST

WILDCARD: Final = "*"
WILDCARD_TYPES: Final = frozenset({CLUSTER, LISTENER, VIRTUAL_HOST})


@dataclass(frozen=True, slots=True)
class SotwRequest:
    """`names` is everything that the client wants now."""

    type_url: str
    names: tuple[str, ...] = ()
    version: str = ""
    nonce: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """`initial` are the versions that the client still has from an earlier stream."""

    type_url: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str | None = None


Request = SotwRequest | DeltaRequest


@dataclass(frozen=True, slots=True)
class Flight:
    """A response that is not acknowledged yet: what it held, None for what it removed."""

    version: str
    sent_at: float
    items: Mapping[str, Versioned | None]


@dataclass(frozen=True, slots=True)
class Rejection:
    version: str
    message: str


@dataclass(frozen=True, slots=True)
class Interest:
    """What a client wants: everything (`wildcard`), or `names`, or both. `legacy` is the wildcard of a client that has
    never named anything. `asked` are names that the request wants an answer for even if the client was told already."""

    wildcard: bool = False
    legacy: bool = False
    names: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()

    def wants(self, name: str) -> bool:
        return self.wildcard or name in self.names

    def lasting(self) -> Interest:
        """What remains of it once the request is read."""
        return Interest(self.wildcard, self.legacy, self.names) if self.asked else self


@dataclass(slots=True)
class Subscription:
    """The state of one type on one stream. `told` is what the client was sent last under each name, `accepted` what it
    has acknowledged, `rejected` what it refused and why, `suspects` what was in a refused response whose error named
    nothing: each is to be tried alone. `due`, `absent` and `gone` are what `push` finds out by comparing `told` with
    the proxy's snapshot: to be sent, asked for and not there, no longer there."""

    type_url: str
    interest: Interest = Interest()
    told: Held = field(default_factory=Held)
    accepted: Held = field(default_factory=Held)
    rejected: dict[str, Rejection] = field(default_factory=dict)
    suspects: set[str] = field(default_factory=set)
    flights: dict[str, Flight] = field(default_factory=dict)
    nonce: str = ""
    version: str = ""
    acked_version: str = ""
    error: str = ""
    pushed_at: float | None = None
    acked_at: float | None = None
    owes_reply: bool = False
    asked: set[str] = field(default_factory=set)
    unsure: set[str] | None = None  # names for which `due`, `absent` and `gone` are to be found anew; None: for all
    due: dict[str, Versioned] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    def doubt(self, names: Iterable[str]) -> None:
        """Something has happened that these names are concerned by."""
        if self.unsure is not None:
            self.unsure.update(names)

    def compare(self, target: Mapping[str, Versioned], kept: Mapping[str, Versioned], awaited: Collection[str]) -> None:
        """Finds out what is `due`, `absent` and `gone` of what is in doubt. `target` is what the client is to have, `kept`
        what it may still get besides, `awaited` what it is sent even if it has the same."""
        unsure, self.unsure = self.unsure, set()
        if unsure is None:
            self.due, self.absent, self.gone = {}, set(), set()
            wanted: Iterable[str] = target if self.interest.wildcard else self.interest.names
            names: Iterable[str] = dict.fromkeys((*wanted, *self.told, *self.asked))
        else:
            names = sorted(unsure) if len(unsure) > 1 else unsure
        for name in names:
            for found in (self.absent, self.gone):
                found.discard(name)
            self.due.pop(name, None)
            resource, had = target.get(name), self.told.get(name)
            if resource is None and had is not None:
                self.gone.add(name)
            if (due := self._due(name, resource, had, kept, awaited)) is not None:
                self.due[name] = due
            elif name in self.asked:
                if resource is None and had is None:
                    self.absent.add(name)
                else:
                    self.asked.discard(name)
        shrink(self.asked, self.due)

    def _due(
        self,
        name: str,
        resource: Versioned | None,
        had: Versioned | None,
        kept: Mapping[str, Versioned],
        awaited: Collection[str],
    ) -> Versioned | None:
        if not self.interest.wants(name):
            return None
        forced = had is None or name in self.asked or name in awaited or self._to_be_tried(name)
        if resource is None:
            return kept.get(name) if forced else None
        return resource if forced or (had is not None and had.version != resource.version) else None

    def _to_be_tried(self, name: str) -> bool:
        """A suspect, unless it is on its way."""
        return name in self.suspects and not any(name in flight.items for flight in self.flights.values())

    def sent(self, nonce: str, flight: Flight) -> None:
        """A response went out; what it held and removed is what the client knows from now on."""
        self.nonce = nonce
        self.version = flight.version
        self.flights[nonce] = flight
        for name, resource in flight.items.items():
            self.asked.discard(name)
            if resource is None:
                self.told.pop(name, None)
                self.gone.discard(name)
            else:
                self.told[name] = resource
                if (due := self.due.get(name)) is not None and due.version == resource.version:
                    del self.due[name]  # else it went along as the client has it: what is due is held back
        shrink(self.asked, self.due, self.gone)

    def forget(self, name: str) -> None:
        """The client no longer has it, and knows."""
        holders: tuple[MutableMapping[str, Any], ...] = (self.told, self.accepted, self.rejected, self.due)
        for held in holders:
            held.pop(name, None)
        for marks in (self.asked, self.gone, self.suspects):
            marks.discard(name)

    def accept(self, nonce: str, now: float) -> None:
        """The client acknowledged this response and, implicitly, those before it: a client that has read two may
        answer with one."""
        version = self._settle(nonce, accept_last=True).version
        self.acked_version, self.acked_at, self.error = version, now, ""

    def reject(self, nonce: str, message: str, divisible: bool) -> None:
        """The client refused at least one resource of this response. Clients use the good ones nevertheless, so those
        that the message does not name count as accepted when it names any. When it names none, it may have stopped at
        the first: all are suspects, if the response is `divisible`."""
        flight = self._settle(nonce, accept_last=False)
        self.error = message
        sent = {name: resource for name, resource in flight.items.items() if resource is not None}
        fresh = {n: r for n, r in sent.items() if (had := self.accepted.get(n)) is None or had.version != r.version}
        blamed = {name for name in (fresh or sent) if name in message}
        if not blamed and divisible and len(sent) > 1:
            self.suspects.update(name for name in sent if name in self.told)
            self.doubt(self.suspects)
            return
        blamed = blamed or set(fresh or sent)
        for name, resource in flight.items.items():
            if name not in blamed:
                self._accept_one(name, resource)
            elif resource is not None and name in self.told:
                self._clear(name)
                self.rejected[name] = Rejection(resource.version, message)

    def _settle(self, nonce: str, accept_last: bool) -> Flight:
        for earlier in list(self.flights):
            flight = self.flights.pop(earlier)
            if earlier != nonce or accept_last:
                for name, resource in flight.items.items():
                    self._accept_one(name, resource)
            if earlier == nonce:
                return flight
        raise KeyError(nonce)

    def _accept_one(self, name: str, resource: Versioned | None) -> None:
        if resource is None:
            if name not in self.told:
                self.accepted.pop(name, None)
                self._clear(name)
        elif name in self.told:  # else unsubscribed meanwhile
            self.accepted[name] = resource
            self._clear(name)

    def _clear(self, name: str) -> None:
        """Nothing is held against it any more."""
        self.rejected.pop(name, None)
        if name in self.suspects:
            self.suspects.discard(name)
            self.doubt((name,))


def shrink(*containers: dict[str, Any] | set[str]) -> None:
    """Gives the memory of emptied ones back: a dict or a set that once held all names keeps the room for them, which adds up
    over a thousand streams."""
    for container in containers:
        if not container:
            container.clear()


def interest_after(subscription: Subscription | None, request: Request) -> Interest:
    """What the client wants once the request is read; the very object of before if that is the same."""
    before = subscription.interest if subscription is not None else None
    if isinstance(request, DeltaRequest):
        unchanged = before is not None and not request.subscribe and not request.unsubscribe
        return before if unchanged and before is not None else _delta_interest(before, request)
    if subscription is not None and request.nonce not in ("", subscription.nonce):
        return subscription.interest  # stale: the answer to the latest response brings the names of then
    interest = _sotw_interest(before, request)
    return before if before is not None and interest == before else interest


def _sotw_interest(before: Interest | None, request: SotwRequest) -> Interest:
    names = frozenset(request.names)
    if not names and (before is None or before.legacy) and request.type_url in WILDCARD_TYPES:
        return Interest(wildcard=True, legacy=True)
    return Interest(wildcard=WILDCARD in names, names=shared_names(names - {WILDCARD}))


def _delta_interest(before: Interest | None, request: DeltaRequest) -> Interest:
    subscribe, unsubscribe = frozenset(request.subscribe), frozenset(request.unsubscribe)
    if before is None:
        if not subscribe and request.type_url in WILDCARD_TYPES:
            return Interest(wildcard=True, legacy=True)
        before = Interest()
    wildcard = (before.wildcard or WILDCARD in subscribe) and WILDCARD not in unsubscribe - subscribe
    names = shared_names((before.names - unsubscribe | subscribe) - {WILDCARD})
    # A name dropped under the wildcard gets an answer: the client cannot know whether the wildcard still covers it.
    dropped = (before.names & unsubscribe) - names if wildcard else frozenset()
    return Interest(wildcard, before.legacy and wildcard, names, (subscribe - {WILDCARD}) | dropped)
