"""What holds for every test: property tests take the same examples each time, and none fails for being slow on a busy
machine. `HYPOTHESIS_PROFILE=explore` draws others, and many more of them.

The sidecar is tested as Python, by itself and in its processes, however it was compiled; `MESH_TEST_NATIVE=1` tests the
compiled one (`make test-native`).

`make test` runs several processes (pytest-xdist); here is which tests stay together in one: those of a topic of the oracle,
of a folder that shares something running, or else of a file."""

from __future__ import annotations

import os

if not os.environ.get("MESH_TEST_NATIVE"):
    os.environ["MESH_NATIVE"] = "off"  # before anything of the sidecar is imported

from hypothesis import Phase, settings
from pytest import Config, Item, hookimpl

settings.register_profile("gate", deadline=None, derandomize=True)
# For mutation runs: whether an example fails is all that counts, not which is the smallest.
settings.register_profile(
    "mutate", deadline=None, derandomize=True, max_examples=20, database=None, phases=(Phase.explicit, Phase.generate)
)
settings.register_profile("explore", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))

# Folders whose tests share something that takes long to start, and what takes long and should not begin last.
TOGETHER = (
    "tests/integration/boards",
    "tests/integration/cases",
    "tests/integration/demo",
    "tests/integration/transparent",
    "tests/compose",
)
FIRST = ("tests/integration/demo", "tests/packaging", "tests/integration", "tests/oracle")
TOPIC = "tests/oracle/test_oracle.py"


def group_of(nodeid: str) -> str:
    """What a test has to stay together with. An oracle's test is named by its topic and its case: `[topic-case]`."""
    path, _, name = nodeid.partition("::")
    if path == TOPIC and "[" in name:
        return f"{path}::{name.partition('[')[2].partition('-')[0]}"
    return next((folder for folder in TOGETHER if path.startswith(folder)), path)


def pytest_collection_modifyitems(items: list[Item]) -> None:
    """In one process the order stays. Among several, long ones begin first, so that all end at about the same time."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        items.sort(
            key=lambda item: next((n for n, path in enumerate(FIRST) if item.nodeid.startswith(path)), len(FIRST))
        )


@hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: Config) -> int:
    """One more than there are processors: half of a test's time goes by in waiting."""
    return (os.cpu_count() or 1) + 1


@hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: Config, log: object) -> object:
    from xdist.scheduler import LoadScopeScheduling

    class Grouped(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return Grouped(config, log)
