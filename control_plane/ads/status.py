"""What the control plane says about its proxies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from control_plane.ads.push import PushCore
from mesh.node import Node
from mesh.xds import PUSH_ORDER, SHORT, VIRTUAL_HOST, SyncState


class RevisionState(StrEnum):
    """How far a revision has come."""

    PENDING = "pending"
    CONVERGED = "converged"
    REJECTED = "nacked"


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """`version` was sent last and `acked` acknowledged last; times are Unix times, None for never."""

    state: SyncState = SyncState.NOT_SENT
    version: str = ""
    acked: str = ""
    error: str = ""
    pushed_at: float | None = None
    acked_at: float | None = None


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """A connected proxy; `types` by short name ("CDS" …)."""

    id: str
    name: str
    namespace: str
    service: str
    kind: str
    address: str
    connected: bool
    since: float
    types: Mapping[str, TypeStatus] = field(default_factory=dict)
    metrics_port: int = 0


@dataclass(frozen=True, slots=True)
class Nack:
    """A resource that a proxy refused, `type` by its short name."""

    proxy: str
    type: str
    resource: str
    message: str


@dataclass(frozen=True, slots=True)
class Convergence:
    """How far a revision has come: `seconds` from the change until the last
    affected proxy acknowledged it, or until now; `p50` and `p99` are of the proxies that have."""

    revision: int
    state: RevisionState
    affected: int = 0
    acked: int = 0
    seconds: float = 0.0
    nacks: tuple[Nack, ...] = ()
    p50: float = 0.0
    p99: float = 0.0


class Metrics(Protocol):
    """What the xDS server reports about itself; types by their short names in lower case (`cds`)."""

    def pushed(self, type_name: str) -> None: ...
    def rejected(self, type_name: str) -> None: ...
    def expired(self, type_name: str) -> None: ...
    def failed(self) -> None: ...
    def queued(self, seconds: float) -> None: ...
    def converged(self, seconds: float) -> None: ...
    def proxies(self, count: int) -> None: ...
    def sent(self, type_name: str, size: int, due_seconds: float, seconds: float) -> None: ...


class NoMetrics:
    """Nobody counts."""

    def pushed(self, type_name: str) -> None: ...
    def rejected(self, type_name: str) -> None: ...
    def expired(self, type_name: str) -> None: ...
    def failed(self) -> None: ...
    def queued(self, seconds: float) -> None: ...
    def converged(self, seconds: float) -> None: ...
    def proxies(self, count: int) -> None: ...
    def sent(self, type_name: str, size: int, due_seconds: float, seconds: float) -> None: ...


def short(type_url: str) -> str:
    return SHORT.get(type_url, type_url.rpartition(".")[2])


def proxy_status(node: Node, since: float, core: PushCore, epoch: float) -> ProxyStatus:
    """`epoch` is what turns the core's times into Unix times."""
    return ProxyStatus(
        id=node.id,
        name=node.name,
        namespace=node.namespace,
        service=node.service,
        kind=node.kind,
        address=node.address,
        connected=True,
        since=since + epoch,
        types={
            SHORT[type_url]: type_status(core, type_url, epoch)
            for type_url in PUSH_ORDER
            if type_url != VIRTUAL_HOST or type_url in core.subscriptions
        },
        metrics_port=node.metrics_port,
    )


def type_status(core: PushCore, type_url: str, epoch: float) -> TypeStatus:
    subscription = core.subscriptions.get(type_url)
    if subscription is None or (subscription.pushed_at is None and not subscription.told):
        return TypeStatus()
    if subscription.rejected:
        state = SyncState.NACKED
    else:
        state = SyncState.SYNCED if core.synced(type_url) else SyncState.STALE
    # A client that brought along from an earlier stream all that it is to have was sent nothing on this one.
    brought = core.target.version(type_url) if subscription.pushed_at is None and state is SyncState.SYNCED else ""
    return TypeStatus(
        state=state,
        version=subscription.version or brought,
        acked=subscription.acked_version or brought,
        error=next((rejection.message for rejection in subscription.rejected.values()), subscription.error),
        pushed_at=None if subscription.pushed_at is None else subscription.pushed_at + epoch,
        acked_at=None if subscription.acked_at is None else subscription.acked_at + epoch,
    )
