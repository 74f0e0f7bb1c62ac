"""Long random dialogues with two clients, all that was said written down in `walks/`: what is sent in which order, what is
waited for, how far each resource is, and when a publication counts as arrived.

That nothing leads nowhere in any order is `test_push_machine`'s matter; that no word of it changes unnoticed is
the matter here. `python -m tests.unit.control_plane.ads.test_walks` writes them anew after a change that is meant: read
what differs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from control_plane.ads.convergence import Ledger, report
from control_plane.ads.push import Progress, Push, PushCore, Variant
from control_plane.ads.status import type_status
from control_plane.ads.subscription import DeltaRequest, Request, SotwRequest
from control_plane.snapshot.build import Snapshot, differences
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, SHORT
from tests.unit.control_plane.ads.simulated import BAD, Client, cluster, endpoints, listener, route, snapshot

FOLDER: Final = Path(__file__).with_name("walks")
ALL: Final = (CLUSTER, ENDPOINT, LISTENER, ROUTE)
STEPS: Final = 70
WALKS: Final = [(variant, seed) for variant in Variant for seed in range(10)]


class Side:
    """A client and its stream; what the ledger calls a proxy."""

    def __init__(self, name: str, variant: Variant, names_culprits: bool) -> None:
        self.id = name
        self.generation = 0
        self.variant = variant
        self.client = Client(variant, names_culprits=names_culprits)
        self.core = PushCore(variant)

    def connect(self, target: Snapshot) -> None:
        self.core = PushCore(self.variant)
        self.core.retarget(target)
        self.client.connect()

    def progress(self, type_url: str, name: str) -> tuple[Progress, str]:
        return self.core.progress(type_url, name)


class Walk:
    """One dialogue, as lines of text."""

    def __init__(self, variant: Variant, seed: int) -> None:
        self.rng = random.Random(f"{variant.value} {seed}")
        self.now = 100.0
        self.bad = seed % 2 == 1
        self.target = Snapshot()
        self.revision = 0
        self.ledger = Ledger()
        self.known: dict[Side, list[str]] = {}
        self.sides = [Side(name, variant, seed % 4 != 3) for name in ("a", "b")]
        for side in self.sides:
            side.connect(self.target)

    def lines(self) -> Iterator[str]:
        yield from self.publish()
        for _ in range(STEPS):
            side = self.rng.choice(self.sides)
            acts = [self.publish, self.time, self.odd] + 3 * [self.step, self.read, self.hear]
            if side.variant is Variant.DELTA:
                acts.append(self.again)
            act = self.rng.choice(acts)
            yield from act(side) if act != self.publish else act()
            yield from self.news(side)
        for side in self.sides:
            yield f"{side.id} leaves: {[str(p.state) for p in self.ledger.left(side, self.now)]}"
        yield self.told()

    # ── what may happen ───────────────────────────────────────────────────────────────────────────────────────────────

    def publish(self, _: Side | None = None) -> Iterator[str]:
        self.target, self.revision = self.snapshot(), self.revision + 1
        self.ledger.publish(self.revision, self.now - 0.5, self.sides, self.now)
        yield f"at {self.now:g}: revision {self.revision}"
        for side in self.sides:
            if self.rng.random() < 0.1:
                told = self.ledger.failed(side, "no way", self.now)
                yield f"{side.id} cannot be translated for: {[p.revision for p in told]}"
                continue
            changes = list(differences(side.core.target, self.target))
            side.core.retarget(self.target)
            told = self.ledger.translated(side, changes, self.now)
            yield f"{side.id} is to have {_short(changes)}: {[(p.revision, str(p.state)) for p in told]}"

    def snapshot(self) -> Snapshot:
        rng = self.rng
        names = rng.sample(["c0", "c1", "c2", "c3"], rng.randint(1, 4))
        versions = [1, 2, BAD] if self.bad else [1, 2]
        tables = rng.sample(["r0", "r1"], rng.randint(0, 2))
        return snapshot(
            cds=[cluster(name, rng.choice(versions)) for name in names],
            eds=[endpoints(name, rng.choice(versions)) for name in names if rng.random() < 0.5],
            lds=[
                listener(f"{rng.choice('lm')}-{name}", name, rng.choice(versions), f"{rng.choice('ab')}-{name}")
                for name in tables
            ],
            rds=[route(name, rng.choice(names), rng.choice(versions)) for name in tables],
        )

    def time(self, side: Side) -> Iterator[str]:
        self.now += self.rng.choice([0.25, 0.5, 1.0, 4.0, 10.0])
        yield f"at {self.now:g}"
        if self.rng.random() < 0.2:
            side.client.lose_patience()

    def step(self, side: Side) -> Iterator[str]:
        pushes = side.core.step(self.now)
        side.client.inbox.extend(push for push in pushes if push.type_url in ALL)
        yield from (f"{side.id} is sent {_text(push)}" for push in pushes)

    def read(self, side: Side) -> Iterator[str]:
        if side.client.inbox:
            side.client.read()
        yield f"{side.id} reads"

    def hear(self, side: Side) -> Iterator[str]:
        if side.client.outbox:
            yield from self.take(side, side.client.outbox.popleft())

    def take(self, side: Side, request: Request) -> Iterator[str]:
        verdict = side.core.receive(request, self.now)
        told = self.ledger.progressed(side, self.now)
        yield f"{side.id} says {_said(request)}: {verdict.value} {[(p.revision, str(p.state)) for p in told]}"

    def odd(self, side: Side) -> Iterator[str]:
        """What no well-behaved client says: other types, stale nonces, the star."""
        kind = self.rng.choice(["type.googleapis.com/envoy.x.Secret", ROUTE, ENDPOINT])
        names = tuple(self.rng.sample(["c0", "r0", "s", "*"], self.rng.randint(0, 2)))
        nonce = self.rng.choice(["", "", "1", "nothing"])
        if side.variant is Variant.SOTW:
            yield from self.take(side, SotwRequest(kind, names, "", nonce, self.rng.choice([None, None, "c0", ""])))
        else:
            yield from self.take(side, DeltaRequest(kind, names, names[:1] if nonce else (), {}, nonce))

    def again(self, side: Side) -> Iterator[str]:
        side.connect(self.target)
        yield f"{side.id} comes back"

    # ── how things are ────────────────────────────────────────────────────────────────────────────────────────────────

    def news(self, side: Side) -> Iterator[str]:
        """What of the state is not as it was."""
        lines = list(self.state(side))
        before, self.known[side] = self.known.get(side, []), lines
        yield from (line for line in lines if line not in before)

    def state(self, side: Side) -> Iterator[str]:
        deadline = side.core.deadline(self.now)
        synced = [SHORT[url] for url in ALL if url in side.core.subscriptions and side.core.synced(url)]
        yield f"  synced: {' '.join(synced)}; next: {'-' if deadline is None else f'{deadline:g}'}"
        for url in ALL:
            names = sorted({*self.target.of(url), "c0", "r0"})
            how = {name: side.core.progress(url, name) for name in names}
            told = [f"{name}={progress.value}{why and f'({why})'}" for name, (progress, why) in how.items()]
            yield f"  {SHORT[url]} {' '.join(told)}"
            status = type_status(side.core, url, 1000.0)
            times = f"{status.pushed_at} {status.acked_at}"
            yield f"    {SHORT[url]} {status.state} {status.version} {status.acked} {status.error} {times}"
        yield self.told()

    def told(self) -> str:
        reports = [report(revision, self.ledger.find(revision), self.now) for revision in range(1, self.revision + 2)]
        return "  " + "; ".join(
            f"{r.revision} {r.state} {r.acked}/{r.affected} {r.seconds:g} {r.p50:g} {r.p99:g}"
            + "".join(f" {n.proxy} {n.type} {n.resource} {n.message}," for n in r.nacks)
            for r in reports[-4:]
        )


def _short(changes: list[tuple[str, str]]) -> str:
    return " ".join(sorted(f"{SHORT[url]}/{name}" for url, name in changes))


def _text(push: Push) -> str:
    kind = SHORT.get(push.type_url, push.type_url)
    names = sorted(f"{r.name}@{r.version}" for r in push.resources)
    return " ".join([kind, push.nonce, push.version, *names, *(f"-{name}" for name in push.removed)])


def _said(request: Request) -> str:
    kind = SHORT.get(request.type_url, request.type_url)
    if isinstance(request, SotwRequest):
        return f"{kind} {' '.join(request.names)} v{request.version} n{request.nonce} {request.error}"
    names = f"+{request.subscribe} -{request.unsubscribe} {sorted(request.initial.items())}"
    return f"{kind} {names} n{request.nonce} {request.error}"


def file_of(variant: Variant, seed: int) -> Path:
    return FOLDER / f"{variant.value}-{seed}.txt"


@pytest.mark.parametrize(("variant", "seed"), WALKS)
def test_a_dialogue_goes_as_it_is_written_down(variant: Variant, seed: int) -> None:
    written = file_of(variant, seed).read_text(encoding="utf-8").splitlines()
    assert [line.rstrip() for line in Walk(variant, seed).lines()] == written


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for walk in WALKS:
        lines = (line.rstrip() for line in Walk(*walk).lines())
        file_of(*walk).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
