"""request_mirror_policies → where copies of requests go."""

from __future__ import annotations

from sidecar.config.match import runtime_fraction
from sidecar.config.model import MILLION, Mirror
from sidecar.config.mutations import header_mutation
from sidecar.config.reader import Reader
from sidecar.http.head import HOP_HEADERS


def mirrors(reader: Reader) -> tuple[Mirror, ...]:
    """Those of a route, a virtual host or a route configuration."""
    return tuple(_mirror(each) for each in reader.children("request_mirror_policies"))


def _mirror(reader: Reader) -> Mirror:
    cluster, header = reader.text("cluster"), reader.text("cluster_header")
    if bool(cluster) == bool(header):
        reader.problem("needs exactly one of cluster and cluster_header")
    host = reader.text("host_rewrite_literal")
    return Mirror(
        cluster=cluster,
        cluster_header=header.lower().encode("latin-1", "replace"),
        fraction=runtime_fraction(reader, "runtime_fraction", MILLION),
        sampled=reader.flag("trace_sampled", True),
        same_host=reader.flag("disable_shadow_host_suffix_append"),
        host=host,
        mutations=tuple(header_mutation(each, HOP_HEADERS) for each in reader.children("request_headers_mutations")),
    )
