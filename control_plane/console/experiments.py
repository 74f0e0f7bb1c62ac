"""Experiments: how they stand, and what people ask of them."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from control_plane.console.body import read_object
from control_plane.console.errors import conflict, not_found
from control_plane.console.plane import plane
from control_plane.experiments.conductor import Conductor
from mesh.experiments.describe import describe
from mesh.experiments.routes import RouteError
from mesh.istio.resource import Key

KIND = "Experiment"
ASKED = "asked for"


def routes() -> list[web.RouteDef]:
    return [
        web.get("/api/v1/experiments", experiments),
        web.get("/api/v1/experiments/{namespace}/{name}", experiment),
        web.post("/api/v1/experiments/{namespace}/{name}/{action}", act),
    ]


async def experiments(request: web.Request) -> web.Response:
    """All experiments, without their points."""
    items = [await _described(request, conductor, brief=True) for conductor in _all(request).values()]
    return web.json_response({"items": sorted(items, key=lambda item: (item["namespace"], item["name"]))})


async def experiment(request: web.Request) -> web.Response:
    """One experiment with everything: versions, intervals, checks, events, points."""
    return web.json_response(await _described(request, _found(request)))


async def act(request: web.Request) -> web.Response:
    """`stop`, `promote`, `pause` or `resume`; 409 where that cannot be now. The body may give a `reason`."""
    data = await read_object(request, {"reason"})
    reason = data.get("reason") or ASKED
    conductor, action = _found(request), request.match_info["action"]
    done = ""
    try:
        match action:
            case "stop":
                await conductor.stop(str(reason))
                done = "stopped, and everything is as it was"
            case "promote":
                done = await conductor.promote(str(reason))
            case "pause":
                await conductor.pause(str(reason))
                done = "paused: its routes stay as they are"
            case "resume":
                await conductor.resume()
                done = "goes on"
            case _:
                raise not_found(f"there is no {action}; there are stop, promote, pause and resume")
    except RouteError as error:
        raise conflict(str(error)) from error
    return web.json_response({"done": done, "phase": conductor.state.phase if conductor.state else "waiting"})


def _all(request: web.Request) -> dict[Key, Conductor]:
    found = plane(request).experiments
    return {} if found is None else found.conductors


def _found(request: web.Request) -> Conductor:
    namespace, name = request.match_info["namespace"], request.match_info["name"]
    conductor = _all(request).get(Key(KIND, namespace, name))
    if conductor is None:
        raise not_found(f"there is no experiment {name} in namespace {namespace}")
    return conductor


async def _described(request: web.Request, conductor: Conductor, brief: bool = False) -> dict[str, Any]:
    stored = plane(request).store.accepted.documents.get(conductor.key)
    if stored is None:
        raise not_found(f"{conductor.key} is just being deleted")
    run, judgement = (conductor.state, conductor.judgement) if brief else await conductor.explained()
    found = describe(stored.document, conductor.spec, run, judgement, conductor.next, time.time())
    if brief:
        found = {name: value for name, value in found.items() if name not in ("points", "events", "document")}
    return found
