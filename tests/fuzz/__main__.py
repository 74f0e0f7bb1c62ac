"""`python -m tests.fuzz`: mutates the corpus against a running sidecar until the time is over or a rule is broken."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from tests.fuzz import corpus
from tests.fuzz.engine import Engine, Input, Outcome, Side
from tests.fuzz.mutate import mutate, pieces
from tests.harness.envoy import EnvoyUnavailableError, envoy_command, install_envoy
from tests.harness.sidecar import sidecar_command

BATCH = 16


def envoy(config: Path) -> list[str]:
    return envoy_command(install_envoy(), config, "-l", "warning")


def draw(seeds: dict[Side, list[bytes]], sides: Sequence[str], random: Random) -> Input:
    """A mutated input of one of the sides."""
    side = random.choice([known for known in corpus.SIDES if known in sides])
    data = mutate(random.choice(seeds[side]), seeds[side], random)
    return Input(side, tuple(pieces(data, random)))


async def fuzz(seconds: float, seed: int, sides: Sequence[str], folder: Path) -> int:
    """Broken rules, each printed with its input; the run ends with the first batch that broke one."""
    random = Random(seed)
    seeds = {side: list(corpus.load(side).values()) for side in corpus.SIDES}
    until = time.monotonic() + seconds
    tried = 0
    async with Engine(sidecar_command, folder) as engine:
        while time.monotonic() < until:
            inputs = [draw(seeds, sides, random) for _ in range(BATCH)]
            tried += len(inputs)
            outcomes = await engine.batch(inputs)
            if any(outcome.faults for outcome in outcomes):
                await blame(engine, inputs, outcomes)
                return 1
    print(f"{tried} inputs in {seconds:g} s, no rule broken (seed {seed})")
    return 0


async def blame(engine: Engine, inputs: Sequence[Input], outcomes: Sequence[Outcome]) -> None:
    """The first of the batch that breaks a rule alone, kept; the whole batch when it takes more than one."""
    for given in inputs:
        (outcome,) = await engine.batch([given])
        if outcome.faults:
            print(f"{corpus.keep(given)}\n  " + "\n  ".join(outcome.faults))
            return
    print("broken by these together, by none alone:")
    for given, outcome in zip(inputs, outcomes, strict=True):
        print(f"  {given.side} {given.parts!r}"[:400])
        print("".join(f"    {fault}\n" for fault in outcome.faults), end="")


async def compare(seconds: float, seed: int, sides: Sequence[str], folder: Path) -> int:
    """The statuses that Envoy and ours answer to the same inputs; each kind of disagreement once, with an example."""
    random = Random(seed)
    seeds = {side: list(corpus.load(side).values()) for side in corpus.SIDES}
    until = time.monotonic() + seconds
    kinds: Counter[str] = Counter()
    tried = 0
    async with Engine(envoy, folder / "envoy") as real, Engine(sidecar_command, folder / "ours") as ours:
        while time.monotonic() < until:
            inputs = [draw(seeds, sides, random) for _ in range(BATCH)]
            tried += len(inputs)
            theirs, mine = await asyncio.gather(real.batch(inputs), ours.batch(inputs))
            for given, left, right in zip(inputs, theirs, mine, strict=True):
                if left.statuses != right.statuses:
                    kind = f"{given.side}: envoy {_words(left)}, ours {_words(right)}"
                    if not kinds[kind]:
                        print(f"{kind}\n  {given.parts!r}"[:2000], flush=True)
                    kinds[kind] += 1
    print(f"\n{tried} inputs, {sum(kinds.values())} answered otherwise, in {len(kinds)} kinds:")
    for kind, count in kinds.most_common():
        print(f"  {count:5} {kind}")
    return 0


def _words(outcome: Outcome) -> str:
    return " ".join(outcome.statuses) or "nothing"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time (it is printed)")
    parser.add_argument("--sides", default=",".join(corpus.SIDES), help="requests, responses or both")
    parser.add_argument("--compare", action="store_true", help="report where a real Envoy answers otherwise")
    given = parser.parse_args(arguments)
    seed = given.seed if given.seed is not None else time.time_ns() % 1_000_000
    if unknown := [side for side in given.sides.split(",") if side not in corpus.SIDES]:
        parser.error(f"no such side: {', '.join(unknown)}")
    work: Callable[..., object] = compare if given.compare else fuzz
    with tempfile.TemporaryDirectory(prefix="mesh-fuzz-") as folder:
        try:
            return asyncio.run(work(given.seconds, seed, given.sides.split(","), Path(folder)))  # type: ignore[arg-type]
        except EnvoyUnavailableError as error:
            parser.error(f"no real Envoy: {error}")


if __name__ == "__main__":
    sys.exit(main())
