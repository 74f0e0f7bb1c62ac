"""The wheel, installed where nothing else is, as a stranger has it: all of it runs, and it is what it says.

By default the wheel is pure Python; `MESH_TEST_NATIVE=1` takes the data plane that `make native` has compiled into it.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path

import pytest

from mesh.version import VERSION
from sidecar.process import native
from tests.harness.ports import free_network, free_port

ROOT = Path(__file__).resolve().parents[2]
COMPILED = bool(os.environ.get("MESH_TEST_NATIVE"))
VERSION_SECONDS = 0.2
COMMANDS = ("mesh", "mesh-sidecar", "mesh-control-plane")

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the build tools of this environment: an isolated build would fetch them anew."""
    folder = tmp_path_factory.mktemp("dist")
    made = str(native.folder()) if COMPILED else "off"
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MESH_NATIVE": made})
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment's folder of commands: it holds the wheel, and what that asks for."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", str(ROOT / "constraints.txt"), str(wheel)], check=True)
    return folder / "bin"


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def run(clean: Path, cwd: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MESH"))}
    words = [str(clean / command[0]), *command[1:]]
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd, env=environment)


@pytest.mark.fault(40)
def test_the_demo_runs_in_an_empty_folder(clean: Path, empty: Path) -> None:
    # So few pages that the machine may have other things to do.
    more = ("--no-tui", "--rate", "5", "--network", free_network(), "--port", str(free_port()))
    done = run(clean, empty, "mesh", "demo", "--duration", "20", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "success    100.00 %" in done.stdout
    assert list(empty.iterdir()) == []
    offered = re.search(r"-f (\S+reviews-90-10.yaml)", done.stdout)
    assert offered and (empty / offered[1]).is_file(), done.stdout


@pytest.mark.fault(40)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_its_version(clean: Path, empty: Path, command: str) -> None:
    done = run(clean, empty, command, "--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{command} {VERSION}")
    if command == "mesh-sidecar":
        assert ("compiled" in done.stdout) == COMPILED


@pytest.mark.fault(40)
def test_a_version_is_told_at_once(clean: Path, empty: Path) -> None:
    """In seconds of the processor: those of the clock depend on what else it does."""

    def cost() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run(clean, empty, "mesh", "version").stdout == f"mesh {VERSION}\n"
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(cost() for _ in range(5)) < VERSION_SECONDS


@pytest.mark.fault(40)
def test_what_it_is_worked_on_with_is_not_installed(clean: Path, empty: Path) -> None:
    listed = run(clean, empty, "pip", "list", "--format=freeze", "--disable-pip-version-check").stdout.lower()
    assert "aiohttp==" in listed
    assert not re.search(r"^(pytest|mypy|ruff|hypothesis|import-linter|build)==", listed, re.MULTILINE)
    planned = subprocess.run(
        ["make", "--dry-run", "--always-make", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "pip install" in planned.stdout and "[dev]" not in planned.stdout


@pytest.mark.fault(40)
def test_it_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = message_from_string(archive.read(f"asyncmesh-{VERSION}.dist-info/METADATA").decode("utf-8"))
        licence = archive.read(f"asyncmesh-{VERSION}.dist-info/licenses/LICENSE").decode("utf-8")
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in licence
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert {"mesh/py.typed", "sidecar/py.typed", "control_plane/py.typed"} <= set(names)
    assert "mesh/bundled/examples/bookinfo/networking/reviews-90-10.yaml" in names
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests/")]
    unbounded = [need for need in metadata.get_all("Requires-Dist", []) if "extra ==" not in need and ">=" not in need]
    assert not unbounded, "a dependency without a lower bound"
    assert wheel.name.endswith("-none-any.whl") != COMPILED


@pytest.fixture
def squatter(clean: Path) -> Iterator[str]:
    """Another distribution that brings a package `mesh`, as its installer records it."""
    (site,) = clean.parent.glob("lib/python*/site-packages")
    record = site / "mesh_of_triangles-1.0.dist-info" / "RECORD"
    record.parent.mkdir()
    record.write_text("mesh/triangles.py,sha256=x,10\nmesh_of_triangles-1.0.dist-info/RECORD,,\n")
    yield "mesh_of_triangles"
    record.unlink()
    record.parent.rmdir()


@pytest.mark.fault(40)
@pytest.mark.parametrize("command", [("mesh", "get"), ("mesh-sidecar", "--config-yaml", "{}"), ("mesh-control-plane",)])
def test_a_name_that_is_not_ours_alone_is_refused(
    clean: Path, empty: Path, squatter: str, command: tuple[str, ...]
) -> None:
    done = run(clean, empty, *command)
    assert done.returncode != 0
    assert squatter in done.stderr and "environment of its own" in done.stderr
