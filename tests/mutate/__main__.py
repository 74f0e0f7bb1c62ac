"""`python -m tests.mutate`: changes the source in small ways, and says which changes no test noticed.

make mutate ARGS="--seed 7 --each 60"
make mutate ARGS="--files sidecar/router/retry.py --each 0"
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ["HYPOTHESIS_PROFILE"] = "mutate"  # before the tests' conftest is read

import pytest

from tests.mutate.reasons import REASONS, Reasons
from tests.mutate.report import Report
from tests.mutate.run import ROOT, MutationRun

PACKAGES = ("sidecar/router", "sidecar/forward", "sidecar/upstream", "control_plane/translate", "control_plane/ads")
# Asked besides the unit tests of a package.
ALSO = {
    "sidecar/router": ("tests/unit/sidecar/forward",),
    "sidecar/forward": ("tests/unit/sidecar/upstream",),
    "sidecar/upstream": ("tests/unit/sidecar/forward",),
    "control_plane/translate": ("tests/simulation",),
}
# Tests that start processes, wait for real time or take ten seconds.
LEFT_OUT = "not envoy_accepts and not envoy_takes and not real and not process and not never_fails_and_never_differs"


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seed", type=int, default=1, help="which mutants (default: 1)")
    parser.add_argument("--each", type=int, default=60, help="how many of each package, 0 for all (default: 60)")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long (default: 60)")
    parser.add_argument("--files", nargs="+", default=PACKAGES, metavar="PATH", help="files or folders to change")
    parser.add_argument("--nice", type=int, default=19, help="how far to give way to others (default: 19)")
    parser.add_argument("--log", type=Path, help="append a line here for each mutant, as it is decided")
    parser.add_argument("--again", type=Path, help="try those alive in this log again, and no others")
    parser.add_argument("--write", action="store_true", help="write docs/mutation.md")
    return parser.parse_args(given)


def sources(path: str) -> list[str]:
    """The Python files at or below the path, as paths from the root."""
    whole = ROOT / path
    found = sorted(whole.rglob("*.py")) if whole.is_dir() else [whole]
    if not found or not found[0].exists():
        sys.exit(f"there is no {path}; name files or folders from the root")
    return [each.relative_to(ROOT).as_posix() for each in found if each.name != "__init__.py"]


def alive_in(log: Path) -> set[tuple[str, str, str]]:
    last = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        verdict, file, qualname, change, _ = line.split("\t")
        last[file, qualname, change] = verdict
    return {key for key, verdict in last.items() if verdict in ("survived", "not reached")}


def main(given: Sequence[str]) -> int:
    options = arguments(given)
    os.setpriority(os.PRIO_PROCESS, 0, options.nice)
    files: dict[str, list[str]] = {}
    for path in options.files:
        for file in sources(path):
            files.setdefault(file.rsplit("/", 1)[0], []).append(file)
    run = MutationRun(files, options.seed, options.each, options.minutes)
    run.log = options.log
    run.only = alive_in(options.again) if options.again else None
    asked = dict.fromkeys(path for package in files for path in (f"tests/unit/{package}", *ALSO.get(package, ())))
    pytest.main([*asked, "-q", "-p", "no:cacheprovider", "-k", LEFT_OUT, "--no-header"], plugins=[run])
    report = Report(run.results, Reasons(REASONS.read_text(encoding="utf-8")))
    print(report.summary())
    if options.write:
        command = f'make mutate ARGS="--seed {options.seed} --each {options.each} --write"'
        (ROOT / "docs" / "mutation.md").write_text(report.page(command), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
