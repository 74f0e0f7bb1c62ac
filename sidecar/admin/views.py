"""What the admin port needs of the runtime: the parts of its objects that are shown or acted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import re2

from sidecar.config import model


class BreakerView(Protocol):
    @property
    def state(self) -> str: ...
    @property
    def reason(self) -> str: ...


class AveragesView(Protocol):
    @property
    def average(self) -> float: ...
    @property
    def threshold(self) -> float: ...


class OutlierView(Protocol):
    """Outlier detection (upstream.outlier.OutlierDetector): what the success rates of the last interval came to."""

    @property
    def rates(self) -> AveragesView: ...
    @property
    def local_rates(self) -> AveragesView: ...


class HostView(Protocol):
    """An endpoint with its counters (upstream.host.Host)."""

    @property
    def address(self) -> model.Address: ...
    @property
    def name(self) -> str: ...
    @property
    def endpoint(self) -> model.Endpoint: ...
    @property
    def locality(self) -> model.LocalityEndpoints: ...
    @property
    def active(self) -> int: ...
    @property
    def connections(self) -> int: ...
    @property
    def ejected(self) -> bool: ...
    @property
    def breaker(self) -> BreakerView | None: ...
    @property
    def cx_total(self) -> int: ...
    @property
    def cx_connect_fail(self) -> int: ...
    @property
    def rq_total(self) -> int: ...
    @property
    def rq_success(self) -> int: ...
    @property
    def rq_error(self) -> int: ...
    @property
    def rq_timeout(self) -> int: ...
    @property
    def success_rate(self) -> float: ...
    @property
    def local_success_rate(self) -> float: ...


class ClusterView(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def config(self) -> model.Cluster: ...
    @property
    def hosts(self) -> Sequence[HostView]: ...
    @property
    def outlier(self) -> OutlierView | None: ...


class ListenerView(Protocol):
    @property
    def config(self) -> model.Listener: ...
    @property
    def sockets(self) -> Sequence[Any]: ...


class RuntimeView(Protocol):
    """The data plane (sidecar.runtime.Runtime)."""

    @property
    def bootstrap(self) -> model.Bootstrap: ...
    @property
    def started(self) -> float: ...
    @property
    def ready(self) -> bool: ...
    @property
    def ready_reason(self) -> str: ...
    @property
    def draining(self) -> bool: ...
    @property
    def clusters(self) -> Mapping[str, ClusterView]: ...
    @property
    def listeners(self) -> Mapping[str, ListenerView]: ...
    @property
    def routes(self) -> Mapping[str, model.RouteConfig]: ...
    def drain_listeners(self, *, graceful: bool, inbound_only: bool) -> None: ...
    def quit(self) -> None: ...


class QueryError(Exception):
    """A query that is not understood: the message is the answer, with status 400."""


def compile_filter(pattern: str) -> Callable[[str], object]:
    """Whether a name matches an expression (RE2) anywhere. Raises QueryError."""
    options = re2.Options()
    options.log_errors = False  # they go to whoever asked, not to stderr
    try:
        search: Callable[[str], object] = re2.compile(pattern, options).search
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        raise QueryError(f"Invalid re2 regex: {reason.decode() if isinstance(reason, bytes) else reason}") from error
    return search
