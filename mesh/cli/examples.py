"""Where the example services and their routing rules are: in a clone beside the packages, in an installed wheel within one.

`ROOT` is the folder that `examples` lies in: `python -m examples.bookinfo.reviews` runs there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mesh.cli.errors import CliError

_PACKAGE: Final = Path(__file__).resolve().parents[1]
BUNDLED: Final = _PACKAGE / "bundled"  # hatch_build.py puts them there
ROOT: Final = BUNDLED if BUNDLED.is_dir() else _PACKAGE.parent
NETWORKING: Final = ROOT / "examples" / "bookinfo" / "networking"


def check_examples() -> None:
    """CliError where there are none."""
    if not NETWORKING.is_dir():
        raise CliError(
            f"the example services are not here: {NETWORKING}",
            "this installation is not whole: pip install --force-reinstall asyncmesh",
        )
