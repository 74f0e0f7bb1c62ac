from __future__ import annotations

import os
from typing import Any

import pytest

from mesh.cli.start_settings import StartSettings, looked_up, start_settings, template_of
from mesh.node import Locality
from mesh.probe import HttpGet, Probe


def document(kind: str, spec: dict[str, Any], namespace: str = "default") -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "x", "namespace": namespace}, "spec": spec}


MESH = document("MeshConfig", {"defaultConfig": {"concurrency": 1, "proxyMetadata": {"A": "mesh", "B": "mesh"}}})
ROOT = document("ProxyConfig", {"concurrency": 2, "environmentVariables": {"A": "root", "C": "root"}}, "istio-system")
OWN = document("ProxyConfig", {"environmentVariables": {"C": "own"}})
PICKED = document("ProxyConfig", {"selector": {"matchLabels": {"app": "a"}}, "concurrency": 4})
OTHER = document("ProxyConfig", {"concurrency": 8}, "other")


def test_the_nearest_counts_and_variables_add_up() -> None:
    everything = [PICKED, OTHER, OWN, MESH, ROOT]
    assert start_settings(everything, "default", {"app": "a"}) == StartSettings(
        4, {"A": "root", "B": "mesh", "C": "own"}
    )
    assert start_settings(everything, "default", {}) == StartSettings(2, {"A": "root", "B": "mesh", "C": "own"})
    assert start_settings(everything, "third", {}).concurrency == 2
    assert start_settings([OTHER], "default", {}) == StartSettings()


def test_a_worker_for_each_processor() -> None:
    assert start_settings([document("ProxyConfig", {"concurrency": 0})], "default", {}).concurrency == os.cpu_count()


def test_drains_are_the_meshs() -> None:
    mesh = document("MeshConfig", {"defaultConfig": {"drainDuration": "30s", "terminationDrainDuration": "1m"}})
    settings = start_settings([mesh], "default", {})
    assert settings.flags() == ("--drain-time-s", "30", "--termination-drain-s", "60")
    assert settings.flags(ours=False) == ("--concurrency", "1", "--drain-time-s", "30")


def test_how_often_logs_are_written_is_the_meshs() -> None:
    settings = start_settings([document("MeshConfig", {"defaultConfig": {"fileFlushInterval": "1.5s"}})], "default", {})
    for ours in (True, False):
        assert settings.flags(ours=ours)[-2:] == ("--file-flush-interval-msec", "1500")


def test_without_a_word_a_drain_is_istios_and_an_envoy_has_one_worker() -> None:
    assert StartSettings().flags() == ("--drain-time-s", "45")
    assert StartSettings(concurrency=2).flags(ours=False) == ("--concurrency", "2", "--drain-time-s", "45")


def test_a_template() -> None:
    spec = {
        "metadata": {"labels": {"app": "a"}},
        "template": {"labels": {"app": "b"}, "ports": {"http-web": 8080}, "locality": "eu/x"},
        "probe": {"httpGet": {"port": 8080, "path": "/health"}, "periodSeconds": 5},
    }
    made = template_of(document("WorkloadGroup", spec))
    assert (made.labels, made.locality) == ({"app": "a"}, Locality("eu", "x"))
    assert made.probe == Probe(HttpGet(8080, "/health"), period=5)


@pytest.mark.parametrize("given", [True, False])
def test_nobody_answers(given: bool) -> None:
    """A proxy starts all the same."""
    settings, said = looked_up("http://127.0.0.1:1", given, "default", {})
    assert settings == StartSettings()
    assert ("takes effect at the next start" in said) == given
