"""`python -m tests.again PYTEST-ARGUMENTS`: the tests, and then once more, by themselves, those that failed.

Proxies, processes and clocks are real here and several tests run at once: what a stalled processor does to a time-out shows
once, a fault shows twice. A test that passes when it is alone is still named at the end, for somebody to make it stronger.
More than MOST failures are no accidents, and stay."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.harness.envoy import ROOT

MOST = 12


class Failed:
    """A pytest plugin that keeps the names of what failed; among several processes, in the one that gathers."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and report.nodeid not in self.names:
            self.names.append(report.nodeid)


def main(arguments: Sequence[str]) -> int:
    failed = Failed()
    code = int(pytest.main(list(arguments), plugins=[failed]))
    if code != pytest.ExitCode.TESTS_FAILED or not 0 < len(failed.names) <= MOST:
        return code
    print(f"\nOnce more, by themselves: {len(failed.names)} that failed", flush=True)
    code = subprocess.run([sys.executable, "-m", "pytest", "-q", *failed.names], cwd=ROOT).returncode
    if code == 0:
        print("passed by themselves, failed beside others:", *failed.names, sep="\n  ", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
