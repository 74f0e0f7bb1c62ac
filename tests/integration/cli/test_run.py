"""`mesh run`, with a program in the sidecar's place that has only an admin port: the app's life beside a proxy."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from mesh.cli.addresses import reserve_local
from tests.harness.ports import free_network
from tests.harness.process import Process, http_get, wait_until

MESH = [sys.executable, "-m", "mesh.cli.main"]
ENDS_WITHIN = 60.0
FAKE = Path(__file__).with_name("fake_proxy.py")
ADMIN_PORT = 15000


@pytest.fixture
def proxy(tmp_path: Path) -> Path:
    """The fake proxy as an executable."""
    path = tmp_path / "proxy"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def address() -> str:
    """A loopback address that nobody uses: tests run beside each other."""
    reservation = reserve_local(free_network())
    reservation.release()
    return reservation.address


Run = Callable[..., Process]


@pytest.fixture
def run(tmp_path: Path, proxy: Path, address: str) -> Run:
    def start(*app: str, env: dict[str, str] | None = None) -> Process:
        command = [*MESH, "run", "--service", "a", "--version", "v1", "--port", "9080", "--address", address]
        environment = {"FAKE_PROXY_LOG": str(tmp_path / "proxy.txt"), "TMPDIR": str(tmp_path), **(env or {})}
        return Process([*command, "--proxy", str(proxy), "--", *app], tmp_path / "out.txt", environment)

    return start


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def seen(tmp_path: Path) -> list[str]:
    path = tmp_path / "proxy.txt"
    return path.read_text().split("\n")[:-1] if path.exists() else []


@pytest.mark.complaint(2)
def test_the_apps_exit_code_is_the_commands(run: Run, tmp_path: Path) -> None:
    with run(*python("raise SystemExit(7)")) as process:
        assert process.wait(ENDS_WITHIN) == 7
    assert seen(tmp_path)[1:] == ["/drain_listeners"]
    assert not list(tmp_path.glob("mesh-run-*"))


def test_the_app_has_the_proxy_in_its_environment(run: Run, address: str) -> None:
    names = ("http_proxy", "HTTP_PROXY", "grpc_proxy", "POD_NAME")
    code = f"import os; print([os.environ[n] for n in {names}], os.environ['no_proxy'])"
    with run(*python(code), env={"no_proxy": "mine.example"}) as process:
        assert process.wait(ENDS_WITHIN) == 0
        proxy = f"http://{address}:15001"
        assert str([proxy, proxy, proxy, "a-v1"]) in process.log()
        assert process.log().endswith(f"{address},mine.example")


@pytest.mark.fault(31)
@pytest.mark.parametrize(("connections", "told"), [("0", True), ("3", False)])
def test_an_app_that_never_used_its_proxy_is_told_so(run: Run, connections: str, told: bool) -> None:
    stats = {"FAKE_PROXY_STATS": f"http.outbound_http_proxy.downstream_cx_total: {connections}\n"}
    with run(*python("print('done')"), env=stats) as process:
        assert process.wait(ENDS_WITHIN) == 0
        assert ("never used its proxy" in process.log()) == told


@pytest.mark.complaint(1)
def test_the_app_starts_when_the_proxy_is_ready_and_one_is_told_why_not_yet(run: Run) -> None:
    with run(*python("print('app')"), env={"FAKE_PROXY_READY_AFTER": "2.5"}) as process:
        assert process.wait(ENDS_WITHIN) == 0
        lines = process.log().splitlines()
    assert lines[-1] == "app"
    assert "waiting for the sidecar a-v1: PRE_INITIALIZING" in lines[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_go_to_the_app(run: Run, number: signal.Signals) -> None:
    code = f"""
        import signal, sys
        signal.signal({int(number)}, lambda *_: sys.exit(42))
        print("ready", flush=True)
        signal.pause()
    """
    with run(*python(code)) as process:
        process.wait_ready(lambda: "ready" in process.log())
        process.signal(number)
        assert process.wait(ENDS_WITHIN) == 42


def test_a_signal_before_the_app_runs_ends_everything(run: Run, tmp_path: Path) -> None:
    with run(*python("print('app')"), env={"FAKE_PROXY_READY_AFTER": "60"}) as process:
        process.wait_ready(lambda: seen(tmp_path))
        process.signal(signal.SIGTERM)
        assert process.wait(ENDS_WITHIN) == 128 + signal.SIGTERM
        assert "app" not in process.log()


def test_an_app_that_is_killed(run: Run) -> None:
    with run(*python("import os; os.kill(os.getpid(), 9)")) as process:
        assert process.wait(ENDS_WITHIN) == 128 + signal.SIGKILL


def test_an_app_that_is_not_there(run: Run) -> None:
    with run("no-such-program") as process:
        assert process.wait(ENDS_WITHIN) == 127
        assert "cannot start no-such-program: No such file or directory" in process.log()


def test_a_proxy_that_does_not_start_ends_it_with_the_proxys_words(run: Run) -> None:
    with run(*python("print('app')"), env={"FAKE_PROXY_FAILS": "1"}) as process:
        assert process.wait(ENDS_WITHIN) == 1
        assert "cannot bind: somebody else has the port" in process.log()
        assert process.log().count("app") == 0


def test_a_proxy_that_dies_is_started_again(run: Run, tmp_path: Path, address: str) -> None:
    with run(*python("import signal; print('ready', flush=True); signal.pause()")) as process:
        process.wait_ready(lambda: "ready" in process.log())
        http_get(ADMIN_PORT, "/die", address, "POST")
        wait_until(
            lambda: len([line for line in seen(tmp_path) if line.startswith("started")]) == 2, 10, "a second proxy"
        )
        process.wait_ready(lambda: http_get(ADMIN_PORT, "/ready", address)[0] == 200)
        assert "the sidecar a-v1 ended with code 3; it is started again" in process.log()
        assert process.stop() == 128 + signal.SIGTERM


def test_nothing_is_left_when_mesh_run_itself_is_killed(run: Run, tmp_path: Path) -> None:
    with run(*python("import os, signal; print('app', os.getpid(), flush=True); signal.pause()")) as process:
        process.wait_ready(lambda: "app" in process.log())
        app, proxy = int(process.log().split()[-1]), int(seen(tmp_path)[0].split()[1])
        process.signal(signal.SIGKILL)
        process.wait(ENDS_WITHIN)
        wait_until(lambda: not any(map(alive, (app, proxy))), 10, "app and proxy gone")


def alive(pid: int) -> bool:
    """Running; a zombie that nobody has reaped is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_help_is_instant_and_nothing_heavy_is_imported() -> None:
    heavy = ("grpc", "aiohttp", "yaml", "rich.live", "asyncio")
    code = (
        f"import sys; from mesh.cli.main import assembled; assembled(); print([n for n in {heavy} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
