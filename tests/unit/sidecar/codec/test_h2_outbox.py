"""What one connection does to the others' flush."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.codec.h2_outbox import Outbox, write_all
from tests.harness.playbook import FakeTransport


class Loop:
    """Takes note of what went wrong."""

    def __init__(self) -> None:
        self.wrong: list[dict[str, Any]] = []

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.wrong.append(context)


class Connection:
    def __init__(self, error: Exception | None = None) -> None:
        self.flushed = 0
        self._error = error

    def flush(self) -> None:
        self.flushed += 1
        if self._error is not None:
            raise self._error


def test_a_connection_that_cannot_be_written_to_does_not_keep_the_others_from_it() -> None:
    loop = Loop()
    box = Outbox(loop)  # type: ignore[arg-type]
    error = RuntimeError("no")
    bad, good = Connection(error), Connection()
    box.begin()
    box.touch(bad)
    box.touch(good)
    box.end()
    assert (bad.flushed, good.flushed) == (1, 1)
    assert [context["exception"] for context in loop.wrong] == [error]


class Transport(FakeTransport):
    """Notes how it was written to."""

    def __init__(self) -> None:
        super().__init__()
        self.gathered = 0

    def writelines(self, list_of_data: Any) -> None:
        self.gathered += 1
        super().writelines(list_of_data)


@pytest.mark.parametrize(("last", "gathered"), [(66, 0), (8192, 1)])
def test_large_pieces_are_not_put_together_first(last: int, gathered: int) -> None:
    transport = Transport()
    out = [b"head", b"x" * 8192, b"head", b"y" * last]
    whole = b"".join(out)
    assert write_all(transport, out) == len(whole)
    assert not out
    assert [did.data for did in transport.acts] == [whole]
    assert transport.gathered == gathered
