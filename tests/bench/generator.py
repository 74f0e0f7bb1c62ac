"""What sending costs: `python -m tests.bench.generator [RATE]`, the CPU time of `mesh load` for each request.

One sending process against a server that answers at once, over HTTP/1.1 and HTTP/2. The server's CPU time is its own. What
a core can send is a second divided by what one request costs; that the rate was kept shows that nothing else was in the way.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.ports import free_port
from tests.harness.process import Process

SECONDS = 5
H2_SHARE = 5  # over HTTP/2 so many times fewer
SERVERS = {"http1": "tests.bench.upstream", "h2": "tests.bench.h2_upstream"}
COMMAND = [sys.executable, "-m", "mesh.cli.main", "load"]


@contextmanager
def server(folder: Path, module: str) -> Iterator[int]:
    port = free_port()
    with Process([sys.executable, "-m", module, str(port)], folder / "server.log") as process:
        process.wait_ready(lambda: listens(port))
        yield port


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def measure(port: int, rate: float, protocol: str) -> tuple[float, float]:
    """CPU seconds of a request, and requests a second as they were sent."""
    words = [f"http://127.0.0.1:{port}/", "--protocol", protocol, "--rate", f"{rate:g}", "-o", "json"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*COMMAND, *words, "--duration", str(SECONDS)], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = json.loads(done.stdout)["all"]
    if found["succeeded"] != found["requests"]:
        raise SystemExit(f"not every request succeeded: {found}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, found["requests"] / SECONDS


def main() -> None:
    rate = float(sys.argv[1]) if len(sys.argv) > 1 else 5000.0
    print(f"`mesh load`, one process, {SECONDS} s, on {os.cpu_count()} processors")
    for protocol, asked in (("http1", rate), ("h2", rate / H2_SHARE)):
        with tempfile.TemporaryDirectory() as folder, server(Path(folder), SERVERS[protocol]) as port:
            start, _ = measure(port, 1, protocol)  # what it takes to start, and to send next to nothing
            cpu, sent = measure(port, asked, protocol)
        each = (cpu - start) / (sent * SECONDS)
        print(
            f"{protocol:5} {sent:7.0f} requests/s of {asked:g}   {each * 1e6:5.0f} µs of CPU each   {1 / each:7.0f} a core"
        )


if __name__ == "__main__":
    main()
