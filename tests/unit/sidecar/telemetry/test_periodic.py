from __future__ import annotations

from typing import Any

from sidecar.process.timers import Deadlines
from sidecar.telemetry.periodic import PeriodicLog
from tests.harness.stage import ManualLoop
from tests.unit.sidecar.telemetry.exchanges import exchange


def test_logs_until_it_is_over(loop: ManualLoop) -> None:
    typed: Any = loop
    watch, made, logged, over = Deadlines(typed, 0.01), exchange(), [], [False]
    PeriodicLog(made, lambda seen, _now: logged.append(seen), 1.0, watch, lambda: over[0])
    loop.advance(2.5)
    assert logged == [made, made]
    over[0] = True
    loop.advance(5.0)
    assert logged == [made, made]
    assert len(watch) == 0
