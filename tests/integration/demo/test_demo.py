"""`mesh demo` as a command: that it ends as it says, with whom it shares a machine, and a real Envoy among its proxies."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import subprocess
import termios
from pathlib import Path

import pytest

from tests.harness.envoy import envoy_binary
from tests.harness.ports import free_network, free_port
from tests.harness.process import http_get, wait_until
from tests.integration.demo.stack import (
    PROXIES,
    ROOT,
    START_SECONDS,
    Demo,
    command_line,
    demo_command,
    descendants,
    load,
    more_requests,
    running_demo,
)


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=280, env=environment(folder))


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder)}


@pytest.mark.complaint(19)
@pytest.mark.parametrize("more", [(), ("--distinct-ports",)])
def test_a_duration_ends_it_with_a_summary(tmp_path: Path, more: tuple[str, ...]) -> None:
    command = demo_command(free_network(), free_port(), "--duration", "4", "--rate", "15", *more)
    done = run(tmp_path, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "success    100.00 %" in done.stdout
    requests = re.search(r"requests   (\d+) in", done.stdout)
    assert requests and 10 <= int(requests[1]) <= 90
    for version in ("v1", "v2", "v3"):
        assert f"reviews {version}" in done.stdout
    assert list(tmp_path.glob("mesh-demo-*")) == []


def test_ratings_are_called_by_grpc_where_that_is_asked_for(tmp_path: Path) -> None:
    with running_demo(tmp_path, free_network(), free_port(), "--rate", "0", "--grpc") as demo:
        demo.apply(pinned("v3"))
        wait_until(lambda: 'class="stars red"' in demo.get().html, 10, "stars")
        status, text = http_get(15000, "/stats/prometheus?filter=^istio_requests", f"{demo.network}.23")
        assert status == 200
        calls = [line for line in text.splitlines() if 'request_protocol="grpc"' in line]
        assert any(
            'destination_service_name="ratings"' in line and 'grpc_response_status="0"' in line for line in calls
        )
        demo.apply(RATINGS_FAIL)
        wait_until(lambda: "Ratings service is currently unavailable" in demo.get().html, 10, "a fault of the calls")


def test_a_terminal_that_is_closed_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    command = [word for word in demo_command(free_network(), free_port()) if word != "--no-tui"]
    terminal, its_side = pty.openpty()
    child = subprocess.Popen(
        command, stdin=its_side, stdout=its_side, stderr=its_side, cwd=ROOT, env=environment(tmp_path),
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(its_side)
    try:
        said, readable = b"", select.poll()
        readable.register(terminal, select.POLLIN)
        while b"BREAKERS" not in said:  # the live view is there
            assert readable.poll(START_SECONDS * 1000), said
            said += os.read(terminal, 4096)
        below = descendants(child.pid)
        os.close(terminal)
        assert child.wait(30) == 0
    finally:
        child.kill()
        child.wait()
    assert len(below) > PROXIES
    assert not [pid for pid in below if command_line(pid)]
    assert list(tmp_path.glob("mesh-demo-*")) == []


def test_a_second_demo_says_what_is_taken(demo: Demo, tmp_path: Path) -> None:
    done = run(tmp_path, *demo_command(demo.network, demo.port))
    assert done.returncode == 1
    assert f"{demo.address}:{demo.port}  for the ingress gateway" in done.stderr
    assert "is another demo running?" in done.stderr


def test_a_part_that_does_not_start_is_shown_with_its_last_words(tmp_path: Path) -> None:
    done = run(tmp_path, *demo_command(free_network(), free_port(), "--store", "nonsense://x"))
    assert done.returncode == 1
    assert "the control plane ended with code" in done.stderr
    assert "nonsense" in done.stderr
    assert list(tmp_path.glob("mesh-demo-*")) == []


def test_a_real_envoy_in_place_of_a_sidecar(tmp_path: Path) -> None:
    envoy = envoy_binary()
    program = f"reviews-v2={envoy}"
    with running_demo(tmp_path, free_network(), free_port(), "--rate", "5", "--proxy", program) as demo:
        assert demo.pid("-c", "reviews-v2.yaml", "--disable-hot-restart")
        with load(demo) as tally:
            more_requests(tally, 120)
        assert not tally.failures, tally.failures
        assert set(tally.versions) == {"v1", "v2", "v3"}
        status = demo.mesh("proxy-status")
        assert status.returncode == 0, status.stdout + status.stderr
        (line,) = (line for line in status.stdout.splitlines() if line.startswith("reviews-v2"))
        assert "NACKED" not in line
        assert line.split()[2:6].count("SYNCED") >= 3
        demo.apply(pinned("v2"))
        wait_until(lambda: {demo.get().version for _ in range(5)} == {"v2"}, 5, "all to the Envoy's instance")
        assert 'class="stars black"' in demo.get().html  # its outbound side asked for ratings


RATINGS_FAIL = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ratings}
spec:
  hosts: [ratings]
  http:
  - fault: {abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}}
    route: [{destination: {host: ratings}}]
"""


def pinned(subset: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews}}
spec:
  hosts: [reviews]
  http: [{{route: [{{destination: {{host: reviews, subset: {subset}}}}}]}}]
"""


@pytest.mark.parametrize("words", [("--service", "reviews", "--port", "9080"), ("--gateway",)])
def test_a_real_envoy_accepts_the_bootstrap(tmp_path: Path, words: tuple[str, ...]) -> None:
    envoy = envoy_binary()
    made = run(tmp_path, *demo_command("", 1)[:3], "bootstrap", *words, "--address", "127.0.1.9")
    path = tmp_path / "bootstrap.yaml"
    path.write_text(made.stdout)
    checked = run(tmp_path, str(envoy), "--mode", "validate", "-c", str(path))
    assert checked.returncode == 0, checked.stderr
