"""Clusters while requests pass: endpoints and settings that change, connections of each kind of pool, limits, ejections. As
`tests/unit/sidecar/forward/test_transcripts.py` has it, what happens is written down in `transcripts/`.

`python -m tests.unit.sidecar.upstream.test_transcripts` writes it anew after a change that is meant: read what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from sidecar.config.model import (
    Address,
    Assignment,
    CircuitBreaker,
    Cluster,
    Discovery,
    Endpoint,
    Health,
    Limits,
    LocalityEndpoints,
    OriginalDst,
    OutlierDetection,
    Resend,
    RetryPolicy,
    TcpKeepalive,
)
from tests.harness.stage import ManualLoop, Stage, assignment, cluster, forward, hcm, manual_clock
from tests.unit.sidecar.forward.test_transcripts import BAD, CONNECT, GET, OK, TUNNELS
from tests.unit.sidecar.forward.transcript import Step, written

FOLDER: Final = Path(__file__).with_name("transcripts")
ONE, TWO, THREE = (Address(f"10.0.0.{number}", 80) for number in (1, 2, 3))
EDS: Final = Cluster("up", Discovery.EDS)
CLOSE: Final = OK.replace(b"200 OK\r\n", b"200 OK\r\nconnection: close\r\n")
TWICE: Final = RetryPolicy(frozenset({"5xx", "connect-failure", "reset"}), attempts=2, avoid_previous_hosts=True)

Make = Callable[[ManualLoop], Stage]


def on(config: Cluster, *, retry: RetryPolicy | None = None, **fields: Any) -> Make:
    return lambda loop: Stage(loop, hcm(forward(retry, **fields)), (config,))


def to(*addresses: Address, **fields: Any) -> Callable[[Stage], object]:
    """New endpoints."""
    return lambda stage: stage.upstreams.set_assignment(replace(assignment(*addresses), source=b"x", **fields))


def levels(*hosts: tuple[Address, int, Health]) -> Callable[[Stage], object]:
    """Endpoints with their priority and health."""
    groups = tuple(
        LocalityEndpoints((Endpoint(address, health=health),), priority=level) for address, level, health in hosts
    )
    return lambda stage: stage.upstreams.set_assignment(Assignment("up", groups, source=b"x"))


def becomes(config: Cluster) -> Callable[[Stage], object]:
    return lambda stage: stage.upstreams.set_cluster(config)


def gone(stage: Stage) -> None:
    stage.upstreams.remove_cluster("up")


STAYS: Final = [("client", GET), ("accept",), ("u1", OK)]
CONVERSATIONS: Final[dict[str, tuple[Make, Sequence[Step]]]] = {
    "endpoints come": (on(EDS), [("client", GET), ("endpoints: 1", to(ONE)), ("client", GET), ("accept",), ("u1", OK)]),
    "endpoints go": (
        on(EDS),
        [
            ("endpoints: 1 2", to(ONE, TWO)),
            *STAYS,
            ("client", GET),
            ("accept",),
            ("endpoints: 2 3", to(TWO, THREE)),
            ("u2", OK),
            ("endpoints: none", to()),
            ("client", GET),
        ],
    ),
    "endpoints of a host that rests go": (
        on(EDS),
        [
            ("endpoints: 1", to(ONE)),
            *STAYS,
            ("endpoints: 2", to(TWO)),
            ("client", GET),
            ("accept",),
            ("endpoints: 3", to(THREE)),
            ("u2", OK),
        ],
    ),
    "connections close on change": (
        on(replace(EDS, close_on_change=True)),
        [
            ("endpoints: 1", to(ONE)),
            *STAYS,
            ("endpoints: 1 2", to(ONE, TWO)),
            ("endpoints: 1 2", to(ONE, TWO)),
            ("client", GET),
            ("accept",),
        ],
    ),
    "priorities": (
        on(replace(EDS), retry=replace(TWICE, priority_frequency=1)),
        [
            ("levels", levels((ONE, 0, Health.HEALTHY), (TWO, 1, Health.HEALTHY))),
            ("client", GET),
            ("accept",),
            ("u1", BAD),
            ("wait", 1.0),
            ("accept",),
            ("u2", BAD),
            ("wait", 1.0),
            ("u1", OK),
            ("levels", levels((ONE, 0, Health.UNHEALTHY), (TWO, 1, Health.DEGRADED), (THREE, 1, Health.DRAINING))),
            ("client", GET),
            ("u2", OK),
        ],
    ),
    "another pool": (
        on(EDS),
        [
            ("endpoints: 1", to(ONE)),
            *STAYS,
            ("resends", becomes(replace(EDS, resend=Resend.ALWAYS))),
            ("client", GET),
            ("accept",),
            ("u2", OK),
            ("client", GET),
            ("u2", "resets"),
        ],
    ),
    "limits change": (
        on(cluster()),
        [
            ("client", GET),
            ("accept",),
            (
                "one request",
                becomes(
                    cluster(
                        limits=Limits(max_requests=1, track_remaining=True), high_limits=Limits(track_remaining=True)
                    )
                ),
            ),
            ("client", GET),
            ("u1", OK),
            ("client", GET),
            ("u1", OK),
        ],
    ),
    "high priority": (
        on(cluster(high_limits=Limits(max_requests=1, max_pending=1, track_remaining=True)), high_priority=True),
        [("client", GET), ("client", GET), ("accept",), ("client", GET), ("u1", OK)],
    ),
    "connections at most": (
        on(cluster(limits=Limits(max_connections=1))),
        [
            ("client", GET),
            ("accept",),
            ("client", GET),
            ("client", GET),
            ("u1", OK),
            ("u1", OK),
            ("u1", CLOSE),
            ("client", GET),
            ("accept",),
        ],
    ),
    "connections at most to a host": (
        on(cluster(limits=Limits(max_connections_per_host=1), assignment=assignment(ONE, TWO))),
        [("client", GET), ("accept",), ("client", GET), ("accept",), ("client", GET), ("u1", OK), ("u1", OK)],
    ),
    "requests per connection": (
        on(cluster(max_requests_per_connection=2)),
        [*STAYS, ("client", GET), ("u1", OK), ("client", GET), ("accept",), ("u2", OK)],
    ),
    "connections get old": (
        on(cluster(max_connection_duration=2.0)),
        [*STAYS, ("wait", 2.2), ("client", GET), ("accept",), ("wait", 2.2), ("u2", OK)],
    ),
    "connections rest": (
        on(cluster(idle_timeout=2.0)),
        [
            *STAYS,
            ("wait", 1.5),
            ("client", GET),
            ("u1", OK),
            ("wait", 1.5),
            ("wait", 1.0),
            ("client", GET),
            ("accept",),
        ],
    ),
    "made ahead": (
        on(cluster(preconnect_ratio=2.0)),
        [
            ("client", GET),
            ("accept",),
            ("accept",),
            ("u1", OK),
            ("client", GET),
            ("client", GET),
            ("accept",),
            ("u1", OK),
            ("u2", OK),
        ],
    ),
    "made ahead and sent again": (
        on(cluster(preconnect_ratio=1.5, resend=Resend.ALWAYS)),
        [
            ("client", GET),
            ("accept",),
            ("accept",),
            ("u1", OK),
            ("client", GET),
            ("u1", "resets"),
            ("client", GET),
            ("u2", OK),
        ],
    ),
    "a connection that is lost at once": (
        on(cluster()),
        [("client", GET), ("client", GET), ("accept",), ("u1", "resets"), ("accept",), ("u2", OK)],
    ),
    "a connection that nobody wants any more": (
        on(cluster()),
        [
            ("client", GET),
            ("c1", "resets"),
            ("accept",),
            ("u1", "ends"),
            ("client", GET),
            ("c2", "resets"),
            ("gone", gone),
            ("accept",),
        ],
    ),
    "a cluster that goes": (on(cluster()), [*STAYS, ("client", GET), ("gone", gone), ("u1", OK), ("client", GET)]),
    "a cluster that goes while a connection opens": (
        on(cluster()),
        [("client", GET), ("gone", gone), ("accept",), ("u1", OK)],
    ),
    "bytes behind the answer": (
        on(cluster()),
        [("client", GET), ("accept",), ("u1", OK + b"more"), ("client", GET), ("accept",), ("u2", OK), ("u2", b"more")],
    ),
    "heads too large": (
        on(cluster(max_response_head=100, max_response_headers=2)),
        [
            ("client", GET),
            ("accept",),
            ("u1", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200 + b"\r\n\r\n"),
            ("client", GET),
            ("accept",),
            ("u2", b"HTTP/1.1 200 OK\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n"),
        ],
    ),
    "kept alive": (on(cluster(tcp_keepalive=TcpKeepalive(3, 10, 5), bind_address="127.0.0.1")), STAYS),
    "connect time": (
        on(cluster(connect_timeout=1.0)),
        [("client", GET), ("refuse", "late"), ("client", GET), ("refuse",)],
    ),
    "tunnels": (
        lambda loop: Stage(loop, TUNNELS(ManualLoop()).config, (cluster(limits=Limits(max_connections=1)),)),
        [
            ("client", CONNECT),
            ("client", CONNECT),
            ("accept",),
            ("c1", b"x"),
            ("u1", "resets"),
            ("client", CONNECT),
            ("c3", "resets"),
            ("accept",),
            ("client", CONNECT),
            ("refuse", "late"),
        ],
    ),
    "ejected": (
        on(
            cluster(
                outlier=OutlierDetection(consecutive_5xx=2, max_ejection_percent=50, base_ejection_time=5.0),
                assignment=assignment(ONE, TWO),
            )
        ),
        [
            *STAYS,
            ("client", GET),
            ("accept",),
            ("u2", BAD),
            ("client", GET),
            ("u1", OK),
            ("client", GET),
            ("u2", BAD),
            ("client", GET),
            ("u1", OK),
            ("client", GET),
            ("u1", OK),
            ("wait", 10.0),
            ("client", GET),
            ("u1", OK),
            ("client", GET),
            ("accept",),
            ("u3", BAD),
            (
                "other detection",
                becomes(cluster(outlier=OutlierDetection(consecutive_5xx=9), assignment=assignment(ONE, TWO))),
            ),
            ("none", becomes(cluster(assignment=assignment(ONE, TWO)))),
        ],
    ),
    "ejection ends with detection": (
        on(
            cluster(
                outlier=OutlierDetection(consecutive_5xx=1, max_ejection_percent=100), assignment=assignment(ONE, TWO)
            )
        ),
        [
            ("client", GET),
            ("accept",),
            ("u1", BAD),
            ("none", becomes(cluster(assignment=assignment(ONE, TWO)))),
            ("client", GET),
            ("accept",),
        ],
    ),
    "another breaker": (
        on(cluster(circuit_breaker=CircuitBreaker(consecutive_failures=1, open_time=9.0))),
        [
            ("client", GET),
            ("accept",),
            ("u1", BAD),
            ("client", GET),
            ("another", becomes(cluster(circuit_breaker=CircuitBreaker(consecutive_failures=2)))),
            ("client", GET),
            ("u1", BAD),
            ("client", GET),
            ("none", becomes(cluster())),
            ("u1", BAD),
        ],
    ),
    "original destination": (
        on(Cluster("up", Discovery.ORIGINAL_DST, original=OriginalDst(header=b"x-to", cleanup_interval=5.0))),
        [
            ("client", GET.replace(b"host: a", b"host: a\r\nx-to: 10.0.0.7:81")),
            ("accept",),
            ("u1", OK),
            ("client", GET.replace(b"host: a", b"host: a\r\nx-to: nowhere")),
            ("wait", 5.1),
            ("u1", "ends"),
            ("wait", 5.1),
        ],
    ),
}


async def told(name: str, loop: ManualLoop) -> list[dict[str, Any]]:
    make, steps = CONVERSATIONS[name]
    return await written(lambda: make(loop), steps)


def file_of(name: str) -> Path:
    return FOLDER / f"{name.replace(' ', '-')}.yaml"


@pytest.mark.parametrize("name", CONVERSATIONS)
async def test_a_conversation_goes_as_it_is_written_down(name: str, loop: ManualLoop) -> None:
    expected = yaml.load(file_of(name).read_text(encoding="utf-8"), yaml.CSafeLoader)
    assert await told(name, loop) == expected


def test_nothing_else_is_written_down() -> None:
    assert {file_of(name) for name in CONVERSATIONS} == set(FOLDER.iterdir())


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in CONVERSATIONS:
        with pytest.MonkeyPatch.context() as patch, manual_clock(patch) as loop:
            steps = asyncio.run(told(name, loop))
        text = yaml.dump(steps, Dumper=yaml.CSafeDumper, sort_keys=False, width=120, allow_unicode=True)
        file_of(name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
