"""An Envoy bootstrap file → a checked Bootstrap.

`load` reads the file and the text of `--config-yaml` (merged over it as Envoy does: set fields replace, lists and messages
join), compiles every static resource, and finds out where ADS is. What is wrong comes as one ConfigError, every problem
with its field path and, where the text is at hand, file and line.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mesh.errors import ConfigError, Problem
from mesh.gc_tuning import uncollected
from sidecar.config.ads import dynamic_resources
from sidecar.config.clusters import cluster as read_cluster
from sidecar.config.common import address
from sidecar.config.dns import dns_resolver
from sidecar.config.document import Document
from sidecar.config.listeners import listener as read_listener
from sidecar.config.model import (
    Bootstrap,
    Cluster,
    Discovery,
    DnsResolver,
    Listener,
)
from sidecar.config.overload import overload
from sidecar.config.reader import Reader, plain
from sidecar.config.references import clusters_of_listener, rds_names
from sidecar.telemetry.replies import METADATA, OFF, WISHES

_NO_ADS: Final = "comes over ADS, and dynamic_resources has no ads_config"
_INLINE_FILE: Final = "--config-yaml"
# Limits of Envoy's own that there are none of here.
RUNTIME_WITHOUT_EFFECT: Final = frozenset({"re2.max_program_size.error_level", "re2.max_program_size.warn_level"})


@uncollected()
def load(path: str = "", yaml_text: str = "", *, node_id: str = "", node_cluster: str = "") -> Bootstrap:
    """The bootstrap of `-c path`, `--config-yaml`, or both; the node's id and cluster replaced where given."""
    from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap as Message

    documents = []
    if path:
        try:
            documents.append(Document(Path(path).read_text(encoding="utf-8"), path))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ConfigError(Problem(f"cannot be read: {reason}", file=path)) from error
    if yaml_text:
        documents.append(Document(yaml_text, _INLINE_FILE))
    if not documents:
        raise ConfigError(Problem("no configuration: give -c FILE or --config-yaml TEXT"))
    message = Message()
    for document in documents:
        message.MergeFrom(document.parse(Message()))
    if node_id:
        message.node.id = node_id
    if node_cluster:
        message.node.cluster = node_cluster
    try:
        return compile_bootstrap(message)
    except ConfigError as error:
        # After a merge a path no longer says which text it is from.
        raise (documents[0].located(error.problems) if len(documents) == 1 else error) from error


def validate(path: str = "", yaml_text: str = "") -> int:
    """`--mode validate`: says on stdout that the configuration is good, or on stderr all that is wrong; the exit code."""
    try:
        load(path, yaml_text)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 1
    print(f"configuration '{path}' OK")
    return 0


def compile_bootstrap(message: Any) -> Bootstrap:
    """An envoy.config.bootstrap.v3.Bootstrap; ConfigError with everything that is wrong in it."""
    reader = Reader(message)
    compiled = read_bootstrap(reader)
    reader.finish()
    return compiled


def read_bootstrap(reader: Reader) -> Bootstrap:
    """The same on a reader, which the caller finishes."""
    clusters, listeners = _static(reader.child("static_resources"))
    admin = reader.child("admin")
    _layered_runtime(reader.child("layered_runtime"))
    ads, lds, cds = dynamic_resources(reader.child("dynamic_resources"), clusters)
    compiled = Bootstrap(
        node=_node(reader.child("node")),
        admin=address(admin.child("address")) if admin is not None and admin.has("address") else None,
        listeners=listeners,
        clusters=clusters,
        ads=ads,
        lds_from_ads=lds,
        cds_from_ads=cds,
        overload=overload(reader.child("overload_manager")),
        local_cluster=_local_cluster(reader.child("cluster_manager"), clusters),
        dns=dns_resolver(reader) or DnsResolver(),
        source=reader.message.SerializeToString(deterministic=True),
    )
    _check_references(reader, compiled)
    return compiled


def _static(reader: Reader | None) -> tuple[tuple[Cluster, ...], tuple[Listener, ...]]:
    if reader is None:
        return (), ()
    clusters = tuple(read_cluster(each) for each in reader.children("clusters"))
    listeners = tuple(read_listener(each) for each in reader.children("listeners"))
    for field, named in (("clusters", clusters), ("listeners", listeners)):
        names = [each.name for each in named]
        for index, name in enumerate(names):
            if name in names[:index]:
                reader.problem(f"{name!r} is defined twice", f"{field}[{index}].name")
    return clusters, listeners


def _local_cluster(reader: Reader | None, clusters: tuple[Cluster, ...]) -> str:
    name = reader.text("local_cluster_name") if reader is not None else ""
    if reader is not None and name and all(each.name != name for each in clusters):
        reader.problem(f"{name!r} is not a static cluster", "local_cluster_name")
    return name


def _node(reader: Reader | None) -> Mapping[str, Any]:
    if reader is None:
        return {}
    node = plain(reader.message)
    wish = node.get("metadata", {}).get(METADATA, OFF)
    if wish not in WISHES:
        reader.problem(f"{wish!r} is not one of {', '.join(WISHES)}", f"metadata.{METADATA}")
    reader.skip()  # whatever it says of itself goes to the control plane as it is
    return node


def _layered_runtime(reader: Reader | None) -> None:
    """There is no runtime: a layer that sets nothing is taken, or only what changes nothing here; one that sets anything
    else is refused."""
    if reader is None:
        return
    for layer in reader.children("layers"):
        layer.text("name")
        if (admin := layer.child("admin_layer")) is not None:
            admin.skip()
        if others := sorted(set(layer.struct("static_layer")) - RUNTIME_WITHOUT_EFFECT):
            layer.problem(f"runtime values are not implemented: {', '.join(others)}", "static_layer")


def _check_references(reader: Reader, compiled: Bootstrap) -> None:
    """Inline routes of static listeners name static clusters only, unless they say that it does not matter; what comes
    over ADS needs to know where that is, and ADS who we are."""
    known = {each.name for each in compiled.clusters}
    taken: dict[str, str] = {}
    for index, each in enumerate(compiled.listeners):
        field = f"static_resources.listeners[{index}]"
        for name in sorted(clusters_of_listener(each) - known):
            reader.problem(f"a route names the cluster {name!r}, which is not there", field)
        if each.bind_to_port and each.address.port:
            other = taken.setdefault(str(each.address), each.name)
            if other is not each.name:
                reader.problem(f"{each.address} is the address of listener {other!r} already", f"{field}.address")
        if rds_names(each) and compiled.ads is None:
            reader.problem(_NO_ADS, field)
    for index, cluster in enumerate(compiled.clusters):
        if cluster.discovery is Discovery.EDS and compiled.ads is None:
            reader.problem(_NO_ADS, f"static_resources.clusters[{index}].eds_cluster_config")
    for field in ("id", "cluster"):
        if compiled.ads is not None and not compiled.node.get(field):
            reader.problem("is required for ADS", f"node.{field}")
