"""Reasons of local replies: who is told, and what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.node import ROUTER, SIDECAR, Node
from sidecar.config.model import Direction
from sidecar.http.exchange import WHY, Exchange
from sidecar.telemetry.replies import HEADER, KEPT, Replies

OWN: tuple[tuple[bytes, bytes], ...] = ((b"a", b"b"),)


def exchange(details: str = "route_not_found") -> Exchange:
    peer: Any = None
    made = Exchange(peer, b"GET", b"/", [], 0.0)
    made.details, made.request_id = details, b"id"
    return made


def replies(asked: str = "own", kind: str = SIDECAR) -> Replies:
    return Replies(Node(kind, "127.0.0.1", "a"), asked, lambda _exchange, _manager: "because", lambda: 12.0)


@pytest.mark.parametrize(
    ("asked", "kind", "direction", "told"),
    [
        ("own", SIDECAR, Direction.OUTBOUND, True),
        ("own", SIDECAR, Direction.INBOUND, False),
        ("own", SIDECAR, Direction.UNSPECIFIED, False),
        ("own", ROUTER, Direction.OUTBOUND, False),  # a gateway's clients are strangers
        ("all", ROUTER, Direction.OUTBOUND, True),
        ("off", SIDECAR, Direction.OUTBOUND, False),
        ("", SIDECAR, Direction.OUTBOUND, False),
    ],
)
def test_who_is_told(asked: str, kind: str, direction: Direction, told: bool) -> None:
    manager: Any = None
    found = tuple(replies(asked, kind).of(direction).noted(exchange(), manager, 404, OWN))
    assert found == ((*OWN, (HEADER, b"because")) if told else OWN)


def test_what_is_kept() -> None:
    subject, manager = replies(), None
    made = exchange()
    for number in range(KEPT + 5):
        subject.of(Direction.INBOUND).noted(made, manager, 400 + number % 100, OWN)  # type: ignore[arg-type]
    assert len(subject.recent) == KEPT
    assert subject.recent[-1] == (12.0, "id", 404, "route_not_found", "because")
    assert made.kept(WHY) == "because"


def test_what_needs_no_reason() -> None:
    subject, manager = replies(), None
    notes = subject.of(Direction.OUTBOUND)
    assert notes.noted(exchange("health_check_ok"), manager, 200, OWN) is OWN  # type: ignore[arg-type]
    assert notes.noted(exchange("overload"), manager, 503, OWN) is OWN  # type: ignore[arg-type]
    assert not subject.recent
