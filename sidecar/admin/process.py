"""What the admin port tells of the process itself: /server_info, /memory, the `server.` statistics."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from time import monotonic

from sidecar.admin.views import RuntimeView
from sidecar.telemetry.registry import Stats


def version() -> str:
    """In the five parts of Envoy's: revision, version, state of the tree, build, TLS library (here: the interpreter)."""
    try:
        number = installed("asyncmesh")
    except PackageNotFoundError:
        number = "0"
    return f"asyncmesh/{number}/Clean/RELEASE/Python-{platform.python_version()}"


def register(stats: Stats, runtime: RuntimeView) -> None:
    """Envoy's gauges about the server and its managers, worked out when somebody reads them."""
    for name, key in (
        ("allocated", "allocated"),
        ("heap_size", "heap_size"),
        ("physical_size", "total_physical_bytes"),
    ):
        stats.computed(f"server.memory_{name}", _memory_gauge(runtime, key))
    stats.computed("server.live", lambda: int(runtime.ready and not runtime.health.failed))
    stats.computed("server.state", lambda: 2 if not runtime.ready else int(runtime.health.failed))
    stats.computed("server.uptime", lambda: int(monotonic() - runtime.started))
    stats.computed("server.concurrency", lambda: runtime.concurrency)
    stats.computed("cluster_manager.active_clusters", lambda: len(runtime.clusters))


def _memory_gauge(runtime: RuntimeView, key: str) -> Callable[[], float]:
    return lambda: int(runtime.memory()[key])
