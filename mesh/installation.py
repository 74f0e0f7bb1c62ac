"""Whether the import names `mesh`, `sidecar` and `control_plane` are this distribution's alone.

The names are common ones. Two distributions that both bring `mesh` are installed into one folder without a word by any
installer, and what then runs is a mixture: so the commands ask before they start, and refuse by name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

NAMES: Final = ("mesh", "sidecar", "control_plane")
DISTRIBUTION: Final = "asyncmesh"
_OWNED: Final = re.compile(rf"^({'|'.join(NAMES)})(?:/|\.py,)", re.MULTILINE)


def other_owners(site: Path) -> dict[str, str]:
    """Distribution → the first of NAMES that it has files in, of those installed in `site` that are not ours.

    An installer's record of files (https://packaging.python.org/en/latest/specifications/recording-installed-packages/)
    is all that is read: 10 ms for fifty distributions.
    """
    owners: dict[str, str] = {}
    for record in site.glob("*.dist-info/RECORD"):
        name = record.parent.name.partition("-")[0]
        if name == DISTRIBUTION:
            continue
        try:
            text = record.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if found := _OWNED.search(text):
            owners[name] = found[1]
    return owners


def problem(site: Path | None = None) -> str:
    """What is wrong with this installation, for a person; "" when nothing is. `site`: where the packages lie."""
    site = site or Path(__file__).resolve().parents[1]
    return "\n".join(
        f"the distribution {name!r} also installs the Python package {package!r}: one has overwritten files of the other.\n"
        f"  Install asyncmesh into an environment of its own: python3 -m venv mesh && mesh/bin/pip install asyncmesh"
        for name, package in sorted(other_owners(site).items())
    )
