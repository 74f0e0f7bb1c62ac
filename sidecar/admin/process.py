"""What the admin port tells of the process itself: /server_info, /memory, the `server.` statistics."""

from __future__ import annotations

import platform
import resource
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from time import monotonic

from sidecar.admin.views import RuntimeView
from sidecar.telemetry.registry import Stats

_STATM = Path("/proc/self/statm")


def version() -> str:
    """In the five parts of Envoy's: revision, version, state of the tree, build, TLS library (here: the interpreter)."""
    try:
        number = installed("asyncmesh")
    except PackageNotFoundError:
        number = "0"
    return f"asyncmesh/{number}/Clean/RELEASE/Python-{platform.python_version()}"


def memory() -> dict[str, str]:
    """Bytes, in the words of Envoy's /memory: the data segments stand for its heap."""
    if _STATM.exists():
        pages = _STATM.read_text(encoding="ascii").split()
        resident, data = int(pages[1]) * resource.getpagesize(), int(pages[5]) * resource.getpagesize()
    else:  # not Linux: the most it ever had; macOS counts in bytes
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        resident = data = peak if sys.platform == "darwin" else peak * 1024
    return {
        "allocated": str(resident),
        "heap_size": str(data),
        "pageheap_unmapped": "0",
        "pageheap_free": "0",
        "total_thread_cache": "0",
        "total_physical_bytes": str(resident),
    }


def register(stats: Stats, runtime: RuntimeView) -> None:
    """Envoy's gauges about the server and its managers, worked out when somebody reads them."""
    for name, key in (
        ("allocated", "allocated"),
        ("heap_size", "heap_size"),
        ("physical_size", "total_physical_bytes"),
    ):
        stats.computed(f"server.memory_{name}", _memory_gauge(key))
    stats.computed("server.live", lambda: int(runtime.ready and not runtime.health.failed))
    stats.computed("server.state", lambda: 2 if not runtime.ready else int(runtime.health.failed))
    stats.computed("server.uptime", lambda: int(monotonic() - runtime.started))
    stats.computed("server.concurrency", lambda: 1)
    stats.computed("cluster_manager.active_clusters", lambda: len(runtime.clusters))


def _memory_gauge(key: str) -> Callable[[], float]:
    return lambda: int(memory()[key])
