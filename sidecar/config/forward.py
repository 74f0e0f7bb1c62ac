"""RouteAction → Forward: to which cluster, rewritten how, retried when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sidecar.config.common import header_ops, substitution
from sidecar.config.hash_policy import hash_policies
from sidecar.config.internal_redirect import internal_redirects
from sidecar.config.metadata_match import compiled, match_fields, metadata_match
from sidecar.config.mirrors import mirrors
from sidecar.config.model import UNLIMITED, Forward, Rewrite, StreamDuration, WeightedCluster
from sidecar.config.reader import Reader
from sidecar.config.retry import retry_policy

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
        clusters=_clusters(reader),
        timeout=0.0 if duration is not None else timeout,
        idle_timeout=reader.optional_seconds("idle_timeout"),
        retry=reader.interned("retry_policy", retry_policy),
        rewrite=_rewrite(reader),
        cluster_not_found_code=_NOT_FOUND_CODES.get(reader.enum("cluster_not_found_response_code"), 503),
        high_priority=reader.enum("priority") == "HIGH",
        upgrades=upgrades,
        hash_policies=hash_policies(reader),
        duration=duration,
        redirects=internal_redirects(reader.child("internal_redirect_policy")),
        mirrors=mirrors(reader),
    )


def _clusters(reader: Reader) -> tuple[WeightedCluster, ...]:
    wanted = match_fields(reader)
    if reader.has("cluster"):
        return (WeightedCluster(reader.text("cluster"), 1, metadata_match=compiled(wanted)),)
    weighted = reader.child("weighted_clusters")
    if weighted is None:
        return ()
    weighted.number("total_weight")  # deprecated: the sum of the weights counts
    weighted.text("runtime_key_prefix")  # there is no runtime that could change weights
    clusters = tuple(_weighted_cluster(each, wanted) for each in weighted.children("clusters"))
    total = sum(cluster.weight for cluster in clusters)
    if clusters and not 0 < total <= UNLIMITED:
        weighted.problem(f"the weights' sum is {total}, must be between 1 and {UNLIMITED}", "clusters")
    return clusters


def _weighted_cluster(reader: Reader, wanted: Mapping[str, Any]) -> WeightedCluster:
    name = reader.text("name")
    if not name and not reader.has("cluster_header"):
        reader.problem("is required", "name")
    return WeightedCluster(
        name=name,
        weight=reader.number("weight"),
        request_ops=header_ops(reader, "request"),
        response_ops=header_ops(reader, "response"),
        host_rewrite=reader.text("host_rewrite_literal"),
        metadata_match=metadata_match(reader, wanted),
    )


def _rewrite(reader: Reader) -> Rewrite | None:
    prefix = reader.text("prefix_rewrite")
    regex = substitution(reader.child("regex_rewrite"))
    if prefix and regex is not None:
        reader.problem("only one of prefix_rewrite and regex_rewrite may be set", "regex_rewrite")
    host = reader.text("host_rewrite_literal")
    from_upstream = reader.flag("auto_host_rewrite")
    forwarded = reader.flag("append_x_forwarded_host")
    if not prefix and regex is None and not host and not from_upstream:
        return None
    return Rewrite(prefix or None, regex, host, from_upstream, forwarded)


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
