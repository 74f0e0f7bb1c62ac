"""A client with Envoy's habits, without sockets, and small configurations for it.

It asks for all clusters and listeners, then by name for what they refer to; a new or changed cluster serves only once
its endpoints came after it, and clusters are acknowledged only once all of them serve. What is `BAD` it refuses, and a
listener with a cluster that it has not.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from control_plane.ads.push import Push, Variant
from control_plane.ads.subscription import DeltaRequest, Request, SotwRequest
from control_plane.resource import Versioned
from control_plane.snapshot.build import Resources, Snapshot, set_version
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, SHORT, VIRTUAL_HOST, routes_of

WHOLE = (CLUSTER, LISTENER)


BAD = 9  # the version of what clients refuse


def is_bad(resource: Versioned) -> bool:
    return resource.version.startswith(f"{BAD}")


def cluster(name: str, version: int = 1) -> Versioned:
    """Finds its endpoints by EDS."""
    return resource(CLUSTER, name, f"{version}", asks=(name,))


def endpoints(name: str, version: int = 1) -> Versioned:
    return resource(ENDPOINT, name, f"{version}")


def listener(name: str, route: str, version: int = 1, bind: str = "", to: str = "") -> Versioned:
    """With `to` it insists on a cluster."""
    full, binds = f"{version}/{route}{to and f'/{to}'}", frozenset({bind or name})
    return resource(LISTENER, name, full, (route,), binds, f"<{to}>".encode())


def route(name: str, to: str, version: int = 1) -> Versioned:
    return resource(ROUTE, name, f"{version}/{to}", packed=f"<{to}>".encode())


def by_vhds(name: str, version: int = 1) -> Versioned:
    """A route configuration whose virtual hosts are resources."""
    return replace(resource(ROUTE, name, f"{version}"), by_vhds=True)


def host(name: str, to: str, *domains: str, version: int = 1) -> Versioned:
    packed = f"<{to}>".encode()
    return resource(VIRTUAL_HOST, name, f"{version}/{to}/{domains}", binds=frozenset(domains or (name,)), packed=packed)


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
    urls = (CLUSTER, ENDPOINT, LISTENER, ROUTE, *([VIRTUAL_HOST] if "vhds" in types else []))
    by_type = {url: {r.name: r for r in types.get(SHORT[url].lower(), ())} for url in urls}
    for name in by_type[CLUSTER]:
        by_type[ENDPOINT].setdefault(name, endpoints(name, 0))
    return Snapshot({url: Resources(set_version(names.values()), names) for url, names in by_type.items()})


@dataclass(slots=True)
class Client:
    """`inbox` are pushes on their way to it, `outbox` its requests on their way to the server."""

    variant: Variant
    has: dict[str, dict[str, Versioned]] = field(
        default_factory=lambda: {CLUSTER: {}, ENDPOINT: {}, LISTENER: {}, ROUTE: {}, VIRTUAL_HOST: {}}
    )
    hosts: dict[str, Versioned] = field(default_factory=dict)  # in use: those of route configurations that are there
    warming: set[str] = field(default_factory=set)
    serving: set[str] = field(default_factory=set)  # clusters that requests can use
    asked: dict[str, frozenset[str]] = field(default_factory=dict)
    inbox: deque[Push] = field(default_factory=deque)
    outbox: deque[Request] = field(default_factory=deque)
    refused: set[str] = field(default_factory=set)  # clusters
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
        takes_hosts = VIRTUAL_HOST in self.asked
        self.asked.clear()
        for type_url in (*WHOLE, *([VIRTUAL_HOST] if takes_hosts else [])):
            self._send(type_url, first=True)
        if takes_hosts:
            self.asked[VIRTUAL_HOST] = frozenset()
        self._ask()

    def read(self) -> None:
        """Deals with the oldest push and answers it."""
        push = self.inbox.popleft()
        refused = [r.name for r in push.resources if is_bad(r) or self._dangles(push.type_url, r)]
        good = [r for r in push.resources if r.name not in refused]
        named = self.names_culprits or (self.variant is Variant.SOTW and push.type_url in WHOLE)
        if refused and not named:
            good = []  # it stops at the first error
        served = set(self.serving)
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
        for name, table in self._tables().items():
            if leads_to(table) in served - self.serving:
                self.violations.append(f"route {name} lost {leads_to(table)}")

    def _dangles(self, type_url: str, resource: Versioned) -> bool:
        """Whether it insists on a cluster that is not there. That can only be one that was refused."""
        target = leads_to(resource) if type_url == LISTENER else ""
        if not target or target in self.has[CLUSTER]:
            return False
        if target not in self.refused:
            self.violations.append(f"listener {resource.name} → {target}")
        return True

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
        if push.type_url == CLUSTER:
            self.refused = (self.refused | refused) - good.keys()
        if push.type_url in (ROUTE, VIRTUAL_HOST):
            self._judge_routes({name: each for name, each in good.items() if not each.by_vhds})
        if push.type_url == VIRTUAL_HOST:
            self._apply_hosts(good, removed)
        for name in removed:
            if push.type_url in (*WHOLE, VIRTUAL_HOST):
                has.pop(name, None)
            if push.type_url == CLUSTER:
                self.warming.discard(name)
                self.serving.discard(name)
        if push.type_url == ENDPOINT:  # none, or bad ones, are an answer too
            warm = self.warming & (removed | refused | good.keys())
            self.warming -= warm
            self.serving |= warm
        for name, fresh in good.items():
            if push.type_url == CLUSTER and (name not in has or has[name].version != fresh.version):
                self.warming.add(name)
            if push.type_url in (*WHOLE, VIRTUAL_HOST) or name in self.asked.get(push.type_url, ()):
                has[name] = fresh

    def _apply_hosts(self, good: Mapping[str, Versioned], removed: set[str]) -> None:
        """What belongs to no route configuration is remembered and not used; two with one domain are refused."""
        hosts = {name: each for name, each in self.hosts.items() if name not in removed}
        hosts |= {name: each for name, each in good.items() if routes_of(name) in self.has[ROUTE]}
        domains = [(routes_of(name), domain) for name, each in hosts.items() for domain in each.binds]
        if len(domains) != len(set(domains)):
            self.violations.append(f"two virtual hosts with one domain: {sorted(domains)}")
        self.hosts = hosts

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

        if VIRTUAL_HOST not in self.asked and any(each.by_vhds for each in self.has[ROUTE].values()):
            self.asked[VIRTUAL_HOST] = frozenset()  # once and for all
            self._send(VIRTUAL_HOST, first=True)
        self.hosts = {name: each for name, each in self.hosts.items() if routes_of(name) in self.has[ROUTE]}

    def _send(self, type_url: str, first: bool = False, nonce: str = "", error: str | None = None) -> None:
        if self.variant is Variant.DELTA:
            known = {name: r.version for name, r in self.has[type_url].items()} if first else {}
            self.outbox.append(DeltaRequest(type_url, initial=known, nonce=nonce, error=error))
            return
        version, last_nonce = self.last.get(type_url, ("", ""))
        names = tuple(sorted(self.asked.get(type_url, ())))
        self.outbox.append(SotwRequest(type_url, names, version, nonce or last_nonce, error))

    def _tables(self) -> dict[str, Versioned]:
        """The routes in use."""
        names = {name for r in self.has[LISTENER].values() for name in r.asks}
        tables = {name: table for name, table in self.has[ROUTE].items() if name in names and not table.by_vhds}
        return tables | {name: each for name, each in self.hosts.items() if routes_of(name) in names}

    def _judge_routes(self, fresh: Mapping[str, Versioned]) -> None:
        """Every route leads to a cluster that serves. Only one that is new may lead to a cluster that was refused."""
        used = self._tables()
        for name, table in fresh.items():
            target, before = leads_to(table), used.get(name)
            if target in self.serving:
                continue
            if target not in self.refused or (before is not None and leads_to(before) in self.serving):
                self.violations.append(f"route {name} → {target}, serving {sorted(self.serving)}")


def leads_to(table: Versioned) -> str:
    return table.packed.decode().strip("<>")
