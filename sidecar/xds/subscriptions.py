"""One resource type of one ADS client: which names are wanted, which versions are in effect, what to send next.

Pure: `opened`, `changed` and `answer` return requests as plain data, `received` sorts a response. A subscription outlives
its streams; `opened` is called on each new one. The two protocols differ:

- delta: the client names what it adds and drops, the server what changed; on a new stream the client says which versions
  it has, so that only differences are sent.
- state of the world: every request repeats all names, every CDS or LDS response is the complete set, and the version is
  the whole type's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    type_url: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)  # initial_resource_versions
    nonce: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class SotwRequest:
    type_url: str
    names: tuple[str, ...] = ()
    version: str = ""
    nonce: str = ""
    error: str = ""


Request = DeltaRequest | SotwRequest


@dataclass(frozen=True, slots=True)
class Response:
    """What a server sent: `resources` holds (name, version) in order; `version` is the whole response's (SotW)."""

    type_url: str
    nonce: str
    version: str = ""
    resources: tuple[tuple[str, str], ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What a response means: resources to look at, and names that are gone."""

    changed: tuple[str, ...]
    removed: tuple[str, ...]


class Subscription(Protocol):
    """`versions` are of the resources in effect, by name."""

    type_url: str
    versions: dict[str, str]

    def want(self, names: Iterable[str]) -> None:
        """These names and no others; never called for a wildcard."""

    def opened(self) -> Request | None:
        """The first request of a new stream; None while nothing is wanted."""

    def changed(self) -> Request | None:
        """What has to be said since the last request about what is wanted, or None."""

    def received(self, response: Response) -> Change:
        """What is new in a response. Nothing is accepted yet."""

    def answer(self, response: Response, accepted: Iterable[str], error: str = "") -> Request:
        """ACK, or NACK with the reason; `accepted` are the names that were taken into effect either way."""

    def restore(self, versions: Mapping[str, str]) -> None:
        """Versions known from an earlier run."""


class _Base:
    """What both protocols share: `wildcard` types (CDS, LDS) want everything there is."""

    def __init__(self, type_url: str, *, wildcard: bool) -> None:
        self.type_url = type_url
        self.versions: dict[str, str] = {}
        self._wildcard = wildcard
        self._wanted: frozenset[str] = frozenset()
        self._asked: frozenset[str] | None = None  # on this stream; None: nothing yet

    def want(self, names: Iterable[str]) -> None:
        self._wanted = frozenset(names)
        for name in [name for name in self.versions if name not in self._wanted]:
            del self.versions[name]

    def _idle(self) -> bool:
        return not self._wildcard and not self._wanted

    def _is_wanted(self, name: str) -> bool:
        return self._wildcard or name in self._wanted

    def restore(self, versions: Mapping[str, str]) -> None:
        self.versions.update(versions)


class DeltaSubscription(_Base):
    """Incremental xDS."""

    def opened(self) -> DeltaRequest | None:
        self._asked = None
        if self._idle():
            return None
        self._asked = self._wanted
        return DeltaRequest(self.type_url, subscribe=tuple(sorted(self._wanted)), versions=dict(self.versions))

    def changed(self) -> DeltaRequest | None:
        if self._asked is None:
            return self.opened()
        subscribe, unsubscribe = self._wanted - self._asked, self._asked - self._wanted
        self._asked = self._wanted
        if not subscribe and not unsubscribe:
            return None
        return DeltaRequest(self.type_url, tuple(sorted(subscribe)), tuple(sorted(unsubscribe)))

    def received(self, response: Response) -> Change:
        changed = tuple(name for name, _ in response.resources if self._is_wanted(name))
        return Change(changed, tuple(name for name in response.removed if self._is_wanted(name)))

    def answer(self, response: Response, accepted: Iterable[str], error: str = "") -> DeltaRequest:
        taken = set(accepted)
        self.versions.update((name, version) for name, version in response.resources if name in taken)
        for name in response.removed:
            self.versions.pop(name, None)
        return DeltaRequest(self.type_url, nonce=response.nonce, error=error)


class SotwSubscription(_Base):
    """State of the world."""

    def __init__(self, type_url: str, *, wildcard: bool) -> None:
        super().__init__(type_url, wildcard=wildcard)
        self._version = ""
        self._nonce = ""

    def opened(self) -> SotwRequest | None:
        self._asked = None
        self._nonce = ""
        if self._idle():
            return None
        return self._request()

    def changed(self) -> SotwRequest | None:
        if self._asked is None:
            return self.opened()
        return None if self._asked == self._wanted else self._request()

    def received(self, response: Response) -> Change:
        names = tuple(name for name, _ in response.resources if self._is_wanted(name))
        if not self._wildcard:
            return Change(names, ())  # what a named type leaves out is unchanged
        return Change(names, tuple(sorted(self.versions.keys() - set(names))))

    def answer(self, response: Response, accepted: Iterable[str], error: str = "") -> SotwRequest:
        self._nonce = response.nonce
        self.versions.update((name, response.version) for name in accepted)
        if self._wildcard and not error:  # one that could not be read may be any of those that seem to be missing
            present = {name for name, _ in response.resources}
            for name in [name for name in self.versions if name not in present]:
                del self.versions[name]
        if not error:
            self._version = response.version
        return self._request(error)

    def restore(self, versions: Mapping[str, str]) -> None:
        super().restore(versions)
        if len(found := set(versions.values())) == 1:
            self._version = found.pop()

    def _request(self, error: str = "") -> SotwRequest:
        self._asked = self._wanted
        return SotwRequest(self.type_url, tuple(sorted(self._wanted)), self._version, self._nonce, error)
