from __future__ import annotations

import argparse

import pytest

from control_plane.registry.lifecycle import Grace
from control_plane.settings import Address, address, parse
from control_plane.world import AccessLogEncoding, MeshConfig, OutboundPolicy


def test_the_defaults_are_the_documented_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    settings = parse([])
    assert settings.store == "sqlite:///state/asyncmesh/mesh.db"
    assert [str(a) for a in (settings.xds, settings.http, settings.metrics)] == [
        "127.0.0.1:15010",
        "127.0.0.1:15080",
        "127.0.0.1:15014",
    ]
    assert settings.grace == Grace(lost=2, removal=60, restart=30)
    assert settings.mesh == MeshConfig()


def test_what_holds_for_the_whole_mesh() -> None:
    words = (
        """--access-log-file /tmp/log --access-log-encoding JSON --access-log-format {"a":"%PROTOCOL%"} --no-tracing """
        "--tracing-sampling 1% --otlp-endpoint http://c:4318/v1/traces --outbound-policy REGISTRY_ONLY "
        "--root-namespace root"
    )
    assert parse(words.split()).mesh == MeshConfig(
        access_log_file="/tmp/log",
        access_log_encoding=AccessLogEncoding.JSON,
        access_log_format='{"a":"%PROTOCOL%"}',
        enable_tracing=False,
        sampling=1.0,
        otlp_endpoint="http://c:4318/v1/traces",
        outbound_policy=OutboundPolicy.REGISTRY_ONLY,
        root_namespace="root",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:15010", Address("127.0.0.1", 15010)),
        ("localhost:0", Address("localhost", 0)),
        (":80", Address("0.0.0.0", 80)),
        ("[::1]:80", Address("::1", 80)),
    ],
)
def test_addresses(text: str, expected: Address) -> None:
    assert address(text) == expected
    assert address(str(expected)) == expected


@pytest.mark.parametrize("text", ["", "80", "host", "host:", "host:x", "host:65536", "::1:80", "host:-1", "host:١"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        address(text)


@pytest.mark.parametrize(
    "words",
    [
        ["--lost-grace", "-1"],
        ["--lost-grace", "nan"],
        ["--log-level", "loud"],
        ["--stor", "x"],
        ["--access-log-encoding", "JSON", "--access-log-format", "%PROTOCOL%"],
    ],
)
def test_what_makes_no_sense_ends_with_code_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2
