"""What one experiment sees: counts of its versions since the last look, and the answers to its guards' queries."""

from __future__ import annotations

from random import Random

import aiohttp

from control_plane.experiments.collector import Collector, PrometheusCollector, page
from control_plane.experiments.ledger import Ledger
from mesh.experiments.answers import REPORT_PATH, Answers
from mesh.experiments.data import Counts, halves
from mesh.experiments.resource import Experiment
from mesh.experiments.routes import RouteError
from mesh.experiments.samples import UNKNOWN, Meter, Selection
from mesh.experiments.stages import Role, Stage, observed_host
from mesh.istio.resource import Key
from mesh.naming import service_host

Sides = tuple[Counts, Counts, Counts]


class Lookout:
    """`look` is None where nobody was heard."""

    def __init__(
        self,
        key: Key,
        spec: Experiment,
        ledger: Ledger,
        collector: Collector,
        prometheus: PrometheusCollector | None,
        session: aiohttp.ClientSession,
        chance: Random,
    ) -> None:
        self._spec = spec
        self._namespace = key.namespace
        self._ledger = ledger
        self._collector: Collector = prometheus or collector
        self._prometheus = prometheus
        self._session = session
        self._chance = chance
        self._meter = Meter()
        self._host = service_host(observed_host(spec), key.namespace)
        self._where = tuple(sorted(spec.where.items()))

    async def look(self, stage: Stage) -> Sides | None:
        """What baseline and candidate did since the last look, and what found no host of either."""
        pages = await self._collector.look(self._selection(stage))
        return self._sides(stage, self._meter.take(pages)) if pages else None

    async def mark(self, stage: Stage) -> bool:
        """Whatever was counted before is not this stage's. False where nobody was heard."""
        pages = await self._collector.look(self._selection(stage))
        self._meter = Meter()
        self._meter.take(pages)
        return bool(pages)

    def _selection(self, stage: Stage) -> Selection:
        return Selection(self._host, stage.reporter, self._where)

    async def compared(self, stage: Stage) -> Answers | None:
        """What a stage's comparer has found, None where there is none. MeshError where its report cannot be had."""
        if stage.compare is None:
            return None
        url = stage.compare.report.rstrip("/") + REPORT_PATH
        text = await page(self._session, url)
        if text is None:
            raise RouteError(f"no report can be had from the comparer at {url}")
        try:
            return Answers.decode(text)
        except ValueError as error:
            raise RouteError(f"{url}: {error}") from error

    async def answers(self) -> tuple[float | None, ...]:
        queries = [guard.promql for guard in self._spec.guards if guard.promql]
        if self._prometheus is None:
            return ()
        return tuple([await self._prometheus.number(query) for query in queries])

    def versions(self) -> tuple[str, str]:
        """The `version` labels of the two subsets. MeshError where the metrics could not tell them apart."""
        spec = self._spec
        assert spec.baseline is not None  # noqa: S101  (its rules)
        candidate = spec.candidate or spec.baseline
        known = self._ledger.subset_versions(spec.target.host, self._namespace)
        for subset in (spec.baseline.subset, candidate.subset):
            if subset not in known:
                raise RouteError(f"no DestinationRule gives {spec.target.host} a subset {subset}")
            if not known[subset]:
                raise RouteError(f"the subset {subset} of {spec.target.host} has no label `version` to be known by")
        names = known[spec.baseline.subset], known[candidate.subset]
        if names[0] == names[1] and spec.candidate is not None:
            raise RouteError(f"both subsets are version {names[0]}: the metrics cannot tell them apart")
        return names

    def _sides(self, stage: Stage, done: dict[str, Counts]) -> Sides:
        everything = Counts()
        for counts in done.values():
            everything = everything.plus(counts)
        match stage.role:
            case Role.BASELINE:
                return everything, Counts(), Counts()
            case Role.CANDIDATE:
                return Counts(), everything, Counts()
            case Role.NEITHER:
                return Counts(), Counts(), everything
        baseline, candidate = (done.get(name, Counts()) for name in self.versions())
        match stage.role:
            case Role.HALVES:
                return *halves(baseline, self._chance), Counts()
            case Role.COPIES:
                return baseline, candidate, Counts()
        return baseline, candidate, done.get(UNKNOWN, Counts())
