"""RouteAction → Forward: to which cluster, rewritten how, retried when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sidecar.config.common import header_format, header_ops, substitution
from sidecar.config.hash_policy import hash_policies
from sidecar.config.internal_redirect import internal_redirects
from sidecar.config.metadata_match import compiled, match_fields, metadata_match
from sidecar.config.mirrors import mirrors
from sidecar.config.model import UNLIMITED, Forward, Rewrite, StreamDuration, WeightedCluster
from sidecar.config.reader import Reader
from sidecar.config.retry import hedges, retry_policy

_NOT_FOUND_CODES: Final = {
    "SERVICE_UNAVAILABLE": 503,
    "NOT_FOUND": 404,
    "INTERNAL_SERVER_ERROR": 500,
}
DEFAULT_TIMEOUT: Final = 15.0


def forward(reader: Reader) -> Forward:
    timeout, duration = reader.seconds("timeout", DEFAULT_TIMEOUT), _duration(reader.child("max_stream_duration"))
    upgrades = _upgrades(reader)
    return Forward(
        **_clusters(reader),
        timeout=0.0 if duration is not None else timeout,
        idle_timeout=reader.optional_seconds("idle_timeout"),
        max_grpc_timeout=reader.optional_seconds("max_grpc_timeout"),
        grpc_timeout_offset=reader.seconds("grpc_timeout_offset"),
        retry=reader.interned("retry_policy", retry_policy),
        rewrite=_rewrite(reader),
        cluster_not_found_code=_NOT_FOUND_CODES.get(reader.enum("cluster_not_found_response_code"), 503),
        high_priority=reader.enum("priority") == "HIGH",
        upgrades=upgrades,
        hash_policies=hash_policies(reader),
        duration=duration,
        hedges=hedges(reader),
        redirects=internal_redirects(reader.child("internal_redirect_policy")),
        mirrors=mirrors(reader),
    )


def _clusters(reader: Reader) -> dict[str, Any]:
    """The fields of Forward that say where requests go."""
    wanted = match_fields(reader)
    match = compiled(wanted)
    if reader.has("cluster_header"):
        return {"clusters": (WeightedCluster("", 1, metadata_match=match, cluster_header=_header(reader)),)}
    if reader.has("cluster"):
        return {"clusters": (WeightedCluster(reader.text("cluster"), 1, metadata_match=match),)}
    weighted = reader.child("weighted_clusters")
    if weighted is None:
        return {"clusters": ()}
    weighted.number("total_weight")  # deprecated: the sum of the weights counts
    weighted.text("runtime_key_prefix")  # there is no runtime that could change weights
    clusters = tuple(_weighted_cluster(each, wanted) for each in weighted.children("clusters"))
    total = sum(cluster.weight for cluster in clusters)
    if clusters and not 0 < total <= UNLIMITED:
        weighted.problem(f"the weights' sum is {total}, must be between 1 and {UNLIMITED}", "clusters")
    return {
        "clusters": clusters,
        "weight_header": _header(weighted, "header_name"),
        "weight_by_hash": weighted.flag("use_hash_policy"),
    }


def _weighted_cluster(reader: Reader, wanted: Mapping[str, Any]) -> WeightedCluster:
    name, header = reader.text("name"), _header(reader)
    if bool(name) == bool(header):
        reader.problem("needs exactly one of name and cluster_header", "name")
    return WeightedCluster(
        name=name,
        weight=reader.number("weight"),
        request_ops=header_ops(reader, "request"),
        response_ops=header_ops(reader, "response"),
        host_rewrite=reader.text("host_rewrite_literal"),
        metadata_match=metadata_match(reader, wanted),
        cluster_header=header,
    )


def _header(reader: Reader, field: str = "cluster_header") -> bytes:
    return reader.text(field).lower().encode("latin-1", "replace")


def _rewrite(reader: Reader) -> Rewrite | None:
    regex = substitution(reader.child("regex_rewrite"))
    rewrite = Rewrite(
        prefix=reader.text("prefix_rewrite") or None,
        regex=regex,
        host=reader.text("host_rewrite_literal"),
        host_from_upstream=reader.flag("auto_host_rewrite"),
        append_forwarded_host=reader.flag("append_x_forwarded_host"),
        host_header=_header(reader, "host_rewrite_header"),
        host_regex=substitution(reader.child("host_rewrite_path_regex")),
        host_format=header_format(reader, "host_rewrite"),
        path_format=header_format(reader, "path_rewrite"),
    )
    if sum(map(bool, (rewrite.prefix, rewrite.regex, rewrite.path_format))) > 1:
        reader.problem("only one of prefix_rewrite, regex_rewrite and path_rewrite may be set", "regex_rewrite")
    return None if replace(rewrite, append_forwarded_host=False) == Rewrite() else rewrite


def _duration(reader: Reader | None) -> StreamDuration | None:
    """Where it is set, it counts in the place of the route's `timeout`, even when it says nothing."""
    if reader is None:
        return None
    return StreamDuration(
        reader.optional_seconds("max_stream_duration"),
        reader.optional_seconds("grpc_timeout_header_max"),
        reader.seconds("grpc_timeout_header_offset"),
    )


def _upgrades(reader: Reader) -> Mapping[str, bool]:
    """Upgrade type → enabled. CONNECT always ends here: its payload goes to the upstream as plain TCP."""
    upgrades: dict[str, bool] = {}
    for each in reader.children("upgrade_configs"):
        kind = each.text("upgrade_type").lower()
        if kind in upgrades:
            each.problem(f"{kind!r} is listed twice", "upgrade_type")
        upgrades[kind] = each.flag("enabled", True)
        connect = each.child("connect_config")
        if connect is not None:
            if kind != "connect":
                each.problem("is for CONNECT only", "connect_config")
        elif kind == "connect" and upgrades[kind]:
            each.problem("passing CONNECT on to another proxy is not implemented: set it", "connect_config")
    return upgrades
