"""Changes: apply, diff, delete, rollback."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from control_plane.analysis.finding import as_json
from control_plane.console.body import files_of, flag_of, read_object
from control_plane.console.errors import bad_request, not_found
from control_plane.console.plane import plane
from control_plane.store.store import NOT_FOUND, Outcome
from mesh.errors import ConfigError
from mesh.istio.kinds import KINDS
from mesh.istio.resource import Key


def routes() -> list[web.RouteDef]:
    return [
        web.post("/api/v1/apply", apply),
        web.post("/api/v1/diff", diff),
        web.post("/api/v1/delete", delete_files),
        web.delete("/api/v1/resources/{kind}/{namespace}/{name}", delete),
        web.post("/api/v1/rollback", rollback),
    ]


async def apply(request: web.Request) -> web.Response:
    """All the resources of some files, or none of them if anything is wrong."""
    data = await read_object(request, {"files", "dry_run", "strict", "skip_unknown"})
    files, flags = files_of(data), {name: flag_of(data, name) for name in ("dry_run", "strict", "skip_unknown")}
    metrics = plane(request).metrics
    try:
        outcome = await plane(request).store.apply(files, **flags)
    except ConfigError as error:
        metrics.refused(len(error.problems))
        raise
    metrics.accepted(result.key.kind for result in outcome.results)
    return _answer(outcome)


async def diff(request: web.Request) -> web.Response:
    """What an apply of the same body would change."""
    data = await read_object(request, {"files", "dry_run"})
    found = await plane(request).store.diff(files_of(data))
    return web.json_response({"diffs": [{**_named(key), "diff": text} for key, text in found]})


async def delete_files(request: web.Request) -> web.Response:
    """What is there of the resources of some files; 404 when nothing is."""
    data = await read_object(request, {"files"})
    outcome = await plane(request).store.delete_files(files_of(data))
    if outcome.results and all(result.action == NOT_FOUND for result in outcome.results):
        raise not_found(f"there is no {', no '.join(str(result.key) for result in outcome.results)}")
    return _answer(outcome)


async def delete(request: web.Request) -> web.Response:
    """One resource."""
    path = request.match_info
    key = Key(path["kind"], path["namespace"], path["name"])
    outcome = await plane(request).store.delete([key])
    if outcome.results[0].action == NOT_FOUND:
        hint = "" if key.kind in KINDS else f" ({key.kind} is no kind of this mesh: {', '.join(KINDS)})"
        raise not_found(f"there is no {key}{hint}")
    return _answer(outcome)


async def rollback(request: web.Request) -> web.Response:
    """Everything as it was at a revision."""
    data = await read_object(request, {"revision"})
    revision = data.get("revision")
    if not isinstance(revision, int) or isinstance(revision, bool):
        raise bad_request("must be the number of a revision", "revision")
    return _answer(await plane(request).store.rollback(revision))


def _answer(outcome: Outcome) -> web.Response:
    answer: dict[str, Any] = {
        "revision": outcome.revision,
        "results": [{**_named(result.key), "action": result.action, **_note(result.key)} for result in outcome.results],
    }
    if outcome.findings:
        answer["findings"] = [as_json(finding) for finding in outcome.findings]
    if outcome.skipped:
        answer["skipped"] = [{"file": p.file, "line": p.line, "message": p.message} for p in outcome.skipped]
    return web.json_response(answer)


def _note(key: Key) -> dict[str, str]:
    """What becomes of a kind that does not take effect by itself."""
    return {"note": KINDS[key.kind].note} if key.kind in KINDS and KINDS[key.kind].note else {}


def _named(key: Key) -> dict[str, str]:
    return {"kind": key.kind, "namespace": key.namespace, "name": key.name}
