"""The routes of an experiment: a VirtualService as it was → as a step wants it. Documents in, documents out; pure.

Everything that a route says besides where it leads (time-outs, retries, headers) stays. Routes that do not lead to the
host are left alone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from mesh.errors import MeshError
from mesh.experiments.matches import MatchError, both

ANNOTATION: Final = "mesh.asyncmesh.io/experiment"
API_VERSION: Final = "networking.istio.io/v1"
COOKIE_SECONDS: Final = 86_400
_MIRRORING: Final = frozenset(("mirror", "mirrors", "mirrorPercentage", "mirrorPercent", "mirror_percent"))

Document = Mapping[str, Any]


class RouteError(MeshError):
    """A VirtualService that cannot be changed as asked: which, and why."""


@dataclass(frozen=True, slots=True)
class Split:
    """`weight` percent to the candidate. With `match` only of requests that match any of it, and the route. With `cookie`
    whoever has been given a version keeps it; `before` is the weight of the step before, from which only so many move on
    as are needed."""

    host: str
    baseline: str
    candidate: str
    weight: int
    port: int | None = None
    match: tuple[Mapping[str, Any], ...] = ()
    cookie: str = ""
    step: int = 0
    before: int = 0


class Armed(StrEnum):
    """A fault at the host's own sidecar changes its listener, and connections that are there keep what they have. So it is
    there before it is needed, for nobody at first: from then on only the callers' routes change, which is at once."""

    NO = "no"
    WAITING = "waiting"
    STRIKING = "striking"


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault for the requests to a host, as Istio's `fault` has it; with `match` only for those that match any of it (and
    the route that they take)."""

    host: str
    fault: Mapping[str, Any]
    match: tuple[Mapping[str, Any], ...] = ()
    armed: Armed = Armed.NO


def split(document: Document | None, name: str, namespace: str, change: Split, experiment: str) -> dict[str, Any]:
    """The VirtualService with the split in every route that leads to the host. `document` None makes one."""
    return _changed(document, name, namespace, change.host, experiment, lambda route: _split_route(route, change))


def settle(
    document: Document | None, name: str, namespace: str, change: Split, subset: str, experiment: str
) -> dict[str, Any]:
    """The VirtualService with everything that led to either version at one of them."""
    target = [{"destination": _destination(change, subset)}]
    return _changed(document, name, namespace, change.host, experiment, lambda route: [{**route, "route": target}])


def mirror(
    document: Document | None,
    name: str,
    namespace: str,
    change: Split,
    percent: int,
    experiment: str,
    to: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The VirtualService with everything at the baseline, and copies of so many percent for the candidate (or `to`
    somebody else) beside those that are made already."""

    def routes(route: Mapping[str, Any]) -> list[dict[str, Any]]:
        kept = {key: value for key, value in route.items() if key not in _MIRRORING}
        copies = {"destination": to or _destination(change, change.candidate), "percentage": {"value": percent}}
        baseline = [{"destination": _destination(change, change.baseline)}]
        return [{**kept, "route": baseline, "mirrors": [*_mirrors(route), copies]}]

    return _changed(document, name, namespace, change.host, experiment, routes)


