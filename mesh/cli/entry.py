"""The console script `mesh`: what has to be quick is answered before anything of the command line is imported."""

from __future__ import annotations

import sys

from mesh.version import VERSION

VERSION_WORDS = (["version"], ["--version"], ["-V"])


def main() -> None:
    if sys.argv[1:] in VERSION_WORDS:
        print(f"mesh {VERSION}")
        return
    from mesh.installation import problem

    if trouble := problem():
        sys.exit(f"mesh: {trouble}")
    from mesh.cli.main import main as run

    run()
