"""What is to be said of the configuration: of all that is in effect, and of files as if they were applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from control_plane.analysis.finding import as_json
from control_plane.analysis.suppress import Suppression
from control_plane.console.body import files_of, read_object
from control_plane.console.errors import bad_request
from control_plane.console.plane import plane
from mesh.errors import MeshError


def routes() -> list[web.RouteDef]:
    return [web.post("/api/v1/analyze", analyze)]


async def analyze(request: web.Request) -> web.Response:
    """The findings of the analysis; `files` are taken as applied, `calls` says who was seen to call whom (by hosts)."""
    data = await read_object(request, {"files", "suppress", "calls"})
    files = files_of(data) if data.get("files") else []
    store = plane(request).store
    findings, skipped = await store.analyse(files, _calls(data), _suppressions(data))
    answer = {
        "findings": [as_json(finding) for finding in findings],
        "skipped": [{"file": note.file, "line": note.line, "message": note.message} for note in skipped],
    }
    return web.json_response(answer)


def _suppressions(data: Mapping[str, Any]) -> list[Suppression]:
    words = data.get("suppress", [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise bad_request('must be a list of texts, such as "IST0103=Service *.default"', "suppress")
    try:
        return [Suppression.parse(word) for word in words]
    except MeshError as error:
        raise bad_request(str(error), "suppress") from error


def _calls(data: Mapping[str, Any]) -> dict[str, list[str]]:
    calls = data.get("calls", {})
    if not isinstance(calls, dict) or not all(
        isinstance(called, list) and all(isinstance(host, str) for host in called) for called in calls.values()
    ):
        raise bad_request("must be an object: host → list of the hosts that it calls", "calls")
    return calls
