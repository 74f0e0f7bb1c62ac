"""The configuration as it is and as it was: resources, history, watch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final

from aiohttp import web

from control_plane.console.body import integer, selection_of
from control_plane.console.plane import plane
from control_plane.registry.entries import entry_of
from control_plane.registry.workload import Workload
from control_plane.sources.source import Event, Selection

WORKLOAD_ENTRY: Final = "WorkloadEntry"
HISTORY_LIMIT = 50
MOST_HISTORY = 10_000
LIST_PAGE = 100  # items that are written at a time
WATCH_PAGE = 100  # changes that are in memory at a time for one watcher


def routes() -> list[web.RouteDef]:
    return [
        web.get("/api/v1/resources", resources),
        web.get("/api/v1/history", history),
        web.get("/api/v1/watch", watch),
    ]


async def resources(request: web.Request) -> web.StreamResponse:
    """The resources that are stored, of a kind, namespace and name if given; of WorkloadEntries also those that members of
    groups are, which have no revision."""
    store, selection = plane(request).store, selection_of(request)
    items: Iterable[Any] = (
        {"revision": stored.revision, "created": stored.created, "document": stored.document}
        for stored in store.select(selection)
    )
    if selection.kind == WORKLOAD_ENTRY:
        members = [each for each in plane(request).workloads() if each.node.group]
        items = chain(items, _registered(members, selection))
    return await _listed(request, {"revision": store.source.revision}, items)


def _registered(members: Iterable[Workload], selection: Selection) -> Iterator[Any]:
    for workload in members:
        document = entry_of(workload)
        own = document["metadata"]
        if selection.namespace in ("", own["namespace"]) and selection.name in ("", own["name"]):
            yield {"revision": 0, "created": workload.joined, "document": document}


async def history(request: web.Request) -> web.StreamResponse:
    """The changes, newest first."""
    limit = integer(request, "limit", HISTORY_LIMIT, least=1, most=MOST_HISTORY)
    events = await plane(request).store.source.history(selection_of(request), limit)
    items = (
        {
            "revision": event.revision,
            "time": event.time,
            "action": event.action,
            "kind": event.key.kind,
            "namespace": event.key.namespace,
            "name": event.key.name,
            "document": event.document,
        }
        for event in events
    )
    return await _listed(request, {}, items)


async def _listed(request: web.Request, head: Mapping[str, Any], items: Iterable[Any]) -> web.StreamResponse:
    """A JSON object with `items` in it, however many, piece by piece: nobody else waits for all of them."""
    response = web.StreamResponse(headers={"content-type": "application/json; charset=utf-8"})
    await response.prepare(request)
    before = "".join((json.dumps(dict(head))[:-1], ", " if head else "", '"items": ['))
    rest = iter(items)
    while page := list(islice(rest, LIST_PAGE)):
        await response.write((before + ", ".join(map(json.dumps, page))).encode())
        before = ", "
        await asyncio.sleep(0)
    await response.write(("" if before == ", " else before).encode() + b"]}")
    await response.write_eof()
    return response


async def watch(request: web.Request) -> web.StreamResponse:
    """Every change after revision `since` (without it: from now on), a line of JSON each, until the client goes. A slow
    client is not given more than it reads: nothing is queued for it."""
    store = plane(request).store
    since = integer(request, "since", store.source.revision, least=0, most=store.source.revision)
    with plane(request).watchers.place():
        response = web.StreamResponse(headers={"content-type": "application/x-ndjson", "cache-control": "no-store"})
        await response.prepare(request)
        last = 0
        while True:
            news = store.news
            events = await store.source.changes(since, WATCH_PAGE, last)
            if events:
                await response.write("".join(map(_line, events)).encode())
                last = events[-1].id
            if len(events) < WATCH_PAGE:
                await news.wait()


def _line(event: Event) -> str:
    document: dict[str, Any] = dict(event.document or _tombstone(event))
    return json.dumps({"revision": event.revision, "action": event.action, "document": document}) + "\n"


def _tombstone(event: Event) -> dict[str, Any]:
    """What is left of a deleted resource: its name."""
    key = event.key
    return {"kind": key.kind, "metadata": {"name": key.name, "namespace": key.namespace}}
