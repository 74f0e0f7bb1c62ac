"""A worker: a `Runtime` that does what the supervisor says. Started as `python -m sidecar.workers.worker FD NUMBER`."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvloop

from mesh.errors import ConfigError
from sidecar.app import drain_policy, node_of, start_logging
from sidecar.config.model import Bootstrap
from sidecar.process.settings import Settings
from sidecar.runtime import Runtime
from sidecar.workers.channel import Channel
from sidecar.workers.route_changes import changed
from sidecar.workers.state import take

log = logging.getLogger(__name__)


def main() -> None:
    descriptor, number = int(sys.argv[1]), int(sys.argv[2])
    sys.exit(uvloop.run(serve(socket.socket(fileno=descriptor), number)))


async def serve(sock: socket.socket, number: int) -> int:
    """Runs until it is told to end, or the supervisor is gone; the exit code."""
    sock.setblocking(False)
    channel = await Channel.over(sock)
    bootstrap, settings = await channel.receive()
    start_logging(settings)
    runtime = make_runtime(bootstrap, settings)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, runtime.terminate)
    loop.add_signal_handler(signal.SIGUSR1, runtime.reopen_logs)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from a terminal all of us get it; the supervisor says what it means
    log.info("worker %d starts", number)
    runtime.tasks.start(_obey(channel, runtime), "supervisor")
    await runtime.leaving.wait()
    await runtime.finish(settings.termination_drain)
    await runtime.close()
    channel.close()
    return 0


def make_runtime(bootstrap: Bootstrap, settings: Settings) -> Runtime:
    return Runtime(
        bootstrap,
        node_of(bootstrap),
        drains=drain_policy(settings),
        log_flush_seconds=settings.log_flush,
        log_rotation=settings.log_rotation,
        workers=settings.concurrency,
    )


async def _obey(channel: Channel, runtime: Runtime) -> None:
    """Does one thing after the other, until the supervisor is gone."""
    orders = _orders(runtime)
    try:
        while True:
            what, *arguments = await channel.receive()
            if what == "tell":
                number, parts = arguments
                channel.send(("state", number, take(runtime, parts)))
                await channel.flush()
            elif what == "wait_all_checked":
                await runtime.wait_all_checked()
            else:
                try:
                    orders[what](*arguments)
                except (ConfigError, OSError) as error:
                    channel.send(("failed", f"{what}: {error}"))
    except EOFError:
        runtime.terminate()


def _orders(runtime: Runtime) -> dict[str, Callable[..., Any]]:
    """What the supervisor may ask for."""
    return {
        "set_cluster": runtime.set_cluster,
        "remove_cluster": runtime.remove_cluster,
        "set_assignment": runtime.set_assignment,
        "set_listener": runtime.set_listener,
        "remove_listener": runtime.remove_listener,
        "set_routes": runtime.set_routes,
        "change_routes": lambda base, hosts: runtime.set_routes(changed(runtime.routes[base.name], base, hosts)),
        "remove_routes": runtime.remove_routes,
        "initialized": runtime.initialized,
        "drain_listeners": lambda asked: runtime.drain_listeners(**asked),
        "fail_health_check": runtime.fail_health_check,
        "set_log_levels": runtime.set_log_levels,
        "reopen_logs": runtime.reopen_logs,
        "reset_counters": runtime.reset_counters,
        "terminate": runtime.terminate,
        "quit": runtime.quit,
    }


if __name__ == "__main__":
    main()
