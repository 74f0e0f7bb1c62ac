"""The data plane as machine code, where it was compiled (`make native`, `sidecar.process.native_build`).

mypyc turns the modules of a request's way, typed as they are, into extension modules: the same sources, the same behaviour,
about half the CPU time (`tests/bench/HISTORY.md`). Nothing needs it: without it, or when a source has changed since, the
modules are read as Python. The compiled ones lie apart from the sources (in the environment; of an installed wheel in
`sidecar/compiled`), with a digest of what they were made from, so that an edit is never shadowed by an old build.

`MESH_NATIVE=off` does without them; `MESH_NATIVE=/a/folder` names another place than the environment's own.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("mesh", "sidecar")
BUNDLED: Final = "bundled"  # `mesh/bundled`: what an installed wheel carries along, and no part of the program
PACKAGED: Final = ROOT / "sidecar" / "compiled"  # of an installed wheel
SWITCH: Final = "MESH_NATIVE"
MANIFEST: Final = "manifest.json"

# What a request passes through. Modules that are only read when configuration arrives gain nothing.
MODULES: Final = (
    "sidecar.balancer.pickers",
    "sidecar.codec.framing",
    "sidecar.codec.h1_client",
    "sidecar.codec.h1_closing",
    "sidecar.codec.h1_parser",
    "sidecar.codec.h1_server",
    "sidecar.codec.h2_client",
    "sidecar.codec.h2_connection",
    "sidecar.codec.h2_control",
    "sidecar.codec.h2_downstream",
    "sidecar.codec.h2_floods",
    "sidecar.codec.h2_frames",
    "sidecar.codec.h2_heads",
    "sidecar.codec.h2_keepalive",
    "sidecar.codec.h2_outbox",
    "sidecar.codec.h2_sending",
    "sidecar.codec.h2_server",
    "sidecar.codec.h2_session",
    "sidecar.codec.h2_settings",
    "sidecar.codec.h2_stream",
    "sidecar.codec.h2_upstream",
    "sidecar.codec.hpack_decoder",
    "sidecar.codec.hpack_encoder",
    "sidecar.codec.hpack_huffman",
    "sidecar.codec.hpack_table",
    "sidecar.codec.key_case",
    "sidecar.codec.preserve_case_client",
    "sidecar.codec.preserve_case_server",
    "sidecar.codec.render",
    "sidecar.codec.target",
    "sidecar.forward.attempt",
    "sidecar.forward.attempts",
    "sidecar.forward.bodies",
    "sidecar.forward.durations",
    "sidecar.forward.extensions",
    "sidecar.forward.hedging",
    "sidecar.forward.mirror",
    "sidecar.forward.observed",
    "sidecar.forward.overloaded",
    "sidecar.forward.redirects",
    "sidecar.forward.response",
    "sidecar.forward.retries",
    "sidecar.forward.state",
    "sidecar.forward.stream",
    "sidecar.forward.stream_class",
    "sidecar.forward.timeouts",
    "sidecar.forward.tunnel",
    "sidecar.forward.upstream_resets",
    "sidecar.http.connection_manager",
    "sidecar.http.exchange",
    "sidecar.http.forwarded",
    "sidecar.http.grpc",
    "sidecar.http.head",
    "sidecar.http.head_policy",
    "sidecar.http.headers",
    "sidecar.http.local_reply",
    "sidecar.http.request_id",
    "sidecar.http.stream_context",
    "sidecar.process.timers",
    "sidecar.router.extras",
    "sidecar.router.header_ops",
    "sidecar.router.match",
    "sidecar.router.path",
    "sidecar.router.retry",
    "sidecar.router.retry_backoff",
    "sidecar.router.rewrite",
    "sidecar.router.table",
    "sidecar.telemetry.access_log",
    "sidecar.telemetry.cells",
    "sidecar.telemetry.http2_stats",
    "sidecar.telemetry.istio_metrics",
    "sidecar.telemetry.on_complete",
    "sidecar.telemetry.otlp_encoding",
    "sidecar.telemetry.propagation",
    "sidecar.telemetry.quick_line",
    "sidecar.telemetry.registry",
    "sidecar.telemetry.semantics",
    "sidecar.telemetry.start_time",
    "sidecar.telemetry.stats",
    "sidecar.telemetry.tcp_metrics",
    "sidecar.telemetry.trace",
    "sidecar.telemetry.trace_gaps",
    "sidecar.telemetry.uses",
    "sidecar.upstream.cluster",
    "sidecar.upstream.host",
    "sidecar.upstream.limits",
    "sidecar.upstream.outlier",
    "sidecar.upstream.pool",
    "sidecar.workers.merged_stats",
)


def folder() -> Path | None:
    """Where `make native` puts compiled modules; None when they are not wanted."""
    wish = os.environ.get(SWITCH, "")
    if wish == "off":
        return None
    return Path(wish) if wish else Path(sys.prefix) / "lib" / "asyncmesh-native" / str(sys.implementation.cache_tag)


def activate() -> bool:
    """Lets the compiled modules be imported in place of their sources, if they were made from these; whether they are."""
    first = folder()
    if first is None:
        return False
    places = [
        place for place in (first, *(() if os.environ.get(SWITCH) else (PACKAGED,))) if (place / MANIFEST).exists()
    ]
    wanted = digest() if places else ""
    for place in places:
        if (files := made_from(place, wanted)) is not None:
            sys.meta_path.insert(0, _Finder({name: place / file for name, file in files.items()}))
            return True
    return False


def active() -> bool:
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


def made_from(place: Path, wanted: str) -> Mapping[str, str] | None:
    """Module → file, when the folder holds what was made from the sources with this digest."""
    try:
        manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    files: Mapping[str, str] = manifest["modules"]
    return files if manifest["digest"] == wanted else None


class _Finder(MetaPathFinder):
    """Finds compiled modules before anybody looks for sources."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self._files.get(fullname)
        if file is None:
            return None
        loader = importlib.machinery.ExtensionFileLoader(fullname, str(file))
        return importlib.util.spec_from_file_location(fullname, file, loader=loader)


def digest(root: Path = ROOT) -> str:
    """Of all sources below a folder: the compiler reads types and constants from those, too, that it does not compile."""
    total = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            if BUNDLED not in path.relative_to(root).parts:
                total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()
