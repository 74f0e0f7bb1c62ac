"""What holds for every test: property tests take the same examples each time, and none fails for being slow on a busy
machine. `HYPOTHESIS_PROFILE=explore` draws others, and many more of them."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("gate", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))
