"""How a proxy is started, and what environment its app gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh.cli.errors import CliError
from mesh.cli.sidecar import ask, environment, proxy_program
from tests.harness.ports import free_port


def test_the_environment_names_the_proxy_and_what_goes_past_it() -> None:
    made = environment("127.0.1.9", 15001, {"PATH": "/bin", "NO_PROXY": "a.example,127.0.0.1"}, "reviews-v1")
    assert made["http_proxy"] == made["HTTP_PROXY"] == "http://127.0.1.9:15001"
    assert made["no_proxy"] == made["NO_PROXY"] == "localhost,127.0.0.1,::1,127.0.0.0/8,127.0.1.9,a.example"
    assert (made["POD_NAME"], made["PATH"]) == ("reviews-v1", "/bin")


def test_the_proxy_of_a_workload_that_others_can_reach_is_on_loopback() -> None:
    made = environment("10.0.0.1", 15001, {}, "reviews-v1")
    assert made["http_proxy"] == "http://127.0.0.1:15001"
    assert "10.0.0.1" in made["no_proxy"]


def test_a_proxy_that_is_not_there() -> None:
    with pytest.raises(CliError, match="no such program"):
        proxy_program("no-such-envoy")


def test_another_proxy_gets_envoys_flags_and_ours_its_state() -> None:
    assert proxy_program("/bin/sh", Path("/x"))[1:] == ("--disable-hot-restart",)
    assert proxy_program("", Path("/x"))[-2:] == ("--state-dir", "/x")


def test_nobody_answers() -> None:
    assert ask("127.0.0.1", free_port(), "GET", "/") == (0, "")
