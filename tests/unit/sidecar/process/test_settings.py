"""The command line."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sidecar.process.settings import Settings, default_state_dir, parse, state_path
from sidecar.telemetry.rotation import Rotation


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        parse(["-c", "f", *arguments])
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_defaults() -> None:
    settings = parse(["-c", "f", "--state-dir", ""])
    assert settings == Settings(config_path="f")


def test_every_flag() -> None:
    settings = parse(
        [
            *("--config-path", "f", "--config-yaml", "y", "--mode", "validate", "--concurrency", "3", "-l", "trace"),
            *("--service-node", "n", "--service-cluster", "c", "--drain-time-s", "5", "--drain-strategy", "immediate"),
            *("--admin-address-path", "a", "--file-flush-interval-msec", "20", "--state-dir", "s", "--log-format", "m"),
            *("--access-log-rotate", "2M,3"),
        ]
    )
    assert settings == Settings(
        config_path="f",
        config_yaml="y",
        validate=True,
        concurrency=3,
        log_level=5,
        log_format="m",
        service_node="n",
        service_cluster="c",
        drain_time=5.0,
        drain_immediately=True,
        admin_address_path="a",
        log_flush=0.02,
        log_rotation=Rotation(2 << 20, kept=3),
        state_dir="s",
    )


@pytest.mark.parametrize(
    ("word", "level"), [("debug", logging.DEBUG), ("warn", logging.WARNING), ("critical", logging.CRITICAL)]
)
def test_envoys_words_for_levels(word: str, level: int) -> None:
    assert parse(["-c", "f", "-l", word]).log_level == level


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--concurrency", "0"], "--concurrency must be at least 1"),
        (["--access-log-rotate", "lots"], "'lots': expected SIZE or SIZE,FILES, as in 100M,5"),
        (["--base-id", "3"], "--base-id is not implemented: there is no hot restart"),
        (["--restart-epoch", "1"], "there is no hot restart"),
        (["--allow-unknown-fields"], "unknown fields are always errors"),
        (["--drain-time-s", "-1"], "'-1' is not a whole number"),
        (["--drain-time-s", "x"], "'x' is not a whole number"),
        (["-l", "loud"], "invalid choice"),
        (["--nope"], "unrecognized arguments"),
    ],
)
def test_refused(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert says in refused(capsys, *arguments)


def test_what_is_so_anyway_may_be_asked_for() -> None:
    assert parse(["-c", "f", "--disable-hot-restart"]).config_path == "f"


def test_no_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse([])
    assert "give -c FILE, or --config-yaml TEXT, or both" in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = capsys.readouterr().out
    for word in ("mesh bootstrap", "--mode validate", "--state-dir", "Envoy v3 bootstrap"):
        assert word in text
    assert "--base-id" not in text


def test_where_state_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/x")
    assert default_state_dir() == "/x/mesh"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_state_dir() == "/var/lib/mesh"
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/me")
    assert default_state_dir() == "/home/me/.local/state/mesh"


def test_state_is_kept_by_node() -> None:
    path = state_path("/s", "sidecar~127.0.1.5~a.default~default.svc.cluster.local")
    assert path == Path("/s/sidecar~127.0.1.5~a.default~default.svc.cluster.local.xds")
    assert state_path("/s", "../a/b").parent == Path("/s")
    assert state_path("/s", "a/b") != state_path("/s", "a%2fb")
