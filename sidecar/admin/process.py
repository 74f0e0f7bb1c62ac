"""What the admin port tells of the process itself: /server_info, /memory, the `server.` statistics."""

from __future__ import annotations

import platform
from collections.abc import Callable
from time import monotonic

from mesh.version import VERSION
from sidecar.admin.views import RuntimeView
from sidecar.process import native
from sidecar.process.settings import LOG_LEVELS, Settings
from sidecar.telemetry.registry import Stats


def data_plane() -> str:
    """Whether requests pass through machine code or through Python."""
    return "compiled" if native.active() else "python"


def version() -> str:
    """In the five parts of Envoy's: revision, version, state of the tree, build, TLS library (here: the interpreter, and
    whether the data plane was compiled)."""
    return f"asyncmesh/{VERSION}/Clean/RELEASE/Python-{platform.python_version()}-{data_plane()}"


def _duration(seconds: float) -> str:
    """As protobuf's JSON has it."""
    return f"{seconds:.0f}s" if seconds == int(seconds) else f"{seconds:.3f}s"


def options(settings: Settings) -> dict[str, object]:
    """The command line in the words of Envoy's /server_info, and what is ours."""
    level = next((word for word, number in LOG_LEVELS.items() if number == settings.log_level), str(settings.log_level))
    return {
        "base_id": "0",
        "concurrency": settings.concurrency,
        "config_path": settings.config_path,
        "config_yaml": settings.config_yaml,
        "admin_address_path": settings.admin_address_path,
        "log_level": level,
        "log_format": settings.log_format,
        "service_cluster": settings.service_cluster,
        "service_node": settings.service_node,
        "file_flush_interval": _duration(settings.log_flush),
        "drain_time": _duration(settings.drain_time),
        "mode": "Serve",
        "disable_hot_restart": True,
        "restart_epoch": 0,
        "drain_strategy": "Immediate" if settings.drain_immediately else "Gradual",
        "termination_drain": _duration(settings.termination_drain),
        "state_dir": settings.state_dir,
    }


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
    stats.computed("server.compiled", lambda: int(native.active()))
    stats.computed("server.concurrency", lambda: runtime.concurrency)
    stats.computed("cluster_manager.active_clusters", lambda: len(runtime.clusters))


def _memory_gauge(runtime: RuntimeView, key: str) -> Callable[[], float]:
    return lambda: int(runtime.memory()[key])
