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

from tests.mutate.mutants import mutants
from tests.mutate.reasons import REASONS, Reasons
from tests.mutate.report import Report
from tests.mutate.run import ROOT, MutationRun, Results, Verdict

PACKAGES = ("sidecar/router", "sidecar/forward", "sidecar/upstream", "control_plane/translate", "control_plane/ads")
# Asked besides the unit tests of a package.
_SIMULATED = ("connections", "destination_rules", "envoy_filters", "inbound_rules", "kubernetes", "routing", "scope")
ALSO = {
    "sidecar/router": ("tests/unit/sidecar/forward",),
    "sidecar/forward": ("tests/unit/sidecar/upstream",),
    "sidecar/upstream": ("tests/unit/sidecar/forward",),
    "control_plane/translate": tuple(f"tests/simulation/test_{topic}.py" for topic in _SIMULATED),
    "control_plane/ads": ("tests/integration/ads/test_server.py",),
}
# Left out: what starts processes, waits for real time, or takes seconds, which each mutant would take anew.
LEFT_OUT = " and ".join(
    f"not {word}"
    for word in (
        "real",
        "process",
        "runTest",
        "push_machine",
        "would_write",
        "no_time",
        "dead_names",
        "is_a_failure",
        "too_much_is_refused",
        "does_not_read",
        "told_late",
        "large_configuration",
        "ping_often",
    )
)


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
    parser.add_argument(
        "--page-of", type=Path, metavar="LOG", help="write it of an earlier run's log, with today's reasons"
    )
    return parser.parse_args(given)


def sources(path: str) -> list[str]:
    """The Python files at or below the path, as paths from the root."""
    whole = ROOT / path
    found = sorted(whole.rglob("*.py")) if whole.is_dir() else [whole]
    if not found or not found[0].exists():
        sys.exit(f"there is no {path}; name files or folders from the root")
    return [each.relative_to(ROOT).as_posix() for each in found if each.name != "__init__.py"]


Key = tuple[str, str, str]  # file, function, change


def verdicts_in(log: Path) -> dict[Key, Verdict]:
    """The last word on each mutant."""
    found: dict[Key, Verdict] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        verdict, file, qualname, change, _ = line.split("\t")
        found[file, qualname, change] = Verdict(verdict)
    return found


def read_back(log: Path, files: dict[str, list[str]]) -> Results:
    """What a log tells, of the mutants that there still are."""
    told, results = verdicts_in(log), Results()
    for package, names in files.items():
        known = [mutant for name in names for mutant in mutants(name, (ROOT / name).read_text(encoding="utf-8"))]
        results.total[package] = len(known)
        results.known += known
    for mutant in results.known:
        if (verdict := told.get((mutant.file, mutant.qualname, mutant.change))) is not None:
            results.verdicts[mutant] = verdict
    return results


def main(given: Sequence[str]) -> int:
    options = arguments(given)
    files: dict[str, list[str]] = {}
    for path in options.files:
        for file in sources(path):
            files.setdefault(file.rsplit("/", 1)[0], []).append(file)
    results = read_back(options.page_of, files) if options.page_of else run_anew(options, files)
    report = Report(results, Reasons(REASONS.read_text(encoding="utf-8")))
    print(report.summary())
    if options.write or options.page_of:
        command = f'make mutate ARGS="--seed {options.seed} --each {options.each} --write"'
        (ROOT / "docs" / "mutation.md").write_text(report.page(command), encoding="utf-8")
    return 0


def run_anew(options: argparse.Namespace, files: dict[str, list[str]]) -> Results:
    os.nice(options.nice)
    run = MutationRun(files, options.seed, options.each, options.minutes)
    run.log = options.log
    if options.again:
        alive = (Verdict.SURVIVED, Verdict.NOT_REACHED)
        run.only = {key for key, verdict in verdicts_in(options.again).items() if verdict in alive}
    asked = dict.fromkeys(path for package in files for path in (f"tests/unit/{package}", *ALSO.get(package, ())))
    pytest.main([*asked, "-q", "-p", "no:cacheprovider", "-k", LEFT_OUT, "--no-header"], plugins=[run])
    return run.results


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
