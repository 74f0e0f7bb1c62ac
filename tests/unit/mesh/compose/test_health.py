"""What a compose health check asks, as the options of a sidecar."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.compose.health import probe_options


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (["CMD", "curl", "-f", "http://localhost:8000/healthz"], ("--probe-http", "8000/healthz")),
        ("curl -f http://127.0.0.1:8000 || exit 1", ("--probe-http", "8000/")),
        (["CMD-SHELL", "wget -q --spider 'http://localhost/up?a=1' || exit 1"], ("--probe-http", "80/up?a=1")),
        ("curl -k https://localhost:8443/x", ("--probe-tcp", "8443")),
        (["CMD", "pg_isready", "-U", "shop"], ("--probe-tcp", "5432")),
        (["CMD", "redis-cli", "ping"], ("--probe-tcp", "5432")),
        (["CMD", "grpc_health_probe", "-addr=:50051"], ("--probe-grpc", "50051")),
        ("grpc-health-probe -addr localhost:50051 -service shop.Prices", ("--probe-grpc", "50051/shop.Prices")),
        (["CMD", "test", "-f", "/tmp/ready"], ()),
        (["NONE"], ()),
    ],
)
def test_what_is_asked(test: Any, expected: tuple[str, ...]) -> None:
    assert probe_options({"test": test}, [5432])[:2] == expected


def test_how_often() -> None:
    check = {"test": "curl http://localhost:1/", "interval": "1m30s", "timeout": "500ms", "retries": 5}
    options = ("--probe-period", "10", "--probe-timeout", "0.5", "--probe-failures", "5")
    assert probe_options(check, [])[2:] == options
    assert probe_options({"test": "curl http://localhost:1/", "interval": "2s"}, [])[2:] == ("--probe-period", "2")


@pytest.mark.parametrize("check", [None, {}, {"disable": True, "test": "curl http://localhost/"}, [], "x"])
def test_nothing_to_ask(check: Any) -> None:
    assert probe_options(check, [80]) == ()
