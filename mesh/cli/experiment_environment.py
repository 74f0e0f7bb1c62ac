"""Where a report was made: what somebody who wants to repeat it has to know."""

from __future__ import annotations

import os
import platform
from typing import Any

from mesh.cli.client import ControlPlane
from mesh.version import VERSION


def environment(plane: ControlPlane) -> dict[str, Any]:
    proxies = plane.proxies()
    workloads = sorted(
        {f"{each['service']}/{each['labels'].get('version', '-')}" for each in plane.workloads()} - {"/-"}
    )
    return {
        "asyncmesh": VERSION,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} CPUs",
        "load average": ", ".join(f"{value:.2f}" for value in os.getloadavg()),
        "proxies": len(proxies),
        "workloads": ", ".join(workloads),
    }
