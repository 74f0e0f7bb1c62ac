"""The proxies and their workloads: who is there, who has which configuration, and when a change has arrived."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aiohttp import web

from control_plane.ads.hub import CONFIG_TYPES, unpacked
from control_plane.console.body import seconds, whole
from control_plane.console.errors import bad_request
from control_plane.console.plane import plane
from control_plane.registry.workload import Workload, heartbeat, last_beat

CONVERGENCE_SECONDS = 10.0
LONGEST_SECONDS = 300.0


def routes() -> list[web.RouteDef]:
    return [
        web.get("/api/v1/convergence/{revision}", convergence),
        web.get("/api/v1/proxies", proxies),
        web.get("/api/v1/proxies/{proxy}/config", proxy_config),
        web.get("/api/v1/workloads", workloads),
    ]


async def convergence(request: web.Request) -> web.Response:
    """Answers once every proxy that a revision changes something for has it, one has refused it, or the time is over."""
    revision = whole(request.match_info["revision"], "revision")
    patience = seconds(request, "timeout", CONVERGENCE_SECONDS, LONGEST_SECONDS)
    latest = plane(request).store.source.revision
    if revision > latest:
        raise bad_request(f"there is no revision {revision} yet; the latest is {latest}", "revision")
    with plane(request).watchers.place():
        return web.json_response(asdict(await plane(request).hub.convergence(revision, patience)))


async def proxies(request: web.Request) -> web.Response:
    """The proxies that are connected, and those whose workload is still known although they are not."""
    connected = plane(request).hub.proxies()
    ids = {status.id for status in connected}
    items = [asdict(status) for status in connected]
    items += [_lost(workload) for workload in plane(request).workloads() if workload.node.id not in ids]
    return web.json_response({"items": sorted(items, key=lambda item: item["id"])})


async def proxy_config(request: web.Request) -> web.Response:
    """What a proxy was sent of one type."""
    kind = request.query.get("type", "")
    if kind not in CONFIG_TYPES:
        raise bad_request(f"must be one of {', '.join(CONFIG_TYPES)}", "type")
    resources = plane(request).hub.proxy_config(request.match_info["proxy"], kind)
    return web.json_response({"items": await plane(request).workers.run(unpacked, resources)})


async def workloads(request: web.Request) -> web.Response:
    """The workloads that have joined and are not gone yet."""
    now = time.time()
    return web.json_response({"items": [_workload(workload, now) for workload in plane(request).workloads()]})


def _workload(workload: Workload, now: float) -> dict[str, Any]:
    node = workload.node
    return {
        "id": node.id,
        "name": node.name,
        "service": node.service,
        "namespace": node.namespace,
        "address": node.address,
        "labels": dict(node.labels),
        "group": node.group,
        "healthy": workload.healthy,
        "connected": workload.connected,
        "state": heartbeat(workload).value,
        "problem": workload.problem,
        "probe": str(node.probe) if node.probe is not None else "",
        "joined": workload.joined,
        "since": workload.since,
        "beat": last_beat(workload, now),
    }


def _lost(workload: Workload) -> dict[str, Any]:
    node = workload.node
    return {
        "id": node.id,
        "name": node.name,
        "namespace": node.namespace,
        "service": node.service,
        "kind": node.kind,
        "address": node.address,
        "connected": False,
        "since": workload.since,
        "types": {},
        "metrics_port": node.metrics_port,
    }
