"""`python -m tests.fuzz.h2`: mutates frames against an HTTP/2 session, in this process, until the time is over.

The seeds are what the oracle's section-by-section cases send. A session has to answer with whole frames, end the connection
by a GOAWAY or go on, and do the same however the bytes are cut.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from random import Random

from sidecar.codec import h2_frames as frames
from tests.fuzz.mutate import mutate
from tests.harness.h2_ends import NotingSession
from tests.oracle.h2_case import Send
from tests.oracle.topics.h2_spec import ROWS

SEEDS: dict[str, bytes] = {
    words: b"".join(bytes(part) for step in row.steps if isinstance(step, Send) for part in step.parts)
    for words, row in ROWS.items()
}
ANSWERS = {frames.SETTINGS, frames.WINDOW_UPDATE, frames.PING, frames.RST_STREAM, frames.GOAWAY}


def answered(text: bytes, cuts: Sequence[int]) -> tuple[bytes, str]:
    """What a session that got the text in these pieces has sent, and what ended it."""
    session = NotingSession(server=True)
    session.begin()
    session.receive(frames.frame(frames.SETTINGS, 0, 0))
    sent = session.take()
    for start, end in pairwise(sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})):
        session.receive(text[start:end])
        sent += session.take()
    return sent, session.violation.detail if session.violation is not None else ""


def broken(text: bytes, cuts: Sequence[int]) -> str:
    """The rule that is broken, empty when none is."""
    sent, why = answered(text, ())
    kinds: list[int] = []
    while sent:
        length = int.from_bytes(sent[:3])
        if len(sent) < 9 + length:
            return "half a frame was sent"
        kinds.append(sent[3])
        sent = sent[9 + length :]
    if not set(kinds) <= ANSWERS:
        return f"frames of the kinds {sorted(set(kinds))} were sent"
    if (kinds[-1] == frames.GOAWAY) != bool(why):
        return f"GOAWAY and violation ({why or 'none'}) do not go together"
    return "" if answered(text, cuts)[1] == why else "pieces make a difference"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz.h2", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    given = parser.parse_args(arguments)
    random, seeds = Random(given.seed), list(SEEDS.values())
    until, tried = time.monotonic() + given.seconds, 0
    while time.monotonic() < until:
        text = mutate(random.choice(seeds) + random.choice(seeds), seeds, random)
        cuts = [random.randrange(10_000) for _ in range(4)]
        tried += 1
        if why := broken(text, cuts):
            print(f"{why}: {text!r} in pieces at {cuts} (seed {given.seed})")
            return 1
    print(f"{tried} inputs in {given.seconds:g} s, no rule broken (seed {given.seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