def _mirrors(route: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those of a route, in the newer way to write them."""
    if "mirror" not in route:
        return list(route.get("mirrors") or [])
    whole = route.get("mirrorPercent", route.get("mirror_percent"))
    percent = route.get("mirrorPercentage") or ({} if whole is None else {"value": whole})
    return [{"destination": route["mirror"], **({"percentage": percent} if percent else {})}]


def inject(document: Document | None, name: str, namespace: str, change: Injection, experiment: str) -> dict[str, Any]:
    """The VirtualService with a fault in every route that leads to the host; with the routes as they are behind it, where
    the fault is not for all or is `armed`."""

    def routes(route: Mapping[str, Any]) -> list[dict[str, Any]]:
        faulty = {**route, "fault": dict(change.fault)}
        match = (_nobody(experiment),) if change.armed is Armed.WAITING else change.match
        if not match:
            return [faulty] if change.armed is Armed.NO else [faulty, dict(route)]
        narrowed = both(route.get("match") or (), match)
        return [{**faulty, "match": narrowed}, dict(route)] if narrowed else [dict(route)]

    return _changed(document, name, namespace, change.host, experiment, routes)


def _nobody(experiment: str) -> Mapping[str, Any]:
    """What no request says."""
    return {"headers": {"x-mesh-armed-by": {"exact": f"{experiment}: nobody says so"}}}


def mark(document: Document | None, name: str, namespace: str, host: str, experiment: str) -> dict[str, Any]:
    """The VirtualService as it is, with the experiment's name on it."""
    return _changed(document, name, namespace, host, experiment, lambda route: [dict(route)])


def leads_to(route: Mapping[str, Any], host: str) -> bool:
    """Whether any destination of a route is the host, by its short or its full name."""
    return any(same_host(str(each.get("destination", {}).get("host", "")), host) for each in route.get("route") or [])


def same_host(one: str, other: str) -> bool:
    """`reviews`, `reviews.default` and `reviews.default.svc.cluster.local` are one where both say no more."""
    short, long = sorted((one.lower().split("."), other.lower().split(".")), key=len)
    return long[: len(short)] == short


def _changed(
    document: Document | None, name: str, namespace: str, host: str, experiment: str, routes: Any
) -> dict[str, Any]:
    if document is None:
        spec: dict[str, Any] = {"hosts": [host], "http": [{"route": [{"destination": {"host": host}}]}]}
        result: dict[str, Any] = {
            "apiVersion": API_VERSION,
            "kind": "VirtualService",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        }
    else:
        result = copy.deepcopy(dict(document))
    found = [route for route in result["spec"].get("http") or [] if leads_to(route, host)]
    if not found:
        raise RouteError(f"VirtualService/{namespace}/{name}: none of its routes leads to {host}")
    try:
        result["spec"]["http"] = [
            new for route in result["spec"]["http"] for new in (routes(route) if leads_to(route, host) else [route])
        ]
    except MatchError as error:
        raise RouteError(f"VirtualService/{namespace}/{name}: {error}") from error
    metadata = result["metadata"] = dict(result["metadata"])
    metadata["annotations"] = {**(metadata.get("annotations") or {}), ANNOTATION: experiment}
    return result


def _split_route(route: Mapping[str, Any], change: Split) -> list[dict[str, Any]]:
    if not change.match:
        return list(_sticky(route, change)) if change.cookie else [{**route, "route": _weighted(change, change.weight)}]
    rest = {**route, "route": [{"destination": _destination(change, change.baseline)}]}
    narrowed = both(route.get("match") or (), change.match)
    if not narrowed:
        return [rest]
    return [*_split_route({**route, "match": narrowed}, _without_match(change)), rest]


def _without_match(change: Split) -> Split:
    return Split(
        change.host, change.baseline, change.candidate, change.weight, change.port,
        cookie=change.cookie, step=change.step, before=change.before,
    )  # fmt: skip


def _sticky(route: Mapping[str, Any], change: Split) -> Iterator[dict[str, Any]]:
    """Who has the candidate keeps it. Who was given the baseline in this step keeps that. Who was given it in a step before
    moves on with the chance that makes the whole the new weight. Who is new is drawn."""
    matches = list(route.get("match") or ())
    pinned = {"candidate": _pin(change, change.candidate, "candidate")}
    pinned["baseline"] = _pin(change, change.baseline, f"baseline-{change.step}")
    yield {**route, "match": _with_cookie(matches, change.cookie, "candidate"), "route": [_bare(pinned["candidate"])]}
    here = f"baseline-{change.step}"
    yield {**route, "match": _with_cookie(matches, change.cookie, here), "route": [_bare(pinned["baseline"])]}
    if change.before:
        moving = round(100 * (change.weight - change.before) / (100 - change.before))
        match = _with_cookie(matches, change.cookie, "baseline-[0-9]+")
        yield {**route, "match": match, "route": _drawn(pinned, moving)}
    yield {**route, "route": _drawn(pinned, change.weight)}


def _bare(destination: Mapping[str, Any]) -> dict[str, Any]:
    return {"destination": destination["destination"]}


def _drawn(pinned: Mapping[str, dict[str, Any]], weight: int) -> list[dict[str, Any]]:
    return [{**pinned["baseline"], "weight": 100 - weight}, {**pinned["candidate"], "weight": weight}]


def _pin(change: Split, subset: str, value: str) -> dict[str, Any]:
    cookie = f"{change.cookie}={value}; Path=/; Max-Age={COOKIE_SECONDS}; SameSite=Lax"
    return {"destination": _destination(change, subset), "headers": {"response": {"add": {"set-cookie": cookie}}}}


def _with_cookie(matches: list[Mapping[str, Any]], cookie: str, value: str) -> list[dict[str, Any]]:
    pattern = f"(^|.*; ){cookie}={value}($|;.*)"
    return both(matches, ({"headers": {"cookie": {"regex": pattern}}},))


def _weighted(change: Split, weight: int) -> list[dict[str, Any]]:
    return [
        {"destination": _destination(change, change.baseline), "weight": 100 - weight},
        {"destination": _destination(change, change.candidate), "weight": weight},
    ]


def _destination(change: Split, subset: str) -> dict[str, Any]:
    port = {"port": {"number": change.port}} if change.port else {}
    return {"host": change.host, "subset": subset, **port}
