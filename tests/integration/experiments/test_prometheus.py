"""A Prometheus and the control plane's own collector: the same numbers, and so the same verdicts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from control_plane.experiments.collector import Collector, PrometheusCollector, ProxyCollector
from control_plane.registry.workload import Workload
from mesh.experiments.checks import ErrorShareIncrease, LatencyRatio
from mesh.experiments.samples import Meter, Selection
from mesh.experiments.verdict import judge
from mesh.node import Node
from tests.harness.ports import free_port
from tests.harness.process import Process, http_get, wait_until
from tests.integration.experiments.stage import Stage, experiment
from tests.integration.experiments.test_safety import kill, there

SELECTION = Selection("reviews.default.svc.cluster.local")
CHECKS = (ErrorShareIncrease(0.01), LatencyRatio(0.9, 1.5))
NAMES = ("v1", "v2", "v3", "client")

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus (a Debian package)")


@contextmanager
def prometheus(stage: Stage, folder: Path) -> Iterator[tuple[str, Process]]:
    port = free_port()
    job = {
        "job_name": "envoy-stats",
        "metrics_path": "/stats/prometheus",
        "scrape_interval": "1s",
        "static_configs": [{"targets": [f"{stage.address(name)}:15090" for name in NAMES]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [job]}))
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with Process([*command, f"--web.listen-address=127.0.0.1:{port}"], folder / "prometheus.log") as process:
        process.wait_ready(lambda: http_get(port, "/-/ready")[0] == 200, 40)
        yield f"http://127.0.0.1:{port}", process


async def test_the_same_traffic_gives_the_same_counts_and_verdicts(stage: Stage, tmp_path: Path) -> None:
    stage.behaviour["v3"].error = 0.2
    weights = [{"destination": {"host": "reviews", "subset": name}, "weight": 50} for name in ("v1", "v3")]
    stage.apply(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "reviews"},
            "spec": {"hosts": ["reviews"], "http": [{"route": weights}]},
        }
    )
    proxies = [Workload(Node("sidecar", stage.address(name), name, metrics_port=15090)) for name in NAMES]
    with prometheus(stage, tmp_path) as (url, _):
        async with aiohttp.ClientSession() as session:
            collectors = (ProxyCollector(session, lambda: proxies), PrometheusCollector(session, url))
            with stage.load(40):
                wait_until(lambda: stage.behaviour["v3"].requests > 20, 40, "some requests")
            first = [await settled(collector) for collector in collectors]
            meters = [Meter(), Meter()]
            for meter, pages in zip(meters, first, strict=True):
                meter.take(pages)
            with stage.load(40):
                before = stage.behaviour["v3"].requests
                wait_until(lambda: stage.behaviour["v3"].requests > before + 100, 60, "more requests")
            second = [await settled(collector) for collector in collectors]
            own, theirs = (meter.take(pages) for meter, pages in zip(meters, second, strict=True))
    assert own == theirs
    assert own["v3"].requests > 100
    verdicts = [judge(CHECKS, done["v1"], done["v3"], 0.05) for done in (own, theirs)]
    assert verdicts[0] == verdicts[1]
    assert "roll back: errors" in verdicts[0].sentence()


async def settled(collector: Collector) -> Any:
    """What it gives once that has been the same for three seconds: Prometheus scrapes each second."""
    import asyncio

    last, same = None, 0
    async with asyncio.timeout(40):
        while same < 3:
            pages = await collector.look(SELECTION)
            values = sorted((each.series, each.value) for samples in pages.values() for each in samples)
            same = same + 1 if values == last else 0
            last = values
            await asyncio.sleep(1)
    return pages


@pytest.mark.parametrize("where", ["copies", "20", "80"])
def test_a_prometheus_that_is_killed_means_hold_then_roll_back(stage: Stage, tmp_path: Path, where: str) -> None:
    """In the pre-step, in a step and at a gate; the control plane is killed with it at the gate."""
    with prometheus(stage, tmp_path) as (url, process), stage.load(40):
        steps = [{"weight": 20, "duration": "4s"}, {"weight": 80, "manual": True}]
        canary = {"mirrorFirst": {"percent": 50, "requests": 60}, "steps": steps}
        document = experiment("watched", "v3", prometheus=url, noData="3s", strategy={"canary": canary})
        document["spec"]["checks"] = [{"errorIncrease": {"max": 5}}]
        stage.apply(document)
        wait_until(there(stage, "v3", where), 60, f"the stage {where}")
        kill(process)
        if where == "80":
            kill(stage.control_plane)
            stage.start_control_plane()
        found = stage.wait_for_phase("watched", "rolled back")
    assert "nothing was heard" in found["reason"]
    assert stage.routes() == [("v1", 0)]
