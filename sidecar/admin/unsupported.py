"""Pages of Envoy's that have little or nothing to tell here, and say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from sidecar.admin import answers

_NOT_HERE: Final = {
    "/allocprofiler": "Python's allocations are not profiled here: start the sidecar under tracemalloc or memray",
    "/cpuprofiler": "there is no CPU profiler here: py-spy can look at this process from outside",
    "/heap_dump": "there is no heap dump here: memray can look at this process from outside",
    "/heapprofiler": "there is no heap profiler here: memray can look at this process from outside",
    "/tap": "nothing can be tapped: see /traces for requests, and the access log",
}
PROFILERS: Final = ("/allocprofiler", "/cpuprofiler", "/heapprofiler")
NOT_HERE: Final = tuple(_NOT_HERE)


async def not_here(request: web.Request) -> web.StreamResponse:
    """501, and what to do."""
    return answers.text(_NOT_HERE[request.path] + "\n", status=501)


async def hot_restart_version(_request: web.Request) -> web.StreamResponse:
    return answers.text("disabled")


async def contention(_request: web.Request) -> web.StreamResponse:
    return answers.text("There are no mutexes between threads whose contention could be told.\n")


async def recent_lookups(_request: web.Request) -> web.StreamResponse:
    return answers.text("Lookup tracking is not there: statistics are not looked up by name.\n\ntotal: 0\n")


async def runtime(_request: web.Request) -> web.StreamResponse:
    return answers.as_json({"layers": [], "entries": {}})


async def runtime_modify(_request: web.Request) -> web.StreamResponse:
    return answers.text("No admin layer specified\n", status=503)


def unready(ready: bool, reason: str, wanted: Mapping[str, str]) -> dict[str, object]:
    """/init_dump: what is waited for; nothing when all is there, or when the mask asks for something else."""
    if ready or not reason or wanted.get("mask", "server") != "server":
        return {}
    return {"unready_targets_dumps": [{"name": "server", "target_names": [reason]}]}
