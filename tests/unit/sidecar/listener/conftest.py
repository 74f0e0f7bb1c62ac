from __future__ import annotations

import pytest

from tests.harness.listeners import Setting
from tests.harness.stage import ManualLoop


@pytest.fixture
async def setting(loop: ManualLoop) -> Setting:
    return Setting(loop)
