"""`python -m tests.mutate`: changes the source in small ways, and says which changes no test noticed.

make mutate ARGS="--minutes 20 --seed 7"
make mutate ARGS="--files sidecar/router/retry.py --minutes 5"
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ["HYPOTHESIS_PROFILE"] = "mutate"  # before the tests' conftest is read

import pytest

from tests.mutate.report import page, summary
from tests.mutate.run import ROOT, MutationRun

PACKAGES = ("sidecar/router", "sidecar/forward", "sidecar/upstream", "control_plane/translate", "control_plane/ads")
# Asked besides the unit tests of a package; tests that start processes or wait for real time are left out.
ALSO = {"control_plane/translate": ("tests/simulation",)}
LEFT_OUT = "not envoy_accepts and not real and not process"


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, default=10.0, help="stop after so long (default: 10)")
    parser.add_argument("--seed", type=int, default=1, help="which mutants come first (default: 1)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--files", nargs="+", default=PACKAGES, metavar="PATH", help="files or folders to change")
    parser.add_argument("--write", action="store_true", help="write docs/mutation.md")
    return parser.parse_args(given)


def sources(paths: Sequence[str]) -> list[str]:
    """The Python files below the paths, as paths from the root."""
    found: list[Path] = []
    for path in paths:
        whole = ROOT / path
        found += sorted(whole.rglob("*.py")) if whole.is_dir() else [whole]
    missing = [str(path) for path in found if not path.exists()]
    if missing or not found:
        sys.exit(f"there is no {', '.join(missing) or ' '.join(paths)}; name files or folders from the root")
    return [path.relative_to(ROOT).as_posix() for path in found if path.name != "__init__.py"]


def main(given: Sequence[str]) -> int:
    options = arguments(given)
    files = sources(options.files)
    packages = sorted({file.rsplit("/", 1)[0] for file in files})
    run = MutationRun(files, options.seed, options.minutes * 60, options.workers)
    asked = [path for package in packages for path in (f"tests/unit/{package}", *ALSO.get(package, ()))]
    pytest.main([*asked, "-q", "-p", "no:cacheprovider", "-k", LEFT_OUT, "--no-header"], plugins=[run])
    print(summary(run))
    if options.write:
        (ROOT / "docs" / "mutation.md").write_text(page(run, options), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
