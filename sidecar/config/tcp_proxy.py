"""TcpProxy → TcpProxy."""

from __future__ import annotations

from sidecar.config.access_log import access_logs
from sidecar.config.metadata_match import compiled, match_fields, metadata_match
from sidecar.config.model import TcpProxy, WeightedCluster
from sidecar.config.reader import Reader

IDLE_TIMEOUT = 3600.0


def tcp_proxy(reader: Reader) -> TcpProxy:
    reader.only("max_connect_attempts", 1)
    return TcpProxy(
        stat_prefix=reader.text("stat_prefix"),
        clusters=_clusters(reader),
        idle_timeout=reader.seconds("idle_timeout", IDLE_TIMEOUT),
        access_logs=access_logs(reader),
    )


def _clusters(reader: Reader) -> tuple[WeightedCluster, ...]:
    wanted = match_fields(reader)
    if reader.has("cluster"):
        return (WeightedCluster(reader.text("cluster"), 1, metadata_match=compiled(wanted)),)
    weighted = reader.child("weighted_clusters")
    if weighted is None:
        return ()
    return tuple(
        WeightedCluster(each.text("name"), each.number("weight"), metadata_match=metadata_match(each, wanted))
        for each in weighted.children("clusters")
    )
