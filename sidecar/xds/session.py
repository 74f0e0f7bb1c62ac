"""Responses → configuration in effect and answers, without any I/O: subscriptions, warming and the target together.

Every method that something happens in returns the requests to send, in order. What a response brought is judged resource
by resource: the good ones take effect, the bad ones are named in the NACK and what they would have replaced stays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from mesh.clock import Clock, SystemClock
from mesh.errors import ConfigError
from mesh.gc_tuning import uncollected
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, PUSH_ORDER, ROUTE, SHORT, VIRTUAL_HOST, routes_of
from sidecar.config.model import Assignment, Bootstrap, Cluster, Listener, RouteConfig, VirtualHost
from sidecar.config.references import clusters_of_listener, clusters_of_routes
from sidecar.xds.cache import Snapshot, Stored
from sidecar.xds.resources import Compiled, Raw, Resource, read
from sidecar.xds.subscriptions import DeltaSubscription, Request, Response, SotwSubscription, Subscription
from sidecar.xds.target import ConfigTarget
from sidecar.xds.virtual_hosts import VirtualHosts
from sidecar.xds.warming import (
    Action,
    Initialized,
    RemoveCluster,
    RemoveListener,
    RemoveRoutes,
    SetAssignment,
    SetCluster,
    SetListener,
    SetRoutes,
    Warming,
    subject,
)

log = logging.getLogger(__name__)

_WILDCARDS: Final = frozenset({CLUSTER, LISTENER, VIRTUAL_HOST})


@dataclass(frozen=True, slots=True)
class Accepted:
    """A resource in effect (or warming), as it came. `updated` is Unix time."""

    raw: Raw
    compiled: Compiled
    updated: float


@dataclass(frozen=True, slots=True)
class Rejected:
    """The last attempt to change a resource, refused."""

    raw: Raw
    error: str
    time: float


@dataclass(slots=True)
class TypeState:
    """What the admin port shows of one type."""

    accepted: dict[str, Accepted] = field(default_factory=dict)
    rejected: dict[str, Rejected] = field(default_factory=dict)
    successes: int = 0
    rejections: int = 0


@dataclass(frozen=True, slots=True)
class _Held:
    """An LDS response whose listeners wait for their routes: answered when they serve, or could not be bound."""

    response: Response
    accepted: tuple[str, ...]
    errors: dict[str, str]


class AdsSession:
    """One proxy's configuration over ADS. `now` gives the loop's time."""

    def __init__(
        self, bootstrap: Bootstrap, target: ConfigTarget, now: Callable[[], float], clock: Clock | None = None
    ) -> None:
        ads = bootstrap.ads
        delta = ads is None or ads.delta
        make = DeltaSubscription if delta else SotwSubscription
        self.types = {type_url: TypeState() for type_url in PUSH_ORDER}
        self._target = target
        self._clock = clock or SystemClock()
        self._warming = Warming(
            bootstrap.clusters,
            bootstrap.listeners,
            now=now,
            cds=ads.cds_timeout if ads is not None and bootstrap.cds_from_ads else None,
            lds=ads.lds_timeout if ads is not None and bootstrap.lds_from_ads else None,
        )
        self._subscriptions: dict[str, Subscription] = {
            type_url: make(type_url, wildcard=type_url in _WILDCARDS) for type_url in PUSH_ORDER
        }
        self._uses = {CLUSTER: bootstrap.cds_from_ads, LISTENER: bootstrap.lds_from_ads}
        self._delta = delta
        self._hosts = VirtualHosts()
        self._held: _Held | None = None

    # ── what happens ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def initialized(self) -> bool:
        return self._warming.initialized

    def version(self, type_url: str, name: str) -> str:
        """The version with which a resource was accepted; empty when it did not come over xDS."""
        accepted = self.types[type_url].accepted.get(name) if type_url in self.types else None
        return accepted.raw.version if accepted is not None else ""

    def next_deadline(self) -> float | None:
        """When `expire` is due, in the loop's time."""
        return self._warming.next_deadline()

    def start(self) -> None:
        """Brings the bootstrap's own resources into effect. ConfigError or OSError for one that cannot be."""
        for action in self._warming.start():
            self._act(action)
        self._follow()

    def opened(self) -> list[Request]:
        """A new stream: the first requests, in the order of the types."""
        self._held = None
        return [request for each in self._open_subscriptions() if (request := each.opened()) is not None]

    def read(self, type_url: str, raws: tuple[Raw, ...]) -> list[Resource]:
        """Looks into a response's resources; changes nothing, so that it may run in a thread."""
        return read(type_url, raws, self._known(type_url))

    def received(
        self, type_url: str, nonce: str, version: str, resources: list[Resource], removed: tuple[str, ...]
    ) -> list[Request]:
        """A response, its resources read: brings it into effect."""
        requests = self._release(late=True) if type_url == LISTENER else []
        response = Response(
            type_url, nonce, version, tuple((each.name, each.raw.version) for each in resources if each.name), removed
        )
        subscription = self._subscriptions[type_url]
        change = subscription.received(response)
        errors = {each.name: each.error for each in resources if each.error}
        good = {each.name: each for each in resources if each.compiled is not None and each.name in change.changed}
        for name, error in self._unfit(good, change.removed).items():
            errors[name] = error
            del good[name]
        # A resource without a name may be any of those that seem to be gone.
        gone = () if "" in errors else change.removed
        errors |= self._apply(type_url, self._change(type_url, good, gone))
        accepted = tuple(name for name in good if name not in errors)
        self._record(type_url, resources, accepted, errors, gone)
        self._follow()
        if type_url == LISTENER and self._warming.waits_for(accepted):
            self._held = _Held(response, accepted, errors)
        else:
            requests.append(self._answer(response, accepted, errors))
        return requests + self._after()

    def failed(self, type_url: str, nonce: str, reason: str) -> list[Request]:
        """A response that could not be brought into effect at all: NACK, nothing of it is accepted."""
        response = Response(type_url, nonce)
        return [self._answer(response, (), {"": reason})] if type_url in self.types else []

    def expire(self) -> list[Request]:
        """A deadline is over: what waited goes on without."""
        self._apply("", self._warming.expire())
        late = self._hosts.give_up(self._warming.awaited_routes())
        self._apply("", self._warming.set_routes(late))
        self._follow()
        return self._after()

    # ── the last run's configuration ──────────────────────────────────────────────────────────────────────────────────

    def snapshot(self) -> dict[str, dict[str, Stored]]:
        """Everything accepted, as it came."""
        return {
            type_url: {
                name: Stored(each.raw.version, each.raw.type_url, each.raw.value)
                for name, each in state.accepted.items()
            }
            for type_url, state in self.types.items()
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Brings a snapshot into effect; what is bad in it is left out and logged."""
        for type_url in PUSH_ORDER:
            if not self._uses.get(type_url, True):
                continue
            stored = snapshot.get(type_url, {})
            raws = tuple(Raw(name, each.version, each.type_url, each.value) for name, each in stored.items())
            resources = self.read(type_url, raws)
            for each in resources:
                if each.error:
                    log.warning("kept configuration: %s %s: %s", SHORT[type_url], each.name, each.error)
            subscription = self._subscriptions[type_url]
            change = subscription.received(
                Response(type_url, "", "", tuple((r.name, r.raw.version) for r in resources))
            )
            good = {each.name: each for each in resources if each.compiled is not None and each.name in change.changed}
            errors = self._apply(type_url, self._change(type_url, good, ()))
            accepted = tuple(name for name in good if name not in errors)
            self._record(type_url, resources, accepted, errors, ())
            subscription.restore({name: good[name].raw.version for name in accepted})
            self._follow()

    # ── steps ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _change(self, type_url: str, good: Mapping[str, Resource], removed: Iterable[str]) -> list[Action]:
        """What the warming rules say to resources that compiled."""
        values = [each.compiled for each in good.values()]
        if type_url == CLUSTER:
            return self._warming.set_clusters([v for v in values if isinstance(v, Cluster)], removed)
        if type_url == ENDPOINT:
            return self._warming.set_assignments([v for v in values if isinstance(v, Assignment)], removed)
        if type_url == LISTENER:
            return self._warming.set_listeners([v for v in values if isinstance(v, Listener)], removed)
        if type_url == VIRTUAL_HOST:
            return self._warming.set_routes(self._hosts.set_hosts(_virtual_hosts(good), removed))
        complete = self._hosts.set_bases([v for v in values if isinstance(v, RouteConfig)])
        return self._warming.set_routes(complete, removed)

    def _unfit(self, good: Mapping[str, Resource], removed: tuple[str, ...]) -> dict[str, str]:
        """What is wrong with resources that compiled, beside what else there is; by name."""
        errors = self._dangling(good.values()) | self._clashes(good, removed)
        for name, resource in good.items():
            if isinstance(resource.compiled, RouteConfig):
                if resource.compiled.vhds and not self._delta:
                    errors[name] = "vhds: virtual hosts can be had over delta xDS only"
                elif clash := self._hosts.clashes(resource.compiled):
                    errors[name] = clash
        return errors | self._hosts.problems(_virtual_hosts(good), removed)

    def _dangling(self, resources: Iterable[Resource]) -> dict[str, str]:
        """Listeners and routes that insist on clusters that are not there."""
        errors = {}
        for each in resources:
            if isinstance(each.compiled, Listener):
                wanted = clusters_of_listener(each.compiled)
            elif isinstance(each.compiled, RouteConfig):
                wanted = clusters_of_routes(each.compiled)
            elif isinstance(each.compiled, VirtualHost):
                base = self.types[ROUTE].accepted.get(routes_of(each.name))
                if base is None or not isinstance(base.compiled, RouteConfig):
                    continue
                wanted = clusters_of_routes(replace(base.compiled, virtual_hosts=(each.compiled,)))
            else:
                continue
            if missing := sorted(name for name in wanted if not self._warming.knows_cluster(name)):
                errors[each.name] = f"a route names the cluster {missing[0]!r}, which is not there"
        return errors

    def _clashes(self, resources: Mapping[str, Resource], removed: Iterable[str]) -> dict[str, str]:
        """Listeners on an address that another one has."""
        taken = {
            str(each.address): each.name
            for each in self._warming.all_listeners()
            if each.name not in removed and each.name not in resources and each.bind_to_port and each.address.port
        }
        errors = {}
        for name, resource in resources.items():
            listener = resource.compiled
            if isinstance(listener, Listener) and listener.bind_to_port and listener.address.port:
                other = taken.setdefault(str(listener.address), name)
                if other != name:
                    errors[name] = f"{listener.address} is the address of listener {other!r} already"
        return errors

    @uncollected()
    def _apply(self, type_url: str, actions: Iterable[Action]) -> dict[str, str]:
        """Acts on the target; what it refuses of this type, by resource name. What had waited for this response and is
        refused only now is told apart."""
        errors: dict[str, str] = {}
        for action in actions:
            try:
                self._act(action)
            except (ConfigError, OSError) as error:
                if isinstance(action, SetListener):
                    self._warming.refused(action)
                kind, name = subject(action)
                if kind == type_url:
                    errors[name] = str(error)
                else:
                    self._late(kind, name, str(error))
        return errors

    def _act(self, action: Action) -> None:
        target = self._target
        match action:
            case SetCluster(cluster):
                target.set_cluster(cluster)
            case RemoveCluster(name):
                target.remove_cluster(name)
            case SetAssignment(assignment):
                target.set_assignment(assignment)
            case SetListener(listener, _):
                target.set_listener(listener)
            case RemoveListener(name):
                target.remove_listener(name)
            case SetRoutes(routes):
                target.set_routes(routes)
            case RemoveRoutes(name):
                target.remove_routes(name)
            case Initialized():
                target.initialized()

    def _record(
        self,
        type_url: str,
        resources: Iterable[Resource],
        accepted: Iterable[str],
        errors: Mapping[str, str],
        removed: Iterable[str],
    ) -> None:
        state, now = self.types[type_url], self._clock.wall()
        by_name = {each.name: each for each in resources}
        for name in accepted:
            resource = by_name[name]
            if resource.compiled is not None:
                state.accepted[name] = Accepted(resource.raw, resource.compiled, now)
                state.rejected.pop(name, None)
        for name, error in errors.items():
            if name in by_name:
                state.rejected[name] = Rejected(by_name[name].raw, error, now)
        for name in removed:
            state.accepted.pop(name, None)
            state.rejected.pop(name, None)

    def _follow(self) -> None:
        """Named types follow what clusters and listeners refer to."""
        for type_url, names in ((ENDPOINT, self._warming.eds_names()), (ROUTE, self._warming.rds_names())):
            self._subscriptions[type_url].want(names)
            accepted = self.types[type_url].accepted
            for name in [name for name in accepted if name not in names]:
                del accepted[name]
        self._hosts.keep(self._warming.rds_names())

    def _answer(self, response: Response, accepted: tuple[str, ...], errors: Mapping[str, str]) -> Request:
        state = self.types[response.type_url]
        text = "\n".join(f"{name or 'a resource without a name'}: {error}" for name, error in errors.items())
        if text:
            state.rejections += 1
            log.warning("%s rejected: %s", SHORT[response.type_url], text)
        else:
            state.successes += 1
        return self._subscriptions[response.type_url].answer(response, accepted, text)

    def _release(self, *, late: bool = False) -> list[Request]:
        """Answers the LDS response that waits, once none of its listeners does; `late`: because the next one is here."""
        held = self._held
        if held is None or (not late and self._warming.waits_for(held.accepted)):
            return []
        self._held = None
        accepted = tuple(name for name in held.accepted if name not in held.errors)
        return [self._answer(held.response, accepted, held.errors)]

    def _late(self, type_url: str, name: str, error: str) -> None:
        """A listener that was refused only now that its routes are there (or a cluster, its endpoints)."""
        if type_url == LISTENER and self._held is not None and name in self._held.accepted:
            self._held.errors[name] = error
        else:
            log.error("%s %s: %s", SHORT[type_url], name, error)
        state = self.types[type_url]
        if (before := state.accepted.pop(name, None)) is not None:
            state.rejected[name] = Rejected(before.raw, error, self._clock.wall())

    def _after(self) -> list[Request]:
        """Requests that follow from what just happened: names that are new or gone, listeners once clusters are warm."""
        requests = self._release()
        return requests + [request for each in self._open_subscriptions() if (request := each.changed()) is not None]

    def _open_subscriptions(self) -> list[Subscription]:
        """The types to ask for now; listeners and routes only when the first clusters are warm."""
        ready = PUSH_ORDER if self._warming.wants_listeners else (CLUSTER, ENDPOINT)
        uses = {**self._uses, VIRTUAL_HOST: self._hosts.wanted}
        return [self._subscriptions[type_url] for type_url in ready if uses.get(type_url, True)]

    def _known(self, type_url: str) -> dict[bytes, Compiled]:
        return {each.raw.value: each.compiled for each in self.types[type_url].accepted.values()}


def _virtual_hosts(resources: Mapping[str, Resource]) -> dict[str, VirtualHost]:
    return {name: each.compiled for name, each in resources.items() if isinstance(each.compiled, VirtualHost)}
