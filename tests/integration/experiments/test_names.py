"""An experiment makes names slow, by a forwarder of DNS questions, and leaves them as they were."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import yaml

from tests.harness.dns_server import Answer, DnsServer
from tests.harness.ports import free_port
from tests.harness.process import Process, wait_until
from tests.integration.experiments.stage import MESH, ROOT, Stage, experiment
from tests.unit.mesh.chaos.test_names import DELAY, NAME, asked


async def test_names_are_slow_while_a_fault_lasts(stage: Stage, tmp_path: Path) -> None:
    listen, control = free_port(), free_port()
    fault = {"dns": {"host": "127.0.0.1", "port": control, "delay": f"{DELAY:g}s"}, "before": "1s", "duration": "8s"}
    document = experiment("names", "v1", strategy={"fault": fault}, checks=[{"errorIncrease": {"max": 5}}])
    del document["spec"]["baseline"], document["spec"]["candidate"]
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(document))
    async with DnsServer() as server:
        server.zone[NAME] = Answer("127.0.0.9")
        places = ["--server", f"127.0.0.1:{server.port}", "--listen", f"127.0.0.1:{listen}"]
        command = [*MESH, "experiment", "dns", *places, "--control", f"127.0.0.1:{control}"]
        with Process(command, tmp_path / "dns.log", cwd=ROOT) as forwarder:
            await asyncio.to_thread(forwarder.wait_ready, lambda: "passing questions" in forwarder.log())
            run = asyncio.create_subprocess_exec(
                *MESH, "experiment", "run", str(tmp_path / "experiment.yaml"), "--no-tui",
                env={**os.environ, "MESH_SERVER": stage.server}, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            running = await run
            async with asyncio.timeout(100):
                while await asked(listen) < DELAY:
                    assert running.returncode is None
                said = (await running.communicate())[0].decode()
                while await asked(listen) >= DELAY:
                    pass
    assert running.returncode == 0, said
    assert f"names take {DELAY:g} s, for 8 s" in said and "mended" in said, said
    wait_until(lambda: stage.experiment("names")["phase"] == "finished", 10, "it has ended")
