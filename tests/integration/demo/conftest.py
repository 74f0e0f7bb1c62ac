"""One demo for all tests of this folder; every test gets it with the configuration that it began with."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.ports import free_network, free_port
from tests.harness.process import wait_until
from tests.integration.demo.stack import Demo, descendants, running_demo

STOPS_WITHIN = 15.0


@pytest.fixture(scope="package")
def the_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """It has to end on Ctrl-C with 0, and to leave neither processes nor files."""
    if sys.platform != "linux":
        pytest.skip("the tests look at processes through /proc")
    folder: Path = tmp_path_factory.mktemp("demo")
    with running_demo(folder, free_network(), free_port(), "--rate", "5") as demo:
        yield demo
        family = descendants(demo.process.pid)
        demo.process.signal(signal.SIGINT)
        code = demo.process.wait(STOPS_WITHIN)
        log = demo.process.log()
    assert code == 0, log
    assert "success" in log
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), 5, "all its processes are gone")
    assert list(folder.glob("mesh-demo-*")) == []


@pytest.fixture
def demo(the_demo: Demo) -> Iterator[Demo]:
    """With every workload in use, and the first configuration; after the test, too."""
    yield the_demo
    the_demo.reset()
    wait_until(the_demo.whole, 30, "every workload in use again")
