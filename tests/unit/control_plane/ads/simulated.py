"""A client with Envoy's habits, without sockets, and small configurations for it.

It asks for all clusters and listeners, then by name for what they refer to; a new or changed cluster serves only once
its endpoints came after it, and clusters are acknowledged only once all of them serve; anything whose name begins with
`bad` is refused.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from control_plane.ads.push import Push, Variant
from control_plane.ads.subscription import DeltaRequest, Request, SotwRequest
from control_plane.snapshot.build import Resources, Snapshot, set_version
from control_plane.snapshot.resource import Versioned
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, SHORT

WHOLE = (CLUSTER, LISTENER)


def cluster(name: str, version: int = 1) -> Versioned:
    """Finds its endpoints by EDS."""
    return resource(CLUSTER, name, f"{version}", asks=(name,))


def endpoints(name: str, version: int = 1) -> Versioned:
    return resource(ENDPOINT, name, f"{version}")


def listener(name: str, route: str, version: int = 1, bind: str = "") -> Versioned:
    return resource(LISTENER, name, f"{route}/{version}", asks=(route,), binds=frozenset({bind or name}))


def route(name: str, to: str, version: int = 1) -> Versioned:
    return resource(ROUTE, name, f"{version}/{to}", packed=f"<{to}>".encode())


def resource(
    type_url: str,
    name: str,
    version: str,
    asks: tuple[str, ...] = (),
    binds: frozenset[str] = frozenset(),
    packed: bytes = b"-",
) -> Versioned:
    return Versioned(
        name, version, packed, asks=asks, binds=binds, mark=zlib.crc32(f"{type_url} {name} {version}".encode())
    )


def snapshot(**types: Iterable[Versioned]) -> Snapshot:
    """By short names in lower case: `snapshot(cds=[…], eds=[…])`; endpoints that are missing are added."""
    by_type = {
        url: {r.name: r for r in types.get(SHORT[url].lower(), ())} for url in (CLUSTER, ENDPOINT, LISTENER, ROUTE)
    }
    for name in by_type[CLUSTER]:
        by_type[ENDPOINT].setdefault(name, endpoints(name, 0))
    return Snapshot({url: Resources(set_version(names.values()), names) for url, names in by_type.items()})


@dataclass(slots=True)
class Client:
    """`inbox` are pushes on their way to it, `outbox` its requests on their way to the server."""

    variant: Variant
    has: dict[str, dict[str, Versioned]] = field(
        default_factory=lambda: {CLUSTER: {}, ENDPOINT: {}, LISTENER: {}, ROUTE: {}}
    )
    warming: set[str] = field(default_factory=set)
    serving: set[str] = field(default_factory=set)  # clusters that requests can use
    asked: dict[str, frozenset[str]] = field(default_factory=dict)
    inbox: deque[Push] = field(default_factory=deque)
    outbox: deque[Request] = field(default_factory=deque)
    unanswered: list[tuple[str, str, str | None]] = field(default_factory=list)  # nonce, version, error of clusters
    last: dict[str, tuple[str, str]] = field(default_factory=dict)  # version and nonce by type, for SotW
    violations: list[str] = field(default_factory=list)
    names_culprits: bool = True  # in its errors; a state-of-the-world response for clusters or listeners always does

    def connect(self) -> None:
        """Begins a stream, with what it has from the one before."""
        self.inbox.clear()
        self.outbox.clear()
        self.unanswered.clear()
        self.last.clear()
        self.asked.clear()
        for type_url in WHOLE:
            self._send(type_url, first=True)
        self._ask()

    def read(self) -> None:
        """Deals with the oldest push and answers it."""
        push = self.inbox.popleft()
        refused = [r.name for r in push.resources if r.name.startswith("bad")]
        good = [r for r in push.resources if r.name not in refused]
        named = self.names_culprits or (self.variant is Variant.SOTW and push.type_url in WHOLE)
        if refused and not named:
            good = []  # it stops at the first error
        self._apply(push, {r.name: r for r in good}, set(refused))
        self._ask()
        error = None
        if refused:
            error = f"no: {', '.join(refused)}" if named else "no"
        if push.type_url == CLUSTER:
            self.unanswered.append((push.nonce, push.version, error))
        else:
            self._answer(push.type_url, push.nonce, push.version, error)
        self._answer_clusters()
        self._check()

    def lose_patience(self) -> None:
        """Clusters whose endpoints do not come serve without; Envoy waits 15 s."""
        self.serving |= self.warming
        self.warming.clear()
        self._answer_clusters()

    def _answer_clusters(self) -> None:
        if not self.warming:
            for answer in self.unanswered:
                self._answer(CLUSTER, *answer)
            self.unanswered.clear()

    def _answer(self, type_url: str, nonce: str, version: str, error: str | None) -> None:
        before, _ = self.last.get(type_url, ("", ""))
        self.last[type_url] = (before if error is not None else version, nonce)
        self._send(type_url, nonce=nonce, error=error)

    def _apply(self, push: Push, good: Mapping[str, Versioned], refused: set[str]) -> None:
        has = self.has[push.type_url]
        removed = set(push.removed)
        if self.variant is Variant.SOTW and push.type_url in WHOLE:
            removed = has.keys() - good.keys() - refused
        for name in removed:
            if push.type_url in WHOLE:
                has.pop(name, None)
            if push.type_url == CLUSTER:
                self.warming.discard(name)
                self.serving.discard(name)
            elif push.type_url == ENDPOINT and name in self.warming:  # there are none: that is an answer too
                self.warming.discard(name)
                self.serving.add(name)
        for name, fresh in good.items():
            if push.type_url == CLUSTER and (name not in has or has[name].version != fresh.version):
                self.warming.add(name)
            if push.type_url in WHOLE or name in self.asked.get(push.type_url, ()):
                has[name] = fresh
            if push.type_url == ENDPOINT and name in self.warming:
                self.warming.discard(name)
                self.serving.add(name)

    def _ask(self) -> None:
        """For what clusters and listeners refer to; what they no longer refer to is forgotten."""
        for asking, asked in ((CLUSTER, ENDPOINT), (LISTENER, ROUTE)):
            names = frozenset(name for r in self.has[asking].values() for name in r.asks)
            before = self.asked.get(asked)
            if names == (before or frozenset()):
                continue
            for name in self.has[asked].keys() - names:
                del self.has[asked][name]
            self.asked[asked] = names
            if self.variant is Variant.SOTW:
                self._send(asked, first=before is None)
            else:
                known = {n: r.version for n, r in self.has[asked].items()} if before is None else {}
                added, gone = (
                    tuple(sorted(names - (before or frozenset()))),
                    tuple(sorted((before or frozenset()) - names)),
                )
                self.outbox.append(DeltaRequest(asked, added, gone, known))

    def _send(self, type_url: str, first: bool = False, nonce: str = "", error: str | None = None) -> None:
        if self.variant is Variant.DELTA:
            known = {name: r.version for name, r in self.has[type_url].items()} if first else {}
            self.outbox.append(DeltaRequest(type_url, initial=known, nonce=nonce, error=error))
            return
        version, last_nonce = self.last.get(type_url, ("", ""))
        names = tuple(sorted(self.asked.get(type_url, ())))
        self.outbox.append(SotwRequest(type_url, names, version, nonce or last_nonce, error))

    def _check(self) -> None:
        """Every route in use leads to a cluster that serves, but for routes that were made for a refused one."""
        for r in self.has[LISTENER].values():
            for name in r.asks:
                if (table := self.has[ROUTE].get(name)) is not None:
                    target = table.packed.decode().strip("<>")
                    if target not in self.serving and not target.startswith("bad"):
                        self.violations.append(f"route {name} → {target}, serving {sorted(self.serving)}")
