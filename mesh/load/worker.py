"""A sending process (`python -m mesh.load.worker INDEX`): a plan on standard input, a line of JSON every half second."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time

from mesh.errors import MeshError
from mesh.load.generator import Generator
from mesh.load.plan import Plan
from mesh.tasks import TaskOwner

REPORT_SECONDS = 0.5


async def main(index: int) -> None:
    """The first line that it reads is the plan, `{"plan", "begin"}`, with the wall-clock time at which all begin."""
    task = json.loads(sys.stdin.readline())
    loop = asyncio.get_running_loop()
    generator = Generator(Plan.decode(task["plan"]), index)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, generator.stop)
    begin = time.monotonic() + task["begin"] - time.time()
    tasks = TaskOwner("load")
    tasks.start(_report(generator), "report")
    try:
        await generator.run(begin)
    finally:
        await tasks.close()
    _print(generator, ended=True)


async def _report(generator: Generator) -> None:
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        _print(generator, ended=False)


def _print(generator: Generator, ended: bool) -> None:
    usage = time.process_time()
    print(
        json.dumps({"seconds": generator.seconds, "cpu": usage, "ended": ended, "kinds": generator.take()}), flush=True
    )


if __name__ == "__main__":
    import uvloop

    try:
        uvloop.run(main(int(sys.argv[1])))
    except MeshError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        sys.exit(1)
