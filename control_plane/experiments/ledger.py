"""An experiment's routes and progress in the config store: written together, and never over somebody's edit."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from control_plane.sources.source import Change
from control_plane.store.store import ConfigStore
from mesh.experiments.run import Event, Phase, Run
from mesh.istio.kinds import OUR_VERSIONS, OURS
from mesh.istio.load import load_documents
from mesh.istio.resource import Key

log = logging.getLogger(__name__)

EXPERIMENT: Final = "Experiment"
RUN: Final = "ExperimentRun"
VIRTUAL_SERVICE: Final = "VirtualService"

Document = Mapping[str, Any]


class Ledger:
    """All that is written is checked as if a user had sent it."""

    def __init__(self, store: ConfigStore) -> None:
        self._store = store

    def find(self, key: Key) -> Run | None:
        """The run of an experiment, or None where it has not begun (or what is there cannot be read)."""
        stored = self._store.accepted.documents.get(run_key(key))
        if stored is None:
            return None
        try:
            return Run.decode(stored.document["spec"]["record"])
        except (KeyError, TypeError, ValueError) as error:
            log.error("%s cannot be read and begins anew: %r", run_key(key), error)
            return None

    def routes(self, route: Key) -> Document | None:
        """The VirtualService as it is now."""
        stored = self._store.accepted.documents.get(route)
        return None if stored is None else stored.document

    def subset_versions(self, host: str, namespace: str) -> dict[str, str]:
        """The `version` label of each subset of a host."""
        from mesh.experiments.routes import same_host
        from mesh.naming import service_host

        full, found = service_host(host, namespace), {}
        for key, resource in self._store.accepted.resources.items():
            if key.kind == "DestinationRule" and same_host(service_host(resource.spec.host, key.namespace), full):
                found.update({subset.name: str(subset.labels.get("version", "")) for subset in resource.spec.subsets})
        return found

    async def write(self, key: Key, run: Run, route: Key, document: Document | None) -> Run | None:
        """Routes and run in one revision; `document` None takes the VirtualService away. The run as written; None where
        the routes are not what this experiment left behind."""
        changes, written = [], None
        if document is not None:
            resource = load_documents([document])[0]
            written = resource.document
            changes.append(Change(route, written, resource=resource))
        elif self.routes(route) is not None:
            changes.append(Change(route, None))
        expected, run = run.written, replace(run, written=written)
        changes.append(_run_change(key, run))
        outcome = await self._store.change(changes, {route: expected})
        return None if outcome is None else run

    async def note(self, key: Key, run: Run) -> Run:
        """Progress alone."""
        await self._store.change([_run_change(key, run)], {})
        return run

    async def forget(self, key: Key, now: float) -> None:
        """The experiment is gone: what it changed is taken back, unless it had ended or somebody has changed it since."""
        run = self.find(key)
        changes = [Change(key, None)]
        if run is None or run.phase.ended:
            await self._store.change(changes, {})
            return
        route = route_key_of(run, key)
        back = None if run.original is None else Change(route, run.original)
        restoring = [*changes, back or Change(route, None)]
        if await self._store.change(restoring, {route: run.written}) is None:
            log.warning("%s: its VirtualService was changed by somebody else and stays", key)
            await self._store.change(changes, {})
        else:
            log.info("%s: deleted, and everything is as it was before", key)


def route_key_of(run: Run, key: Key) -> Key:
    """The VirtualService that a run has written."""
    document = run.written or run.original or {}
    return Key(VIRTUAL_SERVICE, key.namespace, str(document.get("metadata", {}).get("name", key.name)))


def ended(run: Run, phase: Phase, event: Event) -> Run:
    return replace(run, phase=phase, reason=event.reason, ended=event.time).with_event(event)


def run_key(key: Key) -> Key:
    return Key(RUN, key.namespace, key.name)


def _run_change(key: Key, run: Run) -> Change:
    document = {
        "apiVersion": f"{OURS}/{OUR_VERSIONS[0]}",
        "kind": RUN,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": {"record": run.encode()},
    }
    resource = load_documents([document])[0]
    return Change(run_key(key), resource.document, resource=resource)
