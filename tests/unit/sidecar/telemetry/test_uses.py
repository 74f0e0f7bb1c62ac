"""What listeners count, and what the last of them leaves behind."""

from __future__ import annotations

from typing import Any

from sidecar.config.model import (
    Address,
    Direction,
    FilterChain,
    FilterChainMatch,
    Hcm,
    Listener,
    MetricChange,
    TcpProxy,
)
from sidecar.telemetry.uses import Use, Uses

CHANGES = (MetricChange("requests_total", drop=True),)


def listener(*networks: Any, direction: Direction = Direction.OUTBOUND, default: Any = None) -> Listener:
    chains = tuple(FilterChain("", FilterChainMatch(), network) for network in networks)
    rest = FilterChain("", FilterChainMatch(), default) if default is not None else None
    return Listener("a", Address("127.0.0.1", 1), chains, default_chain=rest, direction=direction)


def hcm(changes: tuple[MetricChange, ...] = ()) -> Hcm:
    return Hcm("x", (), metrics=changes)


def test_the_last_one_that_leaves_is_told() -> None:
    gone: list[Use] = []
    uses = Uses(gone.append)
    uses.set("a", listener(hcm(), default=TcpProxy("t", ())))
    uses.set("b", listener(hcm()))
    uses.set("a", listener(hcm(CHANGES)))
    assert gone == [Use(True, True)]
    uses.set("b", listener(hcm(CHANGES)))
    assert gone == [Use(True, True), Use(False, True)]
    uses.set("b", listener(hcm(CHANGES)))
    uses.set("a", None)
    uses.set("nobody", None)
    assert len(gone) == 2
    uses.set("b", None)
    assert gone[2:] == [Use(False, True, CHANGES)]


def test_sides_are_counted_apart() -> None:
    gone: list[Use] = []
    uses = Uses(gone.append)
    uses.set("a", listener(hcm()))
    uses.set("b", listener(hcm(), direction=Direction.INBOUND))
    uses.set("c", listener(hcm(), direction=Direction.UNSPECIFIED))
    uses.set("c", None)
    assert gone == []
    uses.set("b", None)
    assert [use.reporter for use in gone] == ["destination"]
