"""One experiment, from its first look to its end: looks each interval, decides, and does what was decided."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from random import Random
from typing import Any, Final

import aiohttp

from control_plane.experiments.collector import Collector, PrometheusCollector
from control_plane.experiments.ledger import VIRTUAL_SERVICE, Document, Ledger, ended, run_key
from control_plane.experiments.lookout import Lookout
from mesh.clock import Clock
from mesh.errors import MeshError
from mesh.experiments.data import Counts
from mesh.experiments.lifecycle import Action, Decision, Observation, decide, healthy, without_number
from mesh.experiments.resource import Experiment, fingerprint
from mesh.experiments.routes import RouteError
from mesh.experiments.run import Event, Phase, Point, Run, brief
from mesh.experiments.schedule import early
from mesh.experiments.stages import (
    Role,
    Stage,
    checks,
    route_name,
    routes_of,
    settled_routes,
    stages,
)
from mesh.experiments.verdict import Judgement, Verdict, explain, judge
from mesh.istio.resource import Key

log = logging.getLogger(__name__)

WEBHOOK_SECONDS: Final = 5.0
NO_JUDGEMENT: Final = Judgement(Verdict.NOT_ENOUGH, (), None)
EDITED: Final = "somebody else has changed the VirtualService"


class Conductor:
    """`run()` ends with the experiment. What the API asks for is `stop`, `promote`, `pause` and `resume`."""

    def __init__(
        self,
        key: Key,
        spec: Experiment,
        ledger: Ledger,
        collector: Collector,
        session: aiohttp.ClientSession,
        clock: Clock,
        chance: Random | None = None,
    ) -> None:
        self.key = key
        self.spec = spec
        self.state: Run | None = None
        self.judgement = NO_JUDGEMENT
        self.next = ""  # what is waited for, or was decided last
        self._ledger = ledger
        prometheus = PrometheusCollector(session, spec.prometheus) if spec.prometheus else None
        self._lookout = Lookout(key, spec, ledger, collector, prometheus, session, chance or Random())
        self._session = session
        self._clock = clock
        self._stages = stages(spec)
        self._checks = checks(spec)
        self._route = Key(VIRTUAL_SERVICE, key.namespace, route_name(spec))
        self._heard = clock.monotonic()
        self._answered = clock.monotonic()  # when every guard's query last had a number
        self._unanswered = False  # and whether it has been said that one has none
        self._acting = asyncio.Lock()
        self._asked = fingerprint(spec)
        self._found = False
        self._explained: tuple[tuple[Counts, Counts], Judgement] | None = None

    @property
    def stage(self) -> Stage:
        return self._stages[self.state.stage if self.state is not None else 0]

    async def run(self) -> None:
        while self.state is None or not self.state.phase.ended:
            await self.turn()
            await asyncio.sleep(self.spec.interval)

    async def turn(self) -> None:
        """One look, and what follows of it. Whatever goes wrong, the next one may still end what hurts."""
        try:
            if not self._found:
                await self._find()
            await self._once()
        except Exception as error:
            self._failed(error)

    async def _find(self) -> None:
        """What an earlier process has left of it. If the experiment was changed since, that is taken back first."""
        state = self._ledger.find(self.key)
        if state is not None and state.asked not in ("", self._asked):
            log.info("experiment %s was changed, and begins anew", self.key.name)
            await self._ledger.forget(run_key(self.key), self._clock.wall())
            state = None
        self.state, self._found = state, True
        if state is not None and state.phase is Phase.RUNNING:
            self.state = state.with_event(self._event("resumed", "the control plane was started again"))

    async def _once(self) -> None:
        if self.state is None:
            await self._begin()
            return
        if self.state.phase.ended:
            return
        async with self._acting:
            if self.state.phase is Phase.RUNNING and self._ledger.routes(self._route) != self.state.written:
                await self._pause(EDITED)
            seen = await self._seen()
            if self.state.phase is not Phase.RUNNING:
                self._answered = self._clock.monotonic()
                return
            await self._act(decide(self.spec, self._stages, self.state, seen, self.judgement))

    def _failed(self, error: Exception) -> str:
        """Says in the log and in `next` what went wrong; how it comes to it is only said of what nobody expected."""
        self.next = str(error) if isinstance(error, MeshError) else f"{type(error).__name__}: {error}"
        log.error(
            "experiment %s: %s", self.key.name, self.next, exc_info=None if isinstance(error, MeshError) else error
        )
        return self.next

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _seen(self) -> Observation:
        """What cannot be read or judged is as good as silence: it is held, and rolled back when that lasts."""
        assert self.state is not None  # noqa: S101
        seen = Observation(self._clock.wall(), Counts())
        try:
            seen = await self._look()
            if self.state.phase is Phase.RUNNING:
                self.judgement = await asyncio.to_thread(self._judge)
        except Exception as error:
            return replace(seen, silent=self._clock.monotonic() - self._heard, trouble=self._failed(error))
        if not seen.silent:
            self._heard = self._clock.monotonic()
        return seen

    async def _look(self) -> Observation:
        assert self.state is not None  # noqa: S101
        compared = await self._lookout.compared(self.stage)
        sides = await self._lookout.look(self.stage)
        if sides is None:
            return Observation(self._clock.wall(), Counts(), self._clock.monotonic() - self._heard)
        baseline, candidate, lost = sides
        state = self.state
        recent = candidate.plus(lost)
        if self.stage.role is Role.NEITHER:
            well = healthy(self._checks, state.baseline, recent)
            state = replace(state, recovered=(state.recovered or self._clock.wall()) if well else 0.0)
        sent = baseline.requests + candidate.requests
        if self._clock.wall() - state.began >= (self.spec.warm_up or 0.0):
            state = replace(state, baseline=state.baseline.plus(baseline), candidate=state.candidate.plus(candidate))
        point = Point(
            self._clock.wall(),
            self.stage.weight,
            candidate.requests / sent if sent else None,
            brief(state.baseline),
            brief(state.candidate),
        )
        self.state = state.with_point(point)
        answers = await self._lookout.answers()
        return Observation(
            self._clock.wall(), recent, 0.0, answers, unanswered=self._unanswered_for(answers), compared=compared
        )

    def _unanswered_for(self, answers: tuple[float | None, ...]) -> float:
        """For how many seconds some guard has had no number. The first time is an event."""
        assert self.state is not None  # noqa: S101
        now = self._clock.monotonic()
        reason = without_number(self.spec, self.stage, answers)
        if not reason:
            self._answered, self._unanswered = now, False
        elif not self._unanswered and self.state.phase is Phase.RUNNING:
            self._unanswered = True
            self.state = self.state.with_event(self._event("no data", reason))
            log.warning("experiment %s: %s", self.key.name, reason)
        return now - self._answered

    def _judge(self) -> Judgement:
        assert self.state is not None  # noqa: S101
        return judge(self._checks, self.state.baseline, self.state.candidate, self.spec.alpha)

    async def explained(self) -> tuple[Run | None, Judgement]:
        """How it stands, with intervals and with what is missing. Worked out once for each look."""
        run = self.state
        if run is None:
            return None, NO_JUDGEMENT
        counts = (run.baseline, run.candidate)
        if self._explained is None or self._explained[0] != counts:
            judgement = await asyncio.to_thread(explain, self._checks, *counts, self.spec.alpha)
            self._explained = (counts, judgement)
        return run, self._explained[1]

    # ── acting ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _begin(self) -> None:
        """The first stage, when its time has come. Nothing is begun that could not be measured."""
        if reason := early(self.spec.schedule, self._clock.wall()):
            self.next = reason
            return
        if self.spec.baseline is not None:
            self._lookout.versions()
        await self._look_ahead(self._stages[0])
        original = self._ledger.routes(self._route)
        now = self._clock.wall()
        run = Run(began=now, asked=self._asked, stage_began=now, original=original, written=original)
        run = run.with_event(self._event("began", self._stages[0].name, run))
        written = await self._ledger.write(self.key, run, self._route, self._stage_routes(0, original))
        if written is not None:
            self.state = written
            log.info("experiment %s began", self.key.name)

    async def _look_ahead(self, stage: Stage) -> None:
        """Marks what was counted before; MeshError when nobody can be heard, for then nothing could be undone in time."""
        if not await self._lookout.mark(stage):
            where = self.spec.prometheus or "any proxy"
            raise RouteError(f"no metrics can be had from {where}: the experiment waits")
        self._heard = self._answered = self._clock.monotonic()

    async def _act(self, decision: Decision) -> None:
        assert self.state is not None  # noqa: S101
        self.next = decision.reason
        match decision.action:
            case Action.HOLD:
                return
            case Action.STEP:
                await self._step(decision.reason)
            case Action.ASK:
                await self._ask()
            case Action.PROMOTE:
                await self._settle(Phase.PROMOTED, decision.reason, candidate=True)
            case Action.ROLL_BACK:
                await self._settle(Phase.ROLLED_BACK, decision.reason)
            case Action.FINISH:
                await self._settle(Phase.FINISHED, decision.reason)

    async def _step(self, reason: str) -> None:
        assert self.state is not None  # noqa: S101
        index = self.state.stage + 1
        run = replace(
            self.state,
            stage=index,
            stage_began=self._clock.wall(),
            stage_requests=self.state.candidate.requests,
            approved=False,
        )
        if self._stages[index].reporter != self.stage.reporter:
            # What proxies of one side saw is not added to what those of the other did: the evidence begins anew.
            await self._look_ahead(self._stages[index])
            run = replace(run, baseline=Counts(), candidate=Counts(), stage_requests=0.0)
        run = run.with_event(self._event(f"stage {self._stages[index].name}", reason, run))
        await self._write(run, self._stage_routes(index, run.original))

    async def _settle(self, phase: Phase, reason: str, candidate: bool = False) -> None:
        """The end: everything to the candidate, or everything as it was."""
        assert self.state is not None  # noqa: S101
        original = self.state.original
        run = ended(self.state, phase, self._event(phase.value, reason))
        document: Document | None = original
        if candidate and self.spec.candidate is not None:
            document = settled_routes(
                self.spec, original, self.key.name, self.key.namespace, self.spec.candidate.subset
            )
        if await self._write(run, document):
            log.info("experiment %s: %s: %s", self.key.name, phase.value, reason)

    async def _write(self, run: Run, document: Document | None) -> bool:
        written = await self._ledger.write(self.key, run, self._route, document)
        if written is None:
            await self._pause(EDITED)
            return False
        self.state = written
        return True

    async def _pause(self, reason: str) -> None:
        assert self.state is not None  # noqa: S101
        run = replace(self.state, phase=Phase.PAUSED, reason=reason)
        self.state = await self._ledger.note(self.key, run.with_event(self._event("paused", reason)))
        log.warning("experiment %s is paused: %s", self.key.name, reason)

    async def _ask(self) -> None:
        assert self.state is not None  # noqa: S101
        body = {"experiment": self.key.name, "namespace": self.key.namespace, "stage": self.stage.name}
        try:
            timeout = aiohttp.ClientTimeout(total=WEBHOOK_SECONDS)
            post = self._session.post(self.stage.webhook, json=body, timeout=timeout, allow_redirects=False)
            async with post as answer:
                agreed, said = answer.status == 200, str(answer.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            agreed, said = False, str(error) or type(error).__name__
        if agreed:
            self.state = replace(self.state, approved=True)
        self.next = f"{self.stage.webhook} answered {said}"

    def _stage_routes(self, index: int, original: Document | None) -> dict[str, Any]:
        return routes_of(self.spec, index, original, self.key.name, self.key.namespace)

    def _event(self, what: str, reason: str, run: Run | None = None) -> Event:
        run = run or self.state
        index = run.stage if run is not None else 0
        evidence = tuple(
            f"{finding.name}: {finding.state}, e^{finding.violated:.1f} against it, e^{finding.kept:.1f} for it"
            for finding in self.judgement.findings
        )
        return Event(self._clock.wall(), what, reason, index, self._stages[index].weight, evidence)

    # ── asked by people ───────────────────────────────────────────────────────────────────────────────────────────────

    async def stop(self, reason: str) -> None:
        """Everything as it was; somebody's edit stays."""
        async with self._acting:
            state = self._going("stopped")
            event = self._event("stopped", reason)
            if state.phase is Phase.PAUSED and self._ledger.routes(self._route) != state.written:
                note = replace(event, reason=f"{reason}; the changed VirtualService stays")
                self.state = await self._ledger.note(self.key, ended(state, Phase.STOPPED, note))
                return
            await self._settle(Phase.STOPPED, reason)

    async def promote(self, reason: str) -> str:
        """Agrees to the stage that waits for it; otherwise everything goes to the candidate. What was done."""
        async with self._acting:
            state = self._going("promoted")
            if self.stage.manual and not state.approved and state.phase is Phase.RUNNING:
                agreed = replace(state, approved=True).with_event(self._event("approved", reason))
                self.state = await self._ledger.note(self.key, agreed)
                return f"{self.stage.name} is approved"
            await self._settle(Phase.PROMOTED, reason, candidate=True)
            return "everything goes to the candidate"

    async def resume(self) -> None:
        """Goes on after a pause: its routes come back, made from what is there now."""
        async with self._acting:
            state = self._going("resumed")
            if state.phase is not Phase.PAUSED:
                raise RouteError(f"{self.key.name} is {state.phase}, not paused")
            current = self._ledger.routes(self._route)
            original = state.original if current == state.written else current
            run = replace(
                state, phase=Phase.RUNNING, reason="", original=original, written=current,
                stage_began=self._clock.wall(), stage_requests=state.candidate.requests,
            )  # fmt: skip
            await self._write(
                run.with_event(self._event("resumed", "asked for")), self._stage_routes(run.stage, original)
            )

    async def pause(self, reason: str) -> None:
        async with self._acting:
            self._going("paused")
            await self._pause(reason)

    def _going(self, what: str) -> Run:
        if self.state is None:
            raise RouteError(
                f"{self.key.name} has not begun yet, and cannot be {what}: {self.next or 'it begins soon'}"
            )
        if self.state.phase.ended:
            raise RouteError(f"{self.key.name} is over ({self.state.phase}), and cannot be {what}")
        return self.state
