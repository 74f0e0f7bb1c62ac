"""sidecar: the proxy of a pod or of a container, from its options to serving, in one process."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mesh.cli.run_command import describes_workload
from mesh.cli.workload import Interception, Workload, describe

LOG_FLUSH = "1000"  # ms: somebody reads a container's log


@describes_workload
def sidecar(
    workload: Workload,
    gateway: Annotated[
        bool, typer.Option("--gateway", help="An ingress gateway (label istio=ingressgateway), not a sidecar.")
    ] = False,
    folder: Annotated[
        Path, typer.Option("--folder", metavar="DIR", help="For the bootstrap file and the last configuration.")
    ] = Path("/var/lib/mesh"),
) -> None:
    """Be the sidecar of a container: bootstrap, iptables rules, then the proxy, as a user with no privileges.

    With `--interception redirect` it has to start as root with NET_ADMIN, SETUID, SETGID and SETPCAP, and gives all of
    it up before it serves. What an init container and the proxy are on Kubernetes; `mesh run` is for an app's own machine.

    \b
      mesh sidecar --service reviews --port 9080 --interception redirect
      mesh sidecar --gateway
    """
    from mesh.bootstrap import bootstrap, render
    from mesh.cli.start_settings import looked_up

    described = describe(replace(workload, gateway=gateway))
    described.reservation.release()
    text = render(bootstrap(described.node, *described.xds, described.reservation.ports))
    if workload.interception is Interception.REDIRECT:
        from mesh.cli.iptables_command import PROXY_UID, Capture, run_script, setup_script
        from mesh.cli.privileges import become

        run_script(setup_script(Capture()))
        become(PROXY_UID)
    node = described.node
    settings, problem = looked_up(workload.plane, bool(workload.server), node.namespace, node.labels)
    if problem:
        print(f"mesh sidecar: {problem}", file=sys.stderr)
    os.environ.update(settings.environment)
    path = folder / "bootstrap.yaml"
    path.write_text(text, encoding="utf-8")
    os.chdir(folder)
    from sidecar.app import main

    sys.argv[1:] = [
        "-c",
        str(path),
        "--state-dir",
        str(folder),
        "--file-flush-interval-msec",
        LOG_FLUSH,
        *settings.flags(),
    ]
    main()
