"""experiment dns: a DNS forwarder that an experiment can make slow."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from mesh.cli.errors import USAGE, CliError


def dns(
    server: Annotated[str, typer.Option("--server", metavar="HOST:PORT", help="Who knows the answers.")],
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where questions come in, by UDP and TCP.")
    ] = "127.0.0.1:15353",
    control: Annotated[
        str, typer.Option("--control", metavar="HOST:PORT", help="What an experiment's fault names.")
    ] = "127.0.0.1:15354",
) -> None:
    """Pass DNS questions on to a server, and be slow when an experiment says so (`strategy: fault`, `dns`).

    Point resolvers at it: `nameserver` in /etc/resolv.conf, `dns:` in a compose file, or `typed_dns_resolver_config` of a
    proxy. Without an experiment it changes nothing, and it is slow no longer than the experiment's runner lives.

    \b
      mesh experiment dns --server 127.0.0.53:53
    """
    import asyncio  # what is heavy is imported when it is needed

    places = [_place(name, text) for name, text in (("listen", listen), ("server", server), ("control", control))]
    asyncio.run(_run(places, listen, server, control))


async def _run(places: list[tuple[str, int]], listen: str, server: str, control: str) -> None:
    import asyncio

    from mesh.chaos.names import Forwarder

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    forwarder = Forwarder(*places)
    try:
        await forwarder.start()
        print(f"passing questions at {listen} on to {server}; control at {control}", flush=True)
        await stop.wait()
    except OSError as error:
        raise CliError(f"cannot listen on {listen} and {control}: {error.strerror or error}") from error
    finally:
        await forwarder.close()


def _place(name: str, text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit():
        raise CliError(f"--{name} {text}: expected HOST:PORT", code=USAGE)
    return host.strip("[]"), int(port)
