"""`mesh load` against servers whose delays are known."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

MESH = [sys.executable, "-m", "mesh.cli.main"]


class Server(asyncio.Protocol):
    """Answers request n of the process after `delay(n)` seconds; requests of one server wait for each other when it is
    `single`."""

    count = 0
    free_at = 0.0
    seen: list[bytes] = []  # noqa: RUF012

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        kind, loop = type(self), asyncio.get_running_loop()
        kind.seen.append(data)
        delay = self.delay(kind.count)
        kind.count += 1
        begin = max(loop.time(), kind.free_at) if self.single else loop.time()
        if self.single:
            kind.free_at = begin + delay
        loop.call_at(begin + delay, self.answer, kind.count)

    single = False

    def delay(self, number: int) -> float:
        return 0.0

    def answer(self, number: int) -> None:
        status = b"503 Busy" if self.fails(number) else b"200 OK"
        self.transport.write(b"HTTP/1.1 %b\r\nx-version: v%d\r\ncontent-length: 2\r\n\r\nok" % (status, number % 2))

    def fails(self, number: int) -> bool:
        return False


@contextmanager
def serving(kind: type[Server]) -> Iterator[int]:
    kind.count, kind.free_at, kind.seen = 0, 0.0, []
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(kind, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def run(*words: str) -> dict[str, Any]:
    done = subprocess.run([*MESH, "load", *words, "-o", "json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


# Never less than the server took, and far from what another delay would have been: a machine that is busy adds to each.


def test_a_known_delay_is_what_is_measured() -> None:
    class Slow(Server):
        def delay(self, number: int) -> float:
            return 1.0 if number % 10 == 0 else 0.2

    with serving(Slow) as port:
        report = run(f"http://127.0.0.1:{port}/", "--rate", "100", "--count", "200")
    latency = report["all"]["latency"]
    assert report["all"]["requests"] == report["all"]["succeeded"] == 200
    assert 200 <= latency["p50"] < 600
    assert 1000 <= latency["p95"] < 1800
    assert 50 < report["rate"] < 100  # the last answers come after the last request


def test_a_stall_is_felt_by_all_who_wait_in_it() -> None:
    """wrk2's own example: a server that stands still for S seconds at R requests/s makes R·S requests late, by S for the
    first and by nothing for the last. A closed loop would have seen one slow request."""

    class Stalls(Server):
        single = True

        def delay(self, number: int) -> float:
            return 2.0 if number == 100 else 0.0

    with serving(Stalls) as port:
        report = run(f"http://127.0.0.1:{port}/", "--rate", "100", "--count", "400", "--connections", "1")
    latency, service = report["all"]["latency"], report["all"]["service"]
    assert 1990 <= latency["p100"] < 2600
    # 200 of 400 requests fell into the stall: their latencies are spread evenly over it.
    assert latency["p75"] == pytest.approx(2000 * (0.75 - 0.5) / 0.5, abs=300)
    assert latency["p90"] == pytest.approx(2000 * (0.9 - 0.5) / 0.5, abs=300)
    assert service["p99"] < 1000  # sent late, answered at once


def test_failures_statuses_and_labels_are_counted() -> None:
    class Fails(Server):
        def fails(self, number: int) -> bool:
            return number % 4 == 0

    with serving(Fails) as port:
        report = run(
            f"http://127.0.0.1:{port}/", "-r", "200", "-n", "100", "--by-header", "X-Version", "--processes", "2"
        )
    assert report["all"]["statuses"] == {"200": 75, "503": 25}
    assert report["all"]["labels"] == {"v0": 50, "v1": 50}
    assert report["all"]["succeeded"] == 75


def test_what_never_answers_is_a_timeout_and_nobody_listening_a_failure() -> None:
    class Never(Server):
        def delay(self, number: int) -> float:
            return 3600.0

    with serving(Never) as port:
        report = run(f"http://127.0.0.1:{port}/", "-r", "50", "-n", "10", "--timeout", "0.3")
    assert report["all"]["errors"] == {"timeout": 10}
    report = run(f"http://127.0.0.1:{port}/", "-r", "50", "-n", "10")
    assert report["all"]["errors"] == {"connect": 10}


def test_a_mix_with_templates(tmp_path: Path) -> None:
    mix = tmp_path / "mix.yaml"
    mix.write_text(
        "- {url: '/a/{{number}}', weight: 3, name: reads}\n- {url: /b, method: POST, body: 'n={{number}}', name: writes}\n"
    )
    with serving(Server) as port:
        report = run(f"http://127.0.0.1:{port}", "--mix", str(mix), "-r", "400", "-n", "400")
    reads, writes = (report["requests"][name]["requests"] for name in ("reads", "writes"))
    assert reads + writes == 400
    assert abs(reads - 300) < 4 * math.sqrt(400 * 0.75 * 0.25)
    assert any(line.startswith(b"GET /a/17 ") for line in Server.seen) or any(b"n=17" in line for line in Server.seen)


def test_a_replay_keeps_the_logs_pace(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    rows = [
        {"start_time": f"2026-11-30T08:00:0{n // 10}.{n % 10}00Z", "method": "GET", "path": f"/{n}"} for n in range(20)
    ]
    log.write_text("\n".join(map(json.dumps, rows)))
    with serving(Server) as port:
        report = run(f"http://127.0.0.1:{port}", "--replay", str(log), "--speed", "2")
    assert report["all"]["succeeded"] == 20
    assert [line.split()[1] for line in Server.seen] == [b"/%d" % n for n in range(20)]
    assert 0.9 < report["seconds"] < 1.8  # 1.9 s of log at twice its pace


def test_fortios_json() -> None:
    with serving(Server) as port:
        done = subprocess.run(
            [*MESH, "load", f"http://127.0.0.1:{port}/", "-r", "100", "-n", "50", "-o", "fortio"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    report = json.loads(done.stdout)
    histogram = report["DurationHistogram"]
    assert histogram["Count"] == sum(row["Count"] for row in histogram["Data"]) == 50
    assert histogram["Data"][-1]["Percent"] == 100
    assert histogram["Min"] <= histogram["Avg"] <= histogram["Max"] <= report["ActualDuration"] / 1e9  # in seconds
    assert report["RetCodes"] == {"200": 50}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name a URL"),
        (["https://h/"], "TLS"),
        (["http://h/", "--steps", "5"], "RATE:SECONDS"),
        (["http://h/", "--ramp", "1:2:3", "--poisson"], "exclude each other"),
        (["http://no-such-host.invalid/", "-n", "1"], "no-such-host"),
        (["--mix", "/no/such"], "cannot be read"),
    ],
)
def test_what_cannot_be_sent_is_said(words: list[str], message: str) -> None:
    done = subprocess.run([*MESH, "load", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert message in done.stderr, done.stderr
