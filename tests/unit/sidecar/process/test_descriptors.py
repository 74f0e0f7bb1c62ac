"""Running out of file descriptors is counted each second, and told once a minute."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.process.descriptors import DescriptorWatch
from sidecar.telemetry.cells import Counter
from tests.harness.stage import ManualLoop


@pytest.mark.fault(37)
def test_it_is_counted_each_second_and_told_once_a_minute(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    loop, counter, device = ManualLoop(), Counter(), tmp_path / "device"  # what cannot be opened is no descriptor, too
    watch = DescriptorWatch(loop, counter, lambda: loop.now, device=str(device))  # type: ignore[arg-type]
    loop.advance(61.5)
    assert counter.value == 61
    assert len(caplog.records) == 2
    assert "ulimit -n" in caplog.text
    device.touch()
    loop.advance(10)
    assert (counter.value, len(caplog.records)) == (61, 2)
    watch.close()
    assert loop.timers == []
