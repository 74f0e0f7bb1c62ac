"""What one connection does to the others' flush."""

from __future__ import annotations

from typing import Any

from sidecar.codec.h2_outbox import Outbox


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
