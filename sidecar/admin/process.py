"""What /server_info and /memory tell of the process itself."""

from __future__ import annotations

import platform
import resource
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

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
