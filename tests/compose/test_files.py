"""What can be said of the compose file without an engine."""

from __future__ import annotations

import importlib.util
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.compose.stack import MESH, ROOT
from tests.harness.envoy import install_envoy

HEALTHY = ROOT / "examples" / "compose" / "healthy.py"
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
PODS = [name.removesuffix("-pod") for name in SERVICES if name.endswith("-pod") and "profiles" not in SERVICES[name]]
ASKED = {"15000": "/ready", "15080": "/readyz", "9080": "/health"}  # admin, control plane, an app: all on loopback


@pytest.mark.fault(39)
@pytest.mark.parametrize("name", PODS)
def test_neither_app_nor_sidecar_takes_the_other_along(name: str) -> None:
    app, sidecar, pod = (SERVICES[each] for each in (name, f"{name}-sidecar", f"{name}-pod"))
    assert app["network_mode"] == sidecar["network_mode"] == f"service:{name}-pod"
    assert app["depends_on"][f"{name}-sidecar"] == {"condition": "service_healthy"}
    assert app["depends_on"][f"{name}-pod"]["restart"] and sidecar["depends_on"][f"{name}-pod"]["restart"]
    assert sidecar["command"][:2] == ["mesh", "sidecar"], "one process, and no shell before it"
    assert pod["command"] == ["sleep", "infinity"] and "depends_on" not in pod


@pytest.mark.fault(39)
def test_health_checks_wait_for_slow_machines_and_ask_nothing_that_is_counted() -> None:
    checks = {name: each["healthcheck"] for name, each in SERVICES.items() if "healthcheck" in each}
    assert {check["start_period"] for check in checks.values()} == {"300s"}
    ours = [check["test"] for check in checks.values() if "mesh-healthy" in check["test"]]
    assert len(ours) > 10
    assert all(ASKED[test[2]] == test[3] for test in ours)


def test_the_bootstrap_of_the_envoy_profile_is_one_that_envoy_takes(tmp_path: Path) -> None:
    _, _, script = SERVICES["details-envoy-setup"]["command"]
    words = shlex.split(script.partition(">")[0])
    assert words[:2] == ["mesh", "bootstrap"]
    given = {**os.environ, **SERVICES["details-envoy-setup"]["environment"]}
    command = [*MESH, *words[1:], "--address", "172.20.0.9"]
    path = tmp_path / "bootstrap.yaml"
    path.write_text(subprocess.run(command, env=given, check=True, capture_output=True, text=True).stdout)
    binary = install_envoy()
    done = subprocess.run([binary, "--mode", "validate", "-c", path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "OK" in done.stdout
    assert SERVICES["details-envoy-sidecar"]["entrypoint"][1:] == ["-c", "/etc/envoy-mesh/bootstrap.yaml"]
    version = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout
    assert SERVICES["details-envoy-sidecar"]["image"].partition(":v")[2] in version


@pytest.fixture
def healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("healthy", HEALTHY)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.LOST = str(tmp_path / "lost")
    killed: list[int] = []
    monkeypatch.setattr(module.os, "kill", lambda pid, _: killed.append(pid))
    module.killed = killed
    return module


@pytest.mark.fault(39)
def test_who_is_in_a_namespace_without_a_card_is_ended_after_a_while(
    healthy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(healthy.socket, "if_nameindex", lambda: [(1, "lo")])
    monkeypatch.setattr(healthy, "lost_for", lambda: now[0])
    now[0] = 0.0
    assert not healthy.main(1, "/", "pod") and not healthy.killed, "its owner may be back in a moment"
    now[0] = healthy.PATIENCE + 1.0
    Path(healthy.LOST).touch()
    assert not healthy.main(1, "/", "pod")
    assert healthy.killed == [1]
    assert not Path(healthy.LOST).exists(), "the next time is another time"


@pytest.mark.fault(39)
def test_a_main_process_of_somebody_else_is_ended_as_that(healthy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sidecar's health check is root's, without CAP_KILL, and the sidecar is not."""
    became: list[int] = []
    monkeypatch.setattr(healthy.os, "getuid", lambda: 4711)
    monkeypatch.setattr(healthy.os, "setuid", became.append)
    healthy.end_main_process()
    assert became == [os.stat("/proc/1").st_uid]
    assert healthy.killed == [1]


@pytest.mark.fault(39)
def test_a_sidecar_that_is_away_ends_nobody(healthy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healthy.socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0")])
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        healthy.main(port, "/health", "pod")
    assert not healthy.killed


def test_it_imports_next_to_nothing() -> None:
    look = f"import sys, runpy; runpy.run_path({str(HEALTHY)!r}); print(len(sys.modules))"
    done = subprocess.run([sys.executable, "-IS", "-c", look], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 90
