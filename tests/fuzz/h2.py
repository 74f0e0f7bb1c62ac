"""`python -m tests.fuzz.h2`: mutates frames against both ends of HTTP/2, in this process, until the time is over.

The seeds are what the oracle's section-by-section cases send, and answers of hosts. A connection has to answer with whole
frames, end by a GOAWAY or go on, and make the same of the bytes however they are cut. It is the compiled connection where
there is one (`make native`), unless MESH_NATIVE=off.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

import hpack

from sidecar.codec import h2_frames as frames
from sidecar.process import native
from tests.fuzz.h2_steps import written
from tests.fuzz.h2_subjects import Client, Noted, Server
from tests.fuzz.mutate import mutate
from tests.oracle.topics.h2_spec import ROWS

BOTH = frames.END_HEADERS | frames.END_STREAM
KINDS = {
    frames.DATA,
    frames.HEADERS,
    frames.CONTINUATION,
    frames.SETTINGS,
    frames.WINDOW_UPDATE,
    frames.PING,
    frames.RST_STREAM,
    frames.GOAWAY,
}
# What one read asks for in too many answers depends on how much one read brings.
BY_READ = (b"http2.outbound_control_frames_flood", b"http2.outbound_frames_flood")


def _block(*fields: tuple[str, str]) -> bytes:
    return bytes(hpack.Encoder().encode(fields, huffman=True))


def _answer(stream: int) -> bytes:
    """A whole one, of several frames."""
    return (
        frames.frame(frames.HEADERS, frames.END_HEADERS, stream, _block((":status", "200"), ("x-a", "b" * 30)))
        + frames.frame(frames.DATA, 0, stream, b"answer")
        + frames.frame(frames.DATA, frames.PADDED, stream, b"\3more\0\0\0")
        + frames.frame(frames.HEADERS, BOTH, stream, _block(("grpc-status", "0")))
    )


REQUESTS: dict[str, bytes] = {words: b"".join(written(row.steps)) for words, row in ROWS.items()}
ANSWERS: dict[str, bytes] = {
    "three answers": _answer(1) + _answer(5) + _answer(3),
    "an interim one": frames.frame(frames.HEADERS, 4, 1, _block((":status", "103"), ("link", "x"))) + _answer(1),
    "an early one": frames.frame(frames.HEADERS, BOTH, 5, _block((":status", "204"))),
    "a length": frames.frame(frames.HEADERS, 4, 3, _block((":status", "200"), ("content-length", "2")))
    + frames.frame(frames.DATA, frames.END_STREAM, 3, b"ok"),
    "several frames": frames.frame(frames.HEADERS, 0, 1, _block((":status", "200"), ("x-a", "b"))[:3])
    + frames.frame(frames.CONTINUATION, BOTH, 1, _block((":status", "200"), ("x-a", "b"))[3:]),
    "resets": frames.rst_stream(1, frames.REFUSED_STREAM) + frames.rst_stream(3, frames.CANCEL),
    "a farewell": frames.goaway(3, frames.NO_ERROR, b"later") + _answer(1) + frames.goaway(1, frames.NO_ERROR, b""),
    "credit and pings": frames.window_update(0, 70_000)
    + frames.window_update(3, 9)
    + frames.ping(b"12345678", ack=False),
    "settings": frames.settings([(1, 0), (3, 1), (4, 10), (5, 20_000)]) + _answer(3),
}


@dataclass(frozen=True)
class Heard:
    """What a connection has made of its input."""

    broken: str  # the rule that is, empty when none
    why: bytes  # what the connection ended by
    by_stream: tuple[tuple[int, bytes], ...]  # the data that were sent
    noted: tuple[str, ...]


def heard(end: Server | Client, text: bytes, cuts: Sequence[int]) -> Heard:
    """The text in these pieces."""
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    sent, noted = end.hear([text[start:stop] for start, stop in pairwise(places)])
    return _judged(sent, noted)


def _judged(sent: bytes, noted: list[Noted]) -> Heard:
    broken, why, data = "", b"", dict[int, bytes]()
    while sent and not broken:
        length, kind = int.from_bytes(sent[:3]), sent[3]
        stream, payload, sent = int.from_bytes(sent[5:9]), sent[9 : 9 + length], sent[9 + length :]
        if len(payload) < length:
            broken = "half a frame was sent"
        elif kind not in KINDS:
            broken = f"a frame of kind {kind} was sent"
        elif why:
            broken = "something was sent after the last word"
        elif kind == frames.GOAWAY:
            why = payload[8:] or b"no reason"
        elif kind == frames.DATA:
            data[stream] = data.get(stream, b"") + payload
    for number, each in enumerate(noted):
        if len(each.ends) > 1:
            broken = f"message {number} ended more than once: {each.ends}"
    return Heard(broken, why, tuple(sorted(data.items())), tuple(map(repr, noted)))


def broken(end: Server | Client, text: bytes, cuts: Sequence[int]) -> str:
    """The rule that is broken, empty when none is."""
    whole, pieces = heard(end, text, ()), heard(end, text, cuts)
    if whole.broken or pieces.broken:
        return whole.broken or pieces.broken
    if whole != pieces and not {whole.why, pieces.why} & set(BY_READ):
        return f"pieces make a difference: {whole} and {pieces}"
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz.h2", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    given = parser.parse_args(arguments)
    random, seeds = Random(given.seed), {Server: list(REQUESTS.values()), Client: list(ANSWERS.values())}
    ends: list[Server | Client] = [Server(), Client()]
    until, tried = time.monotonic() + given.seconds, 0
    while time.monotonic() < until:
        end = random.choice(ends)
        text = mutate(random.choice(seeds[type(end)]) + random.choice(seeds[type(end)]), seeds[type(end)], random)
        cuts = [random.randrange(10_000) for _ in range(4)]
        tried += 1
        if why := broken(end, text, cuts):
            print(f"{type(end).__name__}: {why}: {text!r} in pieces at {cuts} (seed {given.seed})")
            return 1
    kind = "compiled" if native.active() else "Python"
    print(f"{tried} inputs in {given.seconds:g} s ({kind}), no rule broken (seed {given.seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
