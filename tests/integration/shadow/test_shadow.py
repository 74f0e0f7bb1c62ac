"""`mesh experiment shadow` between real servers, fed by `mesh load`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.harness.ports import free_port
from tests.harness.process import Process, http_get, wait_until

MESH = [sys.executable, "-m", "mesh.cli.main"]
APP = """
import random, sys
from aiohttp import web
async def answer(request):
    body = {"id": request.match_info["id"], "now": random.random(), "price": 1 if sys.argv[1] == "old" else 2}
    return web.json_response(body, headers={"x-token": "s3cret" + sys.argv[1]})
app = web.Application()
app.router.add_route("*", "/items/{id}", answer)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), access_log=None)
"""


def serve(folder: Path, word: str) -> tuple[Process, int]:
    port = free_port()
    process = Process([sys.executable, "-c", APP, word, str(port)], folder / f"{word}.log")
    process.wait_ready(lambda: http_get(port, "/items/1")[0] == 200, 40)
    return process, port


def test_a_planted_difference_is_found_and_its_secret_is_not_told(tmp_path: Path) -> None:
    old, old_port = serve(tmp_path, "old")
    new, new_port = serve(tmp_path, "new")
    command = [*MESH, "experiment", "shadow", "--baseline", f"http://127.0.0.1:{old_port}", "-o", "json"]
    command += ["--candidate", f"http://127.0.0.1:{new_port}", "--listen", "127.0.0.1:0", "-H", "x-token"]
    with old, new, Process([*command, "--redact", "x-token"], tmp_path / "shadow.log") as shadow:
        place = wait_until(
            lambda: re.search(r"http://127\.0\.0\.1:\d+", shadow.log_path.read_text()), 20, "the comparer"
        )
        for method in ("GET", "POST"):
            words = [
                *MESH,
                "load",
                f"{place[0]}/items/{{{{number}}}}",
                "-X",
                method,
                "-n",
                "60",
                "-r",
                "15",
                "-o",
                "json",
            ]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
            assert json.loads(done.stdout)["all"]["statuses"] == {"202": 60}
        shadow.stop()
        said = shadow.log_path.read_text()
    report = json.loads(said[said.index("{") :])
    assert 30 <= report["compared"] <= 60  # only what is idempotent, and no more at once than the limit
    assert {each["field"] for each in report["differences"]} == {"body.price", "header x-token"}
    assert report["noisy"] == ["body.now"]
    assert "s3cret" not in said
