"""experiment shadow: answers of a candidate held against the baseline's, for mirrored or replayed requests."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from mesh.cli.errors import USAGE, CliError
from mesh.cli.output import print_table

if TYPE_CHECKING:
    from mesh.shadow.server import Comparer, Shadowing


def shadow(
    baseline: Annotated[str, typer.Option("--baseline", metavar="URL", help="http://HOST:PORT of the version in use.")],
    candidate: Annotated[str, typer.Option("--candidate", metavar="URL", help="http://HOST:PORT of the other.")],
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where requests come in.")
    ] = "127.0.0.1:9099",
    requests: Annotated[int, typer.Option("--requests", "-n", metavar="N", min=1, help="At most.")] = 10_000,
    duration: Annotated[
        float, typer.Option("--duration", "-t", metavar="SECONDS", min=0, help="At most; 0: to Ctrl-C.")
    ] = 0,
    header: Annotated[
        list[str],
        typer.Option("--header", "-H", metavar="NAME", help="A response header to compare.", show_default=False),
    ] = [],  # noqa: B006  (typer copies it)
    redact: Annotated[
        list[str], typer.Option("--redact", metavar="FIELD", help="Compared, never shown.", show_default=False)
    ] = [],  # noqa: B006
    any_method: Annotated[
        bool, typer.Option("--any-method", help="Also POST, PUT … : both versions act on them.")
    ] = False,
    output: Annotated[str, typer.Option("--output", "-o", metavar="table|json", help="How to print.")] = "table",
) -> None:
    """Compare what two versions answer, field by field, with the noise taken out.

    Send it requests (a VirtualService's mirror, `mesh load`, a replayed log): whoever sends them is answered at once. Each
    goes to the baseline twice and to the candidate once; what differs between the baseline's own answers is noise.

    \b
      mesh experiment shadow --baseline http://127.0.1.21:9080 --candidate http://127.0.1.23:9080 --duration 30
      mesh load 'http://127.0.0.1:9099/reviews/{{random 0 9}}' --rate 20 --duration 25
    """
    from mesh.shadow.server import Shadowing

    if output not in ("table", "json"):
        raise CliError(f"--output {output}: there are table and json", code=USAGE)
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit():
        raise CliError(f"--listen {listen}: expected HOST:PORT", code=USAGE)
    for url in (baseline, candidate):
        if not url.startswith("http://"):
            raise CliError(f"{url}: expected http://HOST:PORT", code=USAGE)
    shadowing = Shadowing(baseline, candidate, requests, any_method=any_method)
    import asyncio  # what is heavy is imported when it is needed

    asyncio.run(_run(shadowing, host, int(port), duration, (tuple(header), tuple(redact)), output))


async def _run(
    shadowing: Shadowing,
    host: str,
    port: int,
    duration: float,
    rules: tuple[tuple[str, ...], tuple[str, ...]],
    output: str,
) -> None:
    import asyncio

    import aiohttp
    from aiohttp import web

    from mesh.shadow.compare import Comparison
    from mesh.shadow.server import Comparer

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with aiohttp.ClientSession(auto_decompress=True) as session:
        comparer = Comparer(shadowing, Comparison(*rules), session)
        runner = web.AppRunner(comparer.app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise CliError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        print(f"comparing what comes to http://{host}:{runner.addresses[0][1]}", flush=True)
        try:
            async with asyncio.timeout(duration or None):
                await stop.wait()
        except TimeoutError:
            pass
        await runner.cleanup()
        await comparer.close()
    _print(comparer, output)


def _print(comparer: Comparer, output: str) -> None:
    if output == "json":
        print(json.dumps(comparer.report(), indent=2))
        return
    found, comparison = comparer.comparison.differences(), comparer.comparison
    print(f"{comparison.compared} compared, {comparer.skipped} not taken, {comparer.failed} without an answer")
    table = [
        [each.name, f"{100 * each.differed / comparison.compared:.1f} %", f"{100 * each.noise / comparison.compared:.1f} %",
         " → ".join(each.examples[0]) if each.examples else ""]
        for each in found
    ]  # fmt: skip
    print_table(["FIELD", "DIFFERS", "NOISE", "FOR EXAMPLE"], table, nothing="no difference beyond noise")
    if comparison.noisy():
        print(f"noise in {len(comparison.noisy())} fields: {', '.join(comparison.noisy()[:8])}")
