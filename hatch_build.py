"""What a wheel holds beyond the three packages: the examples, and the data plane as machine code where it can be compiled.

A wheel with compiled modules is for one Python and one platform; without a C compiler, or with `MESH_NATIVE=off`, it is pure
Python and runs anywhere. `MESH_NATIVE=/a/folder` takes what `make native` left there, if it was made from these sources. An
editable installation gets neither: it has the examples beside it, and `make native`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

EXAMPLES = "mesh/bundled/examples"  # mesh.cli.examples looks there
COMPILED = "sidecar/compiled"  # sidecar.process.native looks there


class BuildHook(BuildHookInterface[Any]):
    """Hatchling's custom build hook of the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "standard":
            return
        build_data["force_include"][str(Path(self.root) / "examples")] = EXAMPLES
        wish = os.environ.get("MESH_NATIVE", "")
        if wish == "off":
            return
        self._folder = tempfile.TemporaryDirectory(prefix="asyncmesh-wheel-")
        place = Path(self._folder.name)
        if self._compile(Path(wish) if wish else None, place):
            build_data["force_include"][str(place)] = COMPILED
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if (folder := getattr(self, "_folder", None)) is not None:
            folder.cleanup()

    def _compile(self, made: Path | None, place: Path) -> bool:
        """Whether compiled modules are in `place` now: those of `made`, if there are any, or new ones."""
        sys.path.insert(0, self.root)
        try:
            from sidecar.process.native import digest, made_from
            from sidecar.process.native_build import compile_into

            if made is not None and made_from(made, digest()) is not None:
                shutil.copytree(made, place, dirs_exist_ok=True)
            else:
                compile_into(place)
        except subprocess.CalledProcessError as error:
            for line in str(error.stdout).splitlines()[-20:]:
                self.app.display_warning(line)
            self.app.display_warning("the data plane could not be compiled: this wheel is pure Python, and slower")
            return False
        finally:
            sys.path.remove(self.root)
        return True
