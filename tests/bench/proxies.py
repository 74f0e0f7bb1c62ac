"""The proxies that are compared, each as a command for a case."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from tests.bench.bootstraps import Ports
from tests.bench.cases import Case
from tests.bench.references import REFERENCES
from tests.harness.envoy import EnvoyUnavailableError, envoy_command, install_envoy
from tests.harness.sidecar import sidecar_command

OURS = "mesh-sidecar"
BEFORE = "before"  # ours, from another source tree (`--against`)
ENVOY = "envoy"
ALL = (ENVOY, OURS, *REFERENCES)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes what is there twice twice, as people do."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def command(name: str, case: Case, ports: Ports, folder: Path) -> list[str] | None:
    """How the proxy starts with the case's configuration; None when it is not to be had."""
    if name in REFERENCES:
        return REFERENCES[name](case.name, ports, folder)
    return started_from(name, case.bootstrap(ports), folder / f"{name}-{ports.listener}.yaml")


def started_from(name: str, bootstrap: dict[str, Any], path: Path, *extra: str) -> list[str] | None:
    """How Envoy or one of ours starts from a bootstrap, which is written to `path`."""
    path.write_text(yaml.dump(bootstrap, Dumper=_Dumper, sort_keys=False))
    if name != ENVOY:
        return sidecar_command(path, "-l", "warning", *extra)
    try:
        return envoy_command(install_envoy(), path, "-l", "error", *extra)
    except EnvoyUnavailableError as error:
        print(f"bench: no Envoy: {error}", file=sys.stderr)
        return None
