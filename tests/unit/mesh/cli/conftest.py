"""The command line as a user has it: arguments in, exit code and both outputs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from mesh.cli import main as command
from tests.unit.mesh.cli.fake_server import FakeControlPlane, fake_control_plane


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str


Mesh = Callable[..., Result]


@pytest.fixture
def plane() -> Iterator[FakeControlPlane]:
    with fake_control_plane() as fake:
        yield fake


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], plane: FakeControlPlane) -> Mesh:
    """Runs `mesh …` against the fake control plane."""
    monkeypatch.setenv("MESH_SERVER", plane.url)

    def run(*words: str) -> Result:
        monkeypatch.setattr("sys.argv", ["mesh", *words])
        try:
            command.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run
