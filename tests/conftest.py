"""What holds for every test: property tests take the same examples each time, and none fails for being slow on a busy
machine. `HYPOTHESIS_PROFILE=explore` draws others, and many more of them.

The sidecar is tested as Python, by itself and in its processes, however it was compiled; `MESH_TEST_NATIVE=1` tests the
compiled one (`make test-native`)."""

from __future__ import annotations

import os

if not os.environ.get("MESH_TEST_NATIVE"):
    os.environ["MESH_NATIVE"] = "off"  # before anything of the sidecar is imported

from hypothesis import settings

settings.register_profile("gate", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))
