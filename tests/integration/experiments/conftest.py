"""One small mesh for all tests of this folder; each gets it as it was at the start."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.integration.experiments.stage import Stage


@pytest.fixture(scope="package")
def the_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    if sys.platform != "linux":
        pytest.skip("needs the loopback addresses of a whole network")
    stage = Stage(tmp_path_factory.mktemp("experiments"))
    try:
        stage.start()
        yield stage
    finally:
        stage.end()


@pytest.fixture
def stage(the_stage: Stage) -> Iterator[Stage]:
    yield the_stage
    the_stage.reset()
