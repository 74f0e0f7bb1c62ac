"""How each resource is: accepted, in effect on n of m proxies, shadowed, in conflict, rejected; what is to be said of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from aiohttp import web

from control_plane.ads.effect import Effect
from control_plane.analysis.codes import CONFLICTING_GATEWAYS, CONFLICTING_PROTOCOLS
from control_plane.analysis.finding import Finding, as_json, friendly
from control_plane.console.body import selection_of
from control_plane.console.plane import Plane, plane
from control_plane.sources.source import Stored
from mesh.errors import Problem
from mesh.istio.kinds import KINDS
from mesh.istio.resource import Key

PAGE: Final = 50  # resources that are looked at before others get their turn
_MUTUAL: Final = frozenset((CONFLICTING_GATEWAYS.number, CONFLICTING_PROTOCOLS.number))  # nobody of the two holds


def routes() -> list[web.RouteDef]:
    return [web.get("/api/v1/status/resources", resources)]


async def resources(request: web.Request) -> web.Response:
    """How the resources are, of a kind, namespace and name if given."""
    subject = plane(request)
    stored = subject.store.select(selection_of(request))
    found = await _findings(subject)
    world = subject.store.world
    effects = subject.hub.effects(world)
    items = []
    for number, each in enumerate(stored):
        if number % PAGE == PAGE - 1:
            await asyncio.sleep(0)
        resource = subject.store.accepted.resources.get(each.key)
        effect = effects.of(resource) if resource is not None else Effect()
        problems = subject.store.accepted.skipped.get(each.key, ())
        items.append(_item(each, effect, found.get(each.key, ()), problems))
    return web.json_response({"revision": subject.store.source.revision, "items": items})


async def _findings(subject: Plane) -> Mapping[Key, list[Finding]]:
    """By resource, of what is stored at this moment."""
    findings, _ = await subject.store.analyse([], {}, [])
    found: dict[Key, list[Finding]] = {}
    for each in findings:
        found.setdefault(each.key, []).append(each)
    return found


def _item(stored: Stored, effect: Effect, findings: Sequence[Finding], problems: Sequence[Problem]) -> dict[str, Any]:
    conflicts = [friendly(key) for each in findings if each.code.number in _MUTUAL for key in each.others]
    shadowed = [friendly(key) for each in findings if each.code.number not in _MUTUAL for key in each.others]
    return {
        "kind": stored.key.kind,
        "namespace": stored.key.namespace,
        "name": stored.key.name,
        "revision": stored.revision,
        "created": stored.created,
        "summary": summary(stored.key, effect, shadowed, conflicts, problems),
        "concerned": effect.concerned,
        "in_effect": effect.in_effect,
        "waiting": list(effect.waiting),
        "rejected": [asdict(nack) for nack in effect.rejected],
        "shadowed_by": list(dict.fromkeys(shadowed)),
        "conflicts_with": list(dict.fromkeys(conflicts)),
        "problems": [str(problem) for problem in problems],
        "findings": [as_json(each) for each in findings],
    }


def summary(
    key: Key, effect: Effect, shadowed: Sequence[str], conflicts: Sequence[str], problems: Sequence[Problem]
) -> str:
    """In a line: the graver first."""
    if problems:
        return "stored, but not understood by this version"
    rejecting = ", ".join(dict.fromkeys(_short(nack.proxy) for nack in effect.rejected))
    parts = [f"rejected by {rejecting}"] * bool(rejecting)
    parts += [f"in effect on {effect.in_effect} of {effect.concerned}"] * bool(effect.concerned)
    parts += [f"shadowed by {', '.join(dict.fromkeys(shadowed))}"] * bool(shadowed)
    parts += [f"conflict with {', '.join(dict.fromkeys(conflicts))}"] * bool(conflicts)
    note = KINDS[key.kind].note if key.kind in KINDS else ""
    return "; ".join(parts) or note.rstrip(".") or "accepted"


def _short(proxy: str) -> str:
    """The name in `sidecar~IP~NAME.NAMESPACE~DOMAIN`."""
    parts = proxy.split("~")
    return parts[2] if len(parts) == 4 else proxy
