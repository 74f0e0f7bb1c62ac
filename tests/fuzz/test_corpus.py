"""The corpus replayed against a running sidecar, a little fuzzing on top, and the fuzzer's own parts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from tests.fuzz import corpus
from tests.fuzz.__main__ import BATCH, draw, main
from tests.fuzz.engine import Engine, Input
from tests.fuzz.mutate import LARGEST, mutate, pieces
from tests.fuzz.rules import log_faults, request_faults, response_faults
from tests.harness.sidecar import sidecar_command
from tests.harness.upstream import Received

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
EXTRA_BATCHES = 6  # of fresh mutations, always the same


def test_corpus_breaks_no_rule(tmp_path: Path) -> None:
    """Each input whole and byte by byte, and some mutations."""
    seeds = {side: list(corpus.load(side).values()) for side in corpus.SIDES}
    inputs = [Input(side, (data,)) for side in corpus.SIDES for data in seeds[side]]
    inputs += [
        Input(side, tuple(data[at : at + 1] for at in range(len(data))))
        for side in corpus.SIDES
        for data in seeds[side]
        if len(data) < 300
    ]
    random = Random(1)
    inputs += [draw(seeds, corpus.SIDES, random) for _ in range(EXTRA_BATCHES * BATCH)]
    asyncio.run(_replay(inputs, tmp_path))


async def _replay(inputs: list[Input], folder: Path) -> None:
    async with Engine(sidecar_command, folder) as engine:
        for at in range(0, len(inputs), BATCH):
            batch = inputs[at : at + BATCH]
            outcomes = await engine.batch(batch)
            faults = {given.data[:200]: outcome.faults for given, outcome in zip(batch, outcomes, strict=True)}
            assert not any(faults.values()), {data: found for data, found in faults.items() if found}


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (OK, None),
        (OK + OK, None),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, None),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + OK, None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npartial", None),
        (b"", None),
        (b"HTTP/1.1 200 OK\r\ncontent-le", "no end of the head"),
        (b"nonsense\r\n\r\n", "first line"),
        (b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n", "header line"),
        (b"HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n", "header line"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "header line"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n", "more than one content-length"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", "and transfer-encoding"),
        (OK + b"garbage\r\n\r\n", "first line"),
    ],
)
def test_rules_of_responses(raw: bytes, fault: str | None) -> None:
    found = response_faults(raw)
    assert (fault is None and not found) or (fault is not None and any(fault in text for text in found)), found


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\n\r\n", "0 hosts"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "2 hosts"),
        (b"GET /a b HTTP/1.1\r\nhost: a\r\n\r\n", "first line"),
        (b"GET / HTTP/1.0\r\nhost: a\r\n\r\n", "first line"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: a\nb: c\r\n\r\n", "header line"),
    ],
)
def test_rules_of_requests(head: bytes, fault: str | None) -> None:
    lines = head.decode("latin-1").split("\r\n")[1:-2]
    received = Received(0, "", [(line.split(":")[0], line.split(":")[1]) for line in lines], head)
    found = request_faults(received)
    assert (fault is None and not found) or (fault is not None and any(fault in text for text in found)), found


def test_rules_of_the_log() -> None:
    assert log_faults("all is well\nTraceback (most recent call last):\n  File x") == [
        "Traceback (most recent call last):"
    ]


def test_mutations_are_bounded_repeatable_and_change_something() -> None:
    seeds = list(corpus.load("requests").values())
    first = [mutate(seeds[number % len(seeds)], seeds, Random(number)) for number in range(200)]
    again = [mutate(seeds[number % len(seeds)], seeds, Random(number)) for number in range(200)]
    assert first == again
    assert max(map(len, first)) <= LARGEST
    assert sum(data != seeds[number % len(seeds)] for number, data in enumerate(first)) > 150


def test_pieces_are_the_data() -> None:
    for seed in range(100):
        data = b"some bytes of a request" * (1 + seed % 3)
        assert b"".join(pieces(data, Random(seed))) == data


def test_a_broken_rule_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "FOLDER", tmp_path)
    (tmp_path / "requests").mkdir()
    path = corpus.keep(Input("requests", (b"a", b"b")))
    assert path.read_bytes() == b"ab"
    assert corpus.load("requests") == {path.name: b"ab"}


def test_unknown_side_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--sides", "nonsense"])
    assert "no such side: nonsense" in capsys.readouterr().err
